"""Scores of answers in memory and their differences, clustered by customer.

The answers of a comparison are arrays already, and each table needs the score of many parts of
them: `clustered_scores` is the estimator of `cxlab.nps` and `cxlab.top_box` on arrays, without
sending every part through a dataframe engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxlab.stats.comparison.programme import Answers, ProgrammeData
from cxlab.stats.comparison.standardised.decomposition import (
    Replicates,
    Standardised,
    combination,
    interval,
)
from cxlab.stats.comparison.standardised.quantities import NPS_VALUES, QUANTITY_COEFFICIENTS
from cxlab.stats.inference import (
    Units,
    contrast_spread,
    effective_sample_size,
    normal_quantile,
    score_interval,
    t_quantile,
    wilson_interval,
)

NUMBERS = ("estimate", "se", "ci_low", "ci_high")
#: Fewer degrees of freedom than this and the interval is flagged, as `cxlab.nps` does.
FEW_DEGREES_OF_FREEDOM = 8
#: With as many customers in both surveys the normal distribution does as well as t.
MANY_CLUSTERS = 200
#: A variance below this is 0 but for rounding.
ROUNDING = 1e-18
#: Pseudo-answers of the adjusted Wald interval: detractor, passive, promoter.
PSEUDO = (0.75, 1.5, 0.75)


def clustered_scores(
    values: np.ndarray,
    customer: np.ndarray,
    *,
    level: float,
    weight: np.ndarray | None = None,
    group: np.ndarray | None = None,
    n_groups: int = 1,
    box: bool = False,
) -> pd.DataFrame:
    """Net score, or share in a box, of each group of answers.

    Parameters
    ----------
    values : ndarray of float, shape (answers,)
        1, 0 or −1 (promoter, passive, detractor), or 1 and 0 with ``box``; NaN for an answer
        without a score, whose customer still counts as sampled.
    customer : ndarray of int
    weight : ndarray of float, optional
    group : ndarray of int, optional
        Number of each answer's group; a group is a domain of the whole.

    Returns
    -------
    DataFrame
        One row per group: ``n, estimate, se, ci_low, ci_high`` (per cent or points), ``deff,
        n_eff, note``.
    """
    w = np.ones(len(values)) if weight is None else weight
    g = np.zeros(len(values), dtype=int) if group is None else group
    valid = ~np.isnan(values) & (w > 0)
    v, w, g = values[valid], w[valid], g[valid]
    n, total, plain, square = (
        np.bincount(g, of, minlength=n_groups).astype(float)
        for of in (np.ones(len(v)), w, v, w * v * v)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, square = np.bincount(g, w * v, minlength=n_groups) / total, square / total
        kish = n * np.bincount(g, w * w, minlength=n_groups) / total**2
        # equal numbers are those whose squares sum to as little as they can
        alike = n * np.bincount(g, v * v, minlength=n_groups) == plain**2
        simple = np.where(alike, 0.0, np.maximum(square - mean**2, 0)) / n
        part = w * (v - mean[g]) / total[g]
        clusters, variance = _clustered_variance(part, g, customer, valid, n_groups)
        variance = np.where(clusters > 1, np.where(alike, 0.0, variance), np.nan)
        none = ~((variance > 1e-14 * np.maximum(square, 1e-300)) & (simple > 0))
        deff = np.where(none, np.maximum(1.0, kish), variance / simple)
        deff = np.where(np.isnan(variance), np.nan, deff)
        size = effective_sample_size(n, deff, clusters - 1, level=level)
    top, bottom = (square + mean) / 2, np.maximum((square - mean) / 2, 0)
    limits = wilson_interval(top, size, level=level)
    if not box:
        limits = score_interval(size * top, size * bottom, size, level=level)
    numbers = (100 * one for one in (mean, np.sqrt(variance), *limits))
    table = pd.DataFrame({"n": n.astype(int), **dict(zip(NUMBERS, numbers, strict=True))})
    outside = 0 if weight is None else int((weight == 0).sum())
    notes = [
        _note(*facts, outside) for facts in zip(n, variance, clusters - 1, alike, none, strict=True)
    ]
    return table.assign(deff=deff, n_eff=size, note=pd.Series(notes, dtype="str"))


def _clustered_variance(
    part: np.ndarray, group: np.ndarray, customer: np.ndarray, valid: np.ndarray, n_groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """Clusters that hold an answer, and Taylor variance, of each group's sum of ``part``."""
    sampled = len(np.unique(customer))
    width = int(customer.max(initial=0)) + 1
    cells, at = np.unique(group * width + customer[valid], return_inverse=True)
    total, owner = np.bincount(at, part), cells // width
    clusters = np.bincount(owner, minlength=n_groups)
    squares = np.bincount(owner, total**2, minlength=n_groups)
    centred = squares - np.bincount(owner, total, minlength=n_groups) ** 2 / max(sampled, 1)
    return clusters, np.maximum(centred, 0) * sampled / max(sampled - 1, 1)


