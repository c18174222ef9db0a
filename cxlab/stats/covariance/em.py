"""Maximum likelihood for incomplete multivariate-normal answers, from pattern sums.

With A the inverse covariance of a pattern's known columns (0 elsewhere) and r a row's
deviation from the mean, v = A r carries all that a row says: the score of the mean is Σ v
and that of the covariance ½ Σ (v vᵀ − A). One EM step is μ + Σ·mean(v) and
Σ + Σ·mean(v vᵀ − A)·Σ less the square of the mean's step, so rows are never imputed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from cxlab.stats.covariance.covariance import pair_sums, pairwise_covariance, repair
from cxlab.stats.covariance.sums import Cells, join_cells, merge_cells, unpack

Array = np.ndarray
Place = tuple[Array, Array]

#: Part of the way from pairwise correlations to none at which EM starts.
START_SHRINKAGE = 0.1
#: EM steps before Newton's method takes over, and in all.
FIRST_STEPS = 3
MAX_STEPS = 2000
#: Stop when the score moves no standardised parameter by more than this.
TOLERANCE = 1e-9
#: Parts of a Newton step that are tried.
PARTS = (1.0, 0.5, 0.25, 0.1, 0.03)
#: Above this many columns the information matrix is not formed (its side is q(q + 3)/2).
MAX_INFORMATION = 60
#: Weight of the empirical prior, of that of the answers, where they alone don't suffice.
PRIOR_SHARE = 0.01
#: Rows per column below which a prior would say more than the answers.
PRIOR_ROWS = 3
#: Smallest eigenvalue of a correlation matrix that is inverted.
SMALLEST_EIGENVALUE = 1e-9
#: An eigenvalue as small as this says that EM is on its way to a matrix without a maximum.
NEARLY_SINGULAR = 1e-5


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
    most_steps: int = MAX_STEPS,
) -> Fit:
    """Maximum-likelihood mean and covariance of incomplete answers.

    A few EM steps, then Newton steps with the observed information. Far from the maximum
    that may not be positive: its eigenvalues are taken without their signs, so that each
    step, or a part of it, climbs. Where none does, an EM step takes its place.

    Parameters
    ----------
    cells : Cells
        Of one group, with every column varying and every pair of columns seen together.
    start : tuple of ndarray, optional
        Mean and covariance to start from, near enough for Newton's method.
    tolerance : float
        Stop when no standardised parameter moves by more.
    most_steps : int
        Stop after so many steps all the same; the result says so.

    Raises
    ------
    NoMaximumError
        If the answers are too few, or too much alike, for a maximum inside the possible
        matrices.
    """
    place = start or starting_values(cells)
    if start is None and not is_positive(place[1]):
        raise NoMaximumError(
            "`columns` must vary for missing='em'; got one in which all answers are alike. "
            "Leave it out."
        )
    current = score(cells, *place)
    first = FIRST_STEPS if start is None else 0
    for step in range(1, most_steps + 1):
        leap, reached = (None, None) if step <= first else _leap(cells, place, current)
        if leap is None or reached is None:
            leap = em_step(current, *place)
            reached = score(cells, *leap) if is_positive(leap[1]) else None
        if reached is None or not is_positive(leap[1], NEARLY_SINGULAR):
            raise NoMaximumError(
                "`missing='em'` must find enough answers to distinguish the columns; got some "
                "that are combinations of others wherever they are known together. Use "
                "missing='pairwise', or leave out a column."
            )
        size = _step_size(leap, place)
        place, current = leap, reached
        if size < tolerance:
            return Fit(*place, current.log_likelihood, step, True)
    return Fit(*place, current.log_likelihood, most_steps, False)


def _leap(cells: Cells, place: Place, current: Score) -> tuple[Place, Score] | tuple[None, None]:
    """Where Newton's method leads, whole or in part, and the score there, if it is better."""
    if len(place[0]) > MAX_INFORMATION:
        return None, None
    whole = score(cells, *place, information=True)
    shift, change = _newton_step(np.asarray(whole.information), _slope(whole), place[1])
    for part in PARTS:
        leap = place[0] + part * shift, place[1] + part * change
        reached = _better(cells, leap, current.log_likelihood)
        if reached is not None:
            return leap, reached
    return None, None


def fit_possible(cells: Cells) -> tuple[Fit, float]:
    """As `fit_normal`, with an empirical prior where the answers alone have no maximum.

    Parameters
    ----------
    cells : Cells
        Of one group, with every pair of columns seen together. A column that does not vary
        is set aside: it has its value for a mean, and covariances of 0.

    Returns
    -------
    fit : Fit
    prior : float
        Weight of the prior; 0 where none was needed. The fit is that of
        ``with_prior(cells, prior)``.

    Raises
    ------
    NoMaximumError
        With fewer than `PRIOR_ROWS` rows a column.

    References
    ----------
    Honaker, King & Blackwell (2011), Amelia II, J. Stat. Software 45(7).
    """
    mean, matrix = pairwise_covariance(pair_sums(cells))
    varying = np.diagonal(matrix) > 0
    if not varying.all():
        return _beside_constants(cells, mean, varying)
    try:
        return fit_normal(cells), 0.0
    except NoMaximumError:
        if cells.n.sum() < PRIOR_ROWS * cells.observed.shape[1]:
            raise
        prior = PRIOR_SHARE * float(cells.weight.sum())
        return fit_normal(with_prior(cells, prior)), prior


