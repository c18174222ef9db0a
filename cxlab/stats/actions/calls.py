"""Whom to call: a list with a random part held back, so that calling can be judged; what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.disclosure.gate import MIN_GROUP_SIZE, hidden_groups
from cxlab.core.display import display_of, with_display
from cxlab.core.findings import Cells, Finding, Findings, figures
from cxlab.core.frames import check_columns
from cxlab.core.messages import got
from cxlab.core.phrases import (
    interval_beside_zero,
    listed,
    number,
    size_with_interval,
    with_interval,
)
from cxlab.core.private import private_file
from cxlab.core.result import Result
from cxlab.stats.inference import ALPHA, LIKELY

if TYPE_CHECKING:
    from cxlab.stats.actions.effect import LoopEffect

LISTED, HELD_OUT, MUST, WAITING = "listed", "held out", "must call", "waiting"
ARMS = (LISTED, HELD_OUT, MUST, WAITING)
#: Owner of customers whose owner is blank.
NOBODY = "no owner"
#: Percentage points that a hold-out should be able to show.
WORTH_SEEING = 5.0
CALL_COLUMNS = ("customer", "listed_at", "arm", "owner", "order")
#: Names that the tables are recorded under.
CALLS, STATUS, EFFECT, PLAN = "call-list", "loop-status", "loop-effect", "effect-in-sight"
PLANNED = ("n", "a_month", "held_out", "stay", "difference", "needed")
FIGURES = ("estimate", "ci_low", "ci_high")
CHANCE = (
    "Detractors score higher at their next answer whether they are called or not: only listed "
    "less held out says what calling did"
)


@dataclass(frozen=True, eq=False, kw_only=True)
class CallList(Result):
    """Whom to call: counts to show, ids only in a file that was asked for.

    Attributes
    ----------
    table : DataFrame
        One row per owner and arm: ``owner``, ``arm``, ``n``.
    calls : DataFrame
        One row per customer, to be written to a file and never shown: ``customer``,
        ``listed_at``, ``arm``, ``owner``, ``order``.
    """

    calls: pd.DataFrame
    rule: tuple[float, float]

    def findings(self, status: pd.DataFrame, effect: LoopEffect) -> Findings:
        """What `loop_status` and `loop_effect` say beside the list."""
        return call_findings(self, status, effect)

    def write(self, path: str | Path | None) -> None:
        """Write the calls as CSV, readable by its owner only; nothing without a path."""
        if path is not None:
            self.calls.to_csv(private_file(path), index=False)


def call_list(
    answers: pd.DataFrame,
    *,
    customer: str,
    score: str,
    rule: tuple[float, float],
    listed_at: str | pd.Timestamp,
    owner: str | None = None,
    capacity: int | None = None,
    hold_out: float = 0.1,
    exempt: str | None = None,
    earlier: pd.DataFrame | None = None,
    min_group_size: int = MIN_GROUP_SIZE,
    seed: int = 0,
) -> CallList:
    """Draw whom to call, and hold a random part back within each score.

    Parameters
    ----------
    answers : DataFrame
        One row per answer; a customer's lowest score counts.
    customer, score : str
        Columns.
    rule : (low, high)
        Scores that ask for a call.
    listed_at : date
        Day of the list.
    owner : str, optional
        Column of who calls; blank: "no owner".
    capacity : int, optional
        Calls that each owner can make; the others wait, in random order.
    hold_out : float
        Share held back, 0 to below 1. 0: the effect of calling is not identified.
    exempt : str, optional
        Column that is true where a call must be made (complaint, safety, contract): they are
        listed and taken no part in the draw.
    earlier : DataFrame, optional
        Earlier lists, with ``customer`` and ``arm``: who was drawn before keeps the arm.
    min_group_size : int
        Owners of fewer customers who answered are counted together, as others; in the file they
        have their names.
    seed : int

    Returns
    -------
    CallList

    Raises
    ------
    ValueError
        For a share outside 0 to 1, or a capacity below 1.

    Examples
    --------
    >>> answers = pd.DataFrame({"id": range(20), "recommend": [2] * 10 + [9] * 10})
    >>> drawn = call_list(answers, customer="id", score="recommend", rule=(0, 6),
    ...                   listed_at="2025-10-01", hold_out=0.2)
    >>> drawn.table
          owner       arm  n
    0  everyone    listed  8
    1  everyone  held out  2
    """
    if not 0 <= hold_out < 1:
        raise ValueError(f"`hold_out` must be a share from 0 to below 1; got {hold_out}.")
    if capacity is not None and capacity < 1:
        raise ValueError(f"`capacity` must be 1 or more; got {capacity}.")
    check_columns(answers, {"customer": customer, "score": score, "owner": owner, "exempt": exempt})
    calls = _to_call(answers, customer, score, rule, owner)
    calls = calls.assign(listed_at=pd.Timestamp(listed_at).date())
    rng = np.random.default_rng(seed)
    # every customer keeps a place in the draw, so that a longer list draws the same
    calls["_draw"] = rng.permutation(len(calls))
    must = calls["customer"].isin(_exempt(answers, customer, exempt)).to_numpy()
    calls["arm"] = _arms(calls, must, earlier, hold_out, rng)
    calls["order"] = calls.groupby("owner")["_draw"].rank().astype(int)
    if capacity is not None:
        place = calls[calls["arm"] == LISTED].groupby("owner")["_draw"].rank()
        calls.loc[place.index[place > capacity], "arm"] = WAITING
    shown = _shown_owners(calls["owner"], answers, customer, owner, min_group_size)
    arms = pd.Categorical(calls["arm"], ARMS, ordered=True)
    table = calls.groupby([shown, arms], observed=True).size().rename_axis(["owner", "arm"])
    return CallList(
        table=with_display(
            table.rename("n").reset_index().astype({"arm": "str"}),
            caption="Whom to call, and who is held back by chance",
            headers={"owner": "Owner", "arm": "Arm", "n": "Customers"}, top=len(table),
        ),
        calls=calls.sort_values(["owner", "order"])[list(CALL_COLUMNS)].reset_index(drop=True),
        notes=_notes(calls), rule=rule,
    )  # fmt: skip


def _arms(
    calls: pd.DataFrame, must: NDArray[np.bool_], earlier: pd.DataFrame | None, hold_out: float,
    rng: np.random.Generator,
) -> pd.Series:  # fmt: skip
    """Arm of each customer, before capacity."""
    known = _earlier_arm(calls["customer"], earlier)
    # who was drawn once keeps the arm, or repeat detractors would be held out more often
    arm = pd.Series(np.where(must, MUST, LISTED), calls.index).mask(~must & known.notna(), known)
    return arm.mask(_drawn(calls, ~must & known.isna().to_numpy(), hold_out, rng), HELD_OUT)


def _shown_owners(
    owners: pd.Series, answers: pd.DataFrame, customer: str, owner: str | None, least: int
) -> pd.Series:
    """Owner as it is shown: of few customers, how many asked for a call would name their scores."""
    if owner is None:
        return owners
    sizes = answers.groupby(_named(answers[owner]))[customer].nunique()
    few = hidden_groups(sizes.to_numpy(float), least)
    kept = [name for i, name in enumerate(sizes.index) if i not in few]
    return owners.where(owners.isin(kept), "others")


def _named(owners: pd.Series) -> pd.Series:
    """Owners as text; customers whom nobody calls yet have a list of their own."""
    return owners.astype("str").fillna(NOBODY)


def _to_call(
    answers: pd.DataFrame, customer: str, score: str, rule: tuple[float, float], owner: str | None
) -> pd.DataFrame:
    """Customers who ask for a call, by their lowest score."""
    asked = answers[answers[score].between(*rule) & answers[customer].notna()]
    asked = asked.sort_values([customer, score], kind="stable").drop_duplicates(customer)
    whose = _named(asked[owner]).to_numpy() if owner else "everyone"
    found = {"customer": asked[customer].to_numpy(), "_score": asked[score].to_numpy(float)}
    return pd.DataFrame({**found, "owner": whose})


def _earlier_arm(customers: pd.Series, earlier: pd.DataFrame | None) -> pd.Series:
    """Arm of the first list that drew each customer; null for who was never drawn."""
    if earlier is None:
        return pd.Series(None, index=customers.index, dtype=object)
    check_columns(earlier, {"earlier": ["customer", "arm"]})
    odd = earlier.loc[~earlier["arm"].isin(ARMS), "arm"]
    if len(odd):
        raise ValueError(
            f"`arm` of earlier lists must be one of {', '.join(ARMS)}; got {got(list(odd))}."
        )
    drawn = earlier[earlier["arm"].isin([LISTED, HELD_OUT])].drop_duplicates("customer")
    return customers.map(drawn.set_index("customer")["arm"]).astype(object)


def _drawn(
    calls: pd.DataFrame, free: np.ndarray, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Who is held back by chance, before capacity."""
    held = np.zeros(len(calls), dtype=bool)
    draw, scores = calls["_draw"].to_numpy(), calls["_score"].to_numpy()
    for score in np.unique(scores[free]):
        places = np.flatnonzero(free & (scores == score))
        # rounded at random, so that the share holds however few have the score
        number = int(share * len(places) + rng.random())
        held[places[np.argsort(draw[places])[:number]]] = True
    return held


