"""Among those who answered: what the gap is made of without invitations or a frame.

An identity of the answers of each customer, and composition by a segment that both surveys have.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from cxlab.stats.comparison.decomposition import resample, spread_of
from cxlab.stats.comparison.programme import Answers, ProgrammeData, known_groups
from cxlab.stats.comparison.quantities import NPS_VALUES, combine

UNIT = "answers counted, not people"
SAME = "the same customers"
T_ONLY = "answered the transactional only"
R_ONLY = "answered the relationship only"
#: The last three where no customer answered both.
DIFFERENT = "different customers in the two surveys"
#: In the mean scores: of all answers (B0, A0), of all customers who answered (T, R), each
#: counted once, and of those who answered both surveys. They telescope to B0 − A0.
IDENTITY: dict[str, dict[str, float]] = {
    UNIT: {"B0": 1, "T": -1, "A0": -1, "R": 1},
    SAME: {"T both": 1, "R both": -1},
    T_ONLY: {"T": 1, "T both": -1},
    R_ONLY: {"R both": 1, "R": -1},
}
GAP = {"B0": 1.0, "A0": -1.0}
#: Parts of the identity that may be shown together where one alone is about few customers.
TOGETHER = {
    " + ".join(names): {
        q: c
        for q in ("B0", "A0", "T", "R", "T both", "R both")
        if (c := sum(IDENTITY[name].get(q, 0.0) for name in names))
    }
    for names in ([UNIT, SAME], [SAME, T_ONLY, R_ONLY])
}
#: Mean score to the sums that it is a ratio of.
RATIOS = {
    "B0": ("t points", "t answers"),
    "A0": ("r points", "r answers"),
    "T": ("t means", "t customers"),
    "R": ("r means", "r customers"),
    "T both": ("t means, both", "both"),
    "R both": ("r means, both", "both"),
}


@dataclass(frozen=True, eq=False)
class Respondents:
    """Every customer who answered: how often, and what on average.

    Attributes
    ----------
    times, mean : dict of str to ndarray, shape (customers,)
        Per survey ("t", "r"): valid answers of each customer, and their mean in NPS points
        (0 without an answer).
    sums : sparse matrix, shape (sums, customers)
        What each customer adds to each sum of ``names``.
    named : bool
        Answers name their customer; else each answer counts as one.
    """

    times: dict[str, np.ndarray]
    mean: dict[str, np.ndarray]
    sums: sparse.csr_matrix
    names: list[str]
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
        """Customers behind the one of these mean scores that has fewest."""
        return min(int(self.customers(name).sum()) for name in scores)

    def customers(self, score: str) -> np.ndarray:
        """Who is behind a mean score of `RATIOS`."""
        return (
            self.both
            if score.endswith("both")
            else self.times["t" if score[0] in "BT" else "r"] > 0
        )

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
    n = data.n_customers
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
            f"{short} means": mean[short],
            f"{short} means, both": np.where(both, mean[short], 0.0),
        }
    sums = sparse.csr_matrix(np.array(list(columns.values()), dtype=float))
    return Respondents(times, mean, sums, list(columns), data.has_customers)


def points_of(answers: Answers) -> np.ndarray:
    """NPS points of the valid answers."""
    return NPS_VALUES[answers.score[answers.valid].astype(int)]


@dataclass(frozen=True, eq=False)
class AmongAnswers:
    """Estimates and replicates of everything that the answers alone support.

    ``estimate`` and ``replicates`` are mean scores (`Respondents.scores`); ``cells`` holds for
    each segment the replicates of `Segment.counts`.
    """

    people: Respondents
    segments: list[Segment]
    estimate: dict[str, np.ndarray]
    replicates: dict[str, np.ndarray]
    cells: list[np.ndarray]

    def spread(self, of: dict[str, float]) -> dict[str, float]:
        """Estimate, standard error, interval and degrees of freedom of a combination of scores."""
        value, fewest = float(combine(self.estimate, of)[0]), self.people.fewest(of)
        spread = spread_of(combine(self.replicates, of), fewest)
        names = ("estimate", "se", "ci_low", "ci_high", "df")
        return dict(zip(names, (value, *spread, fewest - 1), strict=True))


def among_answers(data: ProgrammeData, *, replicates: int, seed: int) -> AmongAnswers:
    """Sum up customers and segments, and resample customers whole."""
    people, segments = respondents(data), segments_of(data)
    n = replicates if data.n_customers > 1 else 0
    sums = sparse.vstack([people.sums, *(one.cells for one in segments)]).tocsr()
    many = resample(sums, n, np.random.default_rng(seed))
    ends = np.cumsum([len(people.names), *(one.cells.shape[0] for one in segments)])
    pieces = np.split(many, ends[:-1])
    return AmongAnswers(
        people=people,
        segments=segments,
        estimate=people.scores(people.sums @ np.ones((data.n_customers, 1))),
        replicates=people.scores(pieces[0]),
        cells=[
            piece.reshape(len(one.groups) + 1, 4, -1)
            for one, piece in zip(segments, pieces[1:], strict=True)
        ],
    )


def identity_table(found: AmongAnswers) -> pd.DataFrame:
    """The gap as collected in parts that need no assumption.

    The four parts of `IDENTITY` add to the gap; after them come those of `TOGETHER`, which may
    be shown instead, and the gap.

    Notes
    -----
    With T_i and R_i a customer's own means, B0 − A0 = [(B0 − T̄) − (A0 − R̄)] + [T̄ − R̄ of
    those who answered both] + (1 − π_T)(T̄ of those who answered the transactional survey
    only − T̄ of both) − (1 − π_R)(the same of R̄), with π the share of a survey's
    customers who answered both.
    """
    people = found.people
    gap = float(combine(found.estimate, GAP)[0])
    rows = []
    for term, of in {**IDENTITY, **TOGETHER, "gap": GAP}.items():
        numbers = found.spread(of)
        share = numbers["estimate"] / gap if abs(gap) > 1e-12 else np.nan
        kind = "total" if term == "gap" else "term"
        about = {"term": term, "kind": kind, **_about(people, term)}
        rows.append({**about, **numbers, "share": share, "note": ""})
    return pd.DataFrame(rows)


def _about(people: Respondents, term: str) -> dict[str, int]:
    """Answers and customers that a part is about."""
    who = {SAME: people.both, T_ONLY: people.only("t"), R_ONLY: people.only("r")}
    here = who.get(term, (people.times["t"] > 0) | (people.times["r"] > 0))
    answers = (people.times["t"] + people.times["r"])[here].sum()
    return {"n": int(answers), "customers": int(here.sum())}


COMPOSITION = "composition"
WITHIN = "within groups"
UNKNOWN = "group not known"
STANDARDISED = "gap at the relationship survey's mix"


@dataclass(frozen=True, eq=False)
class Segment:
    """Answers of both surveys by one segment.

    Attributes
    ----------
    name : str
    groups : list of str
    customers : ndarray of int, shape (groups,)
        Of either survey.
    cells : sparse matrix, shape (4 × groups + 4, customers)
        What each customer adds to answers and points of either survey, of every group and
        then of all answers.
    """

    name: str
    groups: list[str]
    customers: np.ndarray
    cells: sparse.csr_matrix

    @property
    def counts(self) -> np.ndarray:
        """Answers and points of every group, and last of all: shape (groups + 1, 4, 1)."""
        return np.asarray(self.cells.sum(1)).reshape(len(self.groups) + 1, 4, 1)


def segments_of(data: ProgrammeData) -> list[Segment]:
    """Segments that the answers of both surveys have, with two groups or more to compare."""
    t, r = data.transactional, data.relationship
    shared = [name for name in t.segments if name in r.segments]
    found = [_segment(name, data) for name in shared]
    return [one for one in found if one is not None]


def _segment(name: str, data: ProgrammeData) -> Segment | None:
    answers = (data.transactional, data.relationship)
    rows = [np.flatnonzero(one.valid) for one in answers]
    *codes, groups = known_groups(
        *(one.segments[name].iloc[at] for one, at in zip(answers, rows, strict=True))
    )
    if len(groups) < 2 or not all((code >= 0).any() for code in codes):
        return None
    who = [one.customer[at] for one, at in zip(answers, rows, strict=True)]
    code, customer = np.concatenate(codes), np.concatenate(who)
    return Segment(
        name=name,
        groups=groups,
        customers=customers_of(code, customer, len(groups)),
        cells=_cells(codes, who, [points_of(one) for one in answers], data, len(groups)),
    )


def customers_of(code: np.ndarray, customer: np.ndarray, n_codes: int) -> np.ndarray:
    """Distinct customers under each code; codes below 0 are none."""
    pairs = np.unique(np.column_stack([code, customer])[code >= 0], axis=0)
    return np.bincount(pairs[:, 0], minlength=n_codes)


def _cells(
    codes: list[np.ndarray],
    who: list[np.ndarray],
    points: list[np.ndarray],
    data: ProgrammeData,
    n_groups: int,
) -> sparse.csr_matrix:
    values, places, customers = [], [], []
    for k, (code, customer, value) in enumerate(zip(codes, who, points, strict=True)):
        everything = np.full(len(code), n_groups)
        for group in (code, everything):
            for j, one in enumerate((np.ones(len(code)), value)):
                here = group >= 0
                values.append(one[here])
                places.append(4 * group[here] + 2 * k + j)
                customers.append(customer[here])
    cells = (np.concatenate(places), np.concatenate(customers))
    shape = (4 * (n_groups + 1), data.n_customers)
    return sparse.csr_matrix((np.concatenate(values), cells), shape=shape)


def kitagawa_parts(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Shares, scores and both parts of every group; each of shape (groups, replicates).

    Notes
    -----
    composition = (w_T − w_R)(T_g + R_g)/2, within = (T_g − R_g)(w_T + w_R)/2. A group that
    only one survey has takes its score for the other.

    References
    ----------
    Kitagawa (1955), JASA 50, 1168–1194.
    """
    groups = counts[:-1]
    w_t, w_r = (groups[:, k] / np.maximum(groups[:, k].sum(0), 1e-12) for k in (0, 2))
    score_t, score_r = (
        groups[:, k + 1] / np.where(groups[:, k] > 0, groups[:, k], np.nan) for k in (0, 2)
    )
    t = np.where(np.isnan(score_t), score_r, score_t)
    r = np.where(np.isnan(score_r), score_t, score_r)
    nobody = np.isnan(t)
    t, r = np.where(nobody, 0.0, t), np.where(nobody, 0.0, r)
    return {
        "share_transactional": w_t,
        "share_relationship": w_r,
        "tnps": score_t,
        "rnps": score_r,
        COMPOSITION: (w_t - w_r) * (t + r) / 2,
        WITHIN: (t - r) * (w_t + w_r) / 2,
        STANDARDISED: w_r * (t - r),
    }


