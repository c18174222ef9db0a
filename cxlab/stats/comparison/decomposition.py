"""The terms of tNPS − rNPS as collected, with intervals, status and bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import norm

from cxlab.stats.comparison.asked import Collected, collect_window
from cxlab.stats.comparison.contract import Rules, declared_rules
from cxlab.stats.comparison.nonresponse import (
    CHECKS,
    Identification,
    Limits,
    Tilts,
    bounds,
    check_limits,
    identification,
    pairs_of_slopes,
    response_check,
    slopes_of,
    tilted,
    tipping_points,
)
from cxlab.stats.comparison.programme import ProgrammeData
from cxlab.stats.comparison.quantities import (
    ABOUT,
    NPS_VALUES,
    QUANTITY_COEFFICIENTS,
    TERMS,
    TOTALS,
    Chances,
    Shares,
    Weighting,
    answer_weights,
    build_weighting,
    check_sum,
    combine,
    fit_all,
    quantities,
)
from cxlab.stats.inference import LEVEL, t_quantile

#: Of everything that stands for those who did not answer too.
ASSUMPTION = "if answering depends on the frame variables only"
ASSUMED = f"{ASSUMPTION}; else the bounds"
COLLECTED = "identified"
NOT_IDENTIFIED = "not identified"
NEEDS_FRAME = "needs the frame of customers and the invitations with unsampled and suppressed rows"
NOTHING_KNOWN = Identification(NEEDS_FRAME, NEEDS_FRAME)
TILTING = ["answering", "slope_transactional", "slope_relationship", "term", "estimate", "se",
           "ci_low", "ci_high", "note"]  # fmt: skip
TILTED_TERMS = (
    "transactional response",
    "relationship response and contact rules",
    "residual",
    "standardised gap",
)
#: Bounds are wide; their own sampling error needs fewer replicates than the estimates.
BOUND_REPLICATES = 100
#: Every slope is fitted again in each of these: enough for an interval of a sensitivity row.
TILT_REPLICATES = 200
#: Numbers in one block of replicates: 8 bytes each, so 160 MB.
BLOCK_NUMBERS = 20_000_000
#: Replicates that differ by less are the same but for rounding; in points.
SAME_VALUE = 1e-9


@dataclass(frozen=True, eq=False)
class Replicates:
    """Quantities and bounds of the data and of each bootstrap replicate.

    Attributes
    ----------
    chances : Chances
        Fitted to the whole data.
    estimate, replicates : dict of str to ndarray, shape (11, 1) and (11, replicates)
        Shares of the scores.
    silent, unreached : dict of str to ndarray, shape (2, 1)
        Bounds if nothing is known of those who did not answer; if that holds only of those who
        could not be asked (empty where everybody could).
    unreached_replicates : dict of str to ndarray, shape (2, replicates)
    tilts, tilt_replicates : dict of (str, float) to dict
        Standardised quantities if answering a survey depends on the score by some slope.
    n, n_not_converged : int
        Replicates; fits that did not converge in them.
    """

    chances: Chances
    estimate: Shares
    replicates: Shares
    silent: Limits
    unreached: Limits
    unreached_replicates: Limits
    tilts: Tilts
    tilt_replicates: Tilts
    n: int
    n_not_converged: int

    def at(self, transactional: float, relationship: float) -> Replicates:
        """The same if answering depends on the score with these slopes."""
        keys = (("transactional", transactional), ("relationship", relationship))
        estimate, many = dict(self.estimate), dict(self.replicates)
        for key in keys:
            estimate |= self.tilts[key]
            many |= self.tilt_replicates.get(key, {name: _none() for name in self.tilts[key]})
        n = many["B2"].shape[1]
        return replace(
            self, estimate=estimate, replicates={q: m[:, :n] for q, m in many.items()}, n=n
        )


def replicate(
    weighting: Weighting, n: int, rng: np.random.Generator, slopes: Mapping[str, Sequence[float]]
) -> Replicates:
    """Estimate, and bootstrap customers with all their rows ``n`` times; refit everything."""
    ones = np.ones((weighting.n_customers, 1))
    chances = fit_all(weighting, ones)
    starts = {name: fit.coefficients[:, 0] for name, fit in chances.fits.items()}
    estimate = quantities(weighting, chances, ones)
    unreachable = len(weighting.unreachable) > 0
    parts: list[Shares] = []
    limits: list[Limits] = []
    tilts: list[Tilts] = []
    failed = done = 0
    for size in _blocks(weighting, n):
        times = draw_customers(weighting.n_customers, size, rng)
        fitted = fit_all(weighting, times, starts)
        failed += int(sum((~fit.converged).sum() for fit in fitted.fits.values()))
        parts.append(quantities(weighting, fitted, times))
        few = times[:, : max(0, BOUND_REPLICATES - done)]
        if unreachable and few.shape[1]:
            shares = {q: part[:, : few.shape[1]] for q, part in parts[-1].items()}
            narrow = fitted.first(few.shape[1])
            limits.append(bounds(weighting, narrow, few, shares, response=False))
        some = times[:, : max(0, TILT_REPLICATES - done)]
        if some.shape[1]:
            tilts.append(tilted(weighting, fitted.first(some.shape[1]), some, slopes))
        done += size
    return Replicates(
        chances=chances,
        estimate=estimate,
        replicates={q: np.hstack([_none(), *(part[q] for part in parts)]) for q in estimate},
        silent=bounds(weighting, chances, ones, estimate, response=True),
        unreached=bounds(weighting, chances, ones, estimate, response=False) if unreachable else {},
        unreached_replicates=_joined(limits),
        tilts=tilted(weighting, chances, ones, slopes),
        tilt_replicates=_joined(tilts),
        n=n,
        n_not_converged=failed,
    )


def draw_customers(n_customers: int, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """How often each customer is drawn in each replicate: shape (customers, replicates)."""
    picks = rng.integers(0, n_customers, size=(replicates, n_customers))
    picks += n_customers * np.arange(replicates)[:, None]
    counts = np.bincount(picks.ravel(), minlength=n_customers * replicates)
    return np.ascontiguousarray(counts.reshape(replicates, n_customers).T.astype(float))


def resample(sums: sparse.csr_matrix, n: int, rng: np.random.Generator) -> np.ndarray:
    """Totals of (sums, customers) in each replicate: shape (sums, replicates)."""
    size = max(1, BLOCK_NUMBERS // sums.shape[1])
    blocks = [min(size, n - done) for done in range(0, n, size)]
    parts = [sums @ draw_customers(sums.shape[1], block, rng) for block in blocks]
    return np.hstack([np.empty((sums.shape[0], 0)), *parts])


def _blocks(weighting: Weighting, n: int) -> list[int]:
    """Sizes of the blocks in which the replicates fit into memory."""
    rows = max(
        weighting.n_customers,
        len(weighting.relationship.asked.customer),
        len(weighting.transactional.answered),
        weighting.transactional.patterns.n * 8,
    )
    size = int(max(1, min(n, BLOCK_NUMBERS // max(rows, 1))))
    whole, rest = divmod(n, size) if n else (0, 0)
    return [size] * whole + ([rest] if rest else [])


def _none() -> np.ndarray:
    return np.empty((11, 0))


def _joined(found: Sequence[Any]) -> Any:
    """Arrays of blocks of replicates one after another, under the names that all blocks have."""
    if found and isinstance(found[0], np.ndarray):
        return np.concatenate(found, axis=-1)
    if not found:
        return {}
    return {name: _joined([block[name] for block in found]) for name in found[0]}


def combination(
    result: Replicates, name: str, values: np.ndarray = NPS_VALUES
) -> tuple[float, np.ndarray]:
    """A quantity, term or total, and its replicates, in any metric."""
    coefficients = QUANTITY_COEFFICIENTS[name]
    one = {q: values @ result.estimate[q] for q in coefficients}
    many = {q: values @ result.replicates[q] for q in coefficients}
    return float(combine(one, coefficients)[0]), combine(many, coefficients)[: result.n]


def interval(replicates: np.ndarray, customers: float = np.inf) -> tuple[float, float, float]:
    """Standard error and percentile limits; NaN with fewer than two finite replicates.

    With few ``customers`` the percentile interval is too short: its level is raised by as
    much as t's interval is wider than the normal one (Hesterberg 2015).
    """
    finite = replicates[np.isfinite(replicates)]
    if len(finite) < 2:
        return np.nan, np.nan, np.nan
    tail = (1 - LEVEL) / 2
    if 1 < customers < np.inf:
        wider = np.sqrt(customers / (customers - 1))
        tail = float(norm.cdf(-wider * t_quantile(LEVEL, customers - 1)))
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(finite.std(ddof=1)), float(low), float(high)


def spread_of(replicates: np.ndarray, customers: float = np.inf) -> tuple[float, float, float]:
    """As `interval`; unknown, not 0, where all replicates agree: no variance is no certainty."""
    finite = replicates[np.isfinite(replicates)]
    if len(finite) and np.ptp(finite) < SAME_VALUE:
        return np.nan, np.nan, np.nan
    return interval(replicates, customers)


def decompose(result: Replicates, known: Identification) -> pd.DataFrame:
    """Table of the six terms, their totals and the gap.

    ``bound_low, bound_high`` are the worst case where the term is not identified, otherwise over
    what non-response could be. A term that is not identified has no estimate; its ``ci_low,
    ci_high`` are the bounds widened by their sampling error.
    """
    check_sum({q: NPS_VALUES @ shares for q, shares in result.estimate.items()})
    check_sum({q: NPS_VALUES @ shares for q, shares in result.replicates.items()})
    gap, _ = combination(result, "gap")
    rows = [_term_row(result, name, known, gap=gap) for name in (*TERMS, *TOTALS)]
    return pd.DataFrame(rows)


def _term_row(
    result: Replicates, name: str, known: Identification, *, gap: float
) -> dict[str, object]:
    estimate, replicates = combination(result, name)
    se, low, high = interval(replicates)
    reason = known.reason(QUANTITY_COEFFICIENTS[name])
    needs_frame = any(q not in ("A0", "B0", "B1") for q in QUANTITY_COEFFICIENTS[name])
    status = ASSUMED if needs_frame else COLLECTED
    bound = (estimate, estimate)
    if needs_frame:
        # without a reason the bounds answer "what if those who were silent differ?"
        sides = (result.unreached if reason else result.silent)[name]
        bound = (float(sides[0][0]), float(sides[1][0]))
    if reason:
        low, high = _outer(result.unreached_replicates, name, *bound)
        estimate, se, status = np.nan, np.nan, NOT_IDENTIFIED
    return {
        "term": name,
        "about": ABOUT.get(name, ""),
        "kind": "term" if name in TERMS else "total",
        "estimate": estimate,
        "se": se,
        "ci_low": low,
        "ci_high": high,
        "share": estimate / gap if abs(gap) > 1e-12 else np.nan,
        "bound_low": bound[0],
        "bound_high": bound[1],
        "status": status,
        "note": reason,
    }


def _outer(replicates: Limits, name: str, low: float, high: float) -> tuple[float, float]:
    """Bounds widened by their sampling error."""
    if name not in replicates:
        return np.nan, np.nan
    _, below, _ = interval(replicates[name][0])
    _, _, above = interval(replicates[name][1])
    return min(below, low), max(above, high)


def no_decomposition(gap: float, se: float, low: float, high: float) -> pd.DataFrame:
    """The same table where nothing can be standardised: the gap alone."""
    row = {"term": "gap", "about": "", "kind": "total", "estimate": gap, "se": se, "ci_low": low,
           "ci_high": high, "share": 1.0, "bound_low": gap, "bound_high": gap,
           "status": COLLECTED, "note": ""}  # fmt: skip
    return pd.DataFrame([row])


def tilting_table(
    result: Replicates, limits: Mapping[str, float], known: Identification
) -> pd.DataFrame:
    """Both response terms, the residual and the standardised gap at each pair of slopes.

    Terms that are not identified for another reason are left out.
    """
    terms = [name for name in TILTED_TERMS if not known.reason(QUANTITY_COEFFICIENTS[name])]
    rows = []
    for answering, slope_t, slope_r, note in pairs_of_slopes(limits):
        there = result.at(slope_t, slope_r)
        for name in terms:
            estimate, replicates = combination(there, name)
            numbers = (estimate, *interval(replicates))
            rows.append((answering, slope_t, slope_r, name, *numbers, note))
    return pd.DataFrame(rows, columns=TILTING)


@dataclass(frozen=True, eq=False)
class Standardised:
    """What needs the frame and the invitations; None all through without them."""

    collected: Collected | None = None
    weighting: Weighting | None = None
    result: Replicates | None = None
    checks: pd.DataFrame = field(default_factory=pd.DataFrame)
    limits: Mapping[str, float] = field(default_factory=dict)
    known: Identification = NOTHING_KNOWN
    note: str = ""

    @property
    def reason(self) -> str:
        """Why nothing was standardised."""
        return self.note or NEEDS_FRAME

    def tables(self) -> dict[str, pd.DataFrame]:
        """Terms, tilting and response check; empty where nothing was standardised."""
        if self.result is None:
            return {
                "tilting": pd.DataFrame(columns=TILTING),
                "checks": pd.DataFrame(columns=CHECKS),
            }
        return {
            "decomposition": decompose(self.result, self.known),
            "tilting": tilting_table(self.result, self.limits, self.known),
            "checks": self.checks,
        }

    def effective_answers(self, survey: str) -> dict[str, float]:
        """(Σ w)²/Σ w² of each standardised quantity of a survey."""
        weighting, chances = self._fitted()
        side = weighting.side(survey)
        rows = side.answered
        weight = answer_weights(weighting, chances, survey, rows)[:, 0]
        m = side.asked.episodes[rows].astype(float)
        weights = {
            "transactional": {"B2": weight, "B3": weight / np.maximum(m, 1)},
            "relationship": {"C0": weight, "C1": weight * (m > 0), "C2": weight * m},
        }[survey]
        return {
            name: float(w.sum() ** 2 / (w**2).sum()) if w.sum() > 0 else 0.0
            for name, w in weights.items()
        }

    def tipping(self, residual: float) -> list[tuple[str, float]]:
        """As `tipping_points`; nothing where the residual is not shown."""
        return tipping_points(*self._fitted(), residual) if np.isfinite(residual) else []

    def _fitted(self) -> tuple[Weighting, Chances]:
        if self.weighting is None or self.result is None:
            raise ValueError(f"Nothing is standardised: {self.reason}.")
        return self.weighting, self.result.chances


def standardise(
    data: ProgrammeData,
    rules: Rules,
    periods: Sequence[str] | None,
    *,
    replicates: int,
    seed: int,
    fewest: int,
) -> Standardised:
    """Fit, bootstrap and judge what is identified; empty with a reason where that can't be."""
    lacking = needed(data)
    asked = data.invitations
    if lacking or asked is None:
        return Standardised(note=f"needs {' and '.join(lacking)}")
    found = [str(name) for name in asked["rule"].dropna().unique()]
    collected = collect_window(data, declared_rules(rules, found), periods)
    sides = {"transactional": collected.episodes, "relationship": collected.waves}
    empty = [survey for survey, rows in sides.items() if not rows.answered.any()]
    if empty:
        note = f"no valid {' and no valid '.join(empty)} answer in the window"
        return Standardised(collected, known=Identification(note, note), note=note)
    weighting = build_weighting(collected, data.traits, data.n_customers)
    if not len(weighting.relationship.answered):
        note = "nobody who answered the relationship survey had a known chance to be asked"
        return Standardised(collected, known=Identification(note, note), note=note)
    checks = response_check(weighting, fewest=fewest)
    limits = check_limits(checks)
    n = replicates if data.n_customers > 1 else 0
    return Standardised(
        collected=collected,
        weighting=weighting,
        result=replicate(weighting, n, np.random.default_rng(seed), slopes_of(limits)),
        checks=checks,
        limits=limits,
        known=identification(weighting),
    )


def needed(data: ProgrammeData) -> list[str]:
    """What is not there and would be needed to standardise."""
    found = [] if data.has_frame else ["the frame of customers"]
    asked, rows = data.invitations, "with unsampled and suppressed rows"
    if asked is None:
        return [*found, f"the invitations {rows}"]
    there = asked["transactional"]
    for survey, some in (("transactional", there.any()), ("relationship", (~there).any())):
        if not some:
            found.append(f"the {survey} survey's invitations {rows}")
    return found
