"""Penalty and reward: does a driver count more below its middle, or above?

Two slopes per rating point, in a model with the other drivers, among users: from the low
to the middle answers (penalty) and from the middle to the high ones (reward). With a linear
effect both are the same wherever the scale is cut.

Nobody can answer 6 of 5: where many answers lie at the top, even a linear effect flattens
there, and would be read as "basic" by any comparison of slopes. The outcome expected of each
row is therefore also worked out as if all effects were linear on a latent outcome with the
same margin; the contrast of its slopes is the ceiling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from cxlab.core.design import DesignLike
from cxlab.core.display import with_display
from cxlab.core.frames import check_choice
from cxlab.core.result import Result
from cxlab.stats.covariance import MISSING, to_correlation
from cxlab.stats.covariance.em import NoMaximumError, packed_inverse
from cxlab.stats.drivers.answers import (
    MOST_STEPS,
    Answers,
    dead_drivers,
    read_answers,
    recode_outcome,
)
from cxlab.stats.drivers.coefficients import coefficients
from cxlab.stats.drivers.covariances import CovarianceFit, fit_covariance, latent_factor
from cxlab.stats.drivers.importance import standardised_coefficients
from cxlab.stats.drivers.replicates import (
    DRAWS,
    Resample,
    make_resample,
    no_resample,
    spread,
    t_test,
)
from cxlab.stats.inference import adjust_p_values, deciding_interval
from cxlab.stats.resampling import check_level

Array = np.ndarray
Cuts = tuple[float, float]

#: Share of replicates from which a class is given.
CLEAR = 0.8
#: Margin as a part of the mean slope.
MARGIN = 0.25
#: Latent R² taken at most: noise must be left.
MOST_EXPLAINED = 0.98


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
) -> Result:
    """Slopes below and above the middle of each driver, and the class they give it.

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
    Result
        ``.table`` has one row per driver: ``driver, label, n, estimate, se, ci_low, ci_high`` (contrast:
        reward less penalty), ``penalty, penalty_low, penalty_high, reward, reward_low,
        reward_high`` (outcome per rating point), ``low_to, high_from, n_low, n_middle,
        n_high``, ``ceiling`` (the contrast that the ends of the outcome's own scale would
        make of a linear effect; 0 above 30 different answers), ``margin``, the share of
        replicates that say ``excitement`` (contrast less ceiling above the margin),
        ``basic`` (below minus the margin) and ``performance``, ``shape`` (the one with .8
        or more, else "undetermined", or "too few answers"; "excitement" and "basic" only
        where the interval of the contrast excludes 0, because with few answers a share of
        .8 occurs by chance in up to two studies of five), ``bend`` (contrast less ceiling,
        with ``bend_low, bend_high`` at the level that decides among so many drivers),
        ``p_value, p_adjusted`` (of it, Benjamini–Hochberg over the drivers), ``other_shape``
        (with the other cuts) and ``note``.

    Raises
    ------
    ValueError
        For cuts out of order, or what `cxlab.drivers` refuses.

    Notes
    -----
    With low, high = indicators of the driver's cells and the other drivers in the model:
    penalty = (adjusted ȳ_mid − ȳ_low) / (adjusted x̄_mid − x̄_low), where ȳ and x̄ are
    adjusted for the other drivers in the same way. So an exactly linear effect has equal
    slopes under any cuts. Where the outcome has few steps, a linear effect flattens at its
    ends all the same; that part, the ceiling, is worked out from a latent outcome.

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
    >>> found = penalty_reward(answers, "overall", ["food"], cuts=(2, 4), min_group_size=5)
    >>> found.table[["driver", "penalty", "estimate", "shape"]].round(2)
      driver  penalty  estimate  shape
    0   food      1.0      -1.0  basic
    """
    check_choice("missing", missing, MISSING)
    check_choice("outcome_scale", outcome_scale, ("continuous", "nps"))
    check_choice("interval", interval, ("bootstrap", "jackknife"))
    check_level(level)
    answers = read_answers(data, outcome, drivers, design=design, labels=labels)
    answers = _usable(answers, outcome_scale)
    resample, unit = make_resample(answers, interval, replicates, seed)
    first = _cuts_of(answers, cuts)
    plain = _plain_fit(answers, missing)
    width = _margin(margin, plain)
    model = _Model(
        answers, unit, resample, missing, min_group_size, _linear_outcome(answers, plain)
    )
    table, other = (
        _table(model, pairs, width, level) for pairs in (first, _other_cuts(answers, first))
    )
    table = _tested(table, answers.degrees_of_freedom())
    table["other_shape"] = other["shape"]
    table["note"] = [_note(a, b) for a, b in zip(table["shape"], table["other_shape"], strict=True)]
    shown = with_display(
        table,
        caption=f"Is {answers.labels[outcome]} steeper below the middle of a rating than above?",
        about="Outcome points per rating point, other touchpoints equal; difference: above less below",
        columns=("label", "penalty", "reward", "estimate", "shape", "other_shape"),
        headers={"label": "Touchpoint", "penalty": "Below the middle", "reward": "Above the middle",
                 "estimate": "Difference", "other_shape": "With other cuts"},
        bar=("estimate",), reference={"estimate": 0.0}, level=level,
    )  # fmt: skip
    return Result(table=shown, n_missing=answers.n_missing, notes=_notes(answers, resample))


def _tested(table: pd.DataFrame, df: float) -> pd.DataFrame:
    """With the contrast beyond the ceiling, its interval and its p among so many drivers."""
    bend, se = (table["estimate"] - table["ceiling"]).to_numpy(), table["se"].to_numpy()
    p = t_test(bend, se, df)
    adjusted = adjust_p_values(p)
    low, high = deciding_interval(bend, se, df, p, adjusted)
    return table.assign(bend=bend, bend_low=low, bend_high=high, p_value=p, p_adjusted=adjusted)


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
        no_resample(answers.design.n_clusters),
        missing=missing,
    )


def _margin(margin: float | None, plain: CovarianceFit) -> float:
    if margin is None:
        return float(MARGIN * np.abs(coefficients(plain.matrix[None])[0]).mean())
    if margin < 0:
        raise ValueError(f"`margin` must be 0 or more; got {margin}.")
    return float(margin)


def _notes(answers: Answers, resample: Resample) -> tuple[str, ...]:
    left = answers.n_total - answers.n
    lost = f"{left:,} rows without an outcome were left out." if left else ""
    return tuple(note for note in (answers.design.note, resample.note, lost) if note)


def _note(shape: str, other: str) -> str:
    if shape == other or "too few answers" in (shape, other):
        return ""
    return f"with the other cuts: {other}"


@dataclass(frozen=True, eq=False)
class Slopes:
    """Penalty and reward of one driver, with replicates; None where a cell is too small."""

    counts: tuple[int, int, int]  # low, middle and high answers
    slopes: Array | None = None  # (2,), penalty and reward, in outcome per rating point
    replicates: Array | None = None  # (replicates, 2)
    ceiling: float = 0.0  # reward less penalty that the outcome's ends make of a linear effect


@dataclass(frozen=True, eq=False)
class _Model:
    """The regression on one driver's cells and the other drivers, among its raters.

    ``linear`` is the outcome expected of each row if all effects were linear, shape (n,);
    None for an outcome without ends.
    """

    answers: Answers
    unit: Array
    resample: Resample
    missing: str
    min_group_size: int
    linear: Array | None

    def slopes(self, position: int, cuts: Cuts) -> Slopes:
        """Penalty and reward of one driver."""
        rating = self.answers.ratings[:, position]
        low, high = rating <= cuts[0], rating >= cuts[1]
        cells = (low, ~np.isnan(rating) & ~low & ~high, high)
        low_n, middle_n, high_n = (int(cell.sum()) for cell in cells)
        counts = (low_n, middle_n, high_n)
        if min(counts) < max(self.min_group_size, 1):
            return Slopes(counts)
        try:
            found = self._fitted(position, low, high, self.answers.outcome, self.resample)
            if self.linear is None:
                return Slopes(counts, found[0], found[1:])
            nothing = no_resample(len(self.resample.multipliers))
            (expected,) = self._fitted(position, low, high, self.linear, nothing)
        except NoMaximumError:
            # too few rated this driver to separate the others among them
            return Slopes(counts)
        return Slopes(counts, found[0], found[1:], float(expected[1] - expected[0]))

    def _fitted(
        self, position: int, low: Array, high: Array, outcome: Array, resample: Resample
    ) -> Array:
        """Both slopes of the estimate and of each replicate, shape (1 + replicates, 2)."""
        answers, missing = self.answers, self.missing
        rating = answers.ratings[:, position]
        users = ~np.isnan(rating)
        others = np.delete(answers.ratings, position, axis=1)[users]
        others = np.where(dead_drivers(others), 0.0, others)
        names = np.delete(np.array(answers.names, dtype=object), position)
        rows = np.column_stack([low[users], high[users], others, rating[users], outcome[users]])
        fit = fit_covariance(
            ("low", "high", *names, answers.names[position], answers.outcome_name),
            rows.astype(float),
            answers.weights[users],
            self.unit[users],
            resample,
            missing=missing,
        )
        matrices = np.concatenate([fit.matrix[None], fit.matrices])
        of_rating = _cell_gaps(np.delete(np.delete(matrices, -1, axis=1), -1, axis=2))
        of_outcome = _cell_gaps(np.delete(np.delete(matrices, -2, axis=1), -2, axis=2))
        return of_outcome / of_rating


def _cell_gaps(matrices: Array) -> Array:
    """Adjusted low − middle and high − middle of the last column."""
    spread = np.sqrt(np.maximum(np.einsum("bii->bi", matrices), 0.0))
    standardised = standardised_coefficients(to_correlation(matrices))[:, :2]
    own = spread[:, :2]
    return np.divide(
        standardised * spread[:, -1:], own, out=np.full_like(own, np.nan), where=own > 0
    )


def _table(model: _Model, cuts: list[Cuts], margin: float, level: float) -> pd.DataFrame:
    answers, kind = model.answers, model.resample.kind
    df = answers.degrees_of_freedom()
    rows = []
    for position, (name, pair) in enumerate(zip(answers.names, cuts, strict=True)):
        slopes = model.slopes(position, pair)
        row: dict[str, object] = {
            "driver": name,
            "label": answers.labels[name],
            "n": sum(slopes.counts),
            **_measures(slopes, kind, df, level),
            "low_to": pair[0],
            "high_from": pair[1],
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
    """Contrast, penalty and reward with their intervals."""
    names = ["estimate", "se", "ci_low", "ci_high"]
    names += [f"{name}{end}" for name in ("penalty", "reward") for end in ("", "_low", "_high")]
    if slopes.slopes is None or slopes.replicates is None:
        return dict.fromkeys(names, np.nan)
    values = np.append(slopes.slopes, slopes.slopes[1] - slopes.slopes[0])
    drawn = np.column_stack([slopes.replicates, slopes.replicates[:, 1] - slopes.replicates[:, 0]])
    around = spread(values, drawn, kind, df=df, level=level)
    found = [values[2], around.se[2], around.low[2], around.high[2]]
    for place in (0, 1):
        found += [values[place], around.low[place], around.high[place]]
    return {name: float(value) for name, value in zip(names, found, strict=True)}


def _classes(
    slopes: Slopes, kind: str, margin: float, df: float, level: float
) -> dict[str, object]:
    """Share of replicates for each class, and the class."""
    if slopes.slopes is None or slopes.replicates is None:
        blank = dict.fromkeys(("excitement", "basic", "performance"), np.nan)
        return {**blank, "shape": "too few answers"}
    centre = slopes.slopes[1] - slopes.slopes[0] - slopes.ceiling
    contrast = slopes.replicates[:, 1] - slopes.replicates[:, 0] - slopes.ceiling
    around = spread(np.array([centre]), contrast[:, None], kind, df=df, level=level)
    if kind == "jackknife":
        contrast = centre + around.se[0] * np.random.default_rng(0).normal(size=DRAWS)
    contrast = contrast[np.isfinite(contrast)]
    shares = {
        "excitement": float((contrast > margin).mean()),
        "basic": float((contrast < -margin).mean()),
    }
    shares["performance"] = 1.0 - shares["excitement"] - shares["basic"]
    best = max(shares, key=lambda name: shares[name])
    linear = around.low[0] <= 0 <= around.high[0]
    sure = shares[best] >= CLEAR and not (linear and best != "performance")
    return {**shares, "shape": best if sure else "undetermined"}


def _linear_outcome(answers: Answers, fit: CovarianceFit) -> Array | None:
    """Expected outcome of each row under linear effects on a latent outcome, shape (n,).

    None for an outcome of more than 30 different values, which has no ends to speak of.
    """
    values, step = np.unique(answers.outcome, return_inverse=True)
    if len(values) > MOST_STEPS:
        return None
    factor = latent_factor(answers.outcome, answers.weights)
    slopes = coefficients(fit.matrix[None])[0] * factor
    drivers = fit.matrix[:-1, :-1]
    explained = float(slopes @ drivers @ slopes)
    if explained > MOST_EXPLAINED:
        slopes, explained = slopes * np.sqrt(MOST_EXPLAINED / explained), MOST_EXPLAINED
    centre, spread = _index(answers.ratings, fit.mean[:-1], drivers, slopes)
    margin = np.bincount(step.ravel(), weights=answers.weights)
    cuts = ndtri(np.cumsum(margin)[:-1] / margin.sum())
    noise = np.sqrt(np.maximum(1 - explained + spread, 1 - MOST_EXPLAINED))
    passed = ndtr((centre[:, None] - cuts) / noise[:, None])
    return np.asarray(values[0] + passed @ np.diff(values))


def _index(ratings: Array, mean: Array, drivers: Array, slopes: Array) -> tuple[Array, Array]:
    """Mean and variance of slopes · (x − mean) given each row's known ratings."""
    known = ~np.isnan(ratings)
    patterns, number = np.unique(known, axis=0, return_inverse=True)
    inverse = np.asarray([_inverse(drivers, pattern) for pattern in patterns])[number.ravel()]
    deviation = np.where(known, ratings - mean, 0.0)
    reach = drivers @ slopes
    pulled = np.einsum("nij,j->ni", inverse, reach)
    variance = slopes @ reach - pulled @ reach
    return np.einsum("ni,ni->n", pulled, deviation), np.maximum(variance, 0.0)


def _inverse(drivers: Array, pattern: Array) -> Array:
    """Inverse of the known drivers' covariances, 0 beside the others."""
    both = pattern[:, None] & pattern[None, :]
    try:
        return packed_inverse(drivers, pattern[None, :])[0][0]
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.pinv(np.where(both, drivers, 0.0), hermitian=True))
