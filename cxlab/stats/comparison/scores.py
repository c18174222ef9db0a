"""Both scores however they are counted, their differences, and the same under other metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxlab.stats.comparison.asked import Asked
from cxlab.stats.comparison.decomposition import (
    ASSUMPTION,
    NOT_IDENTIFIED,
    Replicates,
    Standardised,
    combination,
    interval,
)
from cxlab.stats.comparison.pairs import OnePerAnswer, Pairs, contrast, net_contrast
from cxlab.stats.comparison.programme import Answers, ProgrammeData
from cxlab.stats.comparison.quantities import NPS_VALUES, QUANTITY_COEFFICIENTS
from cxlab.stats.inference import (
    Units,
    contrast_spread,
    normal_quantile,
    t_quantile,
)
from cxlab.stats.metrics import nps

NUMBERS = ("estimate", "se", "ci_low", "ci_high")
#: With as many customers in both surveys the normal distribution does as well as t.
MANY_CLUSTERS = 200
#: A variance below this is 0 but for rounding.
ROUNDING = 1e-18
#: Pseudo-answers of the adjusted Wald interval: detractor, passive, promoter.
PSEUDO = (0.75, 1.5, 0.75)
#: Kinds of estimate.
RAW = "raw"
WEIGHTED = "weighted as declared"
CUSTOMERS = "each customer once"
COLLECTED = "answers as collected"
BOTH = "customers who answered both"
BASE = "whole customer base (E1)"
STANDARDISED_ROWS = (
    ("transactional", "B2", "all eligible episodes (E2)"),
    ("transactional", "B3", "users, each counted once (E2)"),
    ("relationship", "C0", BASE),
    ("relationship", "C1", "customers with an eligible episode"),
    ("difference", "standardised gap", "users, each counted once (B3 − C1)"),
)
STAGES = (
    "customers", "eligible", "suppressed by contact rules", "not sampled", "invited",
    "delivered", "answered", "valid score", "paired",
)  # fmt: skip
DELAYS = (
    (0.25, "under 6 hours"),
    (1.0, "6 to 24 hours"),
    (3.0, "1 to 3 days"),
    (7.0, "3 to 7 days"),
    (np.inf, "over 7 days"),
)

Row = dict[str, object]


def estimates_table(
    data: ProgrammeData,
    done: Standardised,
    behind: Mapping[str, np.ndarray],
    pairs: OnePerAnswer,
    *,
    weighted: bool,
    level: float,
) -> pd.DataFrame:
    """Raw, weighted, standardised and paired estimates of each score side by side.

    ``behind`` holds for each quantity the customers of its answers (`answers_behind`). A column
    ``of`` names the quantity, or difference of two, that a row gives or could give back.
    """
    rows = _counted_rows(RAW, data.surveys, level=level)
    sides = {survey: one.take(one.valid) for survey, one in data.surveys.items()}
    if weighted:
        rows += _counted_rows(
            WEIGHTED, sides, {k: one.weight for k, one in sides.items()}, level=level
        )
    if data.has_customers:
        once = {k: 1 / np.bincount(one.customer)[one.customer] for k, one in sides.items()}
        rows += _counted_rows(CUSTOMERS, sides, once, level=level)
    if done.result is not None:
        rows += _standardised_rows(done, behind, level=level)
    rows += _paired_rows(pairs, level=level)
    columns = ["estimate_kind", "survey", "population", "n", "customers", *NUMBERS, "deff",
               "n_eff", "response_rate", "status", "note", "of"]  # fmt: skip
    words = dict.fromkeys(("status", "note", "of"), "")
    table = pd.DataFrame([words | row for row in rows], columns=columns)
    return table.astype({"n": "Int64", "customers": "Int64"})


def _counted_rows(
    kind: str,
    sides: Mapping[str, Answers],
    weights: Mapping[str, np.ndarray] | None = None,
    *,
    level: float,
) -> list[Row]:
    """NPS of each survey under these weights of the answers, and their difference."""
    sides = {k: one.weighted(weights[k]) if weights else one for k, one in sides.items()}
    fixed: Row = {"estimate_kind": kind, "population": COLLECTED}
    rows: list[Row] = []
    for (survey, answers), name in zip(sides.items(), ("B0", "A0"), strict=True):
        row = fixed | {"survey": survey}
        if not answers.weight[answers.valid].sum() > 0:
            rows.append(row | {"n": 0, "customers": 0, "note": "no valid answer"})
            continue
        found = _nps(answers, level, weighted=weights is not None).iloc[0].to_dict()
        customers = len(np.unique(answers.customer[answers.valid]))
        rows.append(row | found | {"customers": customers, "of": name})
    t, r = sides.values()
    gap = raw_gap(t, r, weighted=weights is not None)
    customers = len(np.union1d(t.customer[t.valid], r.customer[r.valid])) if gap.n else 0
    note = "" if np.isfinite(gap.estimate) else "one survey has no valid answer"
    counts = {"survey": "difference", "n": gap.n, "customers": customers, "of": "gap", "note": note}
    return [*rows, fixed | counts | gap.numbers(level)]


def _nps(
    answers: Answers,
    level: float,
    *,
    weighted: bool = False,
    groups: np.ndarray | None = None,
) -> pd.DataFrame:
    """`cxlab.nps` of the answers, clustered by customer: of all, or of each of the groups."""
    columns = {"score": answers.score, "customer": answers.customer, "weight": answers.weight}
    frame = pd.DataFrame(columns if groups is None else columns | {"group": groups})
    design = {"cluster": "customer"} | ({"weights": "weight"} if weighted else {})
    by = None if groups is None else "group"
    table = nps(frame, "score", by=by, design=design, level=level)
    return table[[*(["group"] if by else []), "n", *NUMBERS, "deff", "n_eff", "note"]]


def _standardised_rows(
    done: Standardised, behind: Mapping[str, np.ndarray], *, level: float
) -> list[Row]:
    """Standardised scores, and of a survey that not all could be asked those of who could."""
    rows: list[Row] = []
    for survey, name, population in STANDARDISED_ROWS if done.result else ():
        numbers = _numbers(done.result, name, level)
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


def _numbers(
    result: Replicates, name: str, level: float, values: np.ndarray = NPS_VALUES
) -> dict[str, float]:
    estimate, replicates = combination(result, name, values)
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

    ``repeated`` counts the customers with more than one answer.
    """
    columns = ["touchpoint", "n", "customers", *NUMBERS, "per_customer", "per_customer_ci_low",
               "per_customer_ci_high", "note", "repeated"]  # fmt: skip
    known = t.take(t.valid & t.touchpoint.notna().to_numpy())
    if not len(known):
        return pd.DataFrame(columns=columns)
    names = known.touchpoint.astype("str").to_numpy()
    cells = pd.DataFrame({"group": names, "customer": known.customer})
    times = cells.groupby(["group", "customer"])["customer"].transform("size").to_numpy()
    each = _nps(known, level, groups=names).set_index("group")
    once = _nps(known.weighted(1.0 / times), level, weighted=True, groups=names).set_index("group")
    table = each.assign(
        per_customer=once["estimate"],
        per_customer_ci_low=once["ci_low"],
        per_customer_ci_high=once["ci_high"],
        customers=cells.groupby("group")["customer"].nunique(),
        repeated=cells[times > 1].groupby("group")["customer"].nunique(),
    ).fillna({"repeated": 0})
    return table.rename_axis("touchpoint").reset_index()[columns]


