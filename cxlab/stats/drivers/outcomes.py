"""Outcomes that are not continuous: NPS, ordered answers, yes or no.

For ordered and binary outcomes only the outcome is latent; drivers stay as scored. The
covariances with the outcome are multiplied by 1 / Σ φ(τ_k)(y_{k+1} − y_k), τ_k the normal
quantiles of its margin, and its variance becomes 1 (Olsson, Drasgow & Dorans 1982).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import ndtri

from cxlab.stats.drivers.replicates import CovarianceFit, Resample, replicate_totals

Array = np.ndarray

SCALES = ("continuous", "ordinal", "binary", "nps")
#: More steps than this are not an ordered scale.
MOST_STEPS = 30


def recode_outcome(outcome: Array, scale: str, name: str) -> Array:
    """The outcome as it is analysed: −100, 0, 100 for "nps", checked for the others.

    Raises
    ------
    ValueError
        If the outcome has one value, or values that its scale does not allow.
    """
    values = np.unique(outcome)
    if len(values) < 2:
        found = f"only {values[0]:g}" if len(values) else "no answer"
        raise ValueError(
            f"`outcome` must have 2 or more different answers; got {found} in '{name}'. "
            "With nothing to explain there are no drivers."
        )
    if scale == "nps":
        off = values[(values < 0) | (values > 10) | (values != np.round(values))]
        if len(off):
            raise ValueError(
                f"`outcome` must be whole numbers from 0 to 10 for outcome_scale='nps'; got "
                f"{off[0]:g} in '{name}'. Declare codes such as 99 as missing in the study file."
            )
        points = np.where(outcome >= 9, 100.0, np.where(outcome >= 7, 0.0, -100.0))
        return recode_outcome(points, "continuous", name)
    if scale == "binary" and len(values) > 2:
        raise ValueError(
            f"`outcome` must have 2 different answers for outcome_scale='binary'; got "
            f"{len(values)} in '{name}'."
        )
    if scale == "ordinal" and len(values) > MOST_STEPS:
        raise ValueError(
            f"`outcome` must have at most {MOST_STEPS} different answers for "
            f"outcome_scale='ordinal'; got {len(values)} in '{name}'. Use 'continuous'."
        )
    return outcome


def latent_factors(
    outcome: Array, weights: Array, unit: Array, resample: Resample
) -> tuple[float, Array]:
    """Factor that turns covariances with the scored outcome into latent ones.

    Returns
    -------
    factor : float
        1 / Σ φ(τ_k)(y_{k+1} − y_k).
    factors : ndarray, shape (replicates,)
        The same in each replicate.
    """
    values, step = np.unique(outcome, return_inverse=True)
    counts = np.zeros((len(outcome), len(values)))
    counts[np.arange(len(outcome)), step.ravel()] = weights
    margins = replicate_totals(counts, unit, resample)
    return float(_factor(counts.sum(axis=0)[None], values)[0]), _factor(margins, values)


def latent_fit(fit: CovarianceFit, factor: float, factors: Array) -> CovarianceFit:
    """The same fit with a latent outcome (the last column) of variance 1."""
    return replace(
        fit,
        matrix=_latent(fit.matrix[None], np.array([factor]))[0],
        matrices=_latent(fit.matrices, factors),
    )


def _factor(margins: Array, values: Array) -> Array:
    total = margins.sum(axis=1, keepdims=True)
    below = np.cumsum(margins, axis=1)[:, :-1] / np.where(total > 0, total, 1.0)
    cuts = ndtri(np.clip(below, 0.0, 1.0))
    heights = np.exp(-(cuts**2) / 2) / np.sqrt(2 * np.pi)
    height = heights @ np.diff(values)
    return np.where(height > 0, 1.0 / np.where(height > 0, height, 1.0), 0.0)


def _latent(matrices: Array, factors: Array) -> Array:
    latent = matrices.copy()
    latent[:, :-1, -1] *= factors[:, None]
    latent[:, -1, :-1] *= factors[:, None]
    latent[:, -1, -1] = 1.0
    return latent
