"""Both scores however they are counted, and the shares that they are made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from cxlab.stats.comparison.contract import Answers, ProgrammeData
from cxlab.stats.comparison.gaps import raw_gap
from cxlab.stats.comparison.margins import CATEGORIES, category
from cxlab.stats.comparison.respondents import Respondents, spread_of
from cxlab.stats.comparison.small import COMPLEMENT, hide, hide_groups, too_few, why_hidden
from cxlab.stats.comparison.terms import combine
from cxlab.stats.metrics import nps, top_box

ANSWERS = "each answer once"
WEIGHTED = "weighted as declared"
CUSTOMERS = "each customer once"
BOTH = "customers who answered both"
ONLY = "customers who answered this survey only"
LESS = "those who answered both less the others"
SURVEYS = {"t": "transactional", "r": "relationship"}
NUMBERS = ("estimate", "se", "ci_low", "ci_high")
COLUMNS = ["counted", "survey", "n", "customers", *NUMBERS, "note"]
#: Scores of each category, as top boxes.
BOXES = ((0, 6), (7, 8), (9, 10))


def scores_table(
    data: ProgrammeData,
    people: Respondents,
    estimate: dict[str, np.ndarray],
    replicates: dict[str, np.ndarray],
    *,
    weighted: bool,
    level: float,
    smallest: int,
) -> pd.DataFrame:
    """tNPS, rNPS and their difference: as collected, weighted as declared, by customer.

    Returns
    -------
    DataFrame
        ``counted, survey`` (transactional, relationship, difference), ``n`` (answers),
        ``customers, estimate, se, ci_low, ci_high`` in points, ``note``. Rows about fewer
        than ``smallest`` customers are hidden, and those that would give them back.
    """
    sides = {"t": data.transactional, "r": data.relationship}
    rows = _rows(ANSWERS, {k: _equal(a) for k, a in sides.items()}, data.unit, level)
    if weighted:
        rows += _rows(WEIGHTED, sides, data.unit, level)
    if data.has_customers:
        each = {k: 1.0 / np.maximum(times, 1) for k, times in people.times.items()}
        once = {k: replace(a, weight=each[k][a.customer]) for k, a in sides.items()}
        rows += _rows(CUSTOMERS, once, data.unit, level)
        rows += _overlap_rows(people, estimate, replicates, level)
    table = pd.DataFrame(rows, columns=COLUMNS)
    why = _hidden(table, people, smallest)
    return hide(table, why != "", list(why))


def _equal(answers: Answers) -> Answers:
    return replace(answers, weight=np.ones(len(answers)))


def _rows(
    counted: str, sides: dict[str, Answers], unit: np.ndarray, level: float
) -> list[dict[str, object]]:
    """Both scores and their difference under the weights that the answers carry."""
    rows = [_score(counted, SURVEYS[k], answers, unit, level) for k, answers in sides.items()]
    gap = raw_gap(sides["t"], sides["r"], unit, weighted=True)
    both = np.concatenate([answers.customer[answers.valid] for answers in sides.values()])
    numbers = dict(zip(NUMBERS, (gap.estimate, gap.se, *gap.limits(level)), strict=True))
    counts = {"n": gap.n, "customers": len(np.unique(both)) if gap.n else 0}
    return [*rows, {"counted": counted, "survey": "difference", **counts, **numbers, "note": ""}]


def _score(
    counted: str, survey: str, answers: Answers, unit: np.ndarray, level: float
) -> dict[str, object]:
    row: dict[str, object] = {"counted": counted, "survey": survey, "n": 0, "customers": 0}
    if not answers.weight[answers.valid].sum() > 0:
        return row | {"note": "no valid answer"}
    found = nps(
        _frame(answers, unit), "score", design={"cluster": "unit", "weights": "weight"}, level=level
    )
    customers = len(np.unique(answers.customer[answers.valid]))
    one = found.iloc[0]
    return row | {name: one[name] for name in ("n", *NUMBERS, "note")} | {"customers": customers}


def _frame(answers: Answers, unit: np.ndarray) -> pd.DataFrame:
    who = unit[answers.customer]
    frame = pd.DataFrame({"score": answers.score, "unit": who, "weight": answers.weight})
    return frame[answers.valid]


def _overlap_rows(
    people: Respondents,
    estimate: dict[str, np.ndarray],
    replicates: dict[str, np.ndarray],
    level: float,
) -> list[dict[str, object]]:
    """Customers who answered both surveys against those who answered one."""
    both = people.both
    rows: list[dict[str, object]] = []
    for counted, survey, here, of in (
        (BOTH, "transactional", both, {"T both": 1.0}),
        (BOTH, "relationship", both, {"R both": 1.0}),
        (BOTH, "difference", both, {"T both": 1.0, "R both": -1.0}),
        (ONLY, "transactional", people.only("t"), {"T only": 1.0}),
        (ONLY, "relationship", people.only("r"), {"R only": 1.0}),
        (LESS, "transactional", both | people.only("t"), {"T both": 1.0, "T only": -1.0}),
        (LESS, "relationship", both | people.only("r"), {"R both": 1.0, "R only": -1.0}),
    ):
        value = float(combine(estimate, of)[0])
        numbers = (value, *spread_of(combine(replicates, of), level, people.fewest(of)))
        rows.append(
            {
                "counted": counted,
                "survey": survey,
                "n": _answers(people, survey, here),
                "customers": int(here.sum()),
                **dict(zip(NUMBERS, numbers, strict=True)),
                "note": "" if np.isfinite(value) else "no such customers",
            }
        )
    return rows


def _answers(people: Respondents, survey: str, here: np.ndarray) -> int:
    shorts = [k for k, name in SURVEYS.items() if survey in (name, "difference")]
    return int(sum(people.times[k][here].sum() for k in shorts))


def _hidden(table: pd.DataFrame, people: Respondents, smallest: int) -> np.ndarray:
    """Why each row is hidden; empty where it is shown."""
    few = too_few(table["customers"].astype(float), smallest)
    why = np.where(few, why_hidden(smallest), "").astype(object)
    whole = {k: bool(too_few((people.times[k] > 0).sum(), smallest)) for k in SURVEYS}
    # a survey's score less that of each customer once is about those who answered several times
    counted = {k: whole[k] or bool(too_few(people.several(k), smallest)) for k in SURVEYS}
    cells = {k: [people.both.sum(), people.only(k).sum()] for k in SURVEYS}
    apart = {k: counted[k] or bool(too_few(cells[k], smallest).any()) for k in SURVEYS}
    for at, row in enumerate(table.itertuples()):
        sides = [k for k, name in SURVEYS.items() if row.survey in (name, "difference")]
        rule = {CUSTOMERS: counted, ANSWERS: whole, WEIGHTED: whole}.get(row.counted, apart)
        if not why[at] and any(rule[k] for k in sides):
            why[at] = COMPLEMENT
    return why


def shares_table(
    data: ProgrammeData, *, weighted: bool, level: float, smallest: int
) -> pd.DataFrame:
    """Detractors, passives and promoters of both surveys.

    Returns
    -------
    DataFrame
        ``survey, group, n`` (answers), ``customers, estimate, se, ci_low, ci_high`` (per
        cent of the answers), ``weighted`` (per cent, weighted as declared; where weights
        are declared), ``note``. Groups of fewer than ``smallest`` customers are hidden,
        and those that would give them back.
    """
    rows = []
    for survey, answers in zip(SURVEYS.values(), (data.transactional, data.relationship),
                               strict=True):  # fmt: skip
        if not answers.valid.any():
            continue
        frame = _frame(answers, data.unit)
        code, who = category(frame["score"].to_numpy()), answers.customer[answers.valid]
        for k, (name, box) in enumerate(zip(CATEGORIES, BOXES, strict=True)):
            found = top_box(frame, "score", top=box, design={"cluster": "unit"}, level=level).iloc[
                0
            ]
            counts = {"n": int((code == k).sum()), "customers": len(np.unique(who[code == k]))}
            row = {"survey": survey, "group": name, **counts, **found[list(NUMBERS)]}
            total = frame["weight"].sum()
            if weighted:
                row["weighted"] = 100 * frame["weight"][code == k].sum() / total if total else None
            rows.append(row)
    columns = ["survey", "group", "n", "customers", *NUMBERS, *(["weighted"] if weighted else [])]
    return hide_groups(pd.DataFrame(rows, columns=columns), smallest, within="survey")