def _note(n: int, variance: float, df: float, alike: bool, none: bool, outside: int) -> str:
    """What to know of one score."""
    if not n:
        return "no valid answer"
    said = []
    if np.isnan(variance):
        said.append(
            "no interval: fewer than two clusters hold an answer, so that the standard error is "
            "unknown"
        )
    elif df < FEW_DEGREES_OF_FREEDOM:
        said.append(f"only {df:.0f} degrees of freedom")
    if not np.isnan(variance) and (alike or none):
        who = "all answers alike" if alike else "all clusters alike"
        said.append(f"{who}: design effect from the weights alone")
    if outside:
        said.append(f"{outside:,} rows of weight 0 are outside the population")
    return "; ".join(said)


@dataclass(frozen=True)
class Gap:
    """A difference of two means of ``n`` answers; infinite ``df``: the normal distribution."""

    estimate: float
    se: float
    df: float
    n: int

    def limits(self, level: float) -> tuple[float, float]:
        """Ends of the interval."""
        finite = np.isfinite(self.df) and self.df > 0
        quantile = float(t_quantile(level, self.df)) if finite else normal_quantile(level)
        half = quantile * self.se
        return self.estimate - half, self.estimate + half

    def numbers(self, level: float) -> dict[str, float]:
        """Estimate, standard error and interval under the names of a table."""
        return dict(zip(NUMBERS, (self.estimate, self.se, *self.limits(level)), strict=True))


class Group(NamedTuple):
    """Answers of one side of a difference."""

    values: np.ndarray
    weight: np.ndarray
    customer: np.ndarray


def raw_gap(
    t: Answers, r: Answers, values: np.ndarray = NPS_VALUES, *, weighted: bool = False
) -> Gap:
    """Transactional less relationship score as collected.

    The difference is linearised as one statistic and summed within customers: the surveys
    share customers, so two standard errors would not add.
    """
    sides = []
    for answers in (t, r):
        valid = answers.valid
        w = answers.weight[valid] if weighted else np.ones(int(valid.sum()))
        sides.append(Group(values[answers.score[valid].astype(int)], w, answers.customer[valid]))
    rest = (values[0], (values[7] + values[8]) / 2, values[10])
    return two_means(sides[0], sides[1], pseudo=rest)


def two_means(first: Group, second: Group, *, pseudo: tuple[float, ...]) -> Gap:
    """Mean of the first group less that of the second; both may hold the same customers.

    ``pseudo`` are values (low, middle, high) of the pseudo-answers that stand in for the unknown
    variance of a group all of whose answers are alike.

    Notes
    -----
    With fewer than 200 customers in a group: CR2 and the degrees of freedom of Bell &
    McCaffrey (`cxlab.stats.inference.contrast_spread`). Else Taylor and the normal
    distribution. A group of one customer has no standard error.
    """
    groups = (first, second)
    if any(not one.weight.sum() > 0 for one in groups):
        return Gap(np.nan, np.nan, np.inf, 0)
    means = [float((one.weight * one.values).sum() / one.weight.sum()) for one in groups]
    estimate, n = means[0] - means[1], sum(len(one.values) for one in groups)
    codes, labels = pd.factorize(np.concatenate([one.customer for one in groups]))
    cluster = np.split(codes, [len(first.values)])
    sizes = [len(np.unique(c)) for c in cluster]
    if min(sizes) < 2:
        return Gap(estimate, np.nan, np.inf, n)
    sides = [_sums(one, c, len(labels)) for one, c in zip(groups, cluster, strict=True)]
    if min(sizes) >= MANY_CLUSTERS:
        parts = [
            (side["wy"] - mean * side["w"]) / side["w"].sum()
            for side, mean in zip(sides, means, strict=True)
        ]
        variance = len(labels) / (len(labels) - 1) * ((parts[0] - parts[1]) ** 2).sum()
        df = np.inf
    else:
        units = Units(np.zeros(len(labels), int), np.zeros(len(labels), bool), np.array([np.inf]))
        spread, _ = contrast_spread(sides, units)
        variance, df = spread.variance, spread.df
    variance += sum(
        _pseudo_variance(one.values, size, pseudo)
        for one, size in zip(groups, sizes, strict=True)
        if np.ptp(one.values) == 0
    )
    return Gap(estimate, float(variance**0.5) if variance > ROUNDING else np.nan, df, n)


