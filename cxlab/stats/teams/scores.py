"""How units stand: shrunken means with the places that the answers allow, and signs to look at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.design import Design, DesignLike, as_design
from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.display import with_display
from cxlab.core.frames import open_frame
from cxlab.core.phrases import listed
from cxlab.stats.inference import BISECTIONS, joint_places, mean_interval, normal_quantile
from cxlab.stats.teams.units import (
    Array,
    UnitResult,
    meta_regression,
    pooled_variance,
    shown_units,
    unit_means,
)

#: Draws from the means' normal limit, for places.
DRAWS = 2_000
#: Degrees of freedom that all units' spread lends to each one's.
PRIOR = 2
#: Units whose table is shown whole.
MOST_SHOWN = 30
TOP, RESPONSE, QUICK = "top scores", "invited who answered", "answered at once"
#: Share of units at either end that are drawn in, and what a normal z² then averages.
WINSORISED, EXPECTED = 0.1, 0.6786
#: Hours from the invitation in which an answer comes at once.
AT_ONCE = 1.0
#: Of fewer units one that stands out makes most of the spread that is allowed for.
FEWEST_UNITS = 10
#: Share of units that may stand aside while the spread of the others is found.
MOST_ASIDE = 0.25


def unit_scores(
    answers: Any,
    *,
    unit: str,
    score: str,
    design: DesignLike = None,
    persons: bool = False,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
    seed: int = 0,
) -> UnitResult:
    """Mean score of each unit, drawn to the middle by how little is known of it, and its place.

    Parameters
    ----------
    answers : DataFrame
        One row per answer, or unit means, as for `link_teams`.
    unit, score : str
        Columns.
    design : Design or mapping, optional
        Its weights are those of the means; answers of one cluster (a customer, an account) belong
        together. Strata are not used.
    persons : bool
        Whether a unit is one person; none is shown then, and ``write`` has them.
    level : float
    min_group_size : int
        Units with fewer answers are hidden, and have no part in the places.
    seed : int
        Of the draws for the places.

    Returns
    -------
    UnitResult
        Its ``table`` and ``units``: ``unit``, ``n``, ``estimate``, ``se``, ``ci_low``, ``ci_high``,
        ``shrunken``, ``rank``, ``rank_low``, ``rank_high`` (all places at once).

    Notes
    -----
    Shrunken mean: μ + τ²/(τ² + s²/n)·(mean − μ), with μ and τ² by REML, s² the unit's own with
    a little of all units', and n (Σw)²/Σw² where there are weights; of clusters with several answers
    n is theirs, and s² that of their means. Of all units' places, those
    are left that simultaneous comparisons of pairs allow: a rank alone would put one of equals
    first.

    References
    ----------
    Morris (1983), JASA 78, 47–55.
    Mogstad, Romano, Shaikh & Wilhelm (2024), Review of Economic Studies 91, 476–518.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> rows = pd.DataFrame({"shop": np.repeat(["a", "b", "c"], 50), "score": rng.normal(size=150)})
    >>> rows.loc[rows["shop"] == "c", "score"] += 3
    >>> unit_scores(rows, unit="shop", score="score").units[["unit", "rank_low", "rank_high"]]
      unit  rank_low  rank_high
    0    a         2          3
    1    b         2          3
    2    c         1          1
    """
    means, missing = unit_means(answers, unit=unit, score=score, design=design, clustered=True)
    mean, n, effective = (means[one].to_numpy() for one in ("mean", "n", "n_effective"))
    pooled, df = float(pooled_variance(means)), effective - 1
    own = means["variance"].fillna(pooled).to_numpy()
    # a unit's own spread, and a little of all: one whose answers are alike is not known exactly
    variance = (PRIOR * pooled + df * own) / (PRIOR + df) / effective
    enough = n >= min_group_size
    judged = int(enough.sum())
    if judged < 2 or not pooled > 0:
        raise ValueError(
            f"`answers` must have two units with {min_group_size} answers that differ; got "
            f"{judged}. Take more periods together."
        )
    fit = meta_regression(mean[enough], variance[enough], np.ones((judged, 1)))
    centre, between = float(fit.beta[0]), float(fit.tau2)
    low, high = mean_interval(mean, np.sqrt(variance), df, level=level)
    shrunken = centre + between / (between + variance) * (mean - centre)
    limits = {"estimate": mean, "se": np.sqrt(variance), "ci_low": low, "ci_high": high}
    every = pd.DataFrame({"unit": means.index, "n": n, **limits, "shrunken": shrunken})
    rng = np.random.default_rng(seed)
    draws = rng.normal(mean[enough], np.sqrt(variance[enough]), (DRAWS, judged))
    places = joint_places(mean[enough], draws, df[enough], level=level)
    every = every.join(places.set_axis(np.flatnonzero(enough)))
    table = shown_units(
        every, every["n"], persons, min_group_size, level=level, caption="Scores of units",
        sort=("-shrunken",), reference={"estimate": centre}, top=MOST_SHOWN,
        columns=("unit", "estimate", "shrunken", "rank_low", "rank_high", "n"),
        units={"estimate": "score", "shrunken": "score"},
    )  # fmt: skip
    left_out = pd.DataFrame({"column": [score], "n_missing": [missing]})
    return UnitResult(table=table, units=table, every=every, n_missing=left_out)


def funnel(share: Array, n: Array, *, level: float = 0.998) -> pd.DataFrame:
    """Limits of shares (of n) around their centre that allow for spread between units.

    On arcsin √((r + ⅜)/(n + ¾)), whose variance is 1/(4n + 2). φ is the mean of winsorised z² ÷
    .6786; where it is above chance, τ² is added to each variance, so large that φ becomes
    (J − 1)/J: of equal n it is (Jφ − (J − 1)) / ((J − 1)(4n + 2)), of unequal n more than by moments,
    as winsorising cuts the large units, which show τ² most. Units beyond the limits stand aside while the others' centre and φ are found
    again, as they would hide one another. Spiegelhalter (2005), Quality and Safety in Health Care
    14, 347–351; Anscombe (1948), Biometrika 35, 246–254.

    >>> found = funnel(np.array([0.4, 0.4, 0.4, 0.4, 0.9]), np.full(5, 100.0))
    >>> found["z"].round(1).tolist()
    [-0.5, -0.5, -0.5, -0.5, 2.4]
    """
    columns, units = ["centre", "phi", "lower", "upper", "z"], len(n)
    if units < 2:
        return pd.DataFrame(np.nan, index=range(units), columns=columns)
    value = np.arcsin(np.sqrt((share * n + 0.375) / (n + 0.75)))
    limit, kept = normal_quantile(level), np.ones(units, dtype=bool)
    while True:
        middle, phi, between = _spread(share[kept], n[kept], value[kept])
        centre, spread = np.arcsin(np.sqrt(middle)), np.sqrt(1 / (4 * n + 2) + between)
        z = (value - centre) / spread
        still = kept & (np.abs(z) <= limit)
        if still.sum() in (kept.sum(), 0) or (~still).mean() > MOST_ASIDE:
            break
        kept = still
    ends = (centre - limit * spread, centre + limit * spread)
    shares = (np.sin(np.clip(end, 0, np.pi / 2)) ** 2 for end in ends)
    lower, upper = (np.clip((end * (n + 0.75) - 0.375) / n, 0, 1) for end in shares)
    return pd.DataFrame(dict(zip(columns, (middle, phi, lower, upper, z), strict=True)))


def _spread(share: Array, n: Array, value: Array) -> tuple[float, float, float]:
    """Centre as a share, φ, and τ²."""
    units, middle = len(n), float((share * n).sum() / n.sum())
    apart = value - np.arcsin(np.sqrt(middle))

    def phi(between: float) -> float:
        alone = apart / np.sqrt(1 / (4 * n + 2) + between)
        outer = np.quantile(alone, [WINSORISED, 1 - WINSORISED])
        return float((np.clip(alone, *outer) ** 2).mean() / EXPECTED)

    low, high = 0.0, float(np.square(np.pi / 2))
    if units * phi(low) <= units - 1:
        return middle, phi(low), 0.0
    for _ in range(BISECTIONS):
        between = (low + high) / 2
        low, high = (between, high) if units * phi(between) > units - 1 else (low, between)
    return middle, phi(0.0), high


def unit_signs(
    answers: Any,
    *,
    unit: str,
    score: str,
    top: tuple[float, float],
    invited: Any = None,
    answered: str | None = None,
    delay: str | None = None,
    design: DesignLike = None,
    persons: bool = False,
    level: float = 0.998,
    min_group_size: int = MIN_GROUP_SIZE,
) -> UnitResult:
    """Units whose answers look managed, to be looked at.

    Parameters
    ----------
    answers : DataFrame
        One row per answer. Answers count as they came: a weight is none of the unit's doing.
    unit, score : str
        Columns.
    top : (low, high)
        Top scores.
    invited : DataFrame, optional
        One row per invitation, with the unit; ``answered`` is its column of yes and no.
    delay : str, optional
        Column of ``answers``: hours from invitation to answer; at once: within one.
    design : Design or mapping, optional
        Answers of one cluster (a customer, an account) belong together: a unit is known from as
        many as say as much. Weights and strata are not used.
    persons : bool
        Whether a unit is one person; only counts are shown then.
    level : float
        Of the limits for all signs together: with three, each takes a third of 1 − level.
    min_group_size : int
        Units with fewer answers (invitations) are not judged.

    Returns
    -------
    UnitResult
        Its ``table``, per sign: ``sign``, ``n`` (units), ``centre`` (share of all units but those
        beyond the limits) and ``phi`` (their spread over that of chance), ``look_at`` (units),
        ``with_any_sign`` (units with one or more), ``which`` (names of those to look at, empty
        where they are persons).
        Its ``units``: ``unit``, ``sign``, ``n``, ``share``, ``lower``, ``upper``, ``z``, ``look_at``: above
        the limit; of response, below it too. Fewer than ten units are not judged.

    Notes
    -----
    Agents differ honestly: limits for chance alone would flag a sixth of 60 agents each time.
    These flag any of them in one study of seven or fewer. What stands out is judged by how much all
    differ: of 60 agents with a true SD of .05 two who moved from .40 to .75 are found 19 times in
    20; with .10 a third of the time, and a judge who knew every other agent's truth would find
    little more than half. A sign says where to look, and nothing else.

    Examples
    --------
    >>> rows = pd.DataFrame({"agent": np.repeat(range(10), 50), "score": [9, 5] * 250})
    >>> rows.loc[rows["agent"] == 3, "score"] = 10
    >>> signs = unit_signs(rows, unit="agent", score="score", top=(9, 10), persons=True)
    >>> signs.table[["sign", "n", "look_at"]]
             sign   n  look_at
    0  top scores  10        1
    """
    if not top[0] <= top[1]:
        raise ValueError(f"`top` must be (low, high); got {top}. Give the lower score first.")
    if invited is not None and answered is None:
        raise ValueError(
            "`answered` must be a column of `invited`; got None. Name the one that says who answered."
        )
    own = Design(cluster=as_design(design).cluster)
    numbers = {"score": score, "delay": delay}
    rows = open_frame(answers, numbers=numbers, design=own, unit=unit).rows()
    given = {TOP: _flagged(rows, unit, score, rows[score].between(*top), own)}
    if invited is not None:
        sent = open_frame(invited, numbers={"answered": answered}, unit=unit).rows()
        given[RESPONSE] = _flagged(sent, unit, str(answered), sent[str(answered)] > 0)
    if delay is not None:
        given[QUICK] = _flagged(rows, unit, delay, rows[delay] <= AT_ONCE, own)
    each = 1 - (1 - level) / len(given)
    judged = [_judged(sign, table, each, min_group_size) for sign, (table, _) in given.items()]
    every = pd.concat(judged, ignore_index=True)
    shown = every.drop(columns=["centre", "phi"])
    return UnitResult(
        table=with_display(
            _signs_table(every, persons), caption="Units to look at, by sign",
            columns=("sign", "centre", "look_at", *([] if persons else ["which"]), "n"),
            headers={"centre": "Usual share", "n": "Units"},
            units={"centre": "share", "look_at": "count"},
            about=f"limits that hold {100 * level:g} % of honest units, all signs together",
        ),
        units=shown_units(
            shown, shown["n"], persons, min_group_size, caption="Signs of each unit", sort=("-z",),
            columns=("unit", "sign", "share", "lower", "upper", "look_at", "n"),
            units={"lower": "share", "upper": "share"},
        ),
        every=shown,
        n_missing=pd.DataFrame([missing for _, missing in given.values()]),
    )  # fmt: skip


def _signs_table(every: pd.DataFrame, persons: bool) -> pd.DataFrame:
    """How many units each sign has to look at, and which."""
    signs = every.groupby("sign", sort=False)
    table = signs.agg(n=("unit", "size"), centre=("centre", "first"), phi=("phi", "first"),
                      look_at=("look_at", "sum")).reset_index()  # fmt: skip
    looked = every[every["look_at"]]
    table["with_any_sign"] = looked["unit"].nunique()
    named = {sign: listed([*names], most=8) for sign, names in looked.groupby("sign")["unit"]}
    table["which"] = "" if persons else table["sign"].map(named).fillna("")
    return table


def _flagged(
    rows: pd.DataFrame, unit: str, column: str, flag: pd.Series, design: DesignLike = None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Shares of units; rows without a unit or an answer, as a row of `n_missing`."""
    marked = rows.assign(_flag=flag.astype(float).where(rows[column].notna()))
    shares, missing = unit_means(marked, unit=unit, score="_flag", design=design, clustered=True)
    return shares, {"column": column, "n_missing": missing}


def _judged(sign: str, units: pd.DataFrame, level: float, least: int) -> pd.DataFrame:
    table = units[units["n"] >= least].rename(columns={"mean": "share"}).reset_index()
    found = funnel(table["share"].to_numpy(), _known_from(table), level=level)
    if len(table) < FEWEST_UNITS:
        found = found * np.nan
    beyond = normal_quantile(level)
    look = (found["z"] > beyond) | ((found["z"] < -beyond) & (sign == RESPONSE))
    return table.join(found).assign(sign=sign, look_at=look)


def _known_from(units: pd.DataFrame) -> Array:
    """Answers of different customers that say as much of each unit's share.

    As many as clusters if answers of one are alike, all if they are not: pooled over units.
    """
    n, clusters, share = (units[one].to_numpy(float) for one in ("n", "n_effective", "share"))
    alone = float((n * share * (1 - share)).sum() / max(n.sum(), 1))
    together = float(pooled_variance(units))
    return np.clip(clusters * (alone / together if together > 0 else 1.0), clusters, n)
