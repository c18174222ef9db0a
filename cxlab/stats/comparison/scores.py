"""Both scores however they are counted: as collected, weighted, standardised, paired, by part."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cxlab.stats.comparison.gaps import NUMBERS, clustered_scores, raw_gap
from cxlab.stats.comparison.identity import AmongAnswers, Respondents
from cxlab.stats.comparison.paired.margins import CATEGORIES, category, contrast
from cxlab.stats.comparison.paired.pairs import OnePerAnswer, Pairs, net_contrast
from cxlab.stats.comparison.programme import Answers, ProgrammeData
from cxlab.stats.comparison.standardised.asked import Asked
from cxlab.stats.comparison.standardised.decomposition import (
    ASSUMPTION,
    NOT_IDENTIFIED,
    Standardised,
    combination,
    interval,
)
from cxlab.stats.comparison.standardised.quantities import NPS_VALUES, QUANTITY_COEFFICIENTS

ANSWERS = "each answer once"
WEIGHTED = "weighted as declared"
CUSTOMERS = "each customer once"
BOTH = "customers who answered both"
ONLY = "customers who answered this survey only"
LESS = "those who answered both less the others"
SURVEYS = {"t": "transactional", "r": "relationship"}
COLLECTED = "answers as collected"
STANDARDISED_ROWS = (
    ("transactional", "B2", "all eligible episodes (E2)"),
    ("transactional", "B3", "users, each counted once (E2)"),
    ("relationship", "C0", "whole customer base (E1)"),
    ("relationship", "C1", "customers with an eligible episode"),
    ("difference", "standardised gap", "users, each counted once (B3 − C1)"),
)
STAGES = (
    "customers", "eligible", "suppressed by contact rules", "not sampled", "invited",
    "delivered", "answered", "valid score", "paired",
)  # fmt: skip

Row = dict[str, object]


def net(score: np.ndarray) -> np.ndarray:
    """−1, 0, 1 for detractor, passive, promoter; NaN without a score."""
    return np.where(np.isnan(score), np.nan, category(score) - 1.0)


def scores_table(
    data: ProgrammeData, found: AmongAnswers, *, weighted: bool, level: float
) -> pd.DataFrame:
    """tNPS, rNPS and their difference: as collected, weighted as declared, by customer.

    Returns
    -------
    DataFrame
        ``counted, survey`` (transactional, relationship, difference), ``n`` (answers),
        ``customers, estimate, se, ci_low, ci_high`` in points, ``note``.
    """
    people = found.people
    ones = {k: np.ones(len(answers)) for k, answers in data.sides.items()}
    rows = _counted_rows(ANSWERS, data, ones, level)
    if weighted:
        declared = {k: answers.weight for k, answers in data.sides.items()}
        rows += _counted_rows(WEIGHTED, data, declared, level)
    if data.has_customers:
        once = {k: 1.0 / people.times[k].clip(1)[a.customer] for k, a in data.sides.items()}
        rows += _counted_rows(CUSTOMERS, data, once, level)
        rows += _overlap_rows(found, level)
    return pd.DataFrame(rows, columns=["counted", "survey", "n", "customers", *NUMBERS, "note"])


def _counted_rows(
    counted: str, data: ProgrammeData, weights: Mapping[str, np.ndarray], level: float
) -> list[Row]:
    """Both scores and their difference under these weights of the answers."""
    sides = {k: answers.weighted(weights[k]) for k, answers in data.sides.items()}
    rows = [
        {"counted": counted, "survey": SURVEYS[k], **_score(answers, level)}
        for k, answers in sides.items()
    ]
    gap = raw_gap(sides["t"], sides["r"], weighted=True)
    both = np.concatenate([answers.customer[answers.valid] for answers in sides.values()])
    counts = {"n": gap.n, "customers": len(np.unique(both)) if gap.n else 0}
    difference = {"counted": counted, "survey": "difference", **counts, **gap.numbers(level)}
    return [*rows, {**difference, "note": ""}]


def _score(answers: Answers, level: float) -> Row:
    """NPS of the valid answers under the weights that they carry."""
    valid = answers.take(answers.valid)
    if not valid.weight.sum() > 0:
        return {"n": 0, "customers": 0, "note": "no valid answer"}
    table = clustered_scores(net(valid.score), valid.customer, weight=valid.weight, level=level)
    row = table.iloc[0]
    customers = len(np.unique(valid.customer))
    return {name: row[name] for name in ("n", *NUMBERS, "note")} | {"customers": customers}


def _overlap_rows(found: AmongAnswers, level: float) -> list[Row]:
    """Customers who answered both surveys against those who answered one."""
    people = found.people
    both = people.both
    rows: list[Row] = []
    for counted, survey, here, of in (
        (BOTH, "transactional", both, {"T both": 1.0}),
        (BOTH, "relationship", both, {"R both": 1.0}),
        (BOTH, "difference", both, {"T both": 1.0, "R both": -1.0}),
        (ONLY, "transactional", people.only("t"), {"T only": 1.0}),
        (ONLY, "relationship", people.only("r"), {"R only": 1.0}),
        (LESS, "transactional", both | people.only("t"), {"T both": 1.0, "T only": -1.0}),
        (LESS, "relationship", both | people.only("r"), {"R both": 1.0, "R only": -1.0}),
    ):
        numbers = found.spread(of, level)
        note = "" if np.isfinite(numbers["estimate"]) else "no such customers"
        counts = {"n": _answers(people, survey, here), "customers": int(here.sum())}
        rows.append({"counted": counted, "survey": survey, **counts, **numbers, "note": note})
    return rows


def _answers(people: Respondents, survey: str, here: np.ndarray) -> int:
    shorts = [k for k, name in SURVEYS.items() if survey in (name, "difference")]
    return int(sum(people.times[k][here].sum() for k in shorts))


def shares_table(data: ProgrammeData, *, weighted: bool, level: float) -> pd.DataFrame:
    """Detractors, passives and promoters of both surveys.

    Returns
    -------
    DataFrame
        ``survey, group, n`` (answers), ``customers, estimate, se, ci_low, ci_high`` (per
        cent of the answers), ``weighted`` (per cent, weighted as declared; where weights
        are declared).
    """
    rows = []
    for k, survey in SURVEYS.items():
        answers = data.sides[k].take(data.sides[k].valid)
        code = category(answers.score) if len(answers) else np.empty(0, dtype=int)
        total = answers.weight.sum()
        for group in range(3) if len(answers) else ():
            here = code == group
            one = clustered_scores(here.astype(float), answers.customer, box=True, level=level)
            counts = {"n": int(here.sum()), "customers": len(np.unique(answers.customer[here]))}
            row = {"survey": survey, "group": CATEGORIES[group], **counts}
            row |= one.iloc[0][list(NUMBERS)].to_dict()
            if weighted:
                row["weighted"] = 100 * answers.weight[here].sum() / total if total else None
            rows.append(row)
    columns = ["survey", "group", "n", "customers", *NUMBERS, *(["weighted"] if weighted else [])]
    return pd.DataFrame(rows, columns=columns)


def estimates_table(
    data: ProgrammeData,
    done: Standardised,
    behind: Mapping[str, np.ndarray],
    pairs: OnePerAnswer,
    *,
    level: float,
) -> pd.DataFrame:
    """Raw, standardised and paired estimates of each score side by side.

    ``behind`` holds for each quantity the customers of its answers (`answers_behind`).

    Returns
    -------
    DataFrame
        ``estimate_kind, survey, population, n, customers, estimate, se, ci_low, ci_high, deff,
        n_eff, response_rate, status, note``, and ``of``: the quantity, or difference of two,
        that the row gives.
    """
    rows = _raw_rows(data, level=level)
    if done.result is not None:
        rows += _standardised_rows(done, behind, level=level)
    rows += _paired_rows(pairs, level=level)
    columns = ["estimate_kind", "survey", "population", "n", "customers", *NUMBERS, "deff",
               "n_eff", "response_rate", "status", "note", "of"]  # fmt: skip
    words = dict.fromkeys(("status", "note", "of"), "")
    table = pd.DataFrame([words | row for row in rows], columns=columns)
    return table.astype({"n": "Int64", "customers": "Int64"})


def _raw_rows(data: ProgrammeData, *, level: float) -> list[Row]:
    """NPS of each survey as collected, and their difference, clustered by customer."""
    rows: list[Row] = []
    for survey, name, answers in (
        ("transactional", "B0", data.transactional),
        ("relationship", "A0", data.relationship),
    ):
        row: Row = {"estimate_kind": "raw", "survey": survey, "population": COLLECTED}
        if not answers.valid.any():
            rows.append(row | {"n": 0, "customers": 0, "note": "no valid answer"})
            continue
        found = clustered_scores(net(answers.score), answers.customer, level=level).iloc[0]
        customers = len(np.unique(answers.customer[answers.valid]))
        rows.append(row | found.to_dict() | {"customers": customers, "of": name})
    t, r = data.transactional, data.relationship
    gap = raw_gap(t, r)
    customers = len(np.union1d(t.customer[t.valid], r.customer[r.valid])) if gap.n else 0
    note = "" if np.isfinite(gap.estimate) else "one survey has no valid answer"
    difference: Row = {"estimate_kind": "raw", "survey": "difference", "population": COLLECTED}
    counts = {"n": gap.n, "customers": customers, "of": "gap", "note": note}
    return [*rows, difference | counts | gap.numbers(level)]


def _standardised_rows(
    done: Standardised, behind: Mapping[str, np.ndarray], *, level: float
) -> list[Row]:
    """Standardised scores, and of a survey that not all could be asked those of who could."""
    rows: list[Row] = []
    for survey, name, population in STANDARDISED_ROWS:
        numbers = _numbers(done, name, level)
        facts: Row = {"survey": survey, **_facts(done, behind, survey, name)}
        reason = done.known.reason(QUANTITY_COEFFICIENTS[name])
        row = {"estimate_kind": "standardised", "population": population, **facts, "note": reason}
        rows.append(
            row | {"status": NOT_IDENTIFIED} if reason else row | numbers | {"status": ASSUMPTION}
        )
        if reason and survey == "relationship":
            note = "not the customer base: those whom a contact rule always stops are left out"
            restricted = {"population": f"{population}, of those who could be asked", "note": note}
            rows.append({"estimate_kind": "restricted", **facts, **restricted, **numbers})
    return rows


def _numbers(done: Standardised, name: str, level: float) -> dict[str, float]:
    estimate, replicates = combination(done.result, name)  # type: ignore[arg-type]
    return dict(zip(NUMBERS, (estimate, *interval(replicates, level)), strict=True))


def _facts(done: Standardised, behind: Mapping[str, np.ndarray], survey: str, name: str) -> Row:
    """Answers, customers, effective answers and response rate behind a standardised score."""
    who = np.concatenate([behind[quantity] for quantity in QUANTITY_COEFFICIENTS[name]])
    counts: Row = {"of": name, "n": len(who), "customers": len(np.unique(who))}
    if survey == "difference" or done.weighting is None:
        return counts
    side = done.weighting.side(survey)
    n_eff = done.effective_answers(survey)[name]
    invited = int((side.asked.invited & side.reachable).sum())
    return counts | {
        "deff": len(who) / n_eff if n_eff > 0 else np.nan,
        "n_eff": n_eff,
        "response_rate": len(side.answered) / invited if invited else np.nan,
    }


def answers_behind(data: ProgrammeData, done: Standardised) -> dict[str, np.ndarray]:
    """Customer of each answer that a quantity is made of; without a frame of A0 and B0 only."""
    t, r = data.transactional, data.relationship
    behind = {"B0": t.customer[t.valid], "A0": r.customer[r.valid]}
    if done.weighting is not None:
        episodes, waves = done.weighting.transactional, done.weighting.relationship
        reached = episodes.asked.customer[episodes.answered]
        behind |= {"B1": behind["B0"], "B2": reached, "B3": reached}
        base, used = waves.asked.customer[waves.answered], waves.asked.episodes[waves.answered] > 0
        behind |= {"C0": base, "C1": base[used], "C2": base[used]}
    return behind


def _paired_rows(pairs: OnePerAnswer, *, level: float) -> list[Row]:
    """Both scores of the customers who answered both, and their difference."""
    found = net_contrast(pairs)
    sides = [("difference", f"{BOTH} (E3)", found)]
    if found.n:
        scores = (("transactional", pairs.t_value), ("relationship", pairs.r_score))
        sides = [
            (survey, BOTH, contrast(NPS_VALUES[score.astype(int)], pairs.customer))
            for survey, score in scores
        ] + sides
    rows: list[Row] = []
    for survey, population, one in sides:
        row = one.row("wald", level)
        kept = {name: row[name] for name in ("n", "customers", *NUMBERS)}
        rows.append({"estimate_kind": "paired", "survey": survey, "population": population, **kept})
    rows[-1]["note"] = "" if found.n else "no customer answered both surveys in the window"
    return rows


def touchpoint_table(t: Answers, *, level: float) -> pd.DataFrame:
    """TNPS of each touchpoint (E2): episode-weighted, and each customer counted once.

    Returns
    -------
    DataFrame
        ``touchpoint, n, customers, estimate, se, ci_low, ci_high`` of the answers as collected,
        then ``per_customer, per_customer_ci_low, per_customer_ci_high`` with every customer
        of the touchpoint counted once, ``note`` and ``repeated``, customers with more than one
        answer. Intervals are clustered by customer.
    """
    known = t.take(t.valid & t.touchpoint.notna().to_numpy())
    names = known.touchpoint.cat.categories
    group = known.touchpoint.cat.codes.to_numpy().astype(int)
    value = net(known.score) if len(known) else known.score
    cells, at, times = np.unique(
        np.column_stack([group, known.customer]), axis=0, return_inverse=True, return_counts=True
    )
    of = {"group": group, "n_groups": len(names), "level": level}
    each = clustered_scores(value, known.customer, **of)
    once = clustered_scores(value, known.customer, weight=1.0 / times[at.ravel()], **of)
    table = each.assign(
        touchpoint=names,
        customers=np.bincount(cells[:, 0], minlength=len(names)),
        per_customer=once["estimate"],
        per_customer_ci_low=once["ci_low"],
        per_customer_ci_high=once["ci_high"],
        repeated=np.bincount(cells[times > 1, 0], minlength=len(names)),
    )
    columns = ["touchpoint", "n", "customers", *NUMBERS, "per_customer", "per_customer_ci_low",
               "per_customer_ci_high", "note", "repeated"]  # fmt: skip
    return table.loc[table["n"] > 0, columns].reset_index(drop=True)


def flow_table(data: ProgrammeData, done: Standardised, pairs: Pairs) -> pd.DataFrame:
    """From customers to paired answers: rows and customers of each survey at each stage.

    Returns
    -------
    DataFrame
        ``survey, stage, n`` (episodes, waves or answers), ``customers, share`` of the
        eligible rows. Stages that the files don't tell are missing, not zero.
    """
    collected = done.collected
    sides = {
        "transactional": (collected.episodes if collected else None, pairs.transactional),
        "relationship": (collected.waves if collected else None, pairs.relationship),
    }
    rows = []
    for survey, (asked, paired) in sides.items():
        answers = data.surveys[survey]
        counts = _asked_stages(asked) if asked is not None else {}
        counts |= {
            "answered": _count(answers.customer),
            "valid score": _count(answers.customer[answers.valid]),
            "paired": (len(np.unique(paired)), len(np.unique(pairs.customer))),
        }
        if data.has_frame:
            counts["customers"] = (data.n_customers, data.n_customers)
        eligible = counts.get("eligible", (0, 0))[0]
        rows += [
            (survey, stage, *counts[stage], counts[stage][0] / eligible if eligible else np.nan)
            for stage in STAGES
            if stage in counts
        ]
    table = pd.DataFrame(rows, columns=["survey", "stage", "n", "customers", "share"])
    table.loc[table["stage"] == "customers", "share"] = np.nan
    return table


def _asked_stages(asked: Asked) -> dict[str, tuple[int, int]]:
    stages = {
        "eligible": np.ones(len(asked.customer), dtype=bool),
        "suppressed by contact rules": ~asked.free,
        "not sampled": asked.free & ~asked.invited,
        "invited": asked.invited,
        "delivered": asked.delivered,
    }
    return {name: _count(asked.customer[rows]) for name, rows in stages.items()}


def _count(customer: np.ndarray) -> tuple[int, int]:
    return len(customer), int(np.count_nonzero(np.bincount(customer)))
