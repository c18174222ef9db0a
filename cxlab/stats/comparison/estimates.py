"""Three estimates of each score side by side: raw, standardised, paired."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from cxlab.stats.comparison.bootstrap import Replicates
from cxlab.stats.comparison.contract import Answers
from cxlab.stats.comparison.decomposition import (
    ASSUMPTION,
    Identification,
    combination,
    interval,
)
from cxlab.stats.comparison.gaps import raw_gap
from cxlab.stats.comparison.margins import Contrast, contrast
from cxlab.stats.comparison.paired import OnePerAnswer
from cxlab.stats.comparison.quantities import NPS_VALUES, Engine, answer_weights, fit_all
from cxlab.stats.comparison.small import TOO_FEW, hide, hide_groups, too_few, why_hidden
from cxlab.stats.comparison.support import Support
from cxlab.stats.comparison.terms import QUANTITY_COEFFICIENTS
from cxlab.stats.metrics import nps

STANDARDISED_ROWS = (
    ("standardised", "transactional", "B2", "all eligible episodes (E2)"),
    ("standardised", "transactional", "B3", "users, each counted once (E2)"),
    ("standardised", "relationship", "C0", "whole customer base (E1)"),
    ("standardised", "relationship", "C1", "customers with an eligible episode"),
    ("standardised", "difference", "standardised gap", "users, each counted once (B3 − C1)"),
)
COLUMNS = ["estimate_kind", "survey", "population", "n", "customers", "estimate", "se", "ci_low",
           "ci_high", "deff", "n_eff", "response_rate", "status", "note"]  # fmt: skip


def raw_rows(t: Answers, r: Answers, unit: np.ndarray, *, level: float) -> list[dict[str, object]]:
    """NPS of each survey as collected, and their difference, clustered by customer."""
    rows = []
    for survey, name, answers in (("transactional", "B0", t), ("relationship", "A0", r)):
        frame = pd.DataFrame({"score": answers.score, "unit": unit[answers.customer]})
        if not answers.valid.any():
            rows.append(
                row("raw", survey, "answers as collected", n=0, customers=0, note="no valid answer")
            )
            continue
        found = nps(frame, "score", design={"cluster": "unit"}, level=level).iloc[0]
        customers = len(np.unique(answers.customer[answers.valid]))
        kept = {k: found[k] for k in ("n", "estimate", "se", "ci_low", "ci_high", "deff", "n_eff")}
        rows.append(
            row("raw", survey, "answers as collected", **kept, customers=customers, of=name,
                 note=found["note"])
        )  # fmt: skip
    gap = raw_gap(t, r, unit)
    customers = len(np.union1d(t.customer[t.valid], r.customer[r.valid])) if gap.n else 0
    low, high = gap.limits(level)
    note = "" if np.isfinite(gap.estimate) else "one survey has no valid answer"
    rows.append(
        row("raw", "difference", "answers as collected", n=gap.n, customers=customers, of="gap",
             estimate=gap.estimate, se=gap.se, ci_low=low, ci_high=high, note=note)
    )  # fmt: skip
    return rows


def standardised_rows(
    result: Replicates | None,
    engine: Engine | None,
    known: Identification,
    weights: pd.DataFrame | None,
    behind: Support,
    *,
    level: float,
) -> list[dict[str, object]]:
    """Standardised scores; none without invitations and a frame."""
    rows: list[dict[str, object]] = []
    if result is None or engine is None:
        return rows
    for kind, survey, name, population in STANDARDISED_ROWS:
        estimate, replicates = combination(result, name)
        se, low, high = interval(replicates, level)
        facts = _weight_facts(engine, weights, behind, survey, name)
        coefficients = QUANTITY_COEFFICIENTS[name]
        reason = known.reason(coefficients)
        if reason:
            estimate, se, low, high = np.nan, np.nan, np.nan, np.nan
        rows.append(
            row(kind, survey, population, **facts, estimate=estimate, se=se, ci_low=low,
                 ci_high=high, status="not identified" if reason else ASSUMPTION, note=reason)
        )  # fmt: skip
        if reason and survey == "relationship" and len(engine.unreachable):
            rows.append(_restricted(result, name, population, facts, known, level))
    return rows


def _restricted(
    result: Replicates,
    name: str,
    population: str,
    facts: dict[str, object],
    known: Identification,
    level: float,
) -> dict[str, object]:
    """The estimand that is identified: those who had some chance of being asked."""
    estimate, replicates = combination(result, name)
    se, low, high = interval(replicates, level)
    if known.widest:
        estimate, se, low, high = np.nan, np.nan, np.nan, np.nan
    return row(
        "restricted",
        "relationship",
        f"{population}, of those who could be asked",
        **facts,
        estimate=estimate,
        se=se,
        ci_low=low,
        ci_high=high,
        note="not the customer base: those whom a contact rule always stops are left out",
    )


def _weight_facts(
    engine: Engine, weights: pd.DataFrame | None, behind: Support, survey: str, name: str
) -> dict[str, object]:
    n, customers = behind.count(name)
    counts: dict[str, object] = {"of": name, "n": n, "customers": customers}
    if survey == "difference" or weights is None:
        return counts
    side = engine.transactional if survey == "transactional" else engine.relationship
    row = weights.set_index("quantity").loc[name]
    invited = int((side.asked.invited & side.reachable).sum())
    return {
        **counts,
        "deff": n / row["n_eff"] if row["n_eff"] > 0 else np.nan,
        "n_eff": row["n_eff"],
        "response_rate": len(side.answered) / invited if invited else np.nan,
    }


def paired_rows(pairs: OnePerAnswer, found: Contrast, *, level: float) -> list[dict[str, object]]:
    """Both scores of the customers who answered both, and their difference."""
    rows = []
    whole = bool(len(pairs.t_value)) and bool(np.all(pairs.t_value == np.rint(pairs.t_value)))
    sides = (("transactional", pairs.t_value), ("relationship", pairs.r_score))
    for survey, scores in sides:
        if not len(scores) or not whole:
            continue
        one = contrast(NPS_VALUES[scores.astype(int)], pairs.unit).row("wald", level)
        kept = {k: one[k] for k in ("n", "customers", "estimate", "se", "ci_low", "ci_high")}
        rows.append(row("paired", survey, "customers who answered both", **kept))
    both = found.row("wald", level)
    kept = {k: both[k] for k in ("n", "customers", "estimate", "se", "ci_low", "ci_high")}
    note = "" if found.n else "no customer answered both surveys in the window"
    rows.append(row("paired", "difference", "customers who answered both (E3)", **kept, note=note))
    return rows


def row(kind: str, survey: str, population: str, **facts: object) -> dict[str, object]:
    """One row of the table of estimates; facts that are not given are missing.

    ``of`` names the quantity, or the difference of two, that the row gives.
    """
    made: dict[str, object] = dict.fromkeys(COLUMNS, np.nan)
    made |= {"estimate_kind": kind, "survey": survey, "population": population, "n": pd.NA,
            "customers": pd.NA, "of": "", "status": "", "note": ""}  # fmt: skip
    return made | facts


def estimates_table(rows: list[dict[str, object]], behind: Support) -> pd.DataFrame:
    """All rows as one table, those of too few customers hidden.

    A difference is hidden with either of its sides: the other side would give it back.
    """
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"n": "Int64", "customers": "Int64"})
    small = too_few(table["customers"].astype("float64"), behind.smallest)
    of = [str(one["of"]) for one in rows]
    small |= np.array([bool(name) and behind.few(name) for name in of], dtype=bool)
    hidden = hide(table, small, why_hidden(behind.smallest))
    hidden["status"] = hidden["status"].mask(small, TOO_FEW)
    return hidden


#: Shown beside the estimate: what cutting the largest weights would do.
SHOWN_TRIM = 0.99


def weights_table(engine: Engine, *, trim: float | None) -> pd.DataFrame:
    """How unequal the weights are, and what trimming them would change.

    Returns
    -------
    DataFrame
        ``quantity, n, n_eff, largest_share`` (of all weight), ``trim`` (quantile in use, NaN:
        none), ``estimate`` as used, ``untrimmed``, ``trimmed_99`` (cut at the 99th
        percentile), in NPS points.
    """
    chances = fit_all(engine, np.ones((engine.n_units, 1)))
    free = replace(engine, caps=dict.fromkeys(engine.caps, np.inf))
    rows = []
    for survey, names in (("transactional", ("B2", "B3")), ("relationship", ("C0", "C1", "C2"))):
        side = engine.transactional if survey == "transactional" else engine.relationship
        at = side.answered
        m = side.asked.episodes[at].astype(float)
        used = answer_weights(engine, chances, survey, at)[:, 0]
        whole = answer_weights(free, chances, survey, at)[:, 0]
        cut = np.minimum(whole, np.quantile(whole, SHOWN_TRIM))
        factors = {"B3": 1 / np.maximum(m, 1), "C1": (m > 0).astype(float), "C2": m}
        for name in names:
            kinds = [weight * factors.get(name, 1.0) for weight in (used, whole, cut)]
            rows.append({"quantity": name, **_weight_row(kinds, side.asked.score[at])})
    table = pd.DataFrame(rows)
    table.insert(4, "trim", np.nan if trim is None else trim)
    return table


def _weight_row(kinds: list[np.ndarray], score: np.ndarray) -> dict[str, object]:
    used = kinds[0]
    total = used.sum()
    points = NPS_VALUES[score]
    means = [
        float((weight * points).sum() / weight.sum()) if weight.sum() > 0 else np.nan
        for weight in kinds
    ]
    return {
        "n": int((used > 0).sum()),
        "n_eff": float(total**2 / (used**2).sum()) if total > 0 else 0.0,
        "largest_share": float(used.max() / total) if total > 0 else np.nan,
        **dict(zip(("estimate", "untrimmed", "trimmed_99"), means, strict=True)),
    }


def touchpoint_table(
    t: Answers, unit: np.ndarray, *, level: float, smallest: int = 1
) -> pd.DataFrame:
    """TNPS of each touchpoint (E2): episode-weighted, and each customer counted once.

    Returns
    -------
    DataFrame
        ``touchpoint, n, customers, estimate, se, ci_low, ci_high`` of the answers as collected,
        then ``per_customer, per_customer_ci_low, per_customer_ci_high`` with every customer
        of the touchpoint counted once, and ``note``. Intervals are clustered by customer.
        Touchpoints of fewer than ``smallest`` customers are hidden, and those that would
        give them back; so is ``per_customer`` where fewer than that answered more than
        once, because its difference from the estimate is about them.
    """
    keep = t.valid & t.touchpoint.notna().to_numpy()
    columns = ["touchpoint", "n", "customers", "estimate", "se", "ci_low", "ci_high",
               "per_customer", "per_customer_ci_low", "per_customer_ci_high", "note"]  # fmt: skip
    if not keep.any():
        return pd.DataFrame(columns=columns)
    frame = pd.DataFrame(
        {
            "touchpoint": t.touchpoint[keep].reset_index(drop=True),
            "customer": t.customer[keep],
            "unit": unit[t.customer[keep]],
            "score": t.score[keep],
        }
    )
    grouped = frame.groupby(["touchpoint", "customer"], observed=True)["score"]
    frame["once"] = 1.0 / grouped.transform("size")
    each = nps(frame, "score", by="touchpoint", design={"cluster": "unit"}, level=level)
    once = nps(
        frame, "score", by="touchpoint", design={"cluster": "unit", "weights": "once"}, level=level
    )
    table = each.rename(columns={"group": "touchpoint"})
    each_customer = frame.groupby("touchpoint", observed=True)["customer"].nunique()
    table["touchpoint"] = table["touchpoint"].astype("str")
    table["customers"] = table["touchpoint"].map(dict(each_customer.items()))
    for new, old in zip(columns[7:10], ("estimate", "ci_low", "ci_high"), strict=True):
        table[new] = once[old]
    table = _hide_repeated(table, grouped.size(), columns[7:10], smallest)
    nowhere = len(np.unique(t.customer[t.valid & ~keep]))
    return hide_groups(table[columns], smallest, outside=nowhere)


def _hide_repeated(
    table: pd.DataFrame, answers: pd.Series, columns: list[str], smallest: int
) -> pd.DataFrame:
    """Hide ``columns`` of touchpoints where few customers have more than one answer.

    ``answers`` counts those of each touchpoint and customer.
    """
    repeated = (answers > 1).groupby(level="touchpoint", observed=True).sum()
    few = too_few(table["touchpoint"].map(dict(repeated.items())), smallest)
    words = f"each customer once: hidden, fewer than {smallest} customers answered more than once"
    notes = table["note"].astype("str")
    joined = [f"{note}; {words}" if note else words for note in notes]
    hidden = {name: table[name].mask(few) for name in columns}
    return table.assign(**hidden, note=notes.mask(few, pd.Series(joined, table.index)))
