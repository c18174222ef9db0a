"""Penalty and reward: does a driver count more below its middle, or above?

Two slopes per rating point, in a model with the other drivers, among users: from the low
to the middle answers (penalty) and from the middle to the high ones (reward). With a
straight effect both are the same wherever the scale is cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.design import DesignLike, as_design
from cxlab.core.frames import check_choice
from cxlab.stats.covariance import MISSING
from cxlab.stats.drivers.answers import Answers, read_answers
from cxlab.stats.drivers.ceiling import straight_outcome
from cxlab.stats.drivers.coefficients import coefficients
from cxlab.stats.drivers.outcomes import recode_outcome
from cxlab.stats.drivers.replicates import CovarianceFit, Resample, fit_covariance
from cxlab.stats.drivers.slopes import Cuts, Slopes, driver_slopes
from cxlab.stats.drivers.uncertainty import make_resample, spread
from cxlab.stats.drivers.users import dead_drivers
from cxlab.stats.resampling import check_level

Array = np.ndarray

#: Share of replicates from which a class is given.
CLEAR = 0.8
#: Margin as a part of the mean slope.
MARGIN = 0.25


def penalty_reward(
    data: Any,
    outcome: str,
    drivers: Sequence[str] | Mapping[str, str],
    *,
    cuts: Cuts | Mapping[str, Cuts],
    margin: float | None = None,
    missing: str = "em",
    design: DesignLike = None,
    outcome_scale: str = "continuous",
    labels: Mapping[str, str] | None = None,
    interval: str = "bootstrap",
    replicates: int = 500,
    seed: int = 0,
    level: float = 0.95,
    min_group_size: int = 10,
) -> pd.DataFrame:
    """Slopes below and above the middle of each driver, and what they make of it.

    Parameters
    ----------
    data, outcome, drivers, missing, design, labels
        As in `cxlab.drivers`.
    cuts : (low, high) or mapping of driver to (low, high)
        Ratings up to ``low`` are low, from ``high`` on high; declared with the scale. As
        sensitivity, ``other_shape`` has the cuts one point higher where there are such
        answers, otherwise one point lower.
    margin : float, optional
        Difference of slopes that counts, in outcome per rating point, set beforehand.
        Default: a quarter of the mean absolute slope of the drivers.
    outcome_scale : {"continuous", "nps"}
        "nps" makes the outcome −100, 0, 100.
    interval : {"bootstrap", "jackknife"}
        How the replicates are made.
    replicates, seed, level
        As in `cxlab.drivers`.
    min_group_size : int
        With fewer low, middle or high answers a driver gets no class.

    Returns
    -------
    DataFrame
        One row per driver: ``driver, label, n, estimate, se, ci_low, ci_high`` (contrast:
        reward less penalty), ``penalty, penalty_low, penalty_high, reward, reward_low,
        reward_high`` (outcome per rating point), ``low_to, high_from, n_low, n_middle,
        n_high``, ``ceiling`` (the contrast that the ends of the outcome's own scale would
        make of a straight effect; 0 above 30 different answers), ``margin``, the share of
        replicates that say ``excitement`` (contrast less ceiling above the margin),
        ``basic`` (below minus the margin) and ``performance``, ``shape`` (the one with .8 or more, else "undetermined", or "too few answers"; "excitement"
        and "basic" only where the interval of the contrast leaves out 0, because with few
        answers a share of .8 comes about by chance in up to two studies of five),
        ``other_shape`` (with the other cuts) and ``note``.

    Raises
    ------
    ValueError
        For cuts out of order, or what `cxlab.drivers` refuses.

    Notes
    -----
    With low, high = indicators of the driver's cells and the other drivers in the model:
    penalty = (adjusted ȳ_mid − ȳ_low) / (adjusted x̄_mid − x̄_low), where ȳ and x̄ are
    adjusted for the other drivers alike. So an exactly straight effect has equal slopes
    under any cuts. Where the outcome has few steps, a straight effect flattens at its
    ends all the same; that part is worked out from a latent outcome and set apart.

    References
    ----------
    Brandt (1987); Mikulić & Prebežac (2011), Managing Service Quality 21, 46–66, on what
    plain dummies do.

    Examples
    --------
    >>> x = [1, 2, 3, 4, 5] * 20
    >>> y = [min(value, 3) + place % 7 / 100 for place, value in enumerate(x)]
    >>> answers = pd.DataFrame({"food": x, "overall": y, "row": range(100)})
    >>> answers["overall"] += answers["row"] / 1e6
    >>> table = penalty_reward(answers, "overall", ["food"], cuts=(2, 4), min_group_size=5)
    >>> table[["driver", "penalty", "estimate", "shape"]].round(2)
      driver  penalty  estimate  shape
    0   food      1.0      -1.0  basic
    """
    check_choice("missing", missing, MISSING)
    check_choice("outcome_scale", outcome_scale, ("continuous", "nps"))
    check_choice("interval", interval, ("bootstrap", "jackknife"))
    check_level(level)
    answers = read_answers(
        data,
        outcome,
        drivers,
        design=as_design(design),
        labels=labels,
    )
    answers = _usable(answers, outcome_scale)
    resample, unit = make_resample(answers, interval, replicates, seed)
    first = _cuts_of(answers, cuts)
    second = _other_cuts(answers, first)
    plain = _plain_fit(answers, missing)
    width = _margin(margin, plain)
    straight = straight_outcome(answers, plain)
    found = [
        [
            driver_slopes(
                answers,
                unit,
                resample,
                position,
                pair[position],
                missing=missing,
                min_group_size=min_group_size,
                straight=straight,
            )
            for position in range(len(answers.names))
        ]
        for pair in (first, second)
    ]
    tables = [
        _table(answers, slopes, pair, width, resample.kind, level)
        for slopes, pair in zip(found, (first, second), strict=True)
    ]
    table = tables[0]
    table["other_shape"] = tables[1]["shape"]
    table["note"] = [_note(a, b) for a, b in zip(table["shape"], table["other_shape"], strict=True)]
    return table


def _usable(answers: Answers, outcome_scale: str) -> Answers:
    recoded = recode_outcome(answers.outcome, outcome_scale, answers.outcome_name)
    dead = dead_drivers(answers.ratings)
    if dead.any():
        name = answers.names[int(np.flatnonzero(dead)[0])]
        raise ValueError(
            f"`drivers` must each have 2 or more different answers; got fewer in '{name}'. "
            "Leave it out."
        )
    return replace(answers, outcome=recoded)


def _cuts_of(answers: Answers, cuts: Cuts | Mapping[str, Cuts]) -> list[Cuts]:
    pairs = []
    for name in answers.names:
        if isinstance(cuts, Mapping) and name not in cuts:
            raise ValueError(f"`cuts` must have every driver; got none for '{name}'.")
        low, high = cuts[name] if isinstance(cuts, Mapping) else cuts
        if not low < high:
            raise ValueError(
                f"`cuts` must be (low, high) with low below high; got ({low}, {high}) for "
                f"'{name}'. Ratings up to low are low, from high on high."
            )
        pairs.append((float(low), float(high)))
    return pairs


def _other_cuts(answers: Answers, first: list[Cuts]) -> list[Cuts]:
    pairs = []
    for (low, high), ratings in zip(first, answers.ratings.T, strict=True):
        step = 1.0 if high + 1 <= np.nanmax(ratings) else -1.0
        pairs.append((low + step, high + step))
    return pairs


def _plain_fit(answers: Answers, missing: str) -> CovarianceFit:
    return fit_covariance(
        (*answers.names, answers.outcome_name),
        np.column_stack([answers.ratings, answers.outcome]),
        answers.weights,
        answers.unit,
        Resample("none", np.empty((answers.design.n_clusters, 0))),
        missing=missing,
    )


def _margin(margin: float | None, plain: CovarianceFit) -> float:
    if margin is None:
        return float(MARGIN * np.abs(coefficients(plain.matrix[None])[0]).mean())
    if margin < 0:
        raise ValueError(f"`margin` must be 0 or more; got {margin}.")
    return float(margin)


def _table(
    answers: Answers,
    found: list[Slopes],
    cuts: list[Cuts],
    margin: float,
    kind: str,
    level: float,
) -> pd.DataFrame:
    df = answers.degrees_of_freedom()
    rows = []
    for name, slopes, (low, high) in zip(answers.names, found, cuts, strict=True):
        row: dict[str, object] = {
            "driver": name,
            "label": answers.labels[name],
            "n": sum(slopes.counts),
            **_measures(slopes, kind, df, level),
            "low_to": low,
            "high_from": high,
            "n_low": slopes.counts[0],
            "n_middle": slopes.counts[1],
            "n_high": slopes.counts[2],
            "ceiling": slopes.ceiling,
            "margin": margin,
            **_classes(slopes, kind, margin, df, level),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def _measures(slopes: Slopes, kind: str, df: float, level: float) -> dict[str, float]:
    names = ("penalty", "reward")
    blank = {"estimate": np.nan, "se": np.nan, "ci_low": np.nan, "ci_high": np.nan}
    if slopes.slopes is None or slopes.replicates is None:
        return {**blank, **{f"{n}{end}": np.nan for n in names for end in ("", "_low", "_high")}}
    values = np.append(slopes.slopes, slopes.slopes[1] - slopes.slopes[0])
    drawn = np.column_stack([slopes.replicates, slopes.replicates[:, 1] - slopes.replicates[:, 0]])
    around = spread(values, drawn, kind, df=df, level=level)
    measures = {
        "estimate": values[2],
        "se": around.se[2],
        "ci_low": around.low[2],
        "ci_high": around.high[2],
    }
    for place, name in enumerate(names):
        measures[name] = values[place]
        measures[f"{name}_low"], measures[f"{name}_high"] = around.low[place], around.high[place]
    return {key: float(value) for key, value in measures.items()}


def _classes(
    slopes: Slopes, kind: str, margin: float, df: float, level: float
) -> dict[str, object]:
    if slopes.slopes is None or slopes.replicates is None:
        blank = {"excitement": np.nan, "basic": np.nan, "performance": np.nan}
        return {**blank, "shape": "too few answers"}
    centre = slopes.slopes[1] - slopes.slopes[0] - slopes.ceiling
    contrast = slopes.replicates[:, 1] - slopes.replicates[:, 0] - slopes.ceiling
    around = spread(np.array([centre]), contrast[:, None], kind, df=df, level=level)
    if kind == "jackknife":
        contrast = centre + around.se[0] * np.random.default_rng(0).normal(size=4000)
    contrast = contrast[np.isfinite(contrast)]
    shares = {
        "excitement": float((contrast > margin).mean()),
        "basic": float((contrast < -margin).mean()),
    }
    shares["performance"] = 1.0 - shares["excitement"] - shares["basic"]
    best = max(shares, key=lambda name: shares[name])
    straight = around.low[0] <= 0 <= around.high[0]
    sure = shares[best] >= CLEAR and not (straight and best != "performance")
    return {**shares, "shape": best if sure else "undetermined"}


def _note(shape: str, other: str) -> str:
    if shape == other or "too few answers" in (shape, other):
        return ""
    return f"with the other cuts: {other}"
