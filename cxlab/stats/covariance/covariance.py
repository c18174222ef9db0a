"""Covariance matrices from sums, for complete and incomplete answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray

#: Smallest eigenvalue that a repaired correlation matrix is given.
REPAIRED_EIGENVALUE = 1e-6
#: A negative eigenvalue above this is rounding, not a reason to repair.
ROUNDING_EIGENVALUE = -1e-10


def to_correlation(matrix: Array) -> Array:
    """Correlations of covariance matrices, shape (…, q, q); 0 where a variance is 0."""
    variance = np.einsum("...ii->...i", matrix)
    positive = variance > 0
    scale = np.where(positive, 1 / np.sqrt(np.where(positive, variance, 1.0)), 0.0)
    correlation = matrix * scale[..., :, None] * scale[..., None, :]
    diagonal = np.einsum("...ii->...i", correlation)
    diagonal[...] = np.where(positive, 1.0, 0.0)
    return correlation


def unpack(packed: Array, q: int) -> Array:
    """Packed upper triangles, shape (…, q(q + 1)/2), as symmetric matrices, shape (…, q, q)."""
    rows, columns = np.triu_indices(q)
    full = np.empty((*packed.shape[:-1], q, q))
    full[..., rows, columns] = packed
    full[..., columns, rows] = packed
    return full


@dataclass(frozen=True, eq=False)
class PairSums:
    """Sums over the rows in which both columns are known; arrays of shape (…, q, q).

    Attributes
    ----------
    n, weight : ndarray
        Rows and Σw.
    sums : ndarray
        Σw·x_i of the rows in which x_j is known too, at [i, j].
    squares : ndarray
        Σw·x_i² of the rows in which x_j is known too, at [i, j].
    products : ndarray
        Σw·x_i·x_j.
    """

    n: Array
    weight: Array
    sums: Array
    squares: Array
    products: Array


def pairwise_covariance(sums: PairSums) -> tuple[Array, Array]:
    """Means and covariances: correlations of each pair's own rows, each column's own spread.

    Arrays may have leading axes (replicates).
    """
    weight = np.where(sums.weight > 0, sums.weight, 1.0)
    means = sums.sums / weight
    covariance = sums.products / weight - means * np.swapaxes(means, -1, -2)
    variances = sums.squares / weight - means**2
    noise = 1e-13 * np.maximum(sums.squares / weight, 1e-300)
    variances = np.where(variances > noise, variances, 0.0)
    spread = np.sqrt(variances * np.swapaxes(variances, -1, -2))
    correlation = np.divide(covariance, spread, out=np.zeros_like(spread), where=spread > 0)
    own = np.einsum("...ii->...i", variances)
    n = np.einsum("...ii->...i", sums.n).astype(float)
    own = own * n / np.maximum(n - 1, 1)
    scale = np.sqrt(own)
    matrix = correlation * scale[..., :, None] * scale[..., None, :]
    np.einsum("...ii->...i", matrix)[...] = own
    return np.einsum("...ii->...i", means).copy(), matrix


def repair(matrix: Array) -> tuple[Array, float]:
    """Nearest usable covariance: negative eigenvalues of the correlations raised.

    Returns
    -------
    repaired : ndarray, shape (q, q)
        With the variances of ``matrix``.
    change : float
        Largest change of a correlation; 0 where nothing was needed.
    """
    correlation = to_correlation(matrix)
    values, vectors = np.linalg.eigh(correlation)
    if values.min() >= ROUNDING_EIGENVALUE:
        return matrix, 0.0
    raised = np.maximum(values, REPAIRED_EIGENVALUE)
    usable = to_correlation((vectors * raised) @ vectors.T)
    scale = np.sqrt(np.diagonal(matrix))
    return usable * np.outer(scale, scale), float(np.abs(usable - correlation).max())
