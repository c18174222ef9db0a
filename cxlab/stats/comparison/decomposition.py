"""tNPS − rNPS taken apart: a table of terms with intervals, status and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from cxlab.stats.comparison.bootstrap import Replicates
from cxlab.stats.comparison.quantities import MEANINGS, NPS_VALUES
from cxlab.stats.comparison.terms import (
    ABOUT,
    FORMULAS,
    ONE_WAY,
    QUANTITIES,
    QUANTITY_COEFFICIENTS,
    TERMS,
    TOTALS,
    check_sum,
    combine,
)
from cxlab.stats.comparison.tilting import pairs_of_slopes
from cxlab.stats.inference import t_quantile

#: Of everything that stands for those who did not answer too.
ASSUMPTION = "if answering depends on the frame variables only"
ASSUMED = f"{ASSUMPTION}; else the bounds"
COLLECTED = "identified"
NOT_IDENTIFIED = "not identified"
NEEDS_FRAME = "needs the frame of customers and the invitations with unsampled and suppressed rows"
#: Quantities that stand for people or episodes beyond the answers at hand.
STANDARDISED = {"transactional": ("B2", "B3"), "relationship": ("C0", "C1", "C2")}


@dataclass(frozen=True)
class Identification:
    """Why the quantities of a survey are not identified; empty where they are.

    Attributes
    ----------
    transactional, relationship : str
    widest : bool
        Nothing is assumed of those who did not answer: bounds instead of estimates.
    """

    transactional: str = ""
    relationship: str = ""
    widest: bool = False

    def reason(self, coefficients: dict[str, float]) -> str:
        """Why this combination of quantities is not identified; empty if it is."""
        reasons = [
            getattr(self, survey)
            for survey, names in STANDARDISED.items()
            if getattr(self, survey) and any(name in coefficients for name in names)
        ]
        return "; ".join(dict.fromkeys(reasons))


def points(shares: np.ndarray, values: np.ndarray = NPS_VALUES) -> np.ndarray:
    """Metric of each column of shares: NPS in points by default."""
    return values @ shares


def combination(
    result: Replicates, name: str, values: np.ndarray = NPS_VALUES
) -> tuple[float, np.ndarray]:
    """A quantity, term or total, and its replicates, in any metric."""
    coefficients = QUANTITY_COEFFICIENTS[name]
    one = {q: points(result.estimate[q], values) for q in coefficients}
    many = {q: points(result.replicates[q], values) for q in coefficients}
    return float(combine(one, coefficients)[0]), combine(many, coefficients)[: result.n]


def interval(
    replicates: np.ndarray, level: float, customers: float = np.inf
) -> tuple[float, float, float]:
    """Standard error and percentile limits; NaN with fewer than two finite replicates.

    With few ``customers`` the percentile interval is too short: its level is raised by as
    much as t's interval is wider than the normal one (Hesterberg 2015).
    """
    finite = replicates[np.isfinite(replicates)]
    if len(finite) < 2:
        return np.nan, np.nan, np.nan
    tail = (1 - level) / 2
    if 1 < customers < np.inf:
        wider = np.sqrt(customers / (customers - 1))
        tail = float(norm.cdf(-wider * t_quantile(level, customers - 1)))
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(finite.std(ddof=1)), float(low), float(high)


def decompose(result: Replicates, known: Identification, *, level: float) -> pd.DataFrame:
    """Table of the six terms, their totals and the gap.

    Returns
    -------
    DataFrame
        ``term, about, kind`` (term or total), ``estimate, se, ci_low, ci_high`` in points,
        ``share`` of the gap, ``bound_low, bound_high`` (worst case where the term is not
        identified; otherwise over what non-response could be), ``status``, ``formula``,
        ``note``. A term that is not identified has no estimate; its ``ci_low, ci_high`` are
        the bounds widened by their sampling error.

    Raises
    ------
    ArithmeticError
        When the terms of the data or of any replicate don't add to the gap.
    """
    check_sum({q: points(shares) for q, shares in result.estimate.items()})
    check_sum({q: points(shares) for q, shares in result.replicates.items()})
    gap, _ = combination(result, "gap")
    rows = [_row(result, name, known, level=level, gap=gap) for name in (*TERMS, *TOTALS)]
    return pd.DataFrame(rows)


def _row(
    result: Replicates, name: str, known: Identification, *, level: float, gap: float
) -> dict[str, object]:
    estimate, replicates = combination(result, name)
    se, low, high = interval(replicates, level)
    reason = known.reason(QUANTITY_COEFFICIENTS[name])
    needs_frame = any(q not in ("A0", "B0", "B1") for q in QUANTITY_COEFFICIENTS[name])
    status = ASSUMED if needs_frame else COLLECTED
    # without a reason the bounds answer "what if those who were silent differ?"
    response = known.widest or not reason
    bound = (estimate, estimate)
    if needs_frame:
        sides = result.bounds[response][name]
        bound = (float(sides[0][0]), float(sides[1][0]))
    if reason:
        low, high = _outer(result.bound_replicates[response], name, level, *bound)
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
        "formula": FORMULAS[name],
        "note": reason,
    }


TILTED_TERMS = (
    "transactional response",
    "relationship response and contact rules",
    "residual",
    "standardised gap",
)


def tilting_table(
    result: Replicates, limits: Mapping[str, float], known: Identification, *, level: float
) -> pd.DataFrame:
    """Both response terms, the residual and the standardised gap at each pair of slopes.

    Parameters
    ----------
    result : Replicates
    limits : mapping of str to float
        From `check_limits`.
    known : Identification
        Terms that are not identified for another reason are left out.
    level : float

    Returns
    -------
    DataFrame
        ``answering`` (in which survey it depends on the score), ``slope_transactional,
        slope_relationship`` (change of the log odds of answering per score point),
        ``term, estimate, se, ci_low, ci_high`` in points, ``note``.
    """
    terms = [name for name in TILTED_TERMS if not known.reason(QUANTITY_COEFFICIENTS[name])]
    rows = []
    for answering, slope_t, slope_r, note in pairs_of_slopes(limits):
        there = result.at(slope_t, slope_r)
        for name in terms:
            estimate, replicates = combination(there, name)
            numbers = (estimate, *interval(replicates, level))
            rows.append((answering, slope_t, slope_r, name, *numbers, note))
    columns = ["answering", "slope_transactional", "slope_relationship", "term", "estimate", "se",
               "ci_low", "ci_high", "note"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def one_way(result: Replicates, known: Identification, *, level: float) -> pd.DataFrame:
    """Residual and unit weighting in each of the two orders: ``version, estimate, …``."""
    rows = [_one_way_row(result, name, known, level) for name in ONE_WAY]
    return pd.DataFrame(rows)


def _one_way_row(
    result: Replicates, name: str, known: Identification, level: float
) -> dict[str, object]:
    estimate, replicates = combination(result, name)
    se, low, high = interval(replicates, level)
    reason = known.reason(ONE_WAY[name])
    if reason:
        estimate, se, low, high = np.nan, np.nan, np.nan, np.nan
    return {
        "version": name,
        "estimate": estimate,
        "se": se,
        "ci_low": low,
        "ci_high": high,
        "status": NOT_IDENTIFIED if reason else ASSUMED,
    }


def bounds_table(result: Replicates, *, unreachable: bool, level: float) -> pd.DataFrame:
    """Bounds of every standardised quantity and term under each assumption.

    Without ``unreachable`` customers there is nothing to bound under the first one.

    Returns
    -------
    DataFrame
        ``quantity, assumption, bound_low, bound_high`` in points, and ``ci_low, ci_high``,
        the bounds widened by their sampling error.
    """
    words = {
        False: "answers depend on the frame variables only; nothing assumed of those who could "
        "not be asked",
        True: "nothing assumed of those who were asked and did not answer, or could not be asked",
    }
    rows = []
    for response in (False, True) if unreachable else (True,):
        for name in (*QUANTITIES[1:4], *QUANTITIES[6:], *TERMS, *TOTALS):
            if name in ("mix", "gap"):
                continue
            low, high = (float(side[0]) for side in result.bounds[response][name])
            outer = _outer(result.bound_replicates[response], name, level, low, high)
            rows.append((name, words[response], low, high, *outer))
    columns = ["quantity", "assumption", "bound_low", "bound_high", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=columns)


def _outer(
    replicates: dict[str, tuple[np.ndarray, np.ndarray]],
    name: str,
    level: float,
    low: float,
    high: float,
) -> tuple[float, float]:
    if name not in replicates:
        return np.nan, np.nan
    _, below, _ = interval(replicates[name][0], level)
    _, _, above = interval(replicates[name][1], level)
    return min(below, low), max(above, high)


def no_decomposition(gap: float, se: float, low: float, high: float) -> pd.DataFrame:
    """The same table where nothing can be standardised: the gap alone."""
    row = {
        "term": "gap",
        "about": "",
        "kind": "total",
        **dict(zip(("estimate", "se", "ci_low", "ci_high"), (gap, se, low, high), strict=True)),
        "share": 1.0,
        "bound_low": gap,
        "bound_high": gap,
        "status": COLLECTED,
        "formula": FORMULAS["gap"],
        "note": "",
    }
    return pd.DataFrame([row])


def quantity_table(result: Replicates, known: Identification, *, level: float) -> pd.DataFrame:
    """The eight quantities: ``quantity, meaning, estimate, se, ci_low, ci_high, status``."""
    rows = []
    for name in QUANTITIES:
        estimate, replicates = combination(result, name)
        se, low, high = interval(replicates, level)
        reason = known.reason({name: 1.0})
        status = COLLECTED if name in ("A0", "B0", "B1") else ASSUMED
        if reason:
            estimate, se, low, high, status = np.nan, np.nan, np.nan, np.nan, NOT_IDENTIFIED
        rows.append((name, MEANINGS[name], estimate, se, low, high, status, reason))
    columns = ["quantity", "meaning", "estimate", "se", "ci_low", "ci_high", "status", "note"]
    return pd.DataFrame(rows, columns=columns)
