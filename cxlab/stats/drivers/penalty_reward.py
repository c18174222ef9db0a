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
from cxlab.core.threads import one_blas_thread
from cxlab.stats.covariance import MISSING, to_correlation
from cxlab.stats.covariance.em import NoMaximumError
from cxlab.stats.drivers.answers import (
    MOST_STEPS,
    Answers,
    dead_drivers,
    read_answers,
    recode_outcome,
)
from cxlab.stats.drivers.coefficients import coefficients
from cxlab.stats.drivers.covariances import (
    Completed,
    CovarianceFit,
    completed,
    fit_covariance,
    latent_factors,
)
from cxlab.stats.drivers.importance import standardised_coefficients
from cxlab.stats.drivers.replicates import (
    DRAWS,
    Resample,
    make_resample,
    no_resample,
    spread,
    t_test,
)
from cxlab.stats.inference import LEVEL, decide_family

Array = np.ndarray
Cuts = tuple[float, float]
Near = dict[int, tuple[CovarianceFit, Array]]

#: Share of replicates from which a class is given.
CLEAR = 0.8
#: Difference of slopes that counts, as a part of the drivers' mean absolute slope.
MARGIN = 0.25
#: With fewer low, middle or high answers a driver gets no class.
FEWEST_ANSWERS = 10
#: Numbers that are read, at most: each driver's fits complete every row.
MOST_READ = 25_000_000
#: Latent R² taken at most: noise must be left.
MOST_EXPLAINED = 0.98


