"""The gap by a segment that both surveys have: composition, and difference within groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from cxlab.core.disclosure.rule import hidden_groups
from cxlab.stats.comparison.contract import Answers, ProgrammeData
from cxlab.stats.comparison.respondents import points_of, spread_of
from cxlab.stats.comparison.shared import known_groups
from cxlab.stats.comparison.small import too_few

COMPOSITION = "composition"
WITHIN = "within groups"
UNKNOWN = "group not known"
STANDARDISED = "gap at the relationship survey's mix"
#: Of each group: answers and points of either survey.
CELLS = ("t answers", "t points", "r answers", "r points")
GROUP_COLUMNS = ["segment", "group", "n", "customers", "share_transactional", "share_relationship",
                 "tnps", "rnps", "composition", "within_groups", "note"]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Segment:
    """Answers of both surveys by one segment.

    Attributes
    ----------
    name : str
    groups : list of str
        Groups; the last holds what is too small to stand alone, if anything is.
    customers : ndarray of int, shape (groups,)
        Of either survey.
    pooled : bool
        Whether the last group is such a rest.
    cells : sparse matrix, shape (4 × groups + 4, units)
        What each unit adds to `CELLS` of every group, then to those of all answers.
    """

    name: str
    groups: list[str]
    customers: np.ndarray
    pooled: bool
    cells: sparse.csr_matrix

    @property
    def counts(self) -> np.ndarray:
        """`CELLS` of every group, and last of all answers: shape (groups + 1, 4, 1)."""
        return np.asarray(self.cells.sum(1)).reshape(len(self.groups) + 1, 4, 1)


def segments_of(data: ProgrammeData, smallest: int) -> list[Segment]:
    """Segments that the answers of both surveys have, with two groups or more to compare."""
    t, r = data.transactional, data.relationship
    shared = [name for name in t.segments if name in r.segments]
    found = [_segment(name, t, r, data, smallest) for name in shared]
    return [one for one in found if one is not None]


def _segment(
    name: str, t: Answers, r: Answers, data: ProgrammeData, smallest: int
) -> Segment | None:
    rows = [np.flatnonzero(answers.valid) for answers in (t, r)]
    code_t, code_r, groups = known_groups(
        t.segments[name].iloc[rows[0]], r.segments[name].iloc[rows[1]]
    )
    codes, who = [code_t, code_r], [t.customer[rows[0]], r.customer[rows[1]]]
    small = _small_groups(codes, who, len(groups), smallest)
    if small:
        # the rest is one group: neither side's total gives a small group back
        kept = [k for k in range(len(groups)) if k not in small]
        place = np.full(len(groups) + 1, -1 if len(groups) not in small else len(kept))
        place[kept] = np.arange(len(kept))
        place[[k for k in small if k < len(groups)]] = len(kept)
        codes = [place[code] for code in codes]
        groups = [*(groups[k] for k in kept), "others"]
    present = [bool((code >= 0).any()) for code in codes]
    if len(groups) < 2 or not all(present):
        return None
    return Segment(
        name=name,
        groups=groups,
        customers=_customers(codes, who, len(groups)),
        pooled=bool(small),
        cells=_cells(codes, rows, (t, r), data, len(groups)),
    )


def _small_groups(
    codes: list[np.ndarray], who: list[np.ndarray], n_groups: int, smallest: int
) -> set[int]:
    """Groups to be taken together; number ``n_groups`` is that of answers without a group."""
    found: set[int] = set()
    for code, customer in zip(codes, who, strict=True):
        sizes = _customers([code], [customer], n_groups)
        nowhere = len(np.unique(customer[code < 0]))
        lost = int(nowhere) if too_few(nowhere, smallest) else 0
        found |= set(hidden_groups([*sizes, lost], smallest))
    return found


def _customers(codes: list[np.ndarray], who: list[np.ndarray], n_groups: int) -> np.ndarray:
    """Distinct customers of each group."""
    code, customer = np.concatenate(codes), np.concatenate(who)
    pairs = np.unique(np.column_stack([code, customer])[code >= 0], axis=0)
    return np.bincount(pairs[:, 0], minlength=n_groups)


def _cells(
    codes: list[np.ndarray],
    rows: list[np.ndarray],
    answers: tuple[Answers, Answers],
    data: ProgrammeData,
    n_groups: int,
) -> sparse.csr_matrix:
    values, places, units = [], [], []
    for k, (code, at, one) in enumerate(zip(codes, rows, answers, strict=True)):
        points, unit = points_of(one), data.unit[one.customer[at]]
        everything = np.full(len(code), n_groups)
        for group, here in ((code, code >= 0), (everything, code >= -1)):
            for j, value in enumerate((np.ones(len(code)), points)):
                values.append(value[here])
                places.append(4 * group[here] + 2 * k + j)
                units.append(unit[here])
    cells = (np.concatenate(places), np.concatenate(units))
    shape = (4 * (n_groups + 1), data.n_units)
    return sparse.csr_matrix((np.concatenate(values), cells), shape=shape)


def kitagawa_parts(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Shares, scores and both parts of every group; each of shape (groups, replicates).

    Notes
    -----
    composition = (w_T − w_R)(T_g + R_g)/2, within = (T_g − R_g)(w_T + w_R)/2. A group that
    only one survey has takes its score for the other.
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


def segment_tables(
    found: list[Segment], replicates: list[np.ndarray], *, level: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The gap by every shared segment: its parts, and its groups.

    Parameters
    ----------
    found : list of Segment
    replicates : list of ndarray, shape (groups + 1, 4, replicates)
        `Segment.counts` of each segment's replicates.
    level : float

    Returns
    -------
    parts : DataFrame
        ``segment, part, estimate, se, ci_low, ci_high, note`` in points: composition,
        within groups and group not known add to the gap as collected; the gap at the
        relationship survey's mix stands for itself.
    groups : DataFrame
        ``segment, group, n, customers, share_transactional, share_relationship, tnps, rnps,
        composition, within_groups, note``.
    """
    parts, groups = [], []
    for one, many in zip(found, replicates, strict=True):
        parts += _part_rows(one, many, level)
        groups.append(_group_rows(one))
    columns = ["segment", "part", "estimate", "se", "ci_low", "ci_high", "note"]
    table = pd.concat(groups, ignore_index=True) if groups else pd.DataFrame(columns=GROUP_COLUMNS)
    return pd.DataFrame(parts, columns=columns), table


