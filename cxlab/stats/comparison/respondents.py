"""Among those who answered: what the gap is made of without invitations or a frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from cxlab.stats.comparison.contract import Answers, ProgrammeData
from cxlab.stats.comparison.decomposition import interval
from cxlab.stats.comparison.quantities import NPS_VALUES
from cxlab.stats.comparison.small import hide, too_few, why_hidden
from cxlab.stats.comparison.terms import combine

UNIT = "answers counted, not people"
SAME = "the same customers"
T_ONLY = "answered the transactional only"
R_ONLY = "answered the relationship only"
#: The last three where no customer answered both.
DIFFERENT = "different customers in the two surveys"
#: Replicates that differ by less are the same but for rounding; in points.
SAME_VALUE = 1e-9
#: In the mean scores: of all answers (B0, A0), of all customers who answered (T, R), each
#: counted once, and of those who answered both surveys. They telescope to B0 − A0.
IDENTITY: dict[str, dict[str, float]] = {
    UNIT: {"B0": 1, "T": -1, "A0": -1, "R": 1},
    SAME: {"T both": 1, "R both": -1},
    T_ONLY: {"T": 1, "T both": -1},
    R_ONLY: {"R both": 1, "R": -1},
}
GAP = {"B0": 1.0, "A0": -1.0}
#: Mean score to the sums that it is a ratio of.
RATIOS = {
    "B0": ("t points", "t answers"),
    "A0": ("r points", "r answers"),
    "T": ("t means", "t customers"),
    "R": ("r means", "r customers"),
    "T both": ("t means, both", "both"),
    "R both": ("r means, both", "both"),
    "T only": ("t means, only", "t only"),
    "R only": ("r means, only", "r only"),
}


@dataclass(frozen=True, eq=False)
class Respondents:
    """Every customer who answered: how often, and what on average.

    Attributes
    ----------
    times, mean : dict of str to ndarray, shape (customers,)
        Per survey ("t", "r"): valid answers of each customer, and their mean in NPS points
        (0 without an answer).
    sums : sparse matrix, shape (sums, units)
        What each unit of resampling adds to each sum.
    names : list of str
        Of the sums.
    unit : ndarray of int, shape (customers,)
        Unit of resampling of each customer.
    named : bool
        Answers name their customer; else each answer counts as one.
    """

    times: dict[str, np.ndarray]
    mean: dict[str, np.ndarray]
    sums: sparse.csr_matrix
    names: list[str]
    unit: np.ndarray
    named: bool

    @property
    def both(self) -> np.ndarray:
        """Customers who answered both surveys."""
        return (self.times["t"] > 0) & (self.times["r"] > 0)

    def only(self, survey: str) -> np.ndarray:
        """Customers who answered this survey only."""
        return (self.times[survey] > 0) & ~self.both

    def several(self, survey: str) -> int:
        """How many customers answered a survey more than once."""
        return int((self.times[survey] > 1).sum())

    def fewest(self, scores: Iterable[str]) -> int:
        """Units behind the one of these mean scores that has fewest."""
        return min(len(np.unique(self.unit[self.customers(name)])) for name in scores)

    def customers(self, score: str) -> np.ndarray:
        """Who is behind a mean score of `RATIOS`."""
        survey = "t" if score[0] in "BT" else "r"
        if score.endswith("both"):
            return self.both
        return self.only(survey) if score.endswith("only") else self.times[survey] > 0

    def scores(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """Mean scores of totals of the sums, (sums, replicates); NaN where nobody is left."""
        total = dict(zip(self.names, sums, strict=True))
        return {
            name: total[above] / np.where(total[below] > 0, total[below], np.nan)
            for name, (above, below) in RATIOS.items()
        }


def respondents(data: ProgrammeData) -> Respondents:
    """Sum up every customer's valid answers."""
    times: dict[str, np.ndarray] = {}
    mean: dict[str, np.ndarray] = {}
    columns: dict[str, np.ndarray] = {}
    n = len(data.customer_ids)
    for short, answers in (("t", data.transactional), ("r", data.relationship)):
        who, points = answers.customer[answers.valid], points_of(answers)
        times[short] = np.bincount(who, minlength=n)
        total = np.bincount(who, points, minlength=n)
        mean[short] = total / np.maximum(times[short], 1)
        columns |= {f"{short} points": total, f"{short} answers": times[short]}
    both = (times["t"] > 0) & (times["r"] > 0)
    columns["both"] = both
    for short in ("t", "r"):
        some = times[short] > 0
        columns |= {
            f"{short} customers": some,
            f"{short} only": some & ~both,
            f"{short} means": mean[short],
            f"{short} means, both": np.where(both, mean[short], 0.0),
            f"{short} means, only": np.where(both, 0.0, mean[short]),
        }
    unit = [np.bincount(data.unit, c, minlength=data.n_units) for c in columns.values()]
    sums = sparse.csr_matrix(np.array(unit))
    return Respondents(times, mean, sums, list(columns), data.unit, data.has_customers)


