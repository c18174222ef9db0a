"""EM of incomplete rows by way of one inverse a row, as it was before patterns: the oracle."""

import numpy as np


def inverses(covariance, known):
    """Inverse of each row's known block, 0 elsewhere, and its log-determinant."""
    both = known[:, :, None] & known[:, None, :]
    padded = np.where(both, covariance, np.eye(len(covariance)))
    return np.where(both, np.linalg.inv(padded), 0.0), np.linalg.slogdet(padded)[1]


def score(rows, weight, mean, covariance):
    """Log-likelihood, Σ v and Σ (v vᵀ − A), with A the inverse and v = A · deviation."""
    known = ~np.isnan(rows)
    inverse, log_determinant = inverses(covariance, known)
    v = np.einsum("rij,rj->ri", inverse, np.where(known, rows - mean, 0.0))
    fit = np.einsum("ri,ij,rj->r", v, covariance, v)
    likelihood = -0.5 * weight @ (log_determinant + fit)
    outer = v[:, :, None] * v[:, None, :] - inverse
    return likelihood, weight @ v, np.einsum("r,rij->ij", weight, outer)


def em_step(rows, weight, mean, covariance):
    """Where one step of EM leads."""
    _, slope, bend = score(rows, weight, mean, covariance)
    shift = covariance @ slope / weight.sum()
    change = covariance @ bend @ covariance / weight.sum()
    moved = covariance + change - np.outer(shift, shift)
    return mean + shift, (moved + moved.T) / 2


def em(rows, weight, steps=20_000):
    """EM to the end."""
    mean, covariance = np.nanmean(rows, axis=0), np.diag(np.nanvar(rows, axis=0))
    for _ in range(steps):
        place = em_step(rows, weight, mean, covariance)
        moved = np.abs(place[1] - covariance).max()
        mean, covariance = place
        if moved < 1e-11:
            break
    return mean, covariance


def unit_scores(rows, weight, mean, covariance, unit, n_units):
    """Scores of the means and the packed covariances, added up by unit."""
    first, second = np.triu_indices(len(mean))
    factor = np.where(first == second, 0.5, 1.0)
    scores = np.zeros((n_units, len(mean) + len(first)))
    for row, one in enumerate(unit):
        _, slope, bend = score(rows[[row]], weight[[row]], mean, covariance)
        scores[one] += np.concatenate([slope, bend[first, second] * factor])
    return scores


def information(rows, weight, mean, covariance, *, expected=False):
    """Observed or expected information of the means and the packed covariances, pair by pair."""
    known = ~np.isnan(rows)
    inverse = inverses(covariance, known)[0]
    v = np.einsum("rij,rj->ri", inverse, np.where(known, rows - mean, 0.0))
    q = len(mean)
    pairs = list(zip(*np.triu_indices(q), strict=True))
    directions = []
    for one, two in pairs:
        direction = np.zeros((q, q))
        direction[one, two] = direction[two, one] = 1.0
        directions.append(direction)
    whole = np.zeros((q + len(pairs), q + len(pairs)))
    whole[:q, :q] = np.einsum("r,rij->ij", weight, inverse)
    pull = np.einsum("ri,rj->rij", v, v) - 0.5 * inverse
    if expected:
        pull = 0.5 * inverse
    for place, direction in enumerate(directions):
        moved = np.einsum("rij,jk,rk->ri", inverse, direction, v)
        if not expected:
            whole[:q, q + place] = whole[q + place, :q] = weight @ moved
        for other, change in enumerate(directions):
            form = np.einsum("rij,jk,rkl,li->r", inverse, direction, pull, change)
            whole[q + place, q + other] += 0.5 * weight @ form
            whole[q + other, q + place] += 0.5 * weight @ form
    return whole