def _exempt(answers: pd.DataFrame, customer: str, exempt: str | None) -> pd.Series:
    """Customers any of whose answers asks for a call; a blank does not."""
    if exempt is None:
        return pd.Series(dtype=object)
    asks = answers[exempt].notna() & answers[exempt].eq(True)
    return answers.loc[asks, customer].dropna()


def _notes(calls: pd.DataFrame) -> tuple[str, ...]:
    held = int((calls["arm"] == HELD_OUT).sum())
    if not held:
        return ("Nobody is held out: the effect of calling will not be identified.",)
    return (f"{held:,} of {len(calls):,} customers are held out by chance.",)


def call_findings(calls: CallList, status: pd.DataFrame, effect: LoopEffect) -> Findings:
    """Answer, effect, closing, owners, how large a hold-out is needed."""
    rows = [_answer(calls, effect), *_closing(status), *_owners(calls), _plan(effect)]
    rows.append(Finding(kind="caution", text=CHANCE, rule="chance"))
    return Findings(tuple(row.meaning(effect.meaning) for row in rows))


def _answer(calls: CallList, effect: LoopEffect) -> Finding:
    low, high = calls.rule
    counts = calls.table.groupby("arm")["n"].sum()
    listed_ = int(counts.reindex(["listed", "must call"]).sum())
    held = int(counts.get("held out", 0))
    text = f"Call {listed_:,} customers who answered {low:g}–{high:g}"
    text += f", hold {held:,} back by chance" if held else ""
    row = effect.table.iloc[0]
    told, certainty = _effect(row, effect.level)
    detail = ""
    if pd.notna(row["n_listed"]):
        detail = f"{effect.horizon:g} days after listing; {int(row['n_listed']):,} listed and "
        detail += f"{int(row['n_held_out']):,} held out before"
    return Finding(
        kind="answer", text=f"{text}. {told}", certainty=certainty, subject="calls",
        detail=detail,
        **figures(row[list(FIGURES)]), unit="points", n=listed_ + held, reference=0.0, rule="calls", family="effect", family_size=1,
        cells=(
            Cells(EFFECT, {"list": "together", "outcome": "stayed"}, ("listed", "held_out", *FIGURES)),
        ),
    )  # fmt: skip


