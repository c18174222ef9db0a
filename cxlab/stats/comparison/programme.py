"""The files of a programme → checked arrays, or a clear error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.frames import check_columns, column_names
from cxlab.core.messages import got, one_of, refuse
from cxlab.stats.comparison.contract import (
    SEGMENT,
    STATUSES,
    SURVEY_TYPES,
    check_survey_type,
    check_unique,
    days,
    labelled,
    numbers,
    positions,
    read_frame,
)

LOW, HIGH = 0, 10
#: Small groups of a segment, taken together; the last of its groups.
OTHERS = "others"
#: Columns of the answers that tell more where they are there.
OPTIONAL = ("response_id", "responded_at", "survey_type", "period", "episode_id", "touchpoint",
            "triggered_at", "invited_at")  # fmt: skip
#: An answer may seem this much older than its invitation when files hold whole minutes.
CLOCK_TOLERANCE_DAYS = 1.5 / (24 * 60)
#: Of the customers with several answers, how many may have two values of what is still taken
#: for a property of the customer.
MOST_CHANGES = 0.05


@dataclass(frozen=True, eq=False)
class ProgrammeData:
    """Checked files of a programme.

    ``surveys`` are the answers to each survey, transactional first, in the order of the file:
    ``customer`` (position in ``customer_ids``), ``score, weights, responded_at, triggered_at``
    (when the answer came and the episode ended, in days since 1970), ``period, touchpoint,
    episode_id, response_id`` and, as text, each segment (`SEGMENT` and its name) that the
    comparison was asked to look at. What is not known is NaN or missing.

    ``customer_ids`` are the frame, or everybody who answered where there is none; ``traits`` its
    variables as text. ``invitations`` have columns ``transactional`` (bool), ``customer``
    (position), ``period, episode_id, touchpoint, contact_channel, time`` (days), ``status`` (code
    of `STATUSES`), ``rule, probability``. ``has_customers``: answers name their customer.
    ``notes``: where a segment was taken from, or why it is left out; ``pooled``: segments of which
    small groups were taken together.
    """

    customer_ids: pd.Index
    traits: pd.DataFrame
    surveys: dict[str, pd.DataFrame]
    invitations: pd.DataFrame | None
    has_frame: bool
    has_customers: bool
    notes: tuple[str, ...] = ()
    pooled: frozenset[str] = frozenset()

    @property
    def n_customers(self) -> int:
        """Customers of the frame, or who answered."""
        return len(self.customer_ids)

    @property
    def valid(self) -> dict[str, pd.DataFrame]:
        """The answers that hold a score, by survey."""
        return {survey: one[one["score"].notna()] for survey, one in self.surveys.items()}

    @property
    def shared_segments(self) -> list[str]:
        """Columns of the segments that the answers of both surveys have."""
        t, r = self.surveys.values()
        return [name for name in t if name.startswith(SEGMENT) and name in r]


def read_programme(
    transactional: Any,
    relationship: Any,
    invitations: Any = None,
    customers: Any = None,
    *,
    customer: str | None,
    score: str,
    weights: Mapping[str, str],
    traits: Sequence[str] = (),
    segments: Sequence[str] = (),
) -> ProgrammeData:
    """Open each file once, check it against the contract and turn it into arrays.

    Parameters are those of `compare_tnps_rnps`.
    """
    answers = {
        survey: _read_answers(data, survey, customer, score, weights.get(survey), segments)
        for survey, data in (("transactional", transactional), ("relationship", relationship))
    }
    frame = _read_customers(customers, customer, traits, segments)
    _check_segments(segments, *answers.values(), frame)
    asked, notes = None, []
    if frame is not None:
        ids = pd.Index(frame["customer"].astype("str"))
    else:
        t, r = (one["customer"].cat.categories for one in answers.values())
        ids = t.union(r)
    if customer is not None:
        notes = _complete_segments(segments, answers, frame)
        if invitations is not None:
            asked = _read_invitations(invitations, ids, customer, framed=frame is not None)
    of_frame = {} if frame is None else {name: frame[f"trait {name}"] for name in traits}
    text = {name: values.astype("str").fillna("unknown") for name, values in of_frame.items()}
    return ProgrammeData(
        customer_ids=ids,
        traits=pd.DataFrame(text, index=range(len(ids))),
        surveys={name: _placed(one, ids, customer, name) for name, one in answers.items()},
        invitations=asked,
        has_frame=frame is not None,
        has_customers=customer is not None,
        notes=tuple(notes),
    )


def _read_answers(
    data: Any,
    survey: str,
    customer: str | None,
    score: str,
    weights: str | None,
    segments: Sequence[str],
) -> pd.DataFrame:
    there, where = column_names(data), f"{survey} answers"
    needed = {"customer": customer, "score": score, "weights": weights}
    check_columns(data, needed)
    needed |= {SEGMENT + name: name for name in segments if name in there}
    answers = read_frame(data, {k: name for k, name in needed.items() if name}, OPTIONAL)
    if "survey_type" in there:
        check_survey_type(answers["survey_type"], [survey], where)
    # an answer without an id, or without a customer, counts on its own
    numbered = pd.Series([f"{survey} {k}" for k in range(len(answers))], answers.index, "str")
    if "response_id" not in there:
        answers["response_id"] = numbered
    if customer is None:
        answers["customer"] = numbered.astype("category")
    check_unique(answers["response_id"], "response_id", where)
    answers["score"] = numbers(answers["score"], score, where)
    _check_scores(answers["score"].to_numpy(), score, where)
    for name in ("responded_at", "invited_at", "triggered_at"):
        answers[name] = days(answers[name], name, where)
    answers["weights"] = numbers(answers["weights"], weights, where) if weights else 1.0
    bad = answers.loc[~(np.isfinite(answers["weights"]) & (answers["weights"] >= 0)), "weights"]
    refuse(
        bad.astype("str"), f"`{weights}` of the {where} must be finite numbers of 0 or more", "."
    )
    _check_order(answers, survey)
    return answers


def _check_scores(values: np.ndarray, column: str, where: str) -> None:
    with np.errstate(invalid="ignore"):
        off = ~np.isnan(values) & ((values < LOW) | (values > HIGH) | (values != np.rint(values)))
    if off.any():
        first, more = values[off][0], int(off.sum()) - 1
        shown = f"{first:g}" + (f" (and {more:,} more)" if more else "")
        raise ValueError(
            f"`{column}` of the {where} must be whole numbers from {LOW} to {HIGH}; got {shown}. "
            "Declare codes such as 99 as missing in the study file."
        )


def _check_order(answers: pd.DataFrame, survey: str) -> None:
    responded = answers["responded_at"].to_numpy(dtype=float)
    for name, words in (("invited_at", "its invitation"), ("triggered_at", "its episode")):
        since = answers[name].to_numpy(dtype=float)
        if np.all(np.isnan(responded) | (responded % 1 == 0)):
            since = np.floor(since)  # a date has no hour to compare
        early = answers.loc[responded < since - CLOCK_TOLERANCE_DAYS, "response_id"]
        if len(early):
            raise ValueError(
                f"`responded_at` of the {survey} answers must not be before {words} "
                f"(`{name}`); got response {got(early.tolist())}. Correct the dates."
            )


def _read_customers(
    customers: Any, customer: str | None, traits: Sequence[str], segments: Sequence[str]
) -> pd.DataFrame | None:
    if customers is None or customer is None:
        if traits:
            raise ValueError(
                f"`traits` must be columns of `customers`; got {got(list(traits))} and no "
                "customers. Give the frame, or leave `traits` out."
            )
        return None
    check_columns(customers, {"customer": customer, "traits": list(traits)})
    there = column_names(customers)
    wanted = {"customer": customer, **{f"trait {name}": name for name in traits}}
    wanted |= {SEGMENT + name: name for name in segments if name in there}
    frame = read_frame(customers, wanted)
    check_unique(frame["customer"], customer, "customers")
    return frame


def _check_segments(segments: Sequence[str], *files: pd.DataFrame | None) -> None:
    there = {column for file in files if file is not None for column in file.columns}
    refuse(
        [name for name in segments if SEGMENT + name not in there],
        "`segments` must be columns of the answers or of the customers",
        ", which none of the files has. Name columns that both surveys have.",
    )


def _placed(frame: pd.DataFrame, ids: pd.Index, customer: str | None, survey: str) -> pd.DataFrame:
    """Answers as `ProgrammeData.surveys` describes them."""
    marked = [name for name in frame if name.startswith(SEGMENT)]
    where = positions(frame["customer"], ids, str(customer), f"{survey} answers")
    text = {name: frame[name].astype("str") for name in marked}
    return frame.drop(columns=["survey_type", "invited_at"]).assign(customer=where, **text)


def _read_invitations(
    invitations: Any, ids: pd.Index, customer: str, *, framed: bool
) -> pd.DataFrame:
    """Invitations as `ProgrammeData.invitations` describes them.

    Without a frame only customers who answered are kept.
    """
    needed = {name: name for name in ("survey_type", "status", "triggered_at")}
    needed = {"customer": customer, **needed}
    check_columns(invitations, needed)
    optional = ("period", "episode_id", "touchpoint", "contact_channel", "rule", "probability")
    asked = read_frame(invitations, needed, optional)
    where = "invitations"
    check_survey_type(asked["survey_type"], SURVEY_TYPES, where)
    asked["probability"] = numbers(asked["probability"], "probability", where)
    _check_status(asked, customer)
    asked["time"] = days(asked.pop("triggered_at"), "triggered_at", where)
    if not framed:
        asked = asked[asked["customer"].isin(ids)].reset_index(drop=True)
    asked["customer"] = positions(asked["customer"], ids, customer, where)
    codes = {name: code for code, name in enumerate(STATUSES)}
    asked["status"] = labelled(asked["status"], codes, -1).astype(np.int8)
    asked["transactional"] = (asked.pop("survey_type") == "transactional").to_numpy(dtype=bool)
    return asked


def _check_status(asked: pd.DataFrame, customer: str) -> None:
    bad = asked.loc[~asked["status"].isin(STATUSES), "status"]
    refuse(bad, f"`status` of the invitations must be {one_of(STATUSES)}", ".")
    chance = asked["probability"].to_numpy()
    off = [f"{v:g}" for v in chance[~np.isnan(chance) & ~((chance > 0) & (chance <= 1))]]
    rest = ". Leave it empty where it is not known."
    refuse(off, "`probability` of the invitations must be above 0 and at most 1", rest)
    nameless = (asked["status"] == "suppressed") & asked["rule"].isna()
    if nameless.any():
        raise ValueError(
            f"`rule` of the invitations must name the rule of every suppressed row; "
            f"{int(nameless.sum()):,} have none."
        )
    episodes = asked.loc[asked["survey_type"] == "transactional", "episode_id"]
    check_unique(episodes, "episode_id", "transactional invitations")
    waves = asked.loc[asked["survey_type"] == "relationship", ["customer", "period"]]
    twice = waves[waves.duplicated()].itertuples(index=False)
    rest = " more than once. Give each wave a period of its own."
    words = [f"{who} in {period}" for who, period in twice]
    refuse(words, f"Relationship invitations must be one per `{customer}` and `period`", rest)


def _complete_segments(
    names: Sequence[str], files: Mapping[str, pd.DataFrame], frame: pd.DataFrame | None
) -> list[str]:
    """Give the answers of both surveys each segment that only one of the files has.

    The answers are changed in place. Returned are notes: what was taken from where, and what is
    left out because it changes from answer to answer of one customer.
    """
    notes = []
    for name in names:
        column = SEGMENT + name
        lacking = [survey for survey, file in files.items() if column not in file]
        if not lacking:
            continue
        if frame is not None and column in frame:
            source, of = frame, "the customers' file"
        else:
            there = next(survey for survey in files if survey not in lacking)
            source, of = files[there], f"the {there} survey, of any period"
        known = _of_customers(source, column)
        if known is None:
            notes.append(
                f"`{name}` is left out: it changes within a customer, and the {lacking[0]} "
                "answers don't have it"
            )
            continue
        for survey in lacking:
            files[survey][column] = files[survey]["customer"].astype("str").map(known)
        words = " and ".join(lacking)
        notes.append(f"`{name}` of the {words} answers is that of the same customer in {of}")
    return notes


def _of_customers(source: pd.DataFrame, column: str) -> pd.Series | None:
    """The one value of each customer; None where customers have more than one as a rule."""
    known = source[["customer", column]].dropna().astype("str")
    by_customer = known.groupby("customer")[column]
    values, answers = by_customer.nunique(), by_customer.size()
    several = int((answers > 1).sum())
    if several and (values > 1).sum() > MOST_CHANGES * several:
        return None
    return by_customer.first()[values == 1]


def known_groups(t: pd.Series, r: pd.Series) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Codes of two columns under common names: −1 where the group is not known."""
    names = sorted({*t.dropna(), *r.dropna()}, key=lambda name: (name == OTHERS, name))
    index = pd.Index(names, dtype="str")
    return index.get_indexer(t), index.get_indexer(r), names


