"""What all touchpoints have in common, and how much of the outcome they hold together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.display import with_display
from cxlab.stats.association.coefficients import CONSTANT, FEWEST_PAIRS
from cxlab.stats.association.counts import JointCounts
from cxlab.stats.association.estimates import PairEstimates, pair_degrees_of_freedom
from cxlab.stats.association.partial import (
    JointModel,
    PairwiseCorrelations,
    em_correlations,
    estimable_columns,
    joint_model,
    pairwise_correlations,
)
from cxlab.stats.covariance.covariance import (
    PairSums,
    WeightedRows,
    summed_pairs,
    summed_rows,
    to_correlation,
)
from cxlab.stats.covariance.em import estimate_covariance
from cxlab.stats.inference import r_squared_interval

Array = NDArray[np.float64]

MISSING = ("em", "pairwise")

#: Mean correlation between touchpoints above which one impression may colour all ratings.
HALO_ALARM = 0.6


@dataclass(frozen=True, eq=False)
class Together:
    """All touchpoints in one model per outcome, and the correlations between them.

    ``between`` holds each correlation on its own rows; NaN where it is not known.
    """

    models: dict[str, JointModel]
    between: Array


def correlate_together(counts: JointCounts, *, missing: str) -> Together:
    """Correlate every two columns and model each outcome on all touchpoints.

    In data too large to read row by row there are no standard errors.
    """
    outcomes = list(dict.fromkeys(y for _, y in counts.pairs))
    columns, source, models = _columns(counts), _source(counts, missing), {}
    names = columns[len(outcomes) :]
    if isinstance(source, pd.DataFrame):
        own = pairwise_correlations(source, columns, source["weight"], counts.units)
    else:
        sums = source if isinstance(source, PairSums) else source.pair_sums()
        own = PairwiseCorrelations(tuple(columns), _known_correlations(sums), sums.n, None)
    for outcome in outcomes:
        kept, aside = estimable_columns(own.take([outcome, *names]))
        models[outcome] = _model(counts, source, own.take(kept), aside, missing)
    return Together(models, own.take(names).matrix)


def _columns(counts: JointCounts) -> list[str]:
    """Outcomes, then touchpoints."""
    return list(dict.fromkeys([y for _, y in counts.pairs] + [x for x, _ in counts.pairs]))


def _source(counts: JointCounts, missing: str) -> pd.DataFrame | WeightedRows | PairSums:
    """The rows; of data too large to read them, their sums, for EM by what is missing."""
    if counts.rows is not None:
        return counts.rows
    opened, columns = counts.opened, _columns(counts)
    if missing == "em":
        return summed_rows(opened.lazy, columns, opened.design.weights)
    return summed_pairs(opened, columns)


def _known_correlations(sums: PairSums) -> Array:
    """Correlations on each pair's own rows; NaN where there is no coefficient."""
    weight = np.where(sums.weight > 0, sums.weight, 1.0)
    means = sums.sums / weight
    covariance = sums.products / weight - means * means.T
    variance = sums.squares / weight - means**2
    known = (variance > CONSTANT * sums.squares / weight) & (sums.n >= FEWEST_PAIRS)
    known &= known.T
    spread = np.sqrt(np.where(known, variance * variance.T, 1.0))
    return np.where(known, covariance / spread, np.nan)


def _model(
    counts: JointCounts,
    source: pd.DataFrame | WeightedRows | PairSums,
    own: PairwiseCorrelations,
    aside: dict[str, str],
    missing: str,
) -> JointModel:
    if isinstance(source, PairSums) or missing == "pairwise" or len(own.columns) < 2:
        return joint_model(own, counts.units, aside, rows=counts.rows)
    if isinstance(source, WeightedRows):
        part = source.columns([_columns(counts).index(name) for name in own.columns])
        matrix = to_correlation(estimate_covariance(own.columns, "em", part).matrix)
        fitted = PairwiseCorrelations(own.columns, matrix, own.n, None)
        return joint_model(fitted, counts.units, aside)
    try:
        fitted = em_correlations(source, own.columns, source["weight"], counts.units)
    except (RuntimeError, ValueError, np.linalg.LinAlgError):
        reason = "too few answers for EM to separate the touchpoints; missing='pairwise' may"
        return JointModel(aside, note=reason)
    return joint_model(fitted, counts.units, aside, rows=counts.rows)


