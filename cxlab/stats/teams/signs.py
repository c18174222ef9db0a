"""Signs that a score is being managed: which units to look at, on a funnel that allows for spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.display import with_display
from cxlab.core.frames import open_frame
from cxlab.core.phrases import listed
from cxlab.stats.inference import normal_quantile
from cxlab.stats.teams.regression import Array
from cxlab.stats.teams.units import UnitResult, shown_units, unit_means

TOP, RESPONSE, QUICK = "top scores", "invited who answered", "answered at once"
#: Share of units at either end that are drawn in, and what a normal z² then averages.
WINSORISED, EXPECTED = 0.1, 0.6786
#: Of fewer units one that stands out makes most of the spread that is allowed for.
FEWEST_UNITS = 10


def funnel(share: Array, n: Array, *, level: float = 0.998) -> pd.DataFrame:
    """Limits of shares around their centre that allow for spread between units.

    Parameters
    ----------
    share, n : ndarray of shape (units,)
        Shares from 0 to 1 and the numbers they are of.
    level : float

    Returns
    -------
    DataFrame
        ``centre``, ``phi``, ``lower``, ``upper`` (shares), ``z``, per unit.

    Notes
    -----
    On arcsin √((r + ⅜)/(n + ¾)), whose variance is 1/(4n + 2). φ is the mean of winsorised z² ÷
    .6786; where it is above chance, τ² = (Jφ − (J − 1)) / (Σw − Σw²/Σw) with w = 4n + 2 is
    added to each variance.

    References
    ----------
    Spiegelhalter (2005), Quality and Safety in Health Care 14, 347–351.
    Anscombe (1948), Biometrika 35, 246–254.

    Examples
    --------
    >>> found = funnel(np.array([0.4, 0.4, 0.4, 0.4, 0.9]), np.full(5, 100.0))
    >>> found["z"].round(1).tolist()
    [-0.5, -0.5, -0.5, -0.5, 2.4]
    """
    columns, units = ["centre", "phi", "lower", "upper", "z"], len(n)
    if units < 2:
        return pd.DataFrame(np.nan, index=range(units), columns=columns)
    weight = 4 * n + 2
    value = np.arcsin(np.sqrt((share * n + 0.375) / (n + 0.75)))
    middle = (share * n).sum() / n.sum()
    centre = np.arcsin(np.sqrt(middle))
    alone = (value - centre) * np.sqrt(weight)
    outer = np.quantile(alone, [WINSORISED, 1 - WINSORISED])
    phi = float((np.clip(alone, *outer) ** 2).mean() / EXPECTED)
    beyond = units * phi - (units - 1)
    between = max(beyond / (weight.sum() - (weight**2).sum() / weight.sum()), 0.0)
    spread = np.sqrt(1 / weight + between)
    width = normal_quantile(level) * spread
    ends = (np.sin(np.clip(end, 0, np.pi / 2)) ** 2 for end in (centre - width, centre + width))
    lower, upper = (np.clip((end * (n + 0.75) - 0.375) / n, 0, 1) for end in ends)
    found = (middle, phi, lower, upper, (value - centre) / spread)
    return pd.DataFrame(dict(zip(columns, found, strict=True)))


def unit_signs(
    answers: Any,
    *,
    unit: str,
    score: str,
    top: tuple[float, float],
    invited: Any = None,
    answered: str | None = None,
    delay: str | None = None,
    quick: float = 1.0,
    persons: bool = False,
    level: float = 0.998,
    min_group_size: int = MIN_GROUP_SIZE,
) -> UnitResult:
    """Units whose answers look managed, to be looked at.

    Parameters
    ----------
    answers : DataFrame
        One row per answer.
    unit, score : str
        Columns.
    top : (low, high)
        Top scores.
    invited : DataFrame, optional
        One row per invitation, with the unit; ``answered`` is its column of yes and no.
    delay : str, optional
        Column of ``answers``: hours from invitation to answer; at once: within ``quick`` hours.
    persons : bool
        Whether a unit is one person; only counts are shown then.
    level : float
        Of the limits for all signs together: with three, each takes a third of 1 − level.
    min_group_size : int
        Units with fewer answers (invitations) are not judged.

    Returns
    -------
    UnitResult
        Its ``table``, per sign: ``sign``, ``n`` (units), ``centre`` (share of all), ``phi`` (spread
        over that of chance), ``look_at`` (units), ``with_any_sign`` (units with one or more),
        ``which`` (names of those to look at, empty where they are persons).
        Its ``units``: ``unit``, ``sign``, ``n``, ``share``, ``lower``, ``upper``, ``z``, ``look_at``: above
        the limit; of response, below it too. Fewer than ten units are not judged.

    Notes
    -----
    Agents differ honestly: limits for chance alone would flag a sixth of 60 agents each time.
    These flag any of them in one study of seven. A sign says where to look, and nothing else.

    Examples
    --------
    >>> rows = pd.DataFrame({"agent": np.repeat(range(10), 50), "score": [9, 5] * 250})
    >>> rows.loc[rows["agent"] == 3, "score"] = 10
    >>> signs = unit_signs(rows, unit="agent", score="score", top=(9, 10), persons=True)
    >>> signs.table[["sign", "n", "look_at"]]
             sign   n  look_at
    0  top scores  10        1
    """
    rows = open_frame(answers, numbers={"score": score, "delay": delay}, unit=unit).rows()
    given = {TOP: _flagged(rows, unit, score, rows[score].between(*top))}
    if invited is not None:
        sent = open_frame(invited, numbers={"answered": answered}, unit=unit).rows()
        given[RESPONSE] = _flagged(sent, unit, str(answered), sent[answered] > 0)
    if delay is not None:
        given[QUICK] = _flagged(rows, unit, delay, rows[delay] <= quick)
    each = 1 - (1 - level) / len(given)
    judged = [_judged(sign, table, each, min_group_size) for sign, table in given.items()]
    every = pd.concat(judged, ignore_index=True)
    signs = every.groupby("sign", sort=False)
    table = signs.agg(n=("unit", "size"), centre=("centre", "first"), phi=("phi", "first"),
                      look_at=("look_at", "sum")).reset_index()  # fmt: skip
    looked = every[every["look_at"]]
    table["with_any_sign"] = looked["unit"].nunique()
    named = {sign: listed([*names], most=8) for sign, names in looked.groupby("sign")["unit"]}
    table["which"] = "" if persons else table["sign"].map(named).fillna("")
    shown = every.drop(columns=["centre", "phi"])
    return UnitResult(
        table=with_display(
            table, caption="Units to look at, by sign",
            columns=("sign", "centre", "look_at", *([] if persons else ["which"]), "n"),
            headers={"centre": "All together", "n": "Units"},
            units={"centre": "share", "look_at": "count"},
            about=f"limits that hold {100 * level:g} % of honest units, all signs together",
        ),
        units=shown_units(
            shown, shown["n"], persons, min_group_size, caption="Signs of each unit", sort=("-z",),
            columns=("unit", "sign", "share", "lower", "upper", "look_at", "n"),
            units={"lower": "share", "upper": "share"},
        ),
        every=shown,
    )  # fmt: skip


def _flagged(rows: pd.DataFrame, unit: str, column: str, flag: pd.Series) -> pd.DataFrame:
    known = rows.assign(_flag=flag.astype(float))[rows[column].notna()]
    return unit_means(known, unit=unit, score="_flag").table


def _judged(sign: str, units: pd.DataFrame, level: float, least: int) -> pd.DataFrame:
    table = units[units["n"] >= least].rename(columns={"mean": "share"}).reset_index()
    found = funnel(table["share"].to_numpy(), table["n"].to_numpy(), level=level)
    if len(table) < FEWEST_UNITS:
        found = found * np.nan
    beyond = normal_quantile(level)
    look = (found["z"] > beyond) | ((found["z"] < -beyond) & (sign == RESPONSE))
    return table.join(found).assign(sign=sign, look_at=look)
