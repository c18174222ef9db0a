"""Maximum likelihood for multivariate-normal answers with holes, from pattern sums.

With A the inverse covariance of a pattern's known columns (0 elsewhere) and r a row's
deviation from the mean, v = A r carries all that a row says: the score of the mean is Σ v
and that of the covariance ½ Σ (v vᵀ − A). One EM step is μ + Σ·mean(v) and
Σ + Σ·mean(v vᵀ − A)·Σ less the square of the mean's step, so rows are never imputed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxlab.stats.moments.covariance import pair_sums, pairwise_covariance, repair
from cxlab.stats.moments.sums import Cells, unpack

Array = np.ndarray

#: Part of the way from pairwise correlations to none at which EM starts.
START_SHRINKAGE = 0.1
#: EM steps before Newton's method takes over, and in all.
FIRST_STEPS = 3
MAX_STEPS = 2000
#: Stop when the score moves no standardised parameter by more than this.
TOLERANCE = 1e-9
#: Above this many columns the information matrix is not formed (its side is q(q + 3)/2).
MAX_INFORMATION = 60
#: Smallest eigenvalue of a correlation matrix that is inverted.
SMALLEST_EIGENVALUE = 1e-9


@dataclass(frozen=True, eq=False)
class Score:
    """Log-likelihood at a mean and covariance, with its slopes.

    Attributes
    ----------
    log_likelihood : float
        Without the constant.
    mean : ndarray, shape (q,)
        Σ v.
    covariance : ndarray, shape (q, q)
        Σ (v vᵀ − A); the score is half of it.
    weight : float
        Σ w.
    information : ndarray or None, shape (q(q + 3)/2,) twice
        Observed information of the means and the packed covariances.
    """

    log_likelihood: float
    mean: Array
    covariance: Array
    weight: float
    information: Array | None = None


@dataclass(frozen=True, eq=False)
class Fit:
    """Maximum-likelihood mean and covariance."""

    mean: Array
    covariance: Array
    log_likelihood: float
    steps: int
    converged: bool


def packed_inverse(covariance: Array, observed: Array) -> tuple[Array, Array]:
    """Inverse of each pattern's known block, 0 elsewhere, and its log-determinant.

    Parameters
    ----------
    covariance : ndarray, shape (q, q)
    observed : ndarray of bool, shape (patterns, q)

    Returns
    -------
    inverse : ndarray, shape (patterns, q, q)
    log_determinant : ndarray, shape (patterns,)
    """
    q = len(covariance)
    both = observed[:, :, None] & observed[:, None, :]
    padded = np.where(both, covariance, np.eye(q))
    inverse = np.where(both, np.linalg.inv(padded), 0.0)
    return inverse, np.linalg.slogdet(padded)[1]


def score(cells: Cells, mean: Array, covariance: Array, *, information: bool = False) -> Score:
    """Log-likelihood of the pattern sums with its score, and its information if asked."""
    q = len(mean)
    parts = _Parts(q, information)
    for chunk in cells.chunks():
        inverse, log_determinant = packed_inverse(covariance, chunk.observed)
        v, outer = _pulls(chunk, inverse, mean)
        weighted = chunk.weight[:, None, None] * inverse
        # Σ r'Ar = tr(A C) = tr(D Σ), because A Σ A = A
        fit = np.einsum("kij,ij->", outer, covariance)
        parts.log_likelihood -= 0.5 * (chunk.weight @ log_determinant + fit)
        parts.mean += v.sum(axis=0)
        parts.covariance += (outer - weighted).sum(axis=0)
        if information:
            parts.add_information(inverse, weighted, v, outer)
    return parts.finish(float(cells.weight.sum()))


def unit_scores(cells: Cells, mean: Array, covariance: Array, unit: Array, n_units: int) -> Array:
    """Score of each sampling unit: of the means, then of the packed covariances.

    Parameters
    ----------
    cells : Cells
        Cells that each lie in one unit.
    mean, covariance : ndarray
        Where the score is taken; at the maximum the units' scores add to 0.
    unit : ndarray of int, shape (cells,)
        Number of the cell's unit.
    n_units : int

    Returns
    -------
    ndarray, shape (units, q(q + 3)/2)
    """
    q = len(mean)
    first, second = np.triu_indices(q)
    factor = np.where(first == second, 0.5, 1.0)
    scores = np.zeros((n_units, q + len(first)))
    order = np.lexsort(np.packbits(cells.observed, axis=1).T)
    for positions in _runs(order, q):
        chunk = cells.take(positions)
        inverse = _inverse_by_pattern(covariance, chunk.observed)
        v, outer = _pulls(chunk, inverse, mean)
        slopes = (outer - chunk.weight[:, None, None] * inverse)[:, first, second] * factor
        np.add.at(scores, unit[positions], np.hstack([v, slopes]))
    return scores


def _runs(order: Array, q: int) -> list[Array]:
    size = max(1, int(32e6 / (8 * q * q)))
    return [order[start : start + size] for start in range(0, len(order), size)]


def _inverse_by_pattern(covariance: Array, observed: Array) -> Array:
    patterns, number = np.unique(observed, axis=0, return_inverse=True)
    return packed_inverse(covariance, patterns)[0][number.ravel()]


def _pulls(chunk: Cells, inverse: Array, mean: Array) -> tuple[Array, Array]:
    """Σ v and Σ v vᵀ of each cell, from its sums."""
    squares = _squares_about(chunk, mean)
    deviation = chunk.sums - chunk.weight[:, None] * (chunk.observed * mean)
    return np.einsum("kij,kj->ki", inverse, deviation), inverse @ squares @ inverse


def _squares_about(chunk: Cells, mean: Array) -> Array:
    """Σ w (x − mean)(x − mean)ᵀ of each cell, 0 where not known."""
    seen = chunk.observed * mean
    cross = chunk.sums[:, :, None] * seen[:, None, :]
    squares = unpack(chunk.products, len(mean)) - cross - np.swapaxes(cross, 1, 2)
    squares += chunk.weight[:, None, None] * seen[:, :, None] * seen[:, None, :]
    return squares


def fit_normal(
    cells: Cells,
    *,
    start: tuple[Array, Array] | None = None,
    tolerance: float = TOLERANCE,
) -> Fit:
    """Maximum-likelihood mean and covariance of answers with holes.

    A few EM steps, then Newton steps with the observed information; a Newton step that
    does not raise the likelihood is replaced by an EM step.

    Parameters
    ----------
    cells : Cells
        Of one group, with every column varying and every pair of columns seen together.
    start : tuple of ndarray, optional
        Mean and covariance to start from, near enough for Newton's method.
    tolerance : float
        Stop when no standardised parameter moves by more.

    Raises
    ------
    ValueError
        If the answers are too few, or too much alike, for a maximum inside the possible
        matrices.
    """
    mean, covariance = start or starting_values(cells)
    q = len(mean)
    current = score(cells, mean, covariance)
    first = FIRST_STEPS if start is None else 0
    for step in range(1, MAX_STEPS + 1):
        newton = step > first and q <= MAX_INFORMATION
        leap = _newton_step(cells, mean, covariance) if newton else None
        reached = _better(cells, leap, current.log_likelihood)
        if leap is None or reached is None:
            leap = em_step(current, mean, covariance)
            _check_possible(leap[1])
            reached = score(cells, *leap)
        size = _step_size(leap, (mean, covariance))
        (mean, covariance), current = leap, reached
        if size < tolerance:
            return Fit(mean, covariance, current.log_likelihood, step, True)
    return Fit(mean, covariance, current.log_likelihood, MAX_STEPS, False)


def _slope(current: Score) -> Array:
    """Score of the means and the packed covariances."""
    first, second = np.triu_indices(len(current.mean))
    factor = np.where(first == second, 0.5, 1.0)
    return np.concatenate([current.mean, current.covariance[first, second] * factor])


def em_step(current: Score, mean: Array, covariance: Array) -> tuple[Array, Array]:
    """One step of EM, from the score."""
    shift = covariance @ current.mean / current.weight
    change = covariance @ current.covariance @ covariance / current.weight
    updated = covariance + change - np.outer(shift, shift)
    return mean + shift, _symmetric(updated)


def starting_values(cells: Cells) -> tuple[Array, Array]:
    """Means and spreads of the known answers, with shrunken pairwise correlations."""
    mean, matrix = pairwise_covariance(pair_sums(cells))
    usable, _ = repair(matrix)
    shrunk = START_SHRINKAGE * np.diag(np.diagonal(matrix)) + (1 - START_SHRINKAGE) * usable
    return mean, shrunk


def unpack_parameters(parameters: Array, q: int) -> tuple[Array, Array]:
    """Means, shape (…, q), and symmetric matrices, shape (…, q, q), from one vector each."""
    return parameters[..., :q], unpack(parameters[..., q:], q)


def _newton_step(cells: Cells, mean: Array, covariance: Array) -> tuple[Array, Array] | None:
    current = score(cells, mean, covariance, information=True)
    if current.information is None:
        return None
    try:
        step = np.linalg.solve(current.information, _slope(current))
    except np.linalg.LinAlgError:
        return None
    shift, change = unpack_parameters(step, len(mean))
    return mean + shift, covariance + change


def _better(cells: Cells, moved: tuple[Array, Array] | None, log_likelihood: float) -> Score | None:
    """The score at the new values, if they are possible and no worse."""
    if moved is None or not is_positive(moved[1]):
        return None
    reached = score(cells, *moved)
    slack = 1e-10 * max(1.0, abs(log_likelihood))
    return reached if reached.log_likelihood >= log_likelihood - slack else None


def is_positive(covariance: Array) -> bool:
    """Whether a covariance can be inverted with confidence."""
    variance = np.diagonal(covariance)
    if not np.isfinite(covariance).all() or (variance <= 0).any():
        return False
    scale = 1 / np.sqrt(variance)
    smallest = np.linalg.eigvalsh(covariance * np.outer(scale, scale))[0]
    return bool(smallest > SMALLEST_EIGENVALUE)


def _check_possible(covariance: Array) -> None:
    if not is_positive(covariance):
        raise ValueError(
            "`missing='em'` must find answers enough to tell the columns apart; got some that "
            "are combinations of others wherever they are known together. Use "
            "missing='pairwise', or leave out a column."
        )


def _step_size(new: tuple[Array, Array], old: tuple[Array, Array]) -> float:
    scale = np.sqrt(np.diagonal(old[1]))
    shift = np.abs((new[0] - old[0]) / scale).max()
    return float(max(shift, np.abs((new[1] - old[1]) / np.outer(scale, scale)).max()))


def _symmetric(matrix: Array) -> Array:
    return (matrix + matrix.T) / 2


class _Parts:
    """Running totals over chunks of patterns."""

    def __init__(self, q: int, information: bool) -> None:
        self.q = q
        self.log_likelihood = 0.0
        self.mean = np.zeros(q)
        self.covariance = np.zeros((q, q))
        size = q * q if information else 0
        self.inverse = np.zeros((q, q))
        self.mixed = np.zeros((size, q if information else 0))
        self.square = np.zeros((size, size))

    def add_information(self, inverse: Array, weighted: Array, v: Array, outer: Array) -> None:
        flat = inverse.reshape(len(inverse), -1)
        half = (outer - 0.5 * weighted).reshape(len(outer), -1)
        self.inverse += weighted.sum(axis=0)
        self.mixed += flat.T @ v
        self.square += flat.T @ half

    def finish(self, weight: float) -> Score:
        matrix = self._information() if len(self.square) else None
        return Score(self.log_likelihood, self.mean, self.covariance, weight, matrix)

    def _information(self) -> Array:
        q = self.q
        first, second = np.triu_indices(q)
        # square[jk, li] = Σ A_jk G_li; the form is Σ dΣ_ij A_jk dΣ_kl G_li
        form = self.square.reshape(q, q, q, q).transpose(3, 0, 1, 2).reshape(q * q, q * q)
        pick = _duplication(q, first, second)
        covariances = pick.T @ (form + form.T) / 2 @ pick
        mixed = self.mixed.reshape(q, q, q)  # A_ik v_l
        both = mixed[:, first, second] + mixed[:, second, first]
        means_covariances = np.where(first == second, both / 2, both)
        return np.block([[self.inverse, means_covariances], [means_covariances.T, covariances]])


def _duplication(q: int, first: Array, second: Array) -> Array:
    """Matrix that spreads a packed triangle over the full symmetric matrix."""
    matrix = np.zeros((q * q, len(first)))
    packed = np.arange(len(first))
    matrix[first * q + second, packed] = 1.0
    matrix[second * q + first, packed] = 1.0
    return matrix