def halo_table(
    together: Together,
    fit: PairEstimates,
    counts: JointCounts,
    *,
    missing: str,
    labels: Mapping[str, str],
    level: float,
) -> pd.DataFrame:
    """How much the touchpoints overlap, one row per outcome.

    ``outcome``; ``n`` (fewest rows behind a correlation); ``estimate, se, ci_low, ci_high`` of the
    adjusted R² of the outcome on all touchpoints together, "as if everyone had used everything" (R²
    itself rises with every touchpoint, whatever it says); ``unexplained`` (1 − R²); ``sum_r_squared`` (Σ r², each touchpoint alone: the more it exceeds
    R², the more they say the same); ``mean_touchpoint_r`` and ``first_component_share`` of the
    touchpoints' correlations; ``halo_alarm`` (mean over 0.6); ``missing``; ``note``.
    """
    size, design_df = len(together.between), pair_degrees_of_freedom(counts)
    rows = []
    for number, (outcome, model) in enumerate(together.models.items()):
        inside = slice(number * size, (number + 1) * size)
        alone = fit.table["estimate"].to_numpy()[inside]
        df = float(np.max(design_df[inside], initial=0.0))
        whole, se, low, high = _adjusted(model, df, level)
        rows.append(
            {
                "outcome": outcome,
                "n": model.smallest_n,
                "estimate": whole,
                "se": se,
                "ci_low": low,
                "ci_high": high,
                "unexplained": 1 - whole,
                "sum_r_squared": float(np.nansum(alone**2)),
                **_common(together.between),
                "missing": missing,
                "note": _note(model, df),
            }
        )
    return with_display(
        pd.DataFrame(rows), labels=labels, level=level, units={"estimate": "share"},
        caption="What all touchpoints have in common", headers={"estimate": "Adjusted R² of all together"},
        columns=(
            "outcome", "n", "estimate", "unexplained", "sum_r_squared", "mean_touchpoint_r",
            "first_component_share", "halo_alarm",
        ),
    )  # fmt: skip


def _note(model: JointModel, df: float) -> str:
    if model.smallest_n == 0:
        return model.note
    aside = [f"{name} set aside: {reason}" for name, reason in model.set_aside.items()]
    if model.note:
        aside.append(model.note)
    if not model.n_effective > len(model.table) + 1:
        aside.append("no R²: hardly more answers than touchpoints")
    elif not np.isfinite(model.r_squared_se):
        aside.append("no interval in data of this size")
    elif df < 1:
        aside.append("no interval: too few clusters hold a pair")
    return "; ".join(aside)


def _common(matrix: Array) -> dict[str, object]:
    between = matrix[np.triu_indices(len(matrix), 1)]
    known = between[np.isfinite(between)]
    if len(known) == 0:
        nothing = float("nan")
        return {"mean_touchpoint_r": nothing, "first_component_share": nothing, "halo_alarm": False}
    varying = np.flatnonzero(np.isfinite(matrix).sum(axis=0) > 1)
    inner = np.nan_to_num(matrix[np.ix_(varying, varying)])
    return {
        "mean_touchpoint_r": float(known.mean()),
        "first_component_share": float(np.linalg.eigvalsh(inner)[-1] / len(inner)),
        "halo_alarm": bool(known.mean() > HALO_ALARM),
    }


def _adjusted(model: JointModel, df: float, level: float) -> tuple[float, float, float, float]:
    """Adjusted R² of all touchpoints together, at least 0, its standard error and limits."""
    left = model.n_effective - len(model.table) - 1
    if not left > 0:
        return (np.nan, np.nan, np.nan, np.nan)
    factor = (model.n_effective - 1) / left
    adjusted = 1 - (1 - model.r_squared) * factor
    se = factor * model.r_squared_se
    # the sums of one cluster are 0 whatever its answers are
    if not (df >= 1 and np.isfinite(se) and adjusted < 1):
        return (max(adjusted, 0.0), np.nan, np.nan, np.nan)
    return (max(adjusted, 0.0), se, *r_squared_interval(adjusted, se, df, level))