def delay_of(t: Answers) -> np.ndarray:
    """Days from the episode to each answer; NaN where one of the times is not known."""
    return t.responded - t.triggered


def delay_table(t: Answers, *, level: float) -> pd.DataFrame:
    """Transactional NPS by how long after the episode the answer came."""
    columns = ["delay", "median_days", "n", "customers", *NUMBERS, "note"]
    known = t.take(t.valid & ~np.isnan(delay_of(t)))
    if not len(known):
        return pd.DataFrame(columns=columns)
    ends = np.array([end for end, _ in DELAYS])
    code = np.minimum(np.searchsorted(ends, delay_of(known), side="right"), len(ends) - 1)
    cells = pd.DataFrame({"code": code, "delay": delay_of(known), "customer": known.customer})
    by_code = cells.groupby("code")
    table = _nps(known, level, groups=code).assign(
        delay=[DELAYS[k][1] for k in np.unique(code)],
        median_days=by_code["delay"].median().to_numpy(),
        customers=by_code["customer"].nunique().to_numpy(),
    )
    return table[columns]


def flow_table(data: ProgrammeData, done: Standardised, pairs: Pairs) -> pd.DataFrame:
    """From customers to paired answers: rows and customers of each survey at each stage.

    Stages that the files don't tell are missing, not zero.
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


@dataclass(frozen=True)
class Gap:
    """A difference of two means of ``n`` answers; infinite ``df``: the normal distribution."""

    estimate: float
    se: float
    df: float
    n: int

    def limits(self, level: float) -> tuple[float, float]:
        """Ends of the interval."""
        finite = np.isfinite(self.df) and self.df > 0
        quantile = float(t_quantile(level, self.df)) if finite else normal_quantile(level)
        half = quantile * self.se
        return self.estimate - half, self.estimate + half

    def numbers(self, level: float) -> dict[str, float]:
        """Estimate, standard error and interval under the names of a table."""
        return dict(zip(NUMBERS, (self.estimate, self.se, *self.limits(level)), strict=True))


class Group(NamedTuple):
    """Answers of one side of a difference."""

    values: np.ndarray
    weight: np.ndarray
    customer: np.ndarray


def raw_gap(
    t: Answers, r: Answers, values: np.ndarray = NPS_VALUES, *, weighted: bool = False
) -> Gap:
    """Transactional less relationship score as collected.

    The difference is linearised as one statistic and summed within customers: the surveys
    share customers, so two standard errors would not add.
    """
    sides = []
    for answers in (t, r):
        valid = answers.valid
        w = answers.weight[valid] if weighted else np.ones(int(valid.sum()))
        sides.append(Group(values[answers.score[valid].astype(int)], w, answers.customer[valid]))
    rest = (values[0], (values[7] + values[8]) / 2, values[10])
    return two_means(sides[0], sides[1], pseudo=rest)


def two_means(first: Group, second: Group, *, pseudo: tuple[float, ...]) -> Gap:
    """Mean of the first group less that of the second; both may hold the same customers.

    ``pseudo`` are values (low, middle, high) of the pseudo-answers that stand in for the unknown
    variance of a group all of whose answers are alike.

    Notes
    -----
    With fewer than 200 customers in a group: CR2 and the degrees of freedom of Bell &
    McCaffrey (`cxlab.stats.inference.contrast_spread`). Else Taylor and the normal
    distribution. A group of one customer has no standard error.
    """
    groups = (first, second)
    if any(not one.weight.sum() > 0 for one in groups):
        return Gap(np.nan, np.nan, np.inf, 0)
    means = [float((one.weight * one.values).sum() / one.weight.sum()) for one in groups]
    estimate, n = means[0] - means[1], sum(len(one.values) for one in groups)
    codes, labels = pd.factorize(np.concatenate([one.customer for one in groups]))
    cluster = np.split(codes, [len(first.values)])
    sizes = [len(np.unique(c)) for c in cluster]
    if min(sizes) < 2:
        return Gap(estimate, np.nan, np.inf, n)
    sides = [_sums(one, c, len(labels)) for one, c in zip(groups, cluster, strict=True)]
    if min(sizes) >= MANY_CLUSTERS:
        parts = [
            (side["wy"] - mean * side["w"]) / side["w"].sum()
            for side, mean in zip(sides, means, strict=True)
        ]
        variance = len(labels) / (len(labels) - 1) * ((parts[0] - parts[1]) ** 2).sum()
        df = np.inf
    else:
        units = Units(np.zeros(len(labels), int), np.zeros(len(labels), bool), np.array([np.inf]))
        spread, _ = contrast_spread(sides, units)
        variance, df = spread.variance, spread.df
    variance += sum(
        _pseudo_variance(one.values, size, pseudo)
        for one, size in zip(groups, sizes, strict=True)
        if np.ptp(one.values) == 0
    )
    return Gap(estimate, float(variance**0.5) if variance > ROUNDING else np.nan, df, n)


def _sums(one: Group, cluster: np.ndarray, n_clusters: int) -> dict[str, np.ndarray]:
    """Sums of each cluster as `contrast_spread` takes them."""
    w, y = one.weight, one.values
    products = {"w": w, "wy": w * y, "ww": w**2, "wwy": w**2 * y, "wwyy": (w * y) ** 2}
    products |= {"www": w**3, "wwww": w**4}
    return {
        name: np.bincount(cluster, values, minlength=n_clusters)
        for name, values in products.items()
    }


def _pseudo_variance(y: np.ndarray, clusters: int, pseudo: tuple[float, ...]) -> float:
    """Variance of the mean of answers that are all alike, as if a few others had come."""
    values = np.array([y[0], *pseudo])
    weight = np.array([clusters, *PSEUDO])
    mean = (weight * values).sum() / weight.sum()
    return float((weight * (values - mean) ** 2).sum() / weight.sum() ** 2)


_S = np.arange(11.0)
#: Points of each score 0 to 10. Bottom box counts against, so that up is better everywhere.
METRICS: dict[str, np.ndarray] = {
    "NPS (9–10 less 0–6)": 100.0 * ((_S >= 9).astype(float) - (_S <= 6)),
    "mean score": _S,
    "top two (9–10)": 100.0 * (_S >= 9),
    "bottom box (0–6), reversed": -100.0 * (_S <= 6),
    "10 less 0–6": 100.0 * ((_S >= 10).astype(float) - (_S <= 6)),
    "9–10 less 0–5": 100.0 * ((_S >= 9).astype(float) - (_S <= 5)),
    "8–10 less 0–5": 100.0 * ((_S >= 8).astype(float) - (_S <= 5)),
    "promoter +1, detractor −2": 100.0 * ((_S >= 9).astype(float) - 2.0 * (_S <= 6)),
    "promoter +2, detractor −1": 100.0 * (2.0 * (_S >= 9) - (_S <= 6)),
}
HEADLINE = "NPS (9–10 less 0–6)"
ONCE = "NPS: one answer per customer, the last"
CONCLUSIONS = ("tNPS higher", "rNPS higher", "undecided")


def robustness_table(
    data: ProgrammeData, done: Standardised, *, level: float, weighted: bool
) -> pd.DataFrame:
    """Raw gap, standardised gap and residual under other metrics, weights and counting.

    ``same``: whether the conclusion is that of the headline variant; a quantity with any other
    conclusion is not robust. A quantity that is not identified is left out.
    """
    t, r = data.transactional, data.relationship
    variants = {ONCE: raw_gap(_last_of_each(t), _last_of_each(r))}
    if weighted:
        variants["NPS: with the surveys' own weights"] = raw_gap(t, r, weighted=True)
    variants |= {name: raw_gap(t, r, values) for name, values in METRICS.items()}
    rows = [
        {"quantity": "raw gap", "variant": name, **gap.numbers(level)}
        for name, gap in variants.items()
    ]
    for quantity in ("standardised gap", "residual"):
        identified = not done.known.reason(QUANTITY_COEFFICIENTS[quantity])
        if done.result is not None and identified and done.result.n > 1:
            rows += [
                {
                    "quantity": quantity,
                    "variant": name,
                    **_numbers(done.result, quantity, level, values),
                }
                for name, values in METRICS.items()
            ]
    table = pd.DataFrame(rows)
    above, below = table["ci_low"] > 0, table["ci_high"] < 0
    table["conclusion"] = np.select([above, below], CONCLUSIONS[:2], CONCLUSIONS[2])
    headline = table[table["variant"] == HEADLINE].set_index("quantity")["conclusion"]
    return table.assign(same=table["conclusion"] == table["quantity"].map(headline))


def _last_of_each(answers: Answers) -> Answers:
    rows = np.flatnonzero(answers.valid)
    order = rows[np.lexsort((answers.responded[rows], answers.customer[rows]))]
    customer = answers.customer[order]
    last = np.r_[customer[1:] != customer[:-1], True] if len(order) else np.empty(0, dtype=bool)
    return answers.take(order[last])