def _effect(row: pd.Series, level: float) -> tuple[str, str]:
    """Whether calling helped, in words, and how sure that is."""
    if pd.isna(row["ci_low"]):
        return f"Whether calling keeps customers: {row['note'] or 'not known'}", "not settled"
    numbers = [float(row[name]) for name in FIGURES]
    stayed = f"{number(row['listed'])} % of the listed stayed, {number(row['held_out'])} % of the held out"
    if row["ci_low"] <= 0 <= row["ci_high"]:
        return (
            f"{stayed}: no effect is shown ({interval_beside_zero(*numbers[1:])} points)",
            "not settled",
        )
    more = "more" if row["estimate"] > 0 else "fewer"
    size = size_with_interval(*numbers)
    sure = "clear" if level >= 1 - ALPHA else "likely" if level >= LIKELY else "not settled"
    return f"{stayed}: {size} in a hundred {more} of the listed", sure


def _closing(status: pd.DataFrame) -> list[Finding]:
    row = status.iloc[0]
    if pd.isna(row["ci_low"]):
        return []
    text = f"{with_interval(row['estimate'], row['ci_low'], row['ci_high'], '%')} of cases are closed in time"
    if pd.notna(row["median_days"]):
        text += f", half of them within {number(row['median_days'])} days"
    return [
        Finding(
            text=text, subject="closing", detail=f"open cases counted; n = {int(row['n']):,}",
            **figures(row), unit="%", rule="closing", cells=(Cells(STATUS, {}, (*FIGURES, "median_days")),),
        )
    ]  # fmt: skip


def _owners(calls: CallList) -> list[Finding]:
    rows = calls.table[calls.table["arm"] == "listed"].sort_values("n", ascending=False)
    if len(rows) < 2:
        return []
    named = listed([f"{row['owner']} {int(row['n'])}" for _, row in rows.iterrows()])
    cells = tuple(Cells(CALLS, {"owner": one, "arm": "listed"}, ("n",)) for one in rows["owner"])
    return [Finding(text=f"Calls by owner: {named}", subject="owners", rule="owners", cells=cells)]


