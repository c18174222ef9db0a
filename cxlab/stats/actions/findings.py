"""What a call list says: whom to call, how soon cases are closed, and whether calling helped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from cxlab.core.findings import Cells, Finding, Findings
from cxlab.core.phrases import decimals_for, interval, listed, number, with_interval
from cxlab.stats.actions.effect import hold_out_needed

if TYPE_CHECKING:
    from cxlab.stats.actions.calls import CallList
    from cxlab.stats.actions.effect import LoopEffect

#: Names that the tables are recorded under.
CALLS, STATUS, EFFECT = "call-list", "loop-status", "loop-effect"
FIGURES = ("estimate", "ci_low", "ci_high")
#: Percentage points that a hold-out should be able to show.
WORTH_SEEING = 5.0
CHANCE = (
    "Detractors score higher at their next answer whether they are called or not: only listed "
    "less held out says what calling did"
)


def call_findings(calls: CallList, status: pd.DataFrame, effect: LoopEffect) -> Findings:
    """Answer, effect, closing, owners, how large a hold-out is needed."""
    rows = [_answer(calls, effect), *_closing(status), *_owners(calls), *_needed(effect)]
    return Findings((*rows, Finding(kind="caution", text=CHANCE, rule="chance")))


def _answer(calls: CallList, effect: LoopEffect) -> Finding:
    low, high = calls.rule
    counts = calls.table.groupby("arm")["n"].sum()
    listed_ = int(counts.get("listed", 0)) + int(counts.get("must call", 0))
    held = int(counts.get("held out", 0))
    text = f"Call {listed_:,} customers who answered {low:g}–{high:g}"
    text += f" and hold {held:,} back by chance" if held else ""
    row = effect.table.iloc[0]
    told, certainty = _effect(row, effect.horizon)
    detail = ""
    if pd.notna(row["n_listed"]):
        detail = f"{int(row['n_listed']):,} listed and {int(row['n_held_out']):,} held out before"
    return Finding(
        kind="answer", text=f"{text}. {told}", certainty=certainty, subject="calls",
        detail=detail,
        estimate=row["estimate"], ci_low=row["ci_low"], ci_high=row["ci_high"], unit="points",
        n=listed_ + held, reference=0.0, rule="calls", family="effect", family_size=1,
        cells=(
            Cells(EFFECT, {"outcome": "stayed"}, ("listed", "held_out", *FIGURES)),
        ),
    )  # fmt: skip


def _effect(row: pd.Series, horizon: float) -> tuple[str, str]:
    """Whether calling helped, in words, and how sure that is."""
    if pd.isna(row["estimate"]):
        reason = row["note"] or "not known"
        return f"Whether calling keeps customers: {reason}", "not settled"
    half = (row["ci_high"] - row["ci_low"]) / 2
    decimals = max(decimals_for(half, row[name], [0.0]) for name in FIGURES)
    between = interval(row["ci_low"], row["ci_high"], decimals)
    shares = (
        f"Of those listed before, {number(row['listed'])} % were there {horizon:g} days later, "
    )
    shares += f"of those held out {number(row['held_out'])} %"
    if row["ci_low"] <= 0 <= row["ci_high"]:
        return f"{shares}: no effect of calling is shown ({between} points)", "not settled"
    size = number(abs(row["estimate"]), decimals)
    more = "more" if row["estimate"] > 0 else "fewer"
    nearer, farther = sorted((abs(row["ci_low"]), abs(row["ci_high"])))
    between = interval(nearer, farther, decimals)
    return f"{shares}: {size} ({between}) in a hundred {more} of the listed stayed", "clear"


def _closing(status: pd.DataFrame) -> list[Finding]:
    row = status.iloc[0]
    if pd.isna(row["estimate"]):
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


def _needed(effect: LoopEffect) -> list[Finding]:
    """How many customers would show a difference worth seeing."""
    row = effect.table.iloc[0]
    share, total = row["held_out"] / 100, row["n_listed"] + row["n_held_out"]
    if (
        pd.isna(share)
        or pd.isna(total)
        or not 0 < share < 1 - WORTH_SEEING / 100
        or not row["n_held_out"]
    ):
        return []
    held = row["n_held_out"] / total
    needed = hold_out_needed(share, WORTH_SEEING / 100, held=held)
    text = f"An effect of {WORTH_SEEING:g} points would be shown four times in five with {needed:,} customers listed or held out"
    return [
        Finding(
            certainty="measured", text=text, subject="planning",
            detail=f"{100 * held:.0f} % held out; {int(total):,} so far", margin=WORTH_SEEING,
            reference=float(needed), rule="planning",
        )
    ]  # fmt: skip