def _beside_constants(cells: Cells, mean: Array, varying: Array) -> tuple[Fit, float]:
    """The fit of the columns that vary; the others' means, and covariances of 0."""
    covariance = np.zeros((len(mean), len(mean)))
    if not varying.any():
        return Fit(mean, covariance, 0.0, 0, True), 0.0
    first, second = np.triu_indices(len(mean))
    inner = replace(
        cells,
        observed=cells.observed[:, varying],
        sums=cells.sums[:, varying],
        products=cells.products[:, varying[first] & varying[second]],
    )
    fit, prior = fit_possible(merge_cells(inner, []))
    covariance[np.ix_(varying, varying)] = fit.covariance
    mean = mean.copy()
    mean[varying] = fit.mean
    return replace(fit, mean=mean, covariance=covariance), prior


def with_prior(cells: Cells, weight: float) -> Cells:
    """The cells, and one more of so much weight in which the columns are independent.

    It holds each column's own mean and spread, and no row: counts stay.
    """
    if not weight:
        return cells
    mean, matrix = pairwise_covariance(pair_sums(cells))
    first, second = np.triu_indices(len(mean))
    products = np.outer(mean, mean) + np.diag(np.diagonal(matrix))
    prior = Cells(
        keys=cells.keys.iloc[:1],
        observed=np.ones((1, len(mean)), dtype=bool),
        n=np.zeros(1, dtype=cells.n.dtype),
        weight=np.array([weight]),
        weight_squares=np.zeros(1),
        sums=weight * mean[None, :],
        products=weight * products[first, second][None, :],
    )
    return join_cells([cells, prior])


def prior_note(prior: float) -> str:
    """What `fit_possible` did, in words; empty where it needed no prior."""
    if not prior:
        return ""
    return (
        f"Too few answers to tell all columns apart: a prior of the weight of {prior:.1f} rows "
        f"({PRIOR_SHARE:.0%}) pulls the correlations towards none."
    )


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
    return mean + shift, (updated + updated.T) / 2


def starting_values(cells: Cells) -> tuple[Array, Array]:
    """Means and spreads of the known answers, with shrunken pairwise correlations."""
    mean, matrix = pairwise_covariance(pair_sums(cells))
    usable, _ = repair(matrix)
    shrunk = START_SHRINKAGE * np.diag(np.diagonal(matrix)) + (1 - START_SHRINKAGE) * usable
    return mean, shrunk


def unpack_parameters(parameters: Array, q: int) -> tuple[Array, Array]:
    """Means, shape (…, q), and symmetric matrices, shape (…, q, q), from one vector each."""
    return parameters[..., :q], unpack(parameters[..., q:], q)


def _newton_step(information: Array, slope: Array, covariance: Array) -> Place:
    """Changes of mean and covariance, in units of the columns' own spread."""
    deviation = np.sqrt(np.diagonal(covariance))
    first, second = np.triu_indices(len(covariance))
    scale = np.concatenate([deviation, deviation[first] * deviation[second]])
    standard = information * np.outer(scale, scale)
    step = scale * _climb(standard, scale * slope)
    return unpack_parameters(step, len(covariance))


def _climb(information: Array, slope: Array) -> Array:
    """Newton's step, with the eigenvalues' absolute values where some are negative."""
    try:
        return np.asarray(cho_solve(cho_factor(information), slope))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(information)
        usable = np.maximum(np.abs(values), SMALLEST_EIGENVALUE * np.abs(values).max())
        return np.asarray(vectors @ (vectors.T @ slope / usable))


def _better(cells: Cells, moved: tuple[Array, Array] | None, log_likelihood: float) -> Score | None:
    """The score at the new values, if they are possible and no worse."""
    if moved is None or not is_positive(moved[1]):
        return None
    reached = score(cells, *moved)
    slack = 1e-10 * max(1.0, abs(log_likelihood))
    return reached if reached.log_likelihood >= log_likelihood - slack else None


def is_positive(covariance: Array, smallest_allowed: float = SMALLEST_EIGENVALUE) -> bool:
    """Whether every eigenvalue of the correlations is larger than that allowed."""
    variance = np.diagonal(covariance)
    if not np.isfinite(covariance).all() or (variance <= 0).any():
        return False
    scale = 1 / np.sqrt(variance)
    smallest = np.linalg.eigvalsh(covariance * np.outer(scale, scale))[0]
    return bool(smallest > smallest_allowed)


class NoMaximumError(ValueError):
    """The likelihood grows towards an impossible covariance matrix."""


def _step_size(new: tuple[Array, Array], old: tuple[Array, Array]) -> float:
    scale = np.sqrt(np.diagonal(old[1]))
    shift = np.abs((new[0] - old[0]) / scale).max()
    return float(max(shift, np.abs((new[1] - old[1]) / np.outer(scale, scale)).max()))


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
        form = self.square.reshape(q, q, q, q).transpose(3, 0, 1, 2)
        form = form + form.transpose(2, 3, 0, 1)
        # a packed covariance stands for both of its places, a variance for one
        form = form + form.transpose(1, 0, 2, 3)
        form = form + form.transpose(0, 1, 3, 2)
        once = np.where(first == second, 0.5, 1.0)
        covariances = form[first, second][:, first, second] * np.outer(once, once) / 2
        mixed = self.mixed.reshape(q, q, q)  # A_ik v_l
        both = mixed[:, first, second] + mixed[:, second, first]
        means_covariances = np.where(first == second, both / 2, both)
        return np.block([[self.inverse, means_covariances], [means_covariances.T, covariances]])
