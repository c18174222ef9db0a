"""Both scores however they are counted, their differences, and the same under other metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cxlab.core.design import Design
from cxlab.core.metric import Metric, nps_metric
from cxlab.core.totals import row_totals
from cxlab.stats.comparison.decomposition import (
    ASSUMPTION,
    NOT_IDENTIFIED,
    NUMBERS,
    Replicates,
    Standardised,
    standardised_numbers,
)
from cxlab.stats.comparison.gaps import NO_PAIRS, RAW, contrast, raw_gap
from cxlab.stats.comparison.identity import customers_of
from cxlab.stats.comparison.pairs import CATEGORIES, category, net_contrast
from cxlab.stats.comparison.programme import ProgrammeData
from cxlab.stats.comparison.quantities import NPS_VALUES, QUANTITY_COEFFICIENTS
from cxlab.stats.inference import LEVEL
from cxlab.stats.metrics.estimates import estimate_totals

NPS = nps_metric("score")
DIFFERENCE = Metric("other less given", "mean")
#: Kinds of estimate.
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
#: Numbers of a touchpoint with each customer counted once.
PER_CUSTOMER = {"estimate": "", "ci_low": "_ci_low", "ci_high": "_ci_high"}
STAGES = (
    "customers", "eligible", "suppressed by contact rules", "not sampled", "invited",
    "delivered", "answered", "valid score", "paired",
)  # fmt: skip
#: Ends of the classes of time to the answer, in days.
DELAYS = (
    (0.25, "under 6 hours"),
    (1.0, "6 to 24 hours"),
    (3.0, "1 to 3 days"),
    (7.0, "3 to 7 days"),
    (np.inf, "over 7 days"),
)

Row = dict[str, object]


def score_tables(
    data: ProgrammeData,
    done: Standardised,
    behind: Mapping[str, np.ndarray],
    pairs: pd.DataFrame,
    *,
    weighted: bool,
) -> dict[str, pd.DataFrame]:
    """Every table of the scores of each survey; ``behind`` as in `answers_behind`."""
    t = data.valid["transactional"]
    return {
        "estimates": estimates_table(data, done, behind, pairs, weighted=weighted),
        "touchpoints": touchpoint_table(t),
        "delays": delay_table(t),
        "regression": regression_table(pairs),
    }


def estimates_table(
    data: ProgrammeData,
    done: Standardised,
    behind: Mapping[str, np.ndarray],
    pairs: pd.DataFrame,
    *,
    weighted: bool,
) -> pd.DataFrame:
    """Raw, weighted, standardised and paired estimates of each score side by side.

    ``behind`` holds for each quantity the customers of its answers (`answers_behind`). A column
    ``of`` names the quantity, or difference of two, that a row gives or could give back.
    """
    rows, sides = _counted_rows(RAW, data.surveys, weighted=False), data.valid
    if weighted:
        rows += _counted_rows(WEIGHTED, sides, weighted=True)
    if data.has_customers:
        once = {survey: _each_customer_once(one) for survey, one in sides.items()}
        rows += _counted_rows(CUSTOMERS, once, weighted=True)
    rows += _standardised_rows(done, behind)
    rows += _paired_rows(pairs)
    columns = ["estimate_kind", "survey", "population", "n", "customers", *NUMBERS, "deff",
               "n_eff", "response_rate", "status", "note", "of"]  # fmt: skip
    words = dict.fromkeys(("status", "note", "of"), "")
    table = pd.DataFrame([words | row for row in rows], columns=columns)
    return table.astype({"n": "Int64", "customers": "Int64"})


def _counted_rows(
    kind: str,
    sides: Mapping[str, pd.DataFrame],
    *,
    weighted: bool,
) -> list[Row]:
    """NPS of each survey, under the weights of the answers or without, and their difference."""
    fixed: Row = {"estimate_kind": kind, "population": COLLECTED}
    rows: list[Row] = []
    for (survey, answers), name in zip(sides.items(), ("B0", "A0"), strict=True):
        row = fixed | {"survey": survey}
        if not answers["weights"][answers["score"].notna()].sum() > 0:
            rows.append(row | {"n": 0, "customers": 0, "note": "no valid answer"})
            continue
        found = _nps(answers, weighted=weighted).iloc[0].to_dict()
        rows.append(row | found | {"of": name})
    gap = raw_gap(sides, weighted=weighted)
    note = "" if np.isfinite(gap.estimate) else "one survey has no valid answer"
    counts = {"survey": "difference", "n": gap.n, "customers": gap.customers, "of": "gap"}
    return [*rows, fixed | counts | gap.numbers() | {"note": note}]


def _each_customer_once(answers: pd.DataFrame, within: Sequence[str] = ()) -> pd.DataFrame:
    """Valid answers with weights that add to one for each customer, or each of a group's."""
    times = answers.groupby([*within, "customer"], observed=True)["score"].transform("size")
    return answers.assign(weights=1.0 / times)


