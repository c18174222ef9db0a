"""The files of a programme → checked arrays, or a clear error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.frames import check_columns, collect_rows, column_names, scan
from cxlab.core.messages import got
from cxlab.stats.comparison.columns import SURVEY_TYPES, Columns
from cxlab.stats.comparison.fields import (
    SEGMENT,
    check_survey_type,
    check_unique,
    days,
    no_label,
    numbers,
    positions,
    read_frame,
)
from cxlab.stats.comparison.invitations import read_invitations
from cxlab.stats.comparison.shared import complete_segments

LOW, HIGH = 0, 10
#: Columns of the answers that tell more where they are there.
OPTIONAL = ("response", "responded_at", "survey_type", "period", "episode", "touchpoint",
            "contact_channel", "triggered_at", "invited_at")  # fmt: skip
#: An answer may seem this much older than its invitation when files hold whole minutes.
CLOCK_TOLERANCE_DAYS = 1.5 / (24 * 60)


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers to one survey, in the order of the file.

    Attributes
    ----------
    customer : ndarray of int
        Position of the customer in `ProgrammeData.customer_ids`.
    score : ndarray of float
        0 to 10, NaN where there is none.
    responded, invited, triggered : ndarray of float
        Days since 1970, NaN where unknown.
    period, touchpoint, contact_channel : Series of category
        Missing where the file has no such column.
    episode, response : Series of str
        Ids.
    weight : ndarray of float
    segments : DataFrame
        Segments that the comparison was asked to look at, as text; missing where not known.
    """

    customer: np.ndarray
    score: np.ndarray
    responded: np.ndarray
    invited: np.ndarray
    triggered: np.ndarray
    period: pd.Series
    touchpoint: pd.Series
    contact_channel: pd.Series
    episode: pd.Series
    weight: np.ndarray
    response: pd.Series
    segments: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __len__(self) -> int:
        return len(self.score)

    @property
    def valid(self) -> np.ndarray:
        """Which answers hold a score."""
        return ~np.isnan(self.score)

    def take(self, rows: np.ndarray) -> Answers:
        """The answers at these positions or under this mask."""
        parts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return Answers(**{name: _take(part, rows) for name, part in parts.items()})


def _take(part: Any, rows: np.ndarray) -> Any:
    if isinstance(part, pd.DataFrame) and not part.shape[1]:
        return part
    if isinstance(part, pd.Series | pd.DataFrame):
        return part.loc[rows].reset_index(drop=True)
    return part[rows]


@dataclass(frozen=True, eq=False)
class ProgrammeData:
    """Checked files of a programme.

    Attributes
    ----------
    customer_ids : Index
        The frame, or everybody who answered where there is no frame.
    unit : ndarray of int
        Account of each customer, or the customer: what is resampled whole.
    n_units : int
    traits : DataFrame
        Frame variables, one row per customer, as text; no columns without a frame.
    transactional, relationship : Answers
    invitations : DataFrame or None
        Columns ``transactional`` (bool), ``customer`` (position), ``period``, ``episode``,
        ``touchpoint``, ``contact_channel``, ``time`` (days), ``status`` (code of `STATUSES`),
        ``rule``, ``probability``.
    has_frame, has_accounts, has_customers : bool
        ``has_customers``: answers name their customer.
    segment_notes : tuple of str
        Where a segment was taken from, or why it is left out.
    """

    customer_ids: pd.Index
    unit: np.ndarray
    n_units: int
    traits: pd.DataFrame
    transactional: Answers
    relationship: Answers
    invitations: pd.DataFrame | None
    has_frame: bool
    has_accounts: bool
    has_customers: bool = True
    segment_notes: tuple[str, ...] = ()