def segment_gap_parts(counts: np.ndarray) -> dict[str, np.ndarray]:
    """The parts of the gap by one segment, and the gap at one mix; each of shape (replicates,)."""
    parts = kitagawa_parts(counts)
    groups, everything = counts[:-1].sum(0), counts[-1]
    of_all, of_known = (c[1] / c[0] - c[3] / c[2] for c in (everything, groups))
    return {
        COMPOSITION: parts[COMPOSITION].sum(0),
        WITHIN: parts[WITHIN].sum(0),
        UNKNOWN: of_all - of_known,
        STANDARDISED: parts[STANDARDISED].sum(0),
    }


def segment_gaps(found: AmongAnswers) -> pd.DataFrame:
    """The parts of the gap by every shared segment.

    Composition, within groups and group not known add to the gap as collected; the gap at the
    relationship survey's mix is no part of it.
    """
    rows: list[tuple[object, ...]] = []
    for one, many in zip(found.segments, found.cells, strict=True):
        counts, spread = one.counts, segment_gap_parts(many)
        for name, value in segment_gap_parts(counts).items():
            if name == UNKNOWN and np.array_equal(counts[:-1].sum(0), counts[-1]):
                continue
            note = "" if name != UNKNOWN else _known_note(counts)
            rows.append((one.name, name, float(value[0]), *spread_of(spread[name]), note))
    columns = ["segment", "part", "estimate", "se", "ci_low", "ci_high", "note"]
    return pd.DataFrame(rows, columns=columns)


