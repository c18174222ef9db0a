"""Among those who answered: what the gap is made of without invitations or a frame.

An identity of the answers of each customer, and composition by a segment that both surveys have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse

from cxlab.stats.comparison.contract import SEGMENT
from cxlab.stats.comparison.decomposition import (
    NUMBERS,
    interval,
    multipliers,
)
from cxlab.stats.comparison.programme import ProgrammeData, known_groups
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


def respondents(data: ProgrammeData) -> pd.DataFrame:
    """What each customer adds to the sums of `RATIOS`, of valid answers ("t" and "r") in points."""
    columns: dict[str, np.ndarray] = {}
    for k, answers in zip("tr", data.valid.values(), strict=True):
        who = answers["customer"]
        times = np.bincount(who, minlength=data.n_customers)
        total = np.bincount(who, points_of(answers), minlength=data.n_customers)
        columns |= {f"{k} points": total, f"{k} answers": times, f"{k} customers": times > 0}
        columns |= {f"{k} means": total / np.maximum(times, 1)}
    both = columns["t customers"] & columns["r customers"]
    means = {f"{k} means, both": np.where(both, columns[f"{k} means"], 0.0) for k in "tr"}
    return pd.DataFrame({**columns, "both": both, **means})


def points_of(answers: pd.DataFrame) -> np.ndarray:
    """NPS points of valid answers."""
    return NPS_VALUES[answers["score"].to_numpy(dtype=int)]


@dataclass(frozen=True, eq=False)
class AmongAnswers:
    """Everything that the answers alone support: of the data, in the first column, and replicates.

    ``people`` has one row per customer (`respondents`). ``scores`` are those of `RATIOS`, NaN where nobody is left; ``cells``, of each segment, have
    shape (groups + 1, 4, replicates): answers and points of either survey, of every group and
    last of all answers.
    """

    people: pd.DataFrame
    segments: list[Segment]
    scores: dict[str, np.ndarray]
    cells: list[np.ndarray]

    def spread(self, of: dict[str, float]) -> dict[str, float]:
        """Estimate, standard error, interval and degrees of freedom of a combination of scores."""
        values = combine(self.scores, of)
        # a mean is over those whom its denominator counts
        fewest = min(int((self.people[RATIOS[name][1]] > 0).sum()) for name in of)
        numbers = (float(values[0]), *interval(values[1:], fewest))
        return {**dict(zip(NUMBERS, numbers, strict=True)), "df": fewest - 1}


def among_answers(data: ProgrammeData, *, replicates: int, seed: int) -> AmongAnswers:
    """Sum up customers and segments, and resample customers whole."""
    people, segments = respondents(data), segments_of(data)
    n = replicates if data.n_customers > 1 else 0
    own = sparse.csr_matrix(people.to_numpy(dtype=float).T)
    sums = sparse.vstack([own, *(one.cells for one in segments)]).tocsr()
    drawn = multipliers(data.n_customers, n, np.random.default_rng(seed), rows=data.n_customers)
    many = np.hstack([sums @ times for times in drawn])
    ends = np.cumsum([len(people.columns), *(one.cells.shape[0] for one in segments)])
    pieces = np.split(many, ends[:-1])
    total = dict(zip(people.columns, pieces[0], strict=True))
    return AmongAnswers(
        people=people,
        segments=segments,
        scores={
            name: total[above] / np.where(total[below] > 0, total[below], np.nan)
            for name, (above, below) in RATIOS.items()
        },
        cells=[
            piece.reshape(len(one.groups) + 1, 4, -1)
            for one, piece in zip(segments, pieces[1:], strict=True)
        ],
    )


def identity_tables(found: AmongAnswers) -> dict[str, pd.DataFrame]:
    """What the gap is made of among those who answered: by customers, and by segments."""
    return {
        "identity": identity_table(found),
        "segment_gaps": segment_gaps(found),
        "segments": segment_groups(found),
    }


def identity_table(found: AmongAnswers) -> pd.DataFrame:
    """The gap as collected in parts that need no assumption.

    The four parts of `IDENTITY` add to the gap; after them come those of `TOGETHER`, which may
    be shown instead, and the gap.

    With T_i and R_i a customer's own means, B0 − A0 = [(B0 − T̄) − (A0 − R̄)] + [T̄ − R̄ of
    those who answered both] + (1 − π_T)(T̄ of those who answered the transactional survey
    only − T̄ of both) − (1 − π_R)(the same of R̄), with π the share of a survey's
    customers who answered both.
    """
    gap = float(combine(found.scores, GAP)[0])
    rows = []
    for term, of in {**IDENTITY, **TOGETHER, "gap": GAP}.items():
        numbers = found.spread(of)
        kind = "total" if term == "gap" else "term"
        share = numbers["estimate"] / gap if abs(gap) > 1e-12 else np.nan
        about = {"term": term, "kind": kind, **_about(found.people, term)}
        rows.append({**about, **numbers, "share": share, "note": ""})
    return pd.DataFrame(rows)


def who_answered(people: pd.DataFrame) -> dict[str, pd.Series]:
    """Customers that a part of the identity is about, where they are not all who answered."""
    t, r, both = people["t customers"], people["r customers"], people["both"]
    return {SAME: both, T_ONLY: t & ~both, R_ONLY: r & ~both}


def _about(people: pd.DataFrame, term: str) -> dict[str, int]:
    """Answers and customers that a part is about."""
    everyone = people["t customers"] | people["r customers"]
    here = people[who_answered(people).get(term, everyone)]
    return {"n": int(here[["t answers", "r answers"]].to_numpy().sum()), "customers": len(here)}


COMPOSITION = "composition"
WITHIN = "within groups"
UNKNOWN = "group not known"
STANDARDISED = "gap at the relationship survey's mix"


@dataclass(frozen=True, eq=False)
class Segment:
    """A segment's groups with their ``customers`` of either survey.

    ``cells``, (4 × groups + 4, customers), are what each customer adds to `AmongAnswers.cells`.
    """

    name: str
    groups: list[str]
    customers: np.ndarray
    cells: sparse.csr_matrix


def segments_of(data: ProgrammeData) -> list[Segment]:
    """Segments that the answers of both surveys have, with two groups or more to compare."""
    sides = list(data.valid.values())
    found = [_segment(name, sides, data.n_customers) for name in data.shared_segments]
    return [one for one in found if one is not None]


def _segment(column: str, sides: list[pd.DataFrame], n_customers: int) -> Segment | None:
    *codes, groups = known_groups(*(one[column] for one in sides))
    if len(groups) < 2 or not all((code >= 0).any() for code in codes):
        return None
    values, places, customers = [], [], []
    for k, (code, answers) in enumerate(zip(codes, sides, strict=True)):
        for group in (code, np.full(len(code), len(groups))):
            here = group >= 0
            for j, value in enumerate((np.ones(len(code)), points_of(answers))):
                values.append(value[here])
                places.append(4 * group[here] + 2 * k + j)
                customers.append(answers["customer"].to_numpy()[here])
    cells = (np.concatenate(values), (np.concatenate(places), np.concatenate(customers)))
    every = np.concatenate([one["customer"] for one in sides])
    return Segment(
        name=column.removeprefix(SEGMENT),
        groups=groups,
        customers=customers_of(np.concatenate(codes), every, len(groups)),
        cells=sparse.csr_matrix(cells, shape=(4 * (len(groups) + 1), n_customers)),
    )


def customers_of(code: ArrayLike, customer: ArrayLike, n_codes: int) -> np.ndarray:
    """Distinct customers under each code; codes below 0 are none."""
    pairs = pd.DataFrame({"code": np.asarray(code), "customer": np.asarray(customer)})
    pairs = pairs[pairs["code"] >= 0].drop_duplicates()
    return np.bincount(pairs["code"], minlength=n_codes)


def kitagawa_parts(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Shares, scores and both parts of every group; each of shape (groups, replicates).

    composition = (w_T − w_R)(T_g + R_g)/2, within = (T_g − R_g)(w_T + w_R)/2. A group that
    only one survey has takes its score for the other.
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
    for one, cells in zip(found.segments, found.cells, strict=True):
        known, everything = cells[:-1, :, 0].sum(0), cells[-1, :, 0]
        for name, values in segment_gap_parts(cells).items():
            if name == UNKNOWN and np.array_equal(known, everything):
                continue
            note = "" if name != UNKNOWN else _known_note(known, everything)
            rows.append((one.name, name, float(values[0]), *interval(values[1:]), note))
    return pd.DataFrame(rows, columns=["segment", "part", *NUMBERS, "note"])


def _known_note(known: np.ndarray, everything: np.ndarray) -> str:
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
    for one, cells in zip(found.segments, found.cells, strict=True):
        counts = cells[..., :1]
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