def _sums(one: Group, cluster: np.ndarray, n_clusters: int) -> dict[str, np.ndarray]:
    """Sums of each cluster as `contrast_spread` takes them."""
    w, y = one.weight, one.values
    products = {"w": w, "wy": w * y, "ww": w**2, "wwy": w**2 * y, "wwyy": (w * y) ** 2}
    products |= {"www": w**3, "wwww": w**4}
    return {
        name: np.bincount(cluster, values, minlength=n_clusters)
        for name, values in products.items()
    }


def _pseudo_variance(y: np.ndarray, clusters: int, pseudo: tuple[float, ...]) -> float:
    """Variance of the mean of answers that are all alike, as if a few others had come."""
    values = np.array([y[0], *pseudo])
    weight = np.array([clusters, *PSEUDO])
    mean = (weight * values).sum() / weight.sum()
    return float((weight * (values - mean) ** 2).sum() / weight.sum() ** 2)


_S = np.arange(11.0)
#: Points of each score 0 to 10. Bottom box counts against, so that up is better everywhere.
METRICS: dict[str, np.ndarray] = {
    "NPS (9–10 less 0–6)": 100.0 * ((_S >= 9).astype(float) - (_S <= 6)),
    "mean score": _S,
    "top two (9–10)": 100.0 * (_S >= 9),
    "bottom box (0–6), reversed": -100.0 * (_S <= 6),
    "10 less 0–6": 100.0 * ((_S >= 10).astype(float) - (_S <= 6)),
    "9–10 less 0–5": 100.0 * ((_S >= 9).astype(float) - (_S <= 5)),
    "8–10 less 0–5": 100.0 * ((_S >= 8).astype(float) - (_S <= 5)),
    "promoter +1, detractor −2": 100.0 * ((_S >= 9).astype(float) - 2.0 * (_S <= 6)),
    "promoter +2, detractor −1": 100.0 * (2.0 * (_S >= 9) - (_S <= 6)),
}
HEADLINE = "NPS (9–10 less 0–6)"
ONCE = "NPS: one answer per customer, the last"
CONCLUSIONS = ("tNPS higher", "rNPS higher", "undecided")


def robustness_table(
    data: ProgrammeData, done: Standardised, *, level: float, weighted: bool
) -> pd.DataFrame:
    """Raw gap, standardised gap and residual under other metrics, weights and counting.

    Returns
    -------
    DataFrame
        ``quantity, variant, estimate, se, ci_low, ci_high, conclusion, same``: ``same`` is
        whether the conclusion is that of the headline variant. A quantity with any other
        conclusion is not robust. Units: points; score points for the mean. A quantity that
        is not identified is left out.
    """
    t, r = data.transactional, data.relationship
    variants = {ONCE: raw_gap(_last_of_each(t), _last_of_each(r))}
    if weighted:
        variants["NPS: with the surveys' own weights"] = raw_gap(t, r, weighted=True)
    variants |= {name: raw_gap(t, r, values) for name, values in METRICS.items()}
    rows = [
        {"quantity": "raw gap", "variant": name, **gap.numbers(level)}
        for name, gap in variants.items()
    ]
    for quantity in ("standardised gap", "residual"):
        identified = not done.known.reason(QUANTITY_COEFFICIENTS[quantity])
        if done.result is not None and identified and done.result.n > 1:
            rows += _standardised_rows(done.result, quantity, level)
    table = pd.DataFrame(rows)
    above, below = table["ci_low"] > 0, table["ci_high"] < 0
    table["conclusion"] = np.select([above, below], CONCLUSIONS[:2], CONCLUSIONS[2])
    headline = table[table["variant"] == HEADLINE].set_index("quantity")["conclusion"]
    return table.assign(same=table["conclusion"] == table["quantity"].map(headline))


def _standardised_rows(result: Replicates, quantity: str, level: float) -> list[dict[str, object]]:
    rows = []
    for variant, values in METRICS.items():
        estimate, replicates = combination(result, quantity, values)
        numbers = dict(zip(NUMBERS, (estimate, *interval(replicates, level)), strict=True))
        rows.append({"quantity": quantity, "variant": variant, **numbers})
    return rows


def _last_of_each(answers: Answers) -> Answers:
    rows = np.flatnonzero(answers.valid)
    order = rows[np.lexsort((answers.responded[rows], answers.customer[rows]))]
    customer = answers.customer[order]
    last = np.r_[customer[1:] != customer[:-1], True] if len(order) else np.empty(0, dtype=bool)
    return answers.take(order[last])
