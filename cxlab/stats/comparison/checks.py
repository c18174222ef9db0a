"""Checks on assumptions: does response go with the score, does one survey colour the other?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from cxlab.stats.comparison.collected import Collected
from cxlab.stats.comparison.decomposition import Identification
from cxlab.stats.comparison.gaps import two_means
from cxlab.stats.comparison.margins import category
from cxlab.stats.comparison.propensity import fit_chances
from cxlab.stats.comparison.quantities import Engine, Side, incidence
from cxlab.stats.comparison.small import hide_small_rows, too_few

#: Two checks at this level each: a programme whose response depends on the frame alone is
#: called into question once in a hundred.
CHECK_LEVEL = 0.005
FOUND = "answering goes with the other survey's score"
NOT_FOUND = "not shown, which proves little: the check has little power"
MIN_CHECKED = 30
#: Customers with, and without, an invitation that the contamination check needs.
MIN_CONTACTED = 10


def response_check(engine: Engine, *, smallest: int = 1) -> pd.DataFrame:
    """Does answering one survey go with the same customer's score in the other one?

    Returns
    -------
    DataFrame
        ``survey, n`` (invited rows whose customer's other score is known; hidden with fewer
        than ``smallest`` customers), ``customers, estimate``
        (log odds of answering per score point, given cell, frame variables and episodes),
        ``se, statistic, p_value, note``.

    Notes
    -----
    If response depends on the frame variables only, it cannot go with the other survey's
    score given them. A score test of a logistic model, clustered by customer. It finds
    dependence only so far as the two scores of a customer go together, and that is rarely:
    it decides nothing, and the far end of its interval is a slope that `tilting_table` tries.
    """
    t, r = engine.transactional, engine.relationship
    rows = [
        _check_side("transactional", t, r, engine.n_units, smallest),
        _check_side("relationship", r, t, engine.n_units, smallest),
    ]
    return hide_small_rows(pd.DataFrame(rows), smallest)


def _check_side(
    survey: str, side: Side, other: Side, n_units: int, smallest: int
) -> dict[str, object]:
    rows = np.flatnonzero(side.asked.invited & side.reachable)
    partner = _customer_means(other, int(side.asked.customer.max(initial=-1)) + 1)
    rows = rows[~np.isnan(partner[side.asked.customer[rows]])]
    y = side.asked.answered[rows].astype(float)
    customers = len(np.unique(side.asked.customer[rows]))
    base: dict[str, object] = {"survey": survey, "n": len(rows), "customers": customers}
    nothing = dict.fromkeys(("estimate", "se", "statistic", "p_value"), np.nan)
    z = partner[side.asked.customer[rows]] if len(rows) else np.empty(0)
    few = len(rows) < MIN_CHECKED or bool(too_few(customers, smallest))
    if few or np.ptp(y) == 0 or np.ptp(z) == 0:
        return {**base, **nothing, "note": "too few customers in both surveys to check"}
    information, score, variance = _score_test(side, rows, y, z, n_units)
    if not information > 0 or not variance > 0:
        return {**base, **nothing, "note": "the other score does not vary given the frame"}
    statistic = score / variance**0.5
    p = float(2 * norm.sf(abs(statistic)))
    note = FOUND if p < CHECK_LEVEL else NOT_FOUND
    return {
        **base,
        "estimate": score / information,
        "se": variance**0.5 / information,
        "statistic": statistic,
        "p_value": p,
        "note": note,
    }


def _customer_means(side: Side, size: int) -> np.ndarray:
    """Mean valid score of each of ``size`` customers; NaN without one."""
    rows = np.flatnonzero(side.asked.answered)
    customer = side.asked.customer[rows]
    inside = customer < size
    counts = np.bincount(customer[inside], minlength=size)
    sums = np.bincount(customer[inside], side.asked.score[rows][inside], minlength=size)
    return sums / np.where(counts > 0, counts, np.nan)


def _score_test(
    side: Side, rows: np.ndarray, y: np.ndarray, z: np.ndarray, n_units: int
) -> tuple[float, float, float]:
    pattern, unit = side.patterns.row[rows], side.asked.unit[rows]
    everything = np.ones(len(rows), dtype=bool)
    ones = np.ones((n_units, 1))
    trials = incidence(pattern, unit, everything, side.patterns.n, n_units) @ ones
    successes = incidence(pattern, unit, y > 0, side.patterns.n, n_units) @ ones
    chance = fit_chances(side.patterns.design, successes, trials).chance[pattern, 0]
    x, weight = side.patterns.design[pattern], chance * (1 - chance)
    gram = x.T @ (weight[:, None] * x) + 1e-9 * np.eye(x.shape[1])
    rest = z - x @ np.linalg.solve(gram, x.T @ (weight * z))
    score = rest * (y - chance)
    per_unit = np.bincount(unit, score, minlength=n_units)
    return float((weight * rest**2).sum()), float(score.sum()), float((per_unit**2).sum())


def identification(engine: Engine, *, response: str) -> Identification:
    """Which surveys' standardised quantities are not identified at all, and why.

    Parameters
    ----------
    engine : Engine
    response : {"frame", "unknown"}
        What is assumed of answering: that it depends on the frame variables only; nothing.
        The response check decides nothing: it would pass most programmes in which answering
        depends on the score.
    """
    unknown = response == "unknown"
    silent = "answering may depend on the score" if unknown else ""
    lost = len(engine.unreachable)
    if not lost:
        return Identification(silent, silent, unknown)
    share = lost / len(engine.relationship.asked.customer)
    words = f"{share:.1%} of the customer base could not be asked the relationship survey"
    return Identification(silent, "; ".join(part for part in (silent, words) if part), unknown)


def contamination_check(
    engine: Engine, collected: Collected, *, level: float, smallest: int = 1
) -> pd.DataFrame:
    """Does a recent transactional invitation change the relationship score?

    Compares transactors who were invited at random with transactors who were not, each
    weighted by the inverse of that chance.

    Returns
    -------
    DataFrame
        One row: ``comparison, n_invited, n_not_invited, estimate, se, ci_low, ci_high,
        note`` in NPS points; no estimate with fewer than 10, or ``smallest``, customers on
        either side.
    """
    side = engine.relationship
    shares = engine.transactional.cells
    drawn = np.asarray(shares["invited"].sum(1)).ravel()
    among = np.asarray(shares["free"].sum(1)).ravel()
    share = (drawn / np.where(among > 0, among, 1.0))[:, None]
    rows = side.answered
    chance = collected.contact.take(rows).chance(share)[:, 0]
    mixed = (chance > 0) & (chance < 1)
    rows, chance = rows[mixed], chance[mixed]
    asked = collected.contacted[rows]
    counts = (int(asked.sum()), int((~asked).sum()))
    name = f"transactors invited in the last {collected.contact_days:g} days less not invited"
    base = {"comparison": name, "n_invited": counts[0], "n_not_invited": counts[1]}
    nothing = dict.fromkeys(("estimate", "se", "ci_low", "ci_high"), np.nan)
    customer, least = side.asked.customer[rows], max(MIN_CONTACTED, smallest)
    if min(len(np.unique(customer[kind])) for kind in (asked, ~asked)) < least:
        note = f"not estimable: fewer than {least} transactors with, or without, such an invitation"
        return pd.DataFrame([{**base, **nothing, "note": note}])
    points = 100.0 * (category(side.asked.score[rows]) - 1)
    weight = np.where(asked, 1 / (1 - chance), 1 / chance)
    unit = side.asked.unit[rows]
    there, rest = ((points[kind], weight[kind], unit[kind]) for kind in (asked, ~asked))
    gap = two_means(there, rest, pseudo=(-100.0, 0.0, 100.0))
    low, high = gap.limits(level)
    note = "among those who answered the relationship survey"
    limits = {"estimate": gap.estimate, "se": gap.se, "ci_low": low, "ci_high": high}
    return pd.DataFrame([{**base, **limits, "note": note}])


def no_contamination_check(reason: str) -> pd.DataFrame:
    """The same row where invitations are not known."""
    name = "transactors invited recently less not invited"
    nothing = dict.fromkeys(("estimate", "se", "ci_low", "ci_high"), np.nan)
    note = f"confounded with having transacted: {reason}"
    return pd.DataFrame(
        [{"comparison": name, "n_invited": 0, "n_not_invited": 0, **nothing, "note": note}]
    )
