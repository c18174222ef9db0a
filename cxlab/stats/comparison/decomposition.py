"""The terms of tNPS − rNPS as collected, with intervals, status and bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from cxlab.stats.comparison.asked import Collected, collect_window
from cxlab.stats.comparison.chances import Chances, Sides, answer_weights, fit_all, sides_of
from cxlab.stats.comparison.contract import SURVEY_TYPES, Rules, declared_rules
from cxlab.stats.comparison.programme import ProgrammeData
from cxlab.stats.comparison.quantities import (
    ABOUT,
    CHECKS,
    NPS_VALUES,
    QUANTITY_COEFFICIENTS,
    TERMS,
    TOTALS,
    Limits,
    Shares,
    Tilts,
    bounds,
    check_sum,
    combine,
    quantities,
    response_check,
    tilted,
    tipping_points,
)
from cxlab.stats.inference import LEVEL, effective_number, normal_quantile
from cxlab.stats.resampling import draw_counts, expanded_level, percentile_interval

NUMBERS = ("estimate", "se", "ci_low", "ci_high")
#: Of everything that stands for those who did not answer too.
ASSUMPTION = "if answering depends on the frame variables only"
ASSUMED = f"{ASSUMPTION}; else the bounds"
COLLECTED = "identified"
NOT_IDENTIFIED = "not identified"
TILTING = ["answering", "slope_transactional", "slope_relationship", "term", *NUMBERS, "note"]
TILTED_TERMS = (
    "transactional response",
    "relationship response and contact rules",
    "residual",
    "standardised gap",
)
#: Change of the log odds of answering per point of the score that is always tried.
SLOPES = (-0.25, -0.1, 0.0, 0.1, 0.25)
AT_LIMIT = "slopes at the far end of the checks' intervals"
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
    """Quantities of the data, in the first column, and of each bootstrap replicate.

    ``sides`` and ``chances`` are what they are made of. ``silent`` are bounds of the data if nothing is known of those who did not answer,
    ``unreached`` if that holds only of those who could not be asked (empty where everybody
    could); ``tilts`` the standardised quantities if answering a survey depends on the score.
    """

    sides: Sides
    chances: Chances
    shares: Shares
    silent: Limits
    unreached: Limits
    tilts: Tilts
    n_not_converged: int

    def at(self, transactional: float, relationship: float) -> Shares:
        """The quantities if answering depends on the score with these slopes."""
        there = self.tilts["transactional", transactional]
        there = there | self.tilts["relationship", relationship]
        n = there["B2"].shape[1]
        return {name: shares[:, :n] for name, shares in self.shares.items()} | there

    def effective_answers(self, survey: str) -> dict[str, float]:
        """(Σ w)²/Σ w² of each standardised quantity of a survey."""
        side = self.sides[survey]
        rows = side.answered
        weight = answer_weights(side, self.chances, rows)[:, 0]
        factors = side.factors(rows).items()
        return {name: effective_number(weight * factor) for name, factor in factors}


def replicate(
    sides: Sides, n: int, rng: np.random.Generator, slopes: Mapping[str, Sequence[float]]
) -> Replicates:
    """Estimate, and bootstrap customers with all their rows ``n`` times; refit everything."""
    t, r = sides.values()
    n_customers, unreachable = t.cells["free"].shape[1], not r.rows["reachable"].all()
    rows = max(n_customers, len(r.rows), len(t.answered), len(t.design) * 8)
    starts: dict[str, np.ndarray] = {}
    parts: list[Shares] = []
    limits: list[Limits] = []
    tilts: list[Tilts] = []
    failed = done = 0
    for times in multipliers(n_customers, n, rng, rows=rows):
        chances = fit_all(sides, times, starts)
        parts.append(quantities(sides, chances, times))
        if not done:
            data = chances
            starts = {name: fit.coefficients[:, 0] for name, fit in chances.fits.items()}
        else:
            failed += int(sum((~fit.converged).sum() for fit in chances.fits.values()))
        if unreachable and (few := max(0, 1 + BOUND_REPLICATES - done)):
            shares = {q: part[:, :few] for q, part in parts[-1].items()}
            limits.append(bounds(sides, chances.first(few), times[:, :few], shares, response=False))
        if some := max(0, 1 + TILT_REPLICATES - done):
            tilts.append(tilted(sides, chances.first(some), times[:, :some], slopes))
        done += times.shape[1]
    return Replicates(
        sides=sides,
        chances=data,
        shares=_joined(parts),
        silent=bounds(sides, data, np.ones((n_customers, 1)), parts[0], response=True),
        unreached=_joined(limits),
        tilts=_joined(tilts),
        n_not_converged=failed,
    )


def multipliers(
    n_customers: int, n: int, rng: np.random.Generator, *, rows: int
) -> Iterator[np.ndarray]:
    """How often each customer counts: once in the data, then as drawn in replicates.

    Blocks of shape (customers, replicates), as many as fit into memory with so many rows.
    """
    yield np.ones((n_customers, 1))
    most = max(1, BLOCK_NUMBERS // max(rows, 1))
    for start in range(0, n, most):
        counts = draw_counts(rng, n_customers, n_customers, min(most, n - start))
        yield np.ascontiguousarray(counts.astype(float))


def _joined(found: Sequence[Any]) -> Any:
    """Arrays of blocks of replicates one after another, under the names that all blocks have."""
    if found and isinstance(found[0], np.ndarray):
        return np.concatenate(found, axis=-1)
    if not found:
        return {}
    return {name: _joined([block[name] for block in found]) for name in found[0]}


def combination(shares: Shares, name: str, values: np.ndarray = NPS_VALUES) -> np.ndarray:
    """A quantity, term or total of the data and of its replicates, in any metric."""
    coefficients = QUANTITY_COEFFICIENTS[name]
    return combine({q: values @ shares[q] for q in coefficients}, coefficients)


def standardised_numbers(
    shares: Shares, name: str, values: np.ndarray = NPS_VALUES
) -> dict[str, float]:
    """Estimate, standard error and interval of a quantity, term or total."""
    found = combination(shares, name, values)
    return dict(zip(NUMBERS, (float(found[0]), *interval(found[1:])), strict=True))


def interval(replicates: np.ndarray, customers: float = np.inf) -> tuple[float, float, float]:
    """Standard error and percentile limits; NaN with fewer than two finite replicates.

    Unknown, not 0, where all replicates agree: no variance is no certainty. With few ``customers``
    the percentile interval is too short: see `expanded_level`.
    """
    finite = replicates[np.isfinite(replicates)]
    if len(finite) < 2 or np.ptp(finite) < SAME_VALUE:
        return np.nan, np.nan, np.nan
    level = expanded_level(LEVEL, customers - 1) if 1 < customers < np.inf else LEVEL
    low, high = percentile_interval(finite, level)
    return float(finite.std(ddof=1)), float(low), float(high)


@dataclass(frozen=True, eq=False)
class Standardised:
    """What needs the frame and the invitations; None all through without them.

    ``lost`` says why the standardised quantities of the relationship survey are not identified;
    empty where they are. ``note`` says why nothing is standardised.
    """

    collected: Collected | None = None
    result: Replicates | None = None
    checks: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=CHECKS))
    limits: Mapping[str, float] = field(default_factory=dict)
    lost: str = ""
    note: str = ""

    def reason(self, name: str) -> str:
        """Why a quantity, term or total is not identified; empty if it is."""
        return self.lost if {"C0", "C1", "C2"} & set(QUANTITY_COEFFICIENTS[name]) else ""

    def tables(self) -> dict[str, pd.DataFrame]:
        """Terms, tilting and response check; empty where nothing was standardised."""
        if self.result is None:
            return {"tilting": pd.DataFrame(columns=TILTING), "checks": self.checks}
        return {
            "decomposition": decomposition_table(self.result, self.reason),
            "tilting": tilting_table(self.result, self.reason, self.limits),
            "checks": self.checks,
        }

    def tipping(self, residual: float) -> list[tuple[str, float]]:
        """As `tipping_points`; nothing where the residual is not shown."""
        if self.result is None or not np.isfinite(residual):
            return []
        return tipping_points(self.result.sides, self.result.chances, residual)


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
    lacking = _lacking(data)
    asked = data.invitations
    if lacking or asked is None:
        return Standardised(note=f"needs {' and '.join(lacking)}")
    found = [str(name) for name in asked["rule"].dropna().unique()]
    collected = collect_window(data, declared_rules(rules, found), periods)
    empty = [survey for survey, rows in collected.rows.items() if not rows["answered"].any()]
    if empty:
        note = f"no valid {' and no valid '.join(empty)} answer in the window"
        return Standardised(collected, note=note)
    sides = sides_of(collected, data.traits, data.n_customers)
    if sides["relationship"].answered.empty:
        note = "nobody who answered the relationship survey had a known chance to be asked"
        return Standardised(collected, note=note)
    checks = response_check(sides, fewest=fewest)
    limits = _check_limits(checks)
    slopes = {s: (*SLOPES, *([limits[s]] if s in limits else [])) for s in SURVEY_TYPES}
    n = replicates if data.n_customers > 1 else 0
    # the check decides nothing here: it would pass most programmes that answer by the score
    reachable = collected.rows["relationship"]["reachable"]
    lost = (
        f"{(~reachable).mean():.1%} of the customer base could not be asked the relationship survey"
    )
    return Standardised(
        collected=collected,
        result=replicate(sides, n, np.random.default_rng(seed), slopes),
        checks=checks,
        limits=limits,
        lost="" if reachable.all() else lost,
    )


def _lacking(data: ProgrammeData) -> list[str]:
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


def _check_limits(checks: pd.DataFrame) -> dict[str, float]:
    """The end of each check's interval that lies further from 0; absent without a check."""
    half = normal_quantile(LEVEL) * checks["se"]
    limits = checks["estimate"] + np.where(checks["estimate"] < 0, -half, half)
    return {
        str(survey): float(limit)
        for survey, limit in zip(checks["survey"], limits, strict=True)
        if np.isfinite(limit)
    }


