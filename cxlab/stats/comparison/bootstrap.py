"""Replicates of every quantity: customers drawn with all their rows, everything refitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from cxlab.stats.comparison.bounds import bounds
from cxlab.stats.comparison.quantities import Engine, Shares, fit_all, quantities
from cxlab.stats.comparison.tilting import Tilts, tilted

#: Bounds are wide; their own sampling error needs fewer replicates than the estimates.
BOUND_REPLICATES = 100
#: Every slope is fitted again in each of these: enough for an interval of a sensitivity row.
TILT_REPLICATES = 200
#: Numbers in one block of replicates: 8 bytes each, so 160 MB.
BLOCK_NUMBERS = 20_000_000

Limits = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Replicates:
    """Quantities and bounds of the data and of each bootstrap replicate.

    Attributes
    ----------
    estimate : dict of str to ndarray, shape (11, 1)
        Shares of the scores.
    replicates : dict of str to ndarray, shape (11, replicates)
    bounds : dict of bool to dict
        By whether non-response is unknown too: low and high of the data.
    bound_replicates : dict of bool to dict
        The same of the replicates.
    tilts, tilt_replicates : dict of (str, float) to dict
        Standardised quantities if answering a survey depends on the score by some slope.
    n : int
        Replicates.
    n_not_converged : int
    """

    estimate: Shares
    replicates: Shares
    bounds: dict[bool, Limits]
    bound_replicates: dict[bool, Limits]
    tilts: Tilts
    tilt_replicates: Tilts
    n: int
    n_not_converged: int

    def at(self, transactional: float, relationship: float) -> Replicates:
        """The same if answering depends on the score with these slopes."""
        keys = (("transactional", transactional), ("relationship", relationship))
        estimate, many, n = dict(self.estimate), dict(self.replicates), 0
        for key in keys:
            estimate |= self.tilts[key]
            many |= self.tilt_replicates.get(key, {name: _none() for name in self.tilts[key]})
            n = many[next(iter(self.tilts[key]))].shape[1]
        return replace(
            self, estimate=estimate, replicates={q: m[:, :n] for q, m in many.items()}, n=n
        )


def replicate(
    engine: Engine, n: int, rng: np.random.Generator, slopes: Mapping[str, Sequence[float]]
) -> Replicates:
    """Estimate, and bootstrap ``n`` times.

    Parameters
    ----------
    engine : Engine
    n : int
        Replicates, 0 or more.
    rng : numpy.random.Generator
    slopes : mapping of str to sequence of float
        Survey to the slopes at which it is tilted.
    """
    ones = np.ones((engine.n_units, 1))
    chances = fit_all(engine, ones)
    starts = {name: fit.coefficients[:, 0] for name, fit in chances.fits.items()}
    estimate = quantities(engine, chances, ones)
    exact = {k: bounds(engine, chances, ones, estimate, response=k) for k in (False, True)}
    parts: list[Shares] = []
    limits: dict[bool, list[Limits]] = {False: [], True: []}
    tilts: list[Tilts] = []
    failed = 0
    for size in _blocks(engine, n):
        times = draw_units(engine.n_units, size, rng)
        fitted = fit_all(engine, times, starts)
        failed += int(sum((~fit.converged).sum() for fit in fitted.fits.values()))
        parts.append(quantities(engine, fitted, times))
        done = sum(part["B0"].shape[1] for part in parts) - size
        few = times[:, : max(0, BOUND_REPLICATES - done)]
        if few.shape[1]:
            narrow = fitted.first(few.shape[1])
            shares = {q: part[:, : few.shape[1]] for q, part in parts[-1].items()}
            for k in limits:
                limits[k].append(bounds(engine, narrow, few, shares, response=k))
        some = times[:, : max(0, TILT_REPLICATES - done)]
        if some.shape[1]:
            tilts.append(tilted(engine, fitted.first(some.shape[1]), some, slopes))
    return Replicates(
        estimate=estimate,
        replicates={q: np.hstack([p[q] for p in parts]) if parts else _none() for q in estimate},
        bounds=exact,
        bound_replicates={k: _joined(found) for k, found in limits.items()},
        tilts=tilted(engine, chances, ones, slopes),
        tilt_replicates=_joined_tilts(tilts),
        n=n,
        n_not_converged=failed,
    )


def draw_units(n_units: int, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """How often each unit is drawn in each replicate: shape (units, replicates)."""
    picks = rng.integers(0, n_units, size=(replicates, n_units))
    picks += n_units * np.arange(replicates)[:, None]
    counts = np.bincount(picks.ravel(), minlength=n_units * replicates)
    return np.ascontiguousarray(counts.reshape(replicates, n_units).T.astype(float))


def resample(sums: sparse.csr_matrix, n: int, rng: np.random.Generator) -> np.ndarray:
    """Totals of sums over the units, (sums, units), in each replicate: (sums, replicates)."""
    size = max(1, BLOCK_NUMBERS // sums.shape[1])
    blocks = [min(size, n - done) for done in range(0, n, size)]
    parts = [sums @ draw_units(sums.shape[1], block, rng) for block in blocks]
    return np.hstack([np.empty((sums.shape[0], 0)), *parts])


def _blocks(engine: Engine, n: int) -> list[int]:
    rows = max(
        engine.n_units,
        len(engine.relationship.asked.customer),
        len(engine.transactional.answered),
        engine.transactional.patterns.n * 8,
    )
    size = int(max(1, min(n, BLOCK_NUMBERS // max(rows, 1))))
    whole, rest = divmod(n, size) if n else (0, 0)
    return [size] * whole + ([rest] if rest else [])


def _none() -> np.ndarray:
    return np.empty((11, 0))


def _joined_tilts(found: list[Tilts]) -> Tilts:
    return {
        key: {q: np.hstack([part[key][q] for part in found]) for q in found[0][key]}
        for key in (found[0] if found else ())
    }


def _joined(found: list[Limits]) -> Limits:
    if not found:
        return {}
    joined = {}
    for name in found[0]:
        low, high = (np.concatenate([part[name][side] for part in found]) for side in (0, 1))
        joined[name] = (low, high)
    return joined