def split_responses(
    responses: Any, *, survey_type: str = "survey_type"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One file of both surveys → transactional and relationship answers.

    Parameters
    ----------
    responses
        Dataframe of any engine with a column that declares each answer's survey.
    survey_type : str
        That column: ``transactional`` or ``relationship`` in every row.

    Returns
    -------
    (DataFrame, DataFrame)

    Raises
    ------
    ValueError
        When a row's survey is not declared. It is never guessed.

    Examples
    --------
    >>> both = pd.DataFrame({"survey_type": ["transactional", "relationship"], "score": [9, 7]})
    >>> transactional, relationship = split_responses(both)
    >>> transactional["score"].tolist(), relationship["score"].tolist()
    ([9], [7])
    """
    check_columns(responses, {"survey_type": survey_type})
    frame = collect_rows(scan(responses, column_names(responses)), responses)
    check_survey_type(frame[survey_type], survey_type, SURVEY_TYPES, "responses")
    parts = [frame[frame[survey_type] == name].reset_index(drop=True) for name in SURVEY_TYPES]
    return parts[0], parts[1]


def read_programme(
    transactional: Any,
    relationship: Any,
    invitations: Any = None,
    customers: Any = None,
    *,
    columns: Columns,
    traits: Sequence[str] = (),
    segments: Sequence[str] = (),
) -> ProgrammeData:
    """Check the files against the contract and turn them into arrays.

    Parameters
    ----------
    transactional, relationship
        Answers of each survey; dataframes of any engine.
    invitations, customers
        The invitations (with suppressed and unsampled rows) and the frame; either may be
        None.
    columns : Columns
        What the columns are called.
    traits : sequence of str
        Frame variables on which response may depend: columns of ``customers``.
    segments : sequence of str
        Columns of the answers, or of the frame, by which the gap is standardised.

    Returns
    -------
    ProgrammeData

    Raises
    ------
    ValueError, TypeError
        For anything that the contract forbids; the message names the file, the column,
        one value and how many more.
    """
    t = _read_answers(transactional, "transactional", columns, segments)
    r = _read_answers(relationship, "relationship", columns, segments)
    frame = _read_customers(customers, columns, traits, segments)
    _check_segments(segments, t, r, frame)
    ids = _customer_ids(frame, t, r)
    asked = None
    if invitations is not None and columns.customer is not None:
        asked = read_invitations(invitations, ids, columns, framed=frame is not None)
    unit, has_accounts = _units(frame, ids, columns)
    notes = complete_segments(segments, t, r, frame) if columns.customer else ()
    return ProgrammeData(
        customer_ids=ids,
        unit=unit,
        n_units=int(unit.max(initial=-1)) + 1,
        traits=_traits(frame, ids, traits),
        transactional=_answers(t, ids, columns, "transactional"),
        relationship=_answers(r, ids, columns, "relationship"),
        invitations=asked,
        has_frame=frame is not None,
        has_accounts=has_accounts,
        has_customers=columns.customer is not None,
        segment_notes=tuple(notes),
    )


def _read_answers(
    data: Any, survey: str, columns: Columns, segments: Sequence[str]
) -> pd.DataFrame:
    there = column_names(data)
    weights = columns.weights_of(survey)
    needed = {"customer": columns.customer, "score": columns.score, "weights": weights}
    # columns that were named for this comparison must be there; those of the contract may be
    needed |= {
        name: getattr(columns, name)
        for name in OPTIONAL
        if getattr(columns, name) != getattr(Columns(), name)
    }
    check_columns(data, needed)
    wanted = {**needed, **{name: getattr(columns, name) for name in OPTIONAL}}
    wanted |= {SEGMENT + name: name for name in segments}
    used = {name: column for name, column in wanted.items() if column in there}
    answers = read_frame(data, used)
    if "survey_type" in answers:
        check_survey_type(
            answers["survey_type"], columns.survey_type, [survey], f"{survey} answers"
        )
    for name in (one for one in ("response", "customer") if one not in answers):
        # each answer stands for itself
        numbered = pd.Series([f"{survey} {k}" for k in range(len(answers))], answers.index, "str")
        answers[name] = numbered.astype("category") if name == "customer" else numbered
    if "responded_at" not in answers:
        answers["responded_at"] = np.nan
    check_unique(answers["response"], columns.response, f"{survey} answers")
    answers["score"] = numbers(answers["score"], columns.score, f"{survey} answers")
    _check_scores(answers["score"].to_numpy(), columns.score, survey)
    for name in ("responded_at", "invited_at", "triggered_at"):
        if name in answers:
            answers[name] = days(answers[name], getattr(columns, name), f"{survey} answers")
    _check_order(answers, survey, columns)
    return answers


def _check_scores(values: np.ndarray, column: str, survey: str) -> None:
    with np.errstate(invalid="ignore"):
        off = ~np.isnan(values) & ((values < LOW) | (values > HIGH) | (values != np.rint(values)))
    if off.any():
        shown = [f"{value:g}" for value in values[off]]
        raise ValueError(
            f"`{column}` of the {survey} answers must be whole numbers from {LOW} to {HIGH}; got "
            f"{shown[0]}" + (f" (and {len(shown) - 1:,} more)" if len(shown) > 1 else "") + ". "
            "Declare codes such as 99 as missing in the study file."
        )


def _check_order(answers: pd.DataFrame, survey: str, columns: Columns) -> None:
    responded = answers["responded_at"].to_numpy(dtype=float)
    for name, words in (("invited_at", "its invitation"), ("triggered_at", "its episode")):
        if name not in answers:
            continue
        since = answers[name].to_numpy(dtype=float)
        if np.all(np.isnan(responded) | (responded % 1 == 0)):
            since = np.floor(since)  # a date has no hour to compare
        early = np.flatnonzero(responded < since - CLOCK_TOLERANCE_DAYS)
        if len(early):
            shown = [str(value) for value in answers["response"].iloc[early]]
            raise ValueError(
                f"`{columns.responded_at}` of the {survey} answers must not be before {words} "
                f"(`{getattr(columns, name)}`); got response {got(shown)}. Correct the dates."
            )


def _read_customers(
    customers: Any, columns: Columns, traits: Sequence[str], segments: Sequence[str]
) -> pd.DataFrame | None:
    if customers is None or columns.customer is None:
        if traits:
            raise ValueError(
                f"`traits` must be columns of `customers`; got {got(list(traits))} and no "
                "customers. Give the frame, or leave `traits` out."
            )
        return None
    needed = {"customer": columns.customer, "traits": list(traits), "account": columns.account}
    check_columns(customers, needed)
    there = column_names(customers)
    wanted = {"customer": columns.customer, **{f"trait {name}": name for name in traits}}
    wanted |= {SEGMENT + name: name for name in segments if name in there}
    if columns.account:
        wanted["account"] = columns.account
    frame = read_frame(customers, wanted)
    check_unique(frame["customer"], columns.customer, "customers")
    return frame


def _check_segments(segments: Sequence[str], *files: pd.DataFrame | None) -> None:
    there = {column for file in files if file is not None for column in file.columns}
    lost = [name for name in segments if SEGMENT + name not in there]
    if lost:
        raise ValueError(
            f"`segments` must be columns of the answers or of the customers; got {got(lost)}, "
            "which none of the files has. Name columns that both surveys have."
        )


def _customer_ids(frame: pd.DataFrame | None, t: pd.DataFrame, r: pd.DataFrame) -> pd.Index:
    if frame is not None:
        return pd.Index(frame["customer"].astype("str"))
    return t["customer"].cat.categories.union(r["customer"].cat.categories)


def _answers(frame: pd.DataFrame, ids: pd.Index, columns: Columns, survey: str) -> Answers:
    where = f"{survey} answers"
    nothing = np.full(len(frame), np.nan)
    labels = {
        name: frame[name] if name in frame else pd.Series(no_label(len(frame)))
        for name in ("period", "touchpoint", "contact_channel")
    }
    weight = np.ones(len(frame))
    weights = columns.weights_of(survey)
    if "weights" in frame:
        weight = numbers(frame["weights"], str(weights), where)
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        raise ValueError(
            f"`{weights}` of the {where} must be finite numbers of 0 or more; "
            f"got {got([str(v) for v in weight[bad]])}."
        )
    return Answers(
        customer=positions(frame["customer"], ids, str(columns.customer), where),
        score=frame["score"].to_numpy(dtype=float),
        responded=frame["responded_at"].to_numpy(dtype=float),
        invited=frame["invited_at"].to_numpy(dtype=float) if "invited_at" in frame else nothing,
        triggered=(
            frame["triggered_at"].to_numpy(dtype=float) if "triggered_at" in frame else nothing
        ),
        weight=weight,
        response=frame["response"],
        episode=frame["episode"] if "episode" in frame else pd.Series(None, frame.index, "str"),
        segments=_segments(frame),
        **labels,
    )


def _segments(frame: pd.DataFrame) -> pd.DataFrame:
    marked = [column for column in frame if str(column).startswith(SEGMENT)]
    named = {column: str(column).removeprefix(SEGMENT) for column in marked}
    return frame[marked].astype("str").rename(columns=named)


def _units(frame: pd.DataFrame | None, ids: pd.Index, columns: Columns) -> tuple[np.ndarray, bool]:
    if columns.account is None:
        return np.arange(len(ids)), False
    if frame is None:
        raise ValueError(
            f"`account` must be a column of `customers`; got '{columns.account}' and no customers. "
            "Give the frame."
        )
    codes, labels = pd.factorize(frame["account"])
    lone = codes < 0  # a customer without an account is its own
    codes = np.where(lone, len(labels) + np.cumsum(lone) - 1, codes)
    return codes, True


def _traits(frame: pd.DataFrame | None, ids: pd.Index, traits: Sequence[str]) -> pd.DataFrame:
    if frame is None:
        return pd.DataFrame(index=range(len(ids)))
    text = {name: frame[f"trait {name}"].astype("str").fillna("unknown") for name in traits}
    return pd.DataFrame(text, index=range(len(ids)))
