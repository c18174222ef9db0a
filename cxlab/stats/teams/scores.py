"""Scores of units: means, shrunken means, and the places that the answers allow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.stats.inference import joint_places, mean_interval
from cxlab.stats.teams.regression import meta_regression
from cxlab.stats.teams.units import UnitResult, shown_units, unit_means

#: Draws from the means' normal limit, for places.
DRAWS = 2_000
#: Degrees of freedom that all units' spread lends to each one's.
PRIOR = 2
#: Units whose table is shown whole.
MOST_SHOWN = 30


def unit_scores(
    answers: Any,
    *,
    unit: str,
    score: str,
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
    Shrunken mean: μ + τ²/(τ² + s²/n)·(mean − μ), with μ and τ² by REML and s² the unit's own
    with a little of all units'. Of all units' places, those are left that simultaneous comparisons of pairs allow: a
    rank alone would put one of equals first.

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
    means = unit_means(answers, unit=unit, score=score)
    mean, n = means.table["mean"].to_numpy(), means.table["n"].to_numpy()
    own = means.table["variance"].fillna(means.variance).to_numpy()
    # a unit's own spread, and a little of all: one whose answers are alike is not known exactly
    variance = (PRIOR * means.variance + (n - 1) * own) / (PRIOR + n - 1) / n
    enough = n >= min_group_size
    judged = int(enough.sum())
    if judged < 2 or not means.variance > 0:
        raise ValueError(
            f"`answers` must have two units with {min_group_size} answers that differ; got "
            f"{judged}. Take more periods together."
        )
    fit = meta_regression(mean[enough], variance[enough], np.ones((judged, 1)))
    centre, between = float(fit.beta[0]), float(fit.tau2)
    df = n - 1
    low, high = mean_interval(mean, np.sqrt(variance), df, level=level)
    shrunken = centre + between / (between + variance) * (mean - centre)
    limits = {"estimate": mean, "se": np.sqrt(variance), "ci_low": low, "ci_high": high}
    every = pd.DataFrame({"unit": means.table.index, "n": n, **limits, "shrunken": shrunken})
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
    missing = pd.DataFrame({"column": [score], "n_missing": [means.n_missing]})
    return UnitResult(table=table, units=table, every=every, n_missing=missing)