def decomposition_table(result: Replicates, reason: Callable[[str], str]) -> pd.DataFrame:
    """The six terms, their totals and the gap; ``reason`` says why one is not identified.

    ``bound_low, bound_high`` are the worst case where the term is not identified, otherwise over
    what non-response could be. A term that is not identified has no estimate; its ``ci_low,
    ci_high`` are the bounds widened by their sampling error.
    """
    check_sum({q: NPS_VALUES @ shares for q, shares in result.shares.items()})
    gap = combination(result.shares, "gap")[0]
    rows = [
        {
            "term": name,
            "about": ABOUT.get(name, ""),
            "kind": "term" if name in TERMS else "total",
            **_term(result, name, reason(name)),
        }
        for name in (*TERMS, *TOTALS)
    ]
    table = pd.DataFrame(rows)
    share = table["estimate"] / gap if abs(gap) > 1e-12 else np.nan
    table.insert(table.columns.get_loc("bound_low"), "share", share)
    return table


def _term(result: Replicates, name: str, reason: str) -> dict[str, object]:
    row: dict[str, object] = dict(standardised_numbers(result.shares, name))
    row |= {"bound_low": row["estimate"], "bound_high": row["estimate"], "status": COLLECTED}
    if not set(QUANTITY_COEFFICIENTS[name]) <= {"A0", "B0", "B1"}:
        # without a reason the bounds answer "what if those who were silent differ?"
        low, high = (result.unreached if reason else result.silent)[name]
        row |= {"bound_low": float(low[0]), "bound_high": float(high[0]), "status": ASSUMED}
    if reason:
        _, below, _ = interval(low[1:])
        _, _, above = interval(high[1:])
        # limits that all replicates agree on are those of the data
        limits = {"ci_low": np.fmin(below, low[0]), "ci_high": np.fmax(above, high[0])}
        row |= {"estimate": np.nan, "se": np.nan, **limits, "status": NOT_IDENTIFIED}
    return row | {"note": reason}


