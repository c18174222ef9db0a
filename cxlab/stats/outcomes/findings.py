"""What retention by score says: who was there later, and how much of it is due to the score alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from cxlab.core.findings import Cells, Finding, Findings
from cxlab.core.phrases import interval_beside_zero, size_with_interval, with_interval
from cxlab.stats.inference import ALPHA

if TYPE_CHECKING:
    from cxlab.stats.outcomes.retention import Retention

#: Names that the tables are recorded under.
BY_SCORE, DIFFERENCES, STAKE = "retention-by-score", "retention-differences", "value-at-stake"
PER_POINT = "per score point"
MOST_PAIRS = 3
FIGURES = ("estimate", "ci_low", "ci_high")
DECIDING = ("estimate", "deciding_low", "deciding_high")
NO_CAUSE = (
    "Staying goes with the score; whether raising a score would keep anybody is not known from it"
)


def retention_findings(
    retention: Retention, differences: pd.DataFrame, stake: pd.DataFrame | None, unit: str
) -> Findings:
    """Answer, what is left after adjusting, categories that differ, value that left."""
    shown = retention.table[retention.table["kind"] == "category"].dropna(subset=["estimate"])
    rows = [_answer(retention, shown, int(differences["n"].iloc[0]))]
    if len(shown) > 1:
        rows += _per_point(differences)
        rows += _categories(differences)
        rows += _stake(stake, retention, unit)
        rows.append(Finding(kind="caution", text=NO_CAUSE, rule="no-cause"))
    return Findings(tuple(row.meaning(retention.meaning) for row in rows))


def _answer(retention: Retention, shown: pd.DataFrame, n: int) -> Finding:
    days, when = f"{retention.horizon:g} days", _between(retention)
    if shown.empty:
        text = f"Nobody is shown {days} after an answer: every group is too small"
        return Finding(kind="answer", text=text, rule="hidden")
    ends = shown.iloc[[0, -1]] if len(shown) > 1 else shown
    told = [
        f"of {_range(retention, row['score'])}, {with_interval(row['estimate'], row['ci_low'], row['ci_high'], '%')}"
        for _, row in ends.iterrows()
    ]
    first = told[0].removeprefix("of ")
    text = f"Of customers who answered {first} were there {days} later"
    if len(told) > 1:
        text += f"; {told[1]}"
    return Finding(
        kind="answer", text=text, detail=f"answers {when}; n = {n:,}", subject="retention",
        estimate=float(ends["estimate"].iloc[0]), ci_low=float(ends["ci_low"].iloc[0]),
        ci_high=float(ends["ci_high"].iloc[0]), unit="%", n=n, rule="retention",
        cells=tuple(
            Cells(BY_SCORE, {"kind": "category", "score": row["score"]}, FIGURES)
            for _, row in ends.iterrows()
        ),
    )  # fmt: skip


def _between(retention: Retention) -> str:
    days = [f"{day:%-d %B %Y}" for day in (retention.first, retention.last)]
    return f"between {days[0]} and {days[1]}"


def _range(retention: Retention, category: str) -> str:
    low, high = retention.categories[category]
    return f"{low:g}–{high:g}"


def _per_point(differences: pd.DataFrame) -> list[Finding]:
    """The difference a score point goes with, adjusted where something was adjusted for."""
    rows = differences[differences["contrast"] == PER_POINT]
    row = rows.iloc[-1]
    adjusted = row["adjusted"] == "adjusted"
    clear = row["p_value"] < ALPHA
    # what decides is shown, whatever the level of the table
    estimate, low, high = (float(row[name]) for name in DECIDING)
    if clear:
        words = "Customers alike in what was adjusted for" if adjusted else "Customers"
        often = f"percentage points {'more' if estimate > 0 else 'less'} often per score point"
        text = f"{words} stay {size_with_interval(estimate, low, high)} {often}"
    else:
        text = "That customers with higher scores stay more often is not shown: "
        text += f"{with_interval(estimate, low, high, references=[0.0])} percentage points per score point"
    return [
        Finding(
            certainty="clear" if clear else "not settled", text=text, subject=PER_POINT,
            detail=f"{'adjusted' if adjusted else 'not adjusted'}; n = {int(row['n']):,}",
            estimate=estimate, ci_low=low, ci_high=high, unit="points",
            n=int(row["n"]), p_adjusted=row["p_value"], family_size=1, reference=0.0,
            rule="per-point", cells=(Cells(DIFFERENCES, _key(row), DECIDING),),
        )
    ]  # fmt: skip


def _categories(differences: pd.DataFrame) -> list[Finding]:
    """Pairs of categories, in one family, the last way of adjusting."""
    pairs = differences[differences["contrast"] != PER_POINT]
    if pairs.empty:
        return []
    pairs = pairs[pairs["adjusted"] == pairs["adjusted"].iloc[-1]]
    surest = pairs.sort_values("p_adjusted").head(MOST_PAIRS)
    return [_category(row, len(pairs)) for _, row in surest.iterrows()]


def _category(row: pd.Series, compared: int) -> Finding:
    clear = bool(row["p_adjusted"] < ALPHA)
    figures = [float(row[name]) for name in DECIDING]
    upper, lower = row["contrast"].split(" less ")
    between = interval_beside_zero(*figures[1:])
    text = f"{upper.capitalize()} and {lower}: no difference in staying is shown ({between})"
    if clear:
        than = "more" if row["estimate"] > 0 else "less"
        text = f"{upper.capitalize()} stay {size_with_interval(*figures)} percentage points {than} "
        text += f"often than {lower}"
    return Finding(
        certainty="clear" if clear else "not settled", text=text, subject=row["contrast"],
        detail=f"{compared} compared, {row['adjusted']}", estimate=row["estimate"],
        ci_low=figures[1], ci_high=figures[2], unit="points", n=int(row["n"]), reference=0.0,
        p_adjusted=row["p_adjusted"], family="categories", family_size=compared,
        rule="categories", cells=(Cells(DIFFERENCES, _key(row), DECIDING),),
    )  # fmt: skip


def _key(row: pd.Series) -> dict[str, str]:
    return {"contrast": row["contrast"], "adjusted": row["adjusted"]}


def _stake(stake: pd.DataFrame | None, retention: Retention, unit: str) -> list[Finding]:
    if stake is None or stake["estimate"].isna().all():
        return []
    row = stake.dropna(subset=["estimate"]).iloc[0]
    size = with_interval(row["estimate"], row["ci_low"], row["ci_high"])
    text = f"Of {row['score']}, {size}{f' {unit}' if unit else ''} of value left within "
    text += f"{retention.horizon:g} days"
    return [
        Finding(
            text=text, subject=row["score"], detail=f"n = {int(row['n']):,}", unit=unit,
            estimate=row["estimate"], ci_low=row["ci_low"], ci_high=row["ci_high"],
            n=int(row["n"]), rule="value",
            cells=(Cells(STAKE, {"score": row["score"]}, FIGURES),),
        )
    ]  # fmt: skip
