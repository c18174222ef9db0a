"""E1 on an assumption by name, where a contact rule leaves some customers no chance."""

from __future__ import annotations

import numpy as np

from cxlab.stats.comparison.bootstrap import Replicates, draw_units
from cxlab.stats.comparison.decomposition import Identification, interval
from cxlab.stats.comparison.estimates import row
from cxlab.stats.comparison.quantities import NPS_VALUES, Engine, answer_weights, fit_all

ASSUMPTION = (
    "assumes that customers who could not be asked have the gap between tNPS and rNPS of those "
    "who could"
)
TRANSPORT_REPLICATES = 200


def transported_rows(
    engine: Engine, result: Replicates, known: Identification, *, level: float
) -> list[dict[str, object]]:
    """One row for the table of estimates; none where everybody could be asked."""
    if not len(engine.unreachable) or known.widest:
        return []
    rng = np.random.default_rng(result.n)
    estimate = _transported(engine, np.ones((engine.n_units, 1)))
    n = min(result.n, TRANSPORT_REPLICATES)
    values = np.empty(0)
    if n > 1:
        parts = [_transported(engine, draw_units(engine.n_units, 1, rng)) for _ in range(n)]
        values = np.concatenate(parts)
    se, low, high = interval(values, level)
    facts: dict[str, object] = {
        "estimate": float(estimate[0]),
        "se": se,
        "ci_low": low,
        "ci_high": high,
    }
    population = "whole customer base (E1)"
    # it takes in both scores of the standardised gap
    facts |= {"of": "standardised gap", "note": f"{ASSUMPTION}; from answers of both surveys"}
    return [row("transported", "relationship", population, **facts)]


def _transported(engine: Engine, multipliers: np.ndarray) -> np.ndarray:
    """(1 − π)·C0 + π·[B3 of the unreachable − (B3 − C1 of the reachable)], in points."""
    chances = fit_all(engine, multipliers)
    r, t = engine.relationship, engine.transactional
    never = np.zeros(int(max(r.asked.customer.max(), t.asked.customer.max())) + 1, dtype=bool)
    never[r.asked.customer[engine.unreachable]] = True
    times = multipliers[r.asked.unit, 0]
    share = times[engine.unreachable].sum() / times.sum()
    rows = r.answered
    weight = answer_weights(engine, chances, "relationship", rows)[:, 0] * times[rows]
    value = NPS_VALUES[r.asked.score[rows]]
    users = (r.asked.episodes[rows] > 0).astype(float)
    base, reached = _mean(value, weight), _mean(value, weight * users)
    rows = t.answered
    each = answer_weights(engine, chances, "transactional", rows)[:, 0] / t.asked.episodes[rows]
    each = each * multipliers[t.asked.unit[rows], 0]
    value, lost = NPS_VALUES[t.asked.score[rows]], never[t.asked.customer[rows]]
    gap = _mean(value, each * ~lost) - reached
    return np.array([(1 - share) * base + share * (_mean(value, each * lost) - gap)])


def _mean(value: np.ndarray, weight: np.ndarray) -> float:
    total = weight.sum()
    return float((weight * value).sum() / total) if total > 0 else np.nan