@one_blas_thread
def penalty_reward(
    data: Any,
    outcome: str,
    drivers: Sequence[str] | Mapping[str, str],
    *,
    cuts: Cuts | Mapping[str, Cuts],
    missing: str = "em",
    design: DesignLike = None,
    labels: Mapping[str, str] | None = None,
    replicates: int = 500,
    seed: int = 0,
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
    replicates, seed
        As in `cxlab.drivers`; there is always an interval, at 95 %.

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
    ends all the same; that part, the ceiling, is worked out from a latent outcome. Of more than
    25 million values some answers are drawn at random, and a note says so.

    References
    ----------
    Brandt (1987). Mikulić & Prebežac (2011), Managing Service Quality 21, 46–66 (dummies).

    Examples
    --------
    >>> x = [1, 2, 3, 4, 5] * 20
    >>> y = [min(value, 3) + place % 7 / 100 for place, value in enumerate(x)]
    >>> answers = pd.DataFrame({"food": x, "overall": y, "row": range(100)})
    >>> answers["overall"] += answers["row"] / 1e6
    >>> found = penalty_reward(answers, "overall", ["food"], cuts=(2, 4))
    >>> found.table[["driver", "penalty", "estimate", "shape"]].round(2)
      driver  penalty  estimate  shape
    0   food      1.0      -1.0  basic
    """
    check_choice("missing", missing, MISSING)
    if replicates < 2:
        raise ValueError(f"`replicates` must be 2 or more; got {replicates}.")
    answers = read_answers(data, outcome, drivers, design=design, labels=labels, most=MOST_READ)
    answers = replace(answers, ratings=answers.ratings.astype(float))
    _check_usable(answers)
    resample, unit = make_resample(answers, replicates, seed)
    first = _cuts_of(answers, cuts)
    plain = _plain_fit(answers, answers.outcome, missing)
    width = float(MARGIN * np.abs(coefficients(plain.matrix[None])[0]).mean())
    outcomes = [(answers.outcome, plain, resample)]
    linear = _linear_outcome(answers, plain)
    if linear is not None:
        nothing = no_resample(len(resample.multipliers))
        outcomes.append((linear, _plain_fit(answers, linear, missing), nothing))
    model = _Model(answers, unit, missing, outcomes)
    pairs = list(zip(first, _other_cuts(answers, first), strict=True))
    slopes = [model.slopes(position, pair) for position, pair in enumerate(pairs)]
    table, other = (
        _table(answers, resample.kind, chosen, found, width)
        for chosen, found in zip(zip(*pairs, strict=True), zip(*slopes, strict=True), strict=True)
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
        bar=("estimate",), reference={"estimate": 0.0}, level=LEVEL,
    )  # fmt: skip
    return Result(table=shown, n_missing=answers.n_missing, notes=_notes(answers, resample))


def _tested(table: pd.DataFrame, df: float) -> pd.DataFrame:
    """With the contrast beyond the ceiling, its interval and its p among so many drivers."""
    bend, se = (table["estimate"] - table["ceiling"]).to_numpy(), table["se"].to_numpy()
    known = pd.DataFrame({"estimate": bend, "se": se, "df": df, "p_value": t_test(bend, se, df)})
    adjusted, low, high = decide_family(known, method="bh")
    ends = {"bend": bend, "bend_low": low, "bend_high": high}
    return table.assign(**ends, p_value=known["p_value"], p_adjusted=adjusted)


def _check_usable(answers: Answers) -> None:
    recode_outcome(answers.outcome, "continuous", answers.outcome_name)
    dead = dead_drivers(answers.ratings)
    if dead.any():
        name = answers.names[int(np.flatnonzero(dead)[0])]
        raise ValueError(
            f"`drivers` must each have 2 or more different answers; got fewer in '{name}'. "
            "Leave it out."
        )


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


def _plain_fit(answers: Answers, outcome: Array, missing: str) -> CovarianceFit:
    return fit_covariance(
        (*answers.names, answers.outcome_name),
        np.column_stack([answers.ratings, outcome]),
        answers.weights,
        answers.unit,
        no_resample(answers.design.n_clusters),
        missing=missing,
    )


def _notes(answers: Answers, resample: Resample) -> tuple[str, ...]:
    left = answers.n_total - answers.n
    lost = f"{left:,} rows without an outcome were left out." * (left > 0)
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

    ``outcomes`` has the outcome, its fit on the ratings as they are and its resample; for an
    outcome with ends also what linear effects would make of each row.
    """

    answers: Answers
    unit: Array
    missing: str
    outcomes: list[tuple[Array, CovarianceFit, Resample]]

    def slopes(self, position: int, pairs: Sequence[Cuts]) -> list[Slopes]:
        """Penalty and reward of one driver under each pair of cuts."""
        near: Near = {}
        return [self._under(position, cuts, near) for cuts in pairs]

    def _under(self, position: int, cuts: Cuts, near: Near) -> Slopes:
        rating = self.answers.ratings[:, position]
        low, high = rating <= cuts[0], rating >= cuts[1]
        middle = ~np.isnan(rating) & ~low & ~high
        counts = int(low.sum()), int(middle.sum()), int(high.sum())
        if min(counts) < FEWEST_ANSWERS:
            return Slopes(counts)
        numbers = range(len(self.outcomes))
        try:
            made = [self._fitted(position, low, high, number, near) for number in numbers]
        except NoMaximumError:  # too few rated this driver to separate the others
            return Slopes(counts)
        ceiling = float(made[1][0, 1] - made[1][0, 0]) if len(made) > 1 else 0.0
        return Slopes(counts, made[0][0], made[0][1:], ceiling)

    def _fitted(self, position: int, low: Array, high: Array, number: int, near: Near) -> Array:
        """Both slopes of the estimate and of each replicate, shape (1 + replicates, 2).

        ``near`` keeps each outcome's fit: the next one starts from the rows as it completes them.
        """
        answers, (outcome, plain, resample) = self.answers, self.outcomes[number]
        users = ~np.isnan(answers.ratings[:, position])
        weights = answers.weights[users]
        order = [*np.delete(np.arange(len(answers.names)), position), position]
        ratings = answers.ratings[users][:, order]
        ratings = np.where(dead_drivers(ratings), 0.0, ratings)
        rows = np.column_stack([low[users], high[users], ratings, outcome[users]]).astype(float)
        incomplete = self.missing == "em" and bool(np.isnan(rows).any())
        start = None
        if incomplete and number in near:
            start = completed(*near[number], weights)
        elif incomplete:
            start = _without_cells(plain, [*order, -1], rows, weights)
        if start:
            start = replace(start, rows=np.where(np.isnan(rows), start.rows, rows))
        fit = fit_covariance(
            ("low", "high", *(answers.names[j] for j in order), answers.outcome_name),
            rows,
            weights,
            self.unit[users],
            resample,
            missing=self.missing,
            start=start,
        )
        near[number] = fit, rows
        return _slopes_of(np.concatenate([fit.matrix[None], fit.matrices]))


def _without_cells(
    plain: CovarianceFit, columns: list[int], rows: Array, weights: Array
) -> Completed | None:
    """Rows as the fit without the cells completes them."""
    square = np.ix_(columns, columns)
    fit = replace(plain, mean=plain.mean[columns], matrix=plain.matrix[square])
    found = completed(fit, rows[:, 2:], weights)
    return found and Completed(
        np.column_stack([rows[:, :2], found.rows]), np.pad(found.left, (2, 0))
    )


def _slopes_of(matrices: Array) -> Array:
    """Penalty and reward: gaps between cells of the outcome (last) over those of the rating.

    The gaps, low − middle and high − middle, are coefficients of the cells, the first columns.
    """
    spread = np.sqrt(np.maximum(np.einsum("bii->bi", matrices), 0.0))
    gaps = standardised_coefficients(to_correlation(matrices), outcomes=2)[:, :2]
    gaps = np.where(spread[:, :2, None] > 0, gaps * spread[:, None, -2:], np.nan)
    return np.asarray(gaps[:, :, 1] / gaps[:, :, 0])


def _table(
    answers: Answers, kind: str, cuts: Sequence[Cuts], found: Sequence[Slopes], margin: float
) -> pd.DataFrame:
    df = answers.degrees_of_freedom()
    rows = []
    for name, pair, slopes in zip(answers.names, cuts, found, strict=True):
        row: dict[str, object] = {
            "driver": name,
            "label": answers.labels[name],
            "n": sum(slopes.counts),
            **_measures(slopes, kind, df),
            "low_to": pair[0],
            "high_from": pair[1],
            "n_low": slopes.counts[0],
            "n_middle": slopes.counts[1],
            "n_high": slopes.counts[2],
            "ceiling": slopes.ceiling,
            "margin": margin,
            **_classes(slopes, kind, margin, df),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def _measures(slopes: Slopes, kind: str, df: float) -> dict[str, float]:
    """Contrast, penalty and reward with their intervals."""
    names = ["estimate", "se", "ci_low", "ci_high"]
    names += [f"{name}{end}" for name in ("penalty", "reward") for end in ("", "_low", "_high")]
    if slopes.slopes is None or slopes.replicates is None:
        return dict.fromkeys(names, np.nan)
    values = np.append(slopes.slopes, slopes.slopes[1] - slopes.slopes[0])
    drawn = np.column_stack([slopes.replicates, slopes.replicates[:, 1] - slopes.replicates[:, 0]])
    around = spread(values, drawn, kind, df=df, level=LEVEL)
    found = [values[2], around.se[2], around.low[2], around.high[2]]
    for place in (0, 1):
        found += [values[place], around.low[place], around.high[place]]
    return {name: float(value) for name, value in zip(names, found, strict=True)}


def _classes(slopes: Slopes, kind: str, margin: float, df: float) -> dict[str, object]:
    """Share of replicates for each class, and the class."""
    if slopes.slopes is None or slopes.replicates is None:
        blank = dict.fromkeys(("excitement", "basic", "performance"), np.nan)
        return {**blank, "shape": "too few answers"}
    centre = slopes.slopes[1] - slopes.slopes[0] - slopes.ceiling
    contrast = slopes.replicates[:, 1] - slopes.replicates[:, 0] - slopes.ceiling
    around = spread(np.array([centre]), contrast[:, None], kind, df=df, level=LEVEL)
    if kind == "jackknife":
        contrast = centre + around.se[0] * np.random.default_rng(0).normal(size=DRAWS)
    contrast = contrast[np.isfinite(contrast)]
    shares = {
        "excitement": float((contrast > margin).mean()),
        "basic": float((contrast < -margin).mean()),
    }
    shares["performance"] = 1.0 - shares["excitement"] - shares["basic"]
    best = max(shares, key=shares.__getitem__)
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
    margin = np.bincount(step.ravel(), weights=answers.weights)
    cuts = ndtri(np.cumsum(margin)[:-1] / margin.sum())
    slopes = coefficients(fit.matrix[None])[0] * latent_factors(values, margin[None])[0]
    drivers = fit.matrix[:-1, :-1]
    explained = float(slopes @ drivers @ slopes)
    if explained > MOST_EXPLAINED:
        slopes, explained = slopes * np.sqrt(MOST_EXPLAINED / explained), MOST_EXPLAINED
    centre, spread = _index(answers.ratings, fit.mean[:-1], drivers, slopes)
    noise = np.sqrt(np.maximum(1 - explained + spread, 1 - MOST_EXPLAINED))
    passed = ndtr((centre[:, None] - cuts) / noise[:, None])
    return np.asarray(values[0] + passed @ np.diff(values))


def _index(ratings: Array, mean: Array, drivers: Array, slopes: Array) -> tuple[Array, Array]:
    """Mean and variance of slopes · (x − mean) given each row's known ratings."""
    known = ~np.isnan(ratings)
    patterns, number = np.unique(known, axis=0, return_inverse=True)
    inverse = _inverses(drivers, patterns)[number.ravel()]
    deviation = np.where(known, ratings - mean, 0.0)
    reach = drivers @ slopes
    pulled = np.einsum("nij,j->ni", inverse, reach)
    variance = slopes @ reach - pulled @ reach
    return np.einsum("ni,ni->n", pulled, deviation), np.maximum(variance, 0.0)


def _inverses(drivers: Array, patterns: Array) -> Array:
    """Inverse of the known drivers' covariances in each pattern, 0 beside the others."""
    both = patterns[:, :, None] & patterns[:, None, :]
    try:
        return np.where(both, np.linalg.inv(np.where(both, drivers, np.eye(len(drivers)))), 0.0)
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.pinv(np.where(both, drivers, 0.0), hermitian=True))