def no_decomposition(gap: Mapping[str, float]) -> pd.DataFrame:
    """The same table where nothing can be standardised: the gap alone, with its interval."""
    row = {"term": "gap", "about": "", "kind": "total", **gap, "share": 1.0,
           "bound_low": gap["estimate"], "bound_high": gap["estimate"], "status": COLLECTED,
           "note": ""}  # fmt: skip
    return pd.DataFrame([row])


def tilting_table(
    result: Replicates, reason: Callable[[str], str], limits: Mapping[str, float]
) -> pd.DataFrame:
    """Both response terms, the residual and the standardised gap at each pair of slopes.

    Terms that are not identified for another reason are left out.
    """
    terms = [name for name in TILTED_TERMS if not reason(name)]
    rows = []
    for answering, slope_t, slope_r, note in _pairs_of_slopes(limits):
        there = result.at(slope_t, slope_r)
        rows += [
            (answering, slope_t, slope_r, name, *standardised_numbers(there, name).values(), note)
            for name in terms
        ]
    return pd.DataFrame(rows, columns=TILTING)


def _pairs_of_slopes(limits: Mapping[str, float]) -> list[tuple[str, float, float, str]]:
    """In which survey answering depends on the score, both slopes, and where they come from."""
    tried = [(slope, slope, "") for slope in SLOPES if slope]
    if limits:
        at_limit = [limits.get(survey, 0.0) for survey in SURVEY_TYPES]
        tried.append((at_limit[0], at_limit[1], AT_LIMIT))
    rows = [("neither survey", 0.0, 0.0, "")]
    rows += [("both surveys", t, r, note) for t, r, note in tried]
    rows += [("transactional only", t, 0.0, note) for t, _, note in tried if t]
    rows += [("relationship only", 0.0, r, note) for _, r, note in tried if r]
    return rows