def _part_rows(one: Segment, many: np.ndarray, level: float) -> list[tuple[object, ...]]:
    counts = one.counts
    estimate, spread = segment_gap_parts(counts), segment_gap_parts(many)
    rows: list[tuple[object, ...]] = []
    for name, value in estimate.items():
        if name == UNKNOWN and np.array_equal(counts[:-1].sum(0), counts[-1]):
            continue
        note = "" if name != UNKNOWN else _known_note(counts)
        rows.append((one.name, name, float(value[0]), *spread_of(spread[name], level), note))
    return rows


def _known_note(counts: np.ndarray) -> str:
    known, everything = counts[:-1, :, 0].sum(0), counts[-1, :, 0]
    words = [
        f"{int(known[k]):,} of {int(everything[k]):,} {survey} answers"
        for k, survey in ((0, "transactional"), (2, "relationship"))
    ]
    return f"known of {' and '.join(words)}"


def _group_rows(one: Segment) -> pd.DataFrame:
    counts = one.counts
    parts = {name: values[:, 0] for name, values in kitagawa_parts(counts).items()}
    n = counts[:-1, 0, 0] + counts[:-1, 2, 0]
    absent = ["" if t == t and r == r else "only one survey has it" for t, r in
              zip(parts["tnps"], parts["rnps"], strict=True)]  # fmt: skip
    if one.pooled:
        absent[-1] = "groups of few customers, taken together"
    shown = {name: parts[name] for name in list(parts)[:4]}
    return pd.DataFrame(
        {
            "segment": one.name,
            "group": one.groups,
            "n": n.astype(int),
            "customers": one.customers,
            **shown,
            "composition": parts[COMPOSITION],
            "within_groups": parts[WITHIN],
            "note": absent,
        }
    )