def _plan(effect: LoopEffect) -> Finding:
    """When an effect worth seeing could be seen."""
    known = len(effect.plan) > 0
    return Finding(
        text=effect.planning.removesuffix("."), subject="planning", rule="planning",
        margin=WORTH_SEEING,
        cells=(Cells(PLAN, {}, PLANNED),) if known else (),
    )  # fmt: skip


def programme_at_a_glance(
    calls: CallList,
    status: pd.DataFrame,
    effect: LoopEffect,
    *,
    response: pd.DataFrame,
    targets: pd.DataFrame,
) -> pd.DataFrame:
    """The programme in one table: response, coverage, closing, targets, effect.

    Parameters
    ----------
    calls, status, effect
        Of `call_list`, `loop_status` and `loop_effect`.
    response : DataFrame
        Response rates, everyone first, of `response_rates`.
    targets : DataFrame
        Outcomes, of `scorecard`; those with a target count.

    Returns
    -------
    DataFrame
        ``measure``, ``estimate``, ``ci_low``, ``ci_high``, ``unit``, ``target``, ``note``.
    """
    counts = calls.table.groupby("arm")["n"].sum()
    covered = int(counts.reindex(["listed", "must call"]).sum())
    share = 100 * covered / counts.sum() if counts.sum() else np.nan
    titles = display_of(targets).titles
    aims = targets.dropna(subset=["target"]).assign(
        measure=lambda t: [
            f"{label}: {titles.get((label, metric), metric)}"
            for label, metric in zip(t["label"], t["metric"], strict=True)
        ],
        note=lambda t: t["attained"].map({"yes": "met", "no": "missed"}).fillna("not settled"),
    )
    found = [
        response.head(1).assign(measure="Response", unit="%"),
        pd.DataFrame({"measure": ["Coverage"], "estimate": [share], "unit": ["%"],
                      "note": [f"{covered:,} of {counts.sum():,} to be called"]}),
        status.head(1).assign(measure="Closed in time", unit="%"),
        aims[["measure", "unit", "target", *FIGURES, "note"]],
        effect.table.head(1).assign(measure="Effect of calling", unit="points"),
    ]  # fmt: skip
    names = ["measure", *FIGURES, "unit", "target", "note"]
    table = pd.concat([one.reindex(columns=names) for one in found if len(one)], ignore_index=True)
    return with_display(
        table.assign(note=table["note"].fillna("")), caption="The programme at a glance",
        columns=("measure", "estimate", "unit", "target", "note"), bar=(),
        headers={"measure": "Measure", "estimate": "Now", "note": "Note"},
    )  # fmt: skip


def where_to_act(places: pd.DataFrame, owners: Mapping[str, str]) -> pd.DataFrame:
    """Where to look first, and who acts on it.

    Parameters
    ----------
    places : DataFrame
        Of `driver_map`.
    owners : mapping of str to str
        Touchpoint to who acts on it: ``study.owners``.

    Returns
    -------
    DataFrame
        The touchpoints to look at first, sure or likely: ``label``, ``verdict``, ``owner``
        (``nobody declared`` without one), ``estimate`` (share of importance) and ``performance``
        with their intervals, ``fix_first`` (share of resamples); none where none is singled out.

    Examples
    --------
    >>> places = pd.DataFrame({"driver": ["wifi", "staff"], "label": ["WiFi", "Staff"],
    ...     "verdict": ["look first", "keep up"], "estimate": [0.3, 0.2]})
    >>> where_to_act(places, {"wifi": "Network team"})[["label", "owner"]].values.tolist()
    [['WiFi', 'Network team']]
    """
    first = places[places["verdict"].isin(["look first", "likely"])]
    owner = first["driver"].map(owners).fillna("nobody declared")
    columns = [
        "label", "verdict", "owner", "estimate", "ci_low", "ci_high", "performance",
        "performance_low", "performance_high", "fix_first",
    ]  # fmt: skip
    return with_display(
        first.assign(owner=owner).reindex(columns=columns).reset_index(drop=True),
        caption="Where to look first, and who acts", about="", columns=("label", "verdict", "owner"),
        headers={"label": "Touchpoint", "verdict": "How sure", "owner": "Owner"}, bar=(),
    )  # fmt: skip