def _nps(answers: pd.DataFrame, groups: Any = 0, *, weighted: bool = False) -> pd.DataFrame:
    """`cxlab.nps` of each of the groups of answers, clustered by customer."""
    value = np.where(answers["score"].notna(), category(answers["score"]) - 1.0, np.nan)
    weight = answers["weights"] if weighted else None
    return _clustered(NPS, value, answers["customer"], groups, weight=weight)


def _clustered(
    metric: Metric,
    value: ArrayLike,
    customer: pd.Series,
    groups: Any,
    *,
    weight: pd.Series | None = None,
) -> pd.DataFrame:
    """A metric of each of the groups of values, which are clustered by customer.

    Answers are arrays already: they are added up without a dataframe engine.
    """
    design = Design(weights=None if weight is None else "weight", cluster="customer")
    rows = pd.DataFrame({"value_0": value, "cluster": customer, "stratum": 0, "by_0": groups})
    rows["weight"] = 1.0 if weight is None else weight
    table = estimate_totals(row_totals(rows, design, by="group"), [metric], design, LEVEL)
    customers = rows[rows["value_0"].notna()].groupby("by_0")["cluster"].nunique()
    table = table.set_index("group").assign(customers=customers)
    return table[["n", "customers", *NUMBERS, "deff", "n_eff", "note"]]


def _standardised_rows(done: Standardised, behind: Mapping[str, np.ndarray]) -> list[Row]:
    """Standardised scores, and of a survey that not all could be asked those of who could."""
    rows: list[Row] = []
    if done.result is None:
        return rows
    for survey, name, population in STANDARDISED_ROWS:
        numbers = standardised_numbers(done.result.shares, name)
        facts: Row = {"survey": survey, **_facts(done.result, behind, survey, name)}
        reason = done.reason(name)
        row = {"estimate_kind": "standardised", "population": population, **facts, "note": reason}
        rows.append(
            row | {"status": NOT_IDENTIFIED} if reason else row | numbers | {"status": ASSUMPTION}
        )
        if reason and survey == "relationship":
            note = "not the customer base: those whom a contact rule always stops are left out"
            restricted = {"population": f"{population}, of those who could be asked", "note": note}
            rows.append({"estimate_kind": "restricted", **facts, **restricted, **numbers})
    return rows


def _facts(result: Replicates, behind: Mapping[str, np.ndarray], survey: str, name: str) -> Row:
    """Answers, customers, effective answers and response rate behind a standardised score."""
    who = np.concatenate([behind[quantity] for quantity in QUANTITY_COEFFICIENTS[name]])
    counts: Row = {"of": name, "n": len(who), "customers": len(np.unique(who))}
    if survey == "difference":
        return counts
    side, n_eff = result.sides[survey], result.effective_answers(survey)[name]
    return counts | {
        "deff": len(who) / n_eff if n_eff > 0 else np.nan,
        "n_eff": n_eff,
        "response_rate": len(side.answered) / len(side.invited),
    }


def answers_behind(data: ProgrammeData, done: Standardised) -> dict[str, np.ndarray]:
    """Customer of each answer that a quantity is made of; without a frame of A0 and B0 only."""
    t, r = data.valid.values()
    behind = {"B0": t["customer"].to_numpy(), "A0": r["customer"].to_numpy()}
    if done.result is None:
        return behind
    behind["B1"] = behind["B0"]
    for side in done.result.sides.values():
        customer, factors = side.answered["customer"].to_numpy(), side.factors(side.answered)
        behind |= {name: customer[factor > 0] for name, factor in factors.items()}
    return behind


def answers_by_cell(done: Standardised) -> np.ndarray:
    """Customers who answered in each cell of touchpoint and contact channel."""
    if done.result is None:
        return np.empty(0)
    side = done.result.sides["transactional"]
    n_cells = side.cells["answered"].shape[0]
    return customers_of(side.answered["cell"], side.answered["customer"], n_cells)


