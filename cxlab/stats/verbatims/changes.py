"""What is new in comments: themes from one period to the next."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cxlab.core.display import with_display
from cxlab.core.messages import unknown
from cxlab.stats.inference import adjust_family, deciding_interval, t_quantile
from cxlab.stats.verbatims.prepared import p_value, spread
from cxlab.stats.verbatims.scores import GAP, SHARE, ThemeScores

COLUMNS = [
    "theme", "label", "quantity", "unit", "before", "period", "n", "estimate", "se", "ci_low", "ci_high", "df",
    "p_value",
]  # fmt: skip


def theme_changes(scores: ThemeScores, *, period: str, before: str | None = None) -> pd.DataFrame:
    """Changes of shares and gaps between two periods.

    Parameters
    ----------
    scores : ThemeScores
        Of `theme_scores` with ``by`` a column of periods.
    period : str
    before : str, optional
        Default: the period before it.

    Returns
    -------
    DataFrame
        Per theme and quantity (``share``, ``gap``): ``estimate`` (the period's figure less the
        earlier one's), ``se``, ``ci_low``, ``ci_high``, ``df``, ``p_value``, ``p_adjusted`` (false
        discoveries over the themes of one quantity), ``decided_low``, ``decided_high``. Hidden
        and uncorrected figures have no change.

    Raises
    ------
    ValueError
        For periods that are not there, or that have no theme in common.

    Notes
    -----
    Both figures lean on the same hand codes and may share clusters: their difference is
    linearised as one statistic.

    Examples
    --------
    >>> from cxlab.survey.definition import Theme
    >>> from cxlab.stats.verbatims.codes import people_codes
    >>> from cxlab.stats.verbatims.scores import theme_scores
    >>> rows = pd.DataFrame({"period": ["1"] * 40 + ["2"] * 40, "score": [1, 2, 3, 4] * 20,
    ...                      "code": ["a", "b"] * 20 + ["a", "b", "b", "b"] * 10})
    >>> coded = people_codes(rows, ["code"], {"a": Theme("a", "A", codes={"1": ("a",), "2": ("a",)})})
    >>> changes = theme_changes(theme_scores(rows, coded, score="score", by="period"), period="2")
    >>> changes.loc[changes["quantity"] == "share", "estimate"].round(6).tolist()
    [-25.0]
    """
    table = scores.table
    periods = list(dict.fromkeys(table["period"])) if "period" in table else []
    if period not in periods:
        raise ValueError(unknown("period", period, periods))
    place = periods.index(period)
    if before is None and not place:
        raise ValueError(f"`period` must have one before it; got '{period}', the first.")
    before = periods[place - 1] if before is None else before
    if before not in periods:
        raise ValueError(unknown("before", before, periods))
    sides = [
        table[table["period"] == one].set_index(["theme", "quantity"]) for one in (before, period)
    ]
    both = [key for key in sides[1].index if key in sides[0].index and key[1] in (SHARE, GAP)]
    if not both:
        raise ValueError(
            f"`period` must have a theme in common with {before}; got none. Name the codes of both in "
            "the codebook: the same number may mean something else."
        )
    rows = [
        _change(scores, key, before, period, sides[0].loc[key], sides[1].loc[key]) for key in both
    ]
    made = pd.DataFrame([row for row in rows if row], columns=COLUMNS)
    for column in COLUMNS[7:]:
        made[column] = made[column].astype(float)
    for name in ("p_adjusted", "decided_low", "decided_high"):
        made[name] = np.nan
    for _, places in made.groupby("quantity", sort=False).indices.items():
        part = made.iloc[places]
        adjusted = adjust_family(part["p_value"], method="bh")
        low, high = deciding_interval(
            part["estimate"], part["se"], part["df"], part["p_value"], adjusted
        )
        made.loc[part.index, ["p_adjusted", "decided_low", "decided_high"]] = np.column_stack(
            [adjusted, low, high]
        )
    return with_display(
        made, caption=f"Themes: changes from {before} to {period}",
        columns=("label", "quantity", "estimate", "n"), level=scores.level,
        headers={"label": "Theme", "quantity": "Quantity", "estimate": "Change"}, sort=("quantity",), top=24,
    )  # fmt: skip


def _change(
    scores: ThemeScores,
    key: tuple[str, str],
    before: str,
    period: str,
    first: pd.Series,
    second: pd.Series,
) -> tuple[object, ...] | None:
    difference = second["estimate"] - first["estimate"]
    if np.isnan(difference):
        return None
    influence = scores.influences[period, *key] - scores.influences[before, *key]
    variance, _ = spread(influence, np.ones(len(influence)), scores.units)
    se, df = float(np.sqrt(variance)), float(min(first["df"], second["df"]))
    width = float(t_quantile(scores.level, df)) * se
    return (
        key[0], second["label"], key[1], second["unit"], before, period, int(second["n"]), difference, se,
        difference - width, difference + width, df, p_value(difference, se, df),
    )  # fmt: skip
