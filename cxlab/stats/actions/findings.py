"""What a call list says: whom to call, how soon cases are closed, and whether calling helped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cxlab.core.display import display_of, with_display
from cxlab.core.findings import Cells, Finding, Findings
from cxlab.core.phrases import (
    interval_beside_zero,
    listed,
    number,
    size_with_interval,
    with_interval,
)
from cxlab.stats.actions.effect import WORTH_SEEING
from cxlab.stats.inference import ALPHA, LIKELY

if TYPE_CHECKING:
    from cxlab.stats.actions.calls import CallList
    from cxlab.stats.actions.effect import LoopEffect

#: Names that the tables are recorded under.
CALLS, STATUS, EFFECT, PLAN = "call-list", "loop-status", "loop-effect", "effect-in-sight"
PLANNED = ("n", "a_month", "held_out", "stay", "difference", "needed")
FIGURES = ("estimate", "ci_low", "ci_high")
CHANCE = (
    "Detractors score higher at their next answer whether they are called or not: only listed "
    "less held out says what calling did"
)


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
        estimate=row["estimate"], ci_low=row["ci_low"], ci_high=row["ci_high"], unit="points",
        n=listed_ + held, reference=0.0, rule="calls", family="effect", family_size=1,
        cells=(
            Cells(EFFECT, {"list": "together", "outcome": "stayed"}, ("listed", "held_out", *FIGURES)),
        ),
    )  # fmt: skip


def _effect(row: pd.Series, level: float) -> tuple[str, str]:
    """Whether calling helped, in words, and how sure that is."""
    if pd.isna(row["ci_low"]):
        return f"Whether calling keeps customers: {row['note'] or 'not known'}", "not settled"
    figures = [float(row[name]) for name in FIGURES]
    stayed = f"{number(row['listed'])} % of the listed stayed, {number(row['held_out'])} % of the held out"
    if row["ci_low"] <= 0 <= row["ci_high"]:
        return (
            f"{stayed}: no effect is shown ({interval_beside_zero(*figures[1:])} points)",
            "not settled",
        )
    more = "more" if row["estimate"] > 0 else "fewer"
    size = size_with_interval(*figures)
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
            estimate=row["estimate"], ci_low=row["ci_low"], ci_high=row["ci_high"], unit="%",
            n=int(row["n"]), rule="closing", cells=(Cells(STATUS, {}, (*FIGURES, "median_days")),),
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
    figures = ["estimate", "ci_low", "ci_high", "note"]
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
        aims[["measure", "unit", "target", *figures]],
        effect.table.head(1).assign(measure="Effect of calling", unit="points"),
    ]  # fmt: skip
    names = ["measure", *figures[:3], "unit", "target", "note"]
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