def points_of(answers: Answers) -> np.ndarray:
    """NPS points of the valid answers."""
    return NPS_VALUES[answers.score[answers.valid].astype(int)]


def identity_table(
    people: Respondents,
    estimate: dict[str, np.ndarray],
    replicates: dict[str, np.ndarray],
    *,
    level: float,
    smallest: int,
) -> pd.DataFrame:
    """The gap as collected in parts that need no assumption.

    Parameters
    ----------
    people : Respondents
    estimate, replicates : dict of str to ndarray
        From `Respondents.scores`, of the data and of each replicate.
    level : float
    smallest : int
        ``min_group_size``.

    Returns
    -------
    DataFrame
        ``term, n`` (answers), ``customers`` (whom it is about), ``estimate, se, ci_low,
        ci_high`` in points, ``share`` of the gap, ``note``. Parts add to the gap. Where one
        would be about fewer than ``smallest`` customers, it is shown together with those
        that would give it back.

    Notes
    -----
    With T_i and R_i a customer's own means, B0 − A0 = [(B0 − T̄) − (A0 − R̄)] + [T̄ − R̄ of
    those who answered both] + (1 − π_T)(T̄ of those who answered the transactional survey
    only − T̄ of both) − (1 − π_R)(the same of R̄), with π the share of a survey's
    customers who answered both.
    """
    parts = [(names, _added([IDENTITY[name] for name in names]))
             for names in _shown_parts(people, smallest)]  # fmt: skip
    surveys = np.array([(people.times[k] > 0).sum() for k in ("t", "r")])
    few = bool(too_few(surveys, smallest).any())
    if len(parts) < 2 or few or not surveys.all():
        parts = []
    gap = float(combine(estimate, GAP)[0])
    rows = []
    for names, of in [*parts, (["gap"], GAP)]:
        value = float(combine(estimate, of)[0])
        spread = spread_of(combine(replicates, of), level, people.fewest(of))
        rows.append(
            {
                "term": _term(people, names),
                **_about(people, names),
                **dict(zip(("estimate", "se", "ci_low", "ci_high"), (value, *spread), strict=True)),
                "share": value / gap if abs(gap) > 1e-12 else np.nan,
                "note": _together(people, smallest) if len(names) > 1 else "",
            }
        )
    table = pd.DataFrame(rows)
    return hide(table, [few] * len(table), why_hidden(smallest))


def _shown_parts(people: Respondents, smallest: int) -> list[list[str]]:
    """Parts of the identity, those together that must not be told apart."""
    if not people.named:
        return []
    cells = [people.both.sum(), people.only("t").sum(), people.only("r").sum()]
    apart = not too_few(cells, smallest).any() and people.both.any()
    counted = not too_few([people.several("t"), people.several("r")], smallest).any()
    rest = [[SAME], [T_ONLY], [R_ONLY]] if apart else [[SAME, T_ONLY, R_ONLY]]
    return [[UNIT], *rest] if counted else [[UNIT, *rest[0]], *rest[1:]]


def spread_of(
    replicates: np.ndarray, level: float, customers: float = np.inf
) -> tuple[float, float, float]:
    """As `interval`; unknown, not 0, where all replicates agree: no variance is no certainty."""
    finite = replicates[np.isfinite(replicates)]
    if len(finite) and np.ptp(finite) < SAME_VALUE:
        return np.nan, np.nan, np.nan
    return interval(replicates, level, customers)


def _term(people: Respondents, names: list[str]) -> str:
    alone = len(names) == 3 and not people.both.any()
    return DIFFERENT if alone else " + ".join(names)


def _together(people: Respondents, smallest: int) -> str:
    if not people.both.any():
        return "no customer answered both surveys"
    return f"together, because one of them is about fewer than {smallest} customers"


def _added(parts: list[dict[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for name, c in part.items():
            total[name] = total.get(name, 0.0) + c
    return {name: c for name, c in total.items() if c}


def _about(people: Respondents, names: list[str]) -> dict[str, int]:
    """Answers and customers that a part is about."""
    who = {SAME: people.both, T_ONLY: people.only("t"), R_ONLY: people.only("r")}
    everybody = (people.times["t"] > 0) | (people.times["r"] > 0)
    here = np.any([who.get(name, everybody) for name in names], axis=0)
    answers = (people.times["t"] + people.times["r"])[here].sum()
    return {"n": int(answers), "customers": int(here.sum())}