def _known_note(counts: np.ndarray) -> str:
    known, everything = counts[:-1, :, 0].sum(0), counts[-1, :, 0]
    words = [
        f"{int(known[k]):,} of {int(everything[k]):,} {survey} answers"
        for k, survey in ((0, "transactional"), (2, "relationship"))
    ]
    return f"known of {' and '.join(words)}"


def segment_groups(found: AmongAnswers) -> pd.DataFrame:
    """The groups of every shared segment."""
    columns = ["segment", "group", "n", "customers", "share_transactional", "share_relationship",
               "tnps", "rnps", "composition", "within_groups", "note"]  # fmt: skip
    tables = [pd.DataFrame(columns=columns)]
    for one in found.segments:
        counts = one.counts
        parts = {name: values[:, 0] for name, values in kitagawa_parts(counts).items()}
        lacking = np.isnan(parts["tnps"]) | np.isnan(parts["rnps"])
        table = pd.DataFrame(parts).rename(columns={WITHIN: "within_groups"})
        table = table.assign(
            segment=one.name,
            group=one.groups,
            n=(counts[:-1, 0, 0] + counts[:-1, 2, 0]).astype(int),
            customers=one.customers,
            note=np.where(lacking, "only one survey has it", ""),
        )
        tables.append(table[columns])
    return pd.concat(tables[1:] or tables, ignore_index=True)