def _paired_rows(pairs: pd.DataFrame) -> list[Row]:
    """Both scores of the customers who answered both, and their difference."""
    found = net_contrast(pairs)
    sides = [("difference", f"{BOTH} (E3)", found)]
    if found.n:
        scores = (("transactional", pairs["t_value"]), ("relationship", pairs["r_score"]))
        sides = [
            (survey, BOTH, contrast(NPS_VALUES[score.to_numpy(dtype=int)], pairs["customer"]))
            for survey, score in scores
        ] + sides
    rows: list[Row] = []
    for survey, population, one in sides:
        what = {"estimate_kind": "paired", "survey": survey, "population": population}
        rows.append({**what, "n": one.n, "customers": one.customers, **one.numbers()})
    rows[-1]["note"] = "" if found.n else NO_PAIRS
    return rows


def touchpoint_table(t: pd.DataFrame) -> pd.DataFrame:
    """TNPS of each touchpoint (E2): episode-weighted, and each customer counted once.

    Of the valid answers ``t``.     ``repeated`` counts the customers with more than one answer, ``outside`` those of whom no
    touchpoint is known.
    """
    columns = ["touchpoint", "n", "customers", *NUMBERS, "per_customer", "per_customer_ci_low",
               "per_customer_ci_high", "note", "repeated", "outside"]  # fmt: skip
    there = t["touchpoint"].notna()
    known = _each_customer_once(t[there], ["touchpoint"])
    if known.empty:
        return pd.DataFrame(columns=columns)
    names = known["touchpoint"].astype("str")
    once = _nps(known, names, weighted=True)
    several = known[known["weights"] < 1].groupby(names)["customer"].nunique()
    table = _nps(known, names).assign(
        **{f"per_customer{end}": once[name] for name, end in PER_CUSTOMER.items()},
        repeated=several,
        outside=t["customer"][~there].nunique(),
    )
    table = table.fillna({"repeated": 0})
    return table.rename_axis("touchpoint").reset_index()[columns]


def delay_table(t: pd.DataFrame) -> pd.DataFrame:
    """Transactional NPS by how long after the episode the answer came.

    Of the valid answers ``t``.     ``outside`` counts the customers of whom that is not known.
    """
    columns = ["delay", "median_days", "n", "customers", *NUMBERS, "note", "outside"]
    days = (t["responded_at"] - t["triggered_at"]).dropna()
    known = t.loc[days.index]
    if known.empty:
        return pd.DataFrame(columns=columns)
    ends = np.array([end for end, _ in DELAYS])
    code = np.minimum(np.searchsorted(ends, days, side="right"), len(ends) - 1)
    table = _nps(known, code).assign(
        delay=[DELAYS[k][1] for k in np.unique(code)],
        median_days=days.groupby(code).median(),
        outside=t["customer"].drop(days.index).nunique(),
    )
    return table[columns].reset_index(drop=True)


def flow_table(data: ProgrammeData, done: Standardised, pairs: pd.DataFrame) -> pd.DataFrame:
    """From customers to paired answers: rows and customers of each survey at each stage.

    Stages that the files don't tell are missing, not zero.
    """
    asked = done.collected.rows if done.collected else {}
    rows = []
    for survey in data.surveys:
        counts = _asked_stages(asked[survey]) if asked else {}
        counts |= {
            "answered": _count(data.surveys[survey]["customer"]),
            "valid score": _count(data.valid[survey]["customer"]),
            "paired": (pairs[survey].nunique(), pairs["customer"].nunique()),
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


def _asked_stages(asked: pd.DataFrame) -> dict[str, tuple[int, int]]:
    stages = {
        "eligible": asked,
        "suppressed by contact rules": asked[~asked["free"]],
        "not sampled": asked[asked["free"] & ~asked["invited"]],
        "invited": asked[asked["invited"]],
        "delivered": asked[asked["delivered"]],
    }
    return {name: _count(rows["customer"]) for name, rows in stages.items()}


def _count(customer: pd.Series) -> tuple[int, int]:
    return len(customer), customer.nunique()


def regression_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """Mean of each score given the category of the other, both ways.

    A customer picked for an extreme score in one survey is on average less extreme in the
    other, whichever comes first: the two directions together tell change from regression
    to the mean.
    """
    scores = {"transactional answer": pairs["t_value"], "relationship answer": pairs["r_score"]}
    parts = []
    for given, known in scores.items():
        other = scores[next(name for name in scores if name != given)]
        groups = category(known)
        cells = pd.DataFrame({"mean_given": known, "mean_other": other})
        found = _clustered(DIFFERENCE, other - known, pairs["customer"], groups)
        table = cells.groupby(groups).mean().join(found).reindex(range(len(CATEGORIES)))
        parts.append(table.assign(given=given, group=CATEGORIES).fillna({"n": 0, "customers": 0}))
    columns = ["given", "group", "n", "customers", "mean_given", "mean_other", *NUMBERS]
    return pd.concat(parts, ignore_index=True)[columns].astype({"n": int, "customers": int})
