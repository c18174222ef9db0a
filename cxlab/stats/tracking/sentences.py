"""One plain sentence for what is significant, from the numbers of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

#: A metric's unit: words after a change of it, and decimals shown.
UNITS = {"points": (" points", 1), "%": (" percentage points", 1), "score": ("", 2)}


def signed(value: float, decimals: int = 1) -> str:
    """A number with a true minus sign, and never a minus zero.

    Examples
    --------
    >>> signed(-4.46), signed(-0.04), signed(3.14159, 2)
    ('−4.5', '0.0', '3.14')
    """
    text = f"{abs(value):.{decimals}f}"
    return f"−{text}" if value < 0 and float(text) != 0 else text


def change_sentence(row: Mapping[str, Any], *, subject: str, level: float) -> str:
    """What rose or fell, by how much, against which period.

    Parameters
    ----------
    row : mapping
        ``estimate, ci_low, ci_high, unit, before, against``.
    subject : str
        What changed, as `subjects` words it.
    level : float
        Of the interval.

    Examples
    --------
    >>> row = {"estimate": -12.3, "ci_low": -20.1, "ci_high": -4.5, "unit": "points",
    ...        "before": "2025-Q3", "against": "last period"}
    >>> change_sentence(row, subject="NPS", level=0.95)
    'NPS fell by 12.3 points (95 % CI −20.1 to −4.5) against 2025-Q3'
    """
    unit, decimals = UNITS.get(row["unit"], ("", 2))
    verb = "rose" if row["estimate"] > 0 else "fell"
    low, high = signed(row["ci_low"], decimals), signed(row["ci_high"], decimals)
    when = ", a year before" if row["against"] == "a year before" else ""
    return (
        f"{subject} {verb} by {abs(row['estimate']):.{decimals}f}{unit} "
        f"({100 * level:g} % CI {low} to {high}) against {row['before']}{when}"
    )


def subjects(table: pd.DataFrame) -> list[str]:
    """Each row's metric in words: ``NPS``, ``Mean of Check-in``, ``Top box of Overall``.

    The label is left out of an NPS that is the only one of the table.
    """
    scores = table.loc[table["metric"].str.lower() == "nps", "label"].nunique()
    words = []
    for label, metric in zip(table["label"], table["metric"], strict=True):
        if metric.lower() == "nps":
            words.append("NPS" if scores == 1 else f"NPS of {label}")
        else:
            words.append(f"{metric[:1].upper()}{metric[1:]} of {label}")
    return words


def signal_sentence(row: Mapping[str, Any], *, what: str, unit: str) -> str:
    """Where a period lies on its control chart."""
    words, decimals = UNITS.get(unit, ("", 2))
    words = " %" if unit == "%" else words
    value = f"{row['period']}: {what} of {signed(row['estimate'], decimals)}{words}"
    said = []
    if "beyond" in row["signal"]:
        above = row["estimate"] > row["centre"]
        limit = signed(row["upper"] if above else row["lower"], decimals)
        said.append(f"{'above the upper' if above else 'below the lower'} control limit, {limit}")
    if "run" in row["signal"]:
        side = "above" if row["estimate"] > row["centre"] else "below"
        centre = signed(row["centre"], decimals)
        said.append(f"at least the eighth period in a row {side} the centre line, {centre}")
    return f"{value} is {' and '.join(said)}"


def mix_sentence(table: pd.DataFrame, *, periods: tuple[str, str], level: float) -> str:
    """How much of a change is who answered, and how much how they scored."""
    rows = table.set_index("part")
    unit, decimals = UNITS.get(str(table["unit"].iloc[0]), ("", 2))
    parts = {}
    for part in ("mix", "performance"):
        row = rows.loc[part]
        parts[part] = signed(row["estimate"], decimals)
        if pd.notna(row["ci_low"]):
            limits = f"{signed(row['ci_low'], decimals)} to {signed(row['ci_high'], decimals)}"
            parts[part] += f" ({100 * level:g} % CI {limits})"
    change = signed(rows.loc["change", "estimate"], decimals)
    return (
        f"Of the change of {change}{unit} from {periods[0]} to {periods[1]}, "
        f"{parts['mix']} goes with who answered (mix) and {parts['performance']} with how "
        "each group scored (performance)"
    )