class CustomerTimes:
    """Customer and time as one sortable number."""

    def __init__(self, *times: np.ndarray) -> None:
        every = np.concatenate([np.asarray(t, dtype=float) for t in times])
        self.start = float(np.nanmin(every)) - 1.0 if len(every) else 0.0
        self.span = (float(np.nanmax(every)) if len(every) else 0.0) - self.start + 2.0

    def __call__(self, customer: np.ndarray, time: np.ndarray) -> np.ndarray:
        """The numbers of these rows, in order of customer and time."""
        within = np.clip(np.asarray(time, dtype=float) - self.start, 0.0, self.span - 1.0)
        return np.asarray(customer, dtype=float) * self.span + within


def in_periods(data: ProgrammeData, periods: Sequence[str] | None) -> ProgrammeData:
    """The programme with the answers of the window; its invitations stay, for look-backs.

    Periods that no file has are refused. One with answers to one survey only, or with invitations
    only, is one in which nobody answered: no mistake.
    """
    if periods is None:
        return data
    for survey, answers in data.surveys.items():
        if len(answers) and answers["period"].isna().all():
            raise ValueError(
                f"`periods` must be left out: the {survey} answers have no period. Give them one, "
                "or compare everything."
            )
    files = [*data.surveys.values(), *([] if data.invitations is None else [data.invitations])]
    there = sorted({str(period) for one in files for period in one["period"].dropna().unique()})
    stray = [period for period in periods if period not in there]
    if stray:
        known = f"periods of the answers, {one_of(there)}" if there else "left out: there are none"
        raise ValueError(f"`periods` must be {known}; got {got(stray)}.")
    surveys = {
        survey: one[one["period"].isin(list(periods))].reset_index(drop=True)
        for survey, one in data.surveys.items()
    }
    return replace(data, surveys=surveys)
