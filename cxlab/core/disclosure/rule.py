"""Which groups are too small to show, and which would give them back: of one whole, of several segments.

Each figure shown (answers of a group, and their sum) is the sum of the same figure over the joint
cells of all segments. What is shown is therefore a system of linear equations, and a hidden group
is given back exactly if its row of ones and zeros is a combination of the rows shown: Hundepool
et al. (2012), Statistical Disclosure Control, chapter 4. What is small is said of people where customers
are known (`cxlab.core.disclosure.people`): a figure about two of them is small, however often they answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxlab.core.disclosure.people import People

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

#: Of the joint cells of a sum, what rounding leaves of one that is a combination of figures.
NOTHING = 1e-6
#: Of the cells of all figures together, an eigenvalue that is none.
ROUNDING = 1e-12
#: Joint cells are counted so many at a time.
CHUNK = 20_000
#: Of a number of joint cells, what is left of a group that is given back.
LEFT = 1e-6
#: Of so many small groups every set that is small together is looked at; so many in pairs
#: and in threes, whatever line they are in.
MANY, PAIRS, THREES = 8, 1_000, 100
#: Answers of fewer people than this are never shown.
MIN_GROUP_SIZE = 10

SMALL = "small"
COMPLEMENTARY = "complementary"


def hidden_groups(
    sizes: ArrayLike,
    min_group_size: int = MIN_GROUP_SIZE,
    *,
    ungrouped: int = 0,
    first: int | None = None,
    hidden: Mapping[int, str] | None = None,
    people: People | None = None,
) -> dict[int, str]:
    """Number of each group of a whole to hide, and why: small ones, and those that would give them back.

    Parameters
    ----------
    sizes : array_like of int, shape (groups,)
        Answers in each group; the groups make up a total that is shown. An empty group says nothing
        about anybody and is not hidden.
    min_group_size : int
    ungrouped : int
        Answers in the total that are in no group: a group like any other, hidden before any other.
    first : int, optional
        Number of the group to hide before any other: that of the answers in none, among ``sizes``.
    hidden : mapping of int to str, optional
        Groups that are hidden anyway, and why.
    people : People, optional
        Who answered in each group; default: every answer is one person's.

    Notes
    -----
    The total less the groups shown gives the hidden ones together, so these must be two at least and
    hold ``min_group_size`` people at least, each counted once; the next smallest groups (by answers; of
    groups alike in size the first) join them until they do. Hundepool et al. (2012), Statistical
    Disclosure Control, chapter 4.

    Examples
    --------
    >>> hidden_groups([120, 4, 60]), hidden_groups([120, 4, 7, 60])
    ({1: 'small', 2: 'complementary'}, {1: 'small', 2: 'small'})

    Thirty answers are in no group, so that the four cannot be separated from them:

    >>> hidden_groups([120, 4, 60], ungrouped=30)
    {1: 'small'}
    """
    n = np.append(np.asarray(sizes, dtype=float), float(ungrouped))
    who = (people or People.counted(n[:-1])).with_unknown(ungrouped)
    small = np.flatnonzero((n > 0) & (who.sizes < min_group_size)).tolist()
    found = dict(hidden or {}) | dict.fromkeys(small, SMALL)
    nowhere = len(n) - 1
    order = [
        nowhere,
        *([first] if first is not None else []),
        *np.argsort(n[:-1], kind="stable").tolist(),
    ]
    for i in order:
        there = [j for j in found if n[j] > 0]
        if not there or (len(there) >= 2 and who.together(there) >= min_group_size):
            break
        if i not in found and n[i] > 0:
            found[i] = COMPLEMENTARY
    found.pop(nowhere, None)
    return found


@dataclass(frozen=True, eq=False)
class Joint:
    """Answers of one metric in the joint cells of several segments.

    Attributes
    ----------
    codes : ndarray of int, shape (cells, segments)
        Number of the cell's group in each segment.
    n : ndarray of int, shape (cells,)
    names : tuple of tuple of str
        Each segment's groups, in order.
    not_given : tuple of int or None
        Number of the group of each segment that holds the answers without one.
    people : People, optional
        Who answered in each cell; None: every answer is one person's.
    """

    codes: Rows
    n: NDArray[np.int64]
    names: tuple[tuple[str, ...], ...]
    not_given: tuple[int | None, ...]
    people: People | None = None

    def __post_init__(self) -> None:
        there = np.asarray(self.n) > 0
        object.__setattr__(self, "codes", np.asarray(self.codes, dtype=np.intp)[there])
        object.__setattr__(self, "n", np.asarray(self.n, dtype=np.int64)[there])
        if self.people is not None:
            object.__setattr__(self, "people", self.people.take(there))

    @property
    def who(self) -> People:
        """Who answered in each cell."""
        return self.people or People.counted(self.n)

    def who_of(self, segment: int) -> People:
        """Who answered in each group of a segment."""
        return self.who.by_code(self.codes[:, segment], len(self.names[segment]))


@dataclass(frozen=True, eq=False)
class _Equations:
    """Figures over joint cells, number 0 everyone.

    ``common``: joint cells that two figures have in common; ``sizes``: their answers; ``people``: who
    gave them; ``lines``: figures that make up one that may be shown, and the place of the first to hide.
    """

    common: Array
    sizes: Array
    people: People
    lines: list[tuple[Rows, int | None]]


def hidden_in_segments(
    joint: Joint, min_group_size: int, hidden: Sequence[Mapping[int, str]] | None = None
) -> list[dict[int, str]]:
    """Groups to hide per segment, and why, when everyone and several segments are shown.

    Notes
    -----
    Each segment alone first, by `hidden_groups`. While a small group (or
    several that are small together) is a combination of the figures shown, the smallest group without
    which it is none is hidden too, and likewise for small groups of two segments at once. A group that
    was to cover another and is given back all the same covers nothing, and is shown again.

    Examples
    --------
    Group c of three answers lies in area s with b: s less b would give it back, so b is
    hidden. Area n is a, so a cannot cover c and is shown:

    >>> joint = Joint(np.array([[0, 0], [1, 1], [1, 2]]), np.array([50, 60, 3]),
    ...               (("n", "s"), ("a", "b", "c")), (None, None))
    >>> hidden_in_segments(joint, 10)
    [{}, {2: 'small', 1: 'complementary'}]
    """
    offsets = _offsets(joint)
    lines = [
        (np.arange(start, end), first)
        for (start, end), first in zip(pairwise(offsets), joint.not_given, strict=True)
    ]
    tables = list(joint.codes.T)
    groups = [len(names) for names in joint.names]
    system = _equations(joint, tables, groups, lines)
    start = _numbered(hidden or [{} for _ in tables], offsets)
    crossed = crossed_groups(joint.codes, joint.who, groups, system.common, min_group_size)
    found = _settled(system, start, min_group_size, range(1, offsets[-1]), crossed)
    return [
        {row - begin: why for row, why in found.items() if begin <= row < end}
        for begin, end in pairwise(offsets)
    ]


def _offsets(joint: Joint) -> list[int]:
    """Number of each segment's first figure; everyone is number 0."""
    return [1, *(1 + np.cumsum([len(names) for names in joint.names])).tolist()]


def _numbered(hidden: Sequence[Mapping[int, str]], offsets: list[int]) -> dict[int, str]:
    return {
        start + group: why
        for start, groups in zip(offsets, hidden, strict=False)
        for group, why in groups.items()
    }


def _equations(
    joint: Joint,
    tables: list[Rows],
    groups: list[int],
    lines: list[tuple[Rows, int | None]],
) -> _Equations:
    offsets, n = [1, *(1 + np.cumsum(groups)).tolist()], joint.n
    people = joint.who.by_code(np.zeros(len(n), dtype=np.intp), 1)
    for segment in range(len(groups)):
        people = people.beside(joint.who_of(segment))
    sizes = np.concatenate([
        [n.sum()],
        *(np.bincount(codes, n, many) for codes, many in zip(tables, groups, strict=True)),
    ])  # fmt: skip
    common = np.zeros((offsets[-1], offsets[-1]))
    for begin in range(0, len(n), CHUNK):
        part = np.zeros((len(n[begin : begin + CHUNK]), offsets[-1]))
        part[:, 0] = 1.0
        for start, codes in zip(offsets, tables, strict=False):
            part[np.arange(len(part)), start + codes[begin : begin + CHUNK]] = 1.0
        common += part.T @ part
    return _Equations(common, sizes, people, lines)


def _settled(
    system: _Equations,
    start: dict[int, str],
    least: int,
    may_hide: Iterable[int],
    crossed: Array | None = None,
) -> dict[int, str]:
    """What must be hidden, of what may be, for nothing small to be given back.

    ``crossed``: other groups that must not be, as sums of figures.
    """
    others_wanted = np.zeros((len(system.sizes), 0)) if crossed is None else crossed
    n, fixed = system.sizes, _shown(system, start)
    everyone = float(n[0])
    free = [row for row in may_hide if 0 < n[row] < everyone]
    # what is given back whatever is hidden here protects nobody here
    others = np.setdiff1d(fixed, free)
    known = {free[i] for i in np.flatnonzero(_among(system, others, free))} if free else set()
    free = [row for row in free if row not in known]
    hidden = _each_line(system, start, least, known)
    while hidden or others_wanted.size:
        shown = _shown(system, hidden)
        wanted = np.hstack([_targets(system, hidden, start, least, known), others_wanted])
        back, weights, needed = _combined(system, shown, wanted)
        used = np.abs(weights[:, back]).max(axis=1, initial=0.0) > NOTHING
        better = [row for row, yes in zip(shown, used & needed, strict=True) if yes]
        usable = [row for row, yes in zip(shown, used, strict=True) if yes]
        choice = [row for row in better if row in free] or [row for row in usable if row in free]
        if not choice:
            break
        smallest = min(choice, key=lambda row: (n[row], row))
        hidden = _each_line(system, hidden | {int(smallest): COMPLEMENTARY}, least, known)
    return _shown_again(system, hidden, start)


def _each_line(
    system: _Equations, hidden: Mapping[int, str], least: int, known: set[int]
) -> dict[int, str]:
    """Small figures, and enough others of every line that holds a hidden one."""
    found, before = dict(hidden), -1
    sizes, people = system.sizes.copy(), system.people.sizes
    for row in known:
        if 0 < people[row] < least:
            found.setdefault(row, SMALL)
        sizes[row] = 0.0
    while len(found) != before:
        before = len(found)
        for line, first in system.lines:
            own = {i: found[row] for i, row in enumerate(line.tolist()) if row in found}
            who = system.people.take(line)
            more = hidden_groups(sizes[line], least, first=first, hidden=own, people=who)
            found |= {int(line[i]): why for i, why in more.items()}
    return found


def _targets(
    system: _Equations, hidden: dict[int, str], start: dict[int, str], least: int, known: set[int]
) -> Array:
    """Sums of figures that must not be given back: small ones, and small ones together."""
    n = system.sizes
    own = [row for row in hidden if row not in known and 0 < n[row] < n[0]]
    small = [row for row in own if hidden[row] == SMALL]
    sets: list[tuple[int, ...]] = [(row,) for row in own if row in start or hidden[row] == SMALL]
    sets += [pair for pair in combinations(small, 2) if system.people.together(pair) < least]
    for line, _ in system.lines:
        inside = tuple(row for row in line.tolist() if row in small)
        together = small_together(system.people.take(list(inside)), least)
        sets += [tuple(inside[i] for i in one) for one in together if len(one) > 2]
    sums = np.zeros((len(n), len(sets)))
    for place, rows in enumerate(sets):
        sums[list(rows), place] = 1.0
    return sums


def _shown_again(
    system: _Equations, hidden: dict[int, str], start: dict[int, str]
) -> dict[int, str]:
    """The hidden figures, less those that cover others and are given back all the same."""
    covers = [row for row, why in hidden.items() if why == COMPLEMENTARY and row not in start]
    if not covers:
        return hidden
    back = _among(system, _shown(system, hidden), covers)
    again = {row for row, given in zip(covers, back, strict=True) if given}
    return {row: why for row, why in hidden.items() if row not in again}


def _shown(system: _Equations, hidden: Mapping[int, str]) -> Rows:
    return np.array([row for row in range(len(system.sizes)) if row not in hidden], dtype=np.intp)


def _among(system: _Equations, shown: Rows, rows: Sequence[int]) -> NDArray[np.bool_]:
    return _combined(system, shown, np.eye(len(system.sizes))[:, list(rows)])[0]


def _combined(
    system: _Equations, shown: Rows, sums: Array
) -> tuple[NDArray[np.bool_], Array, NDArray[np.bool_]]:
    """As `combinations_of`, of sums of figures, one a column."""
    common = system.common @ sums
    cells = (sums * common).sum(axis=0)
    own = system.common[np.ix_(shown, shown)]
    given, weights, needed = combinations_of(own, common[shown], cells)
    return given & (cells > 0), weights, needed


def combinations_of(
    common: Array, products: Array, cells: Array
) -> tuple[NDArray[np.bool_], Array, NDArray[np.bool_]]:
    """Which sums over joint cells are combinations of figures, and by what weights.

    ``common``: joint cells that two figures have in common, or the same of figures of length 1;
    ``products``: those that each figure has in common with each sum; ``cells``: those of each sum.
    The last array says which figures are no combination of the other ones: a weight on such a one
    is the same in every combination, so that none is left without it.
    """
    values, axes = np.linalg.eigh(common)
    known = values > ROUNDING * values.sum()
    axes = axes[:, known]
    weights = axes @ ((axes.T @ products) / values[known][:, None])
    left = cells - (products * weights).sum(axis=0)
    return left <= NOTHING * cells, weights, (axes**2).sum(axis=1) > 1 - NOTHING


def crossed_groups(
    codes: Rows, people: People, groups: list[int], common: Array, least: int
) -> Array:
    """Small groups of two segments that everyone and all groups of each segment would give.

    Where every combination has answers, they give none: it takes combinations that are known to have
    none. ``common``: joint cells that two figures have in common. The groups come as sums of figures,
    several of one line that are small together as one.

    Three of the four combinations have answers, so 24 less 20 is the first:

    >>> codes, who = np.array([[0, 0], [0, 1], [1, 0]]), People.counted([4, 20, 30])
    >>> rows = np.array([[1.0, 1, 0, 1, 0], [1, 1, 0, 0, 1], [1, 0, 1, 1, 0]])
    >>> (rows @ crossed_groups(codes, who, [2, 2], rows.T @ rows, 10)).round(9).ravel() + 0.0
    array([1., 0., 0.])
    """
    figures = np.column_stack([np.zeros(len(codes), dtype=int), codes + _starts(groups)])
    inverse = np.linalg.pinv(common, rcond=LEFT**2, hermitian=True)
    found = [np.zeros((len(common), 0))]
    enough = people.together(range(len(codes))) >= least
    for pair in combinations(range(len(groups) if enough else 0), 2):
        cell = codes[:, pair[0]] * groups[pair[1]] + codes[:, pair[1]]
        crossed = people.by_code(cell, groups[pair[0]] * groups[pair[1]])
        size = crossed.sizes
        few = np.flatnonzero((size > 0) & (size < least))
        inside = _common(figures, cell, few, len(common))
        weights = inverse @ inside
        left = np.diag(inside[0]) - inside.T @ weights
        sets = _given(left, crossed.take(few), np.divmod(few, groups[pair[1]]), least)
        found += [weights[:, own].sum(axis=1, keepdims=True) for own in sets]
    return np.hstack(found)


def _starts(groups: list[int]) -> Rows:
    return 1 + np.cumsum([0, *groups[:-1]])


def _common(figures: Rows, cell: Rows, few: Rows, many: int) -> Array:
    """Joint cells that each figure has in common with each of a few cells of two segments."""
    place = np.searchsorted(few, cell)
    inside = np.isin(cell, few)
    common = np.zeros((many, len(few)))
    np.add.at(common, (figures[inside].T, place[inside]), 1.0)
    return common


def small_together(people: People, least: int) -> list[tuple[int, ...]]:
    """Sets of two or more of several groups that are small together; of many, the pairs and all.

    >>> small_together(People.counted([2, 3, 4, 6]), 10)
    [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (0, 1, 2)]
    """
    many = len(people.alone)
    sizes = range(2, many + 1) if many <= MANY else sorted({2, many})
    sets = (one for size in sizes for one in combinations(range(many), size))
    return [one for one in sets if people.together(one) < least]


def given_together(left: Array, people: People, least: int) -> list[list[int]]:
    """Sets of small groups of which figures leave nothing together, but something of each.

    ``left``, shape (groups, numbers): what figures leave of the groups, which adds up over them.

    >>> left = np.array([[1.0, 0], [-1, 0], [0, 2], [0, 0]])
    >>> given_together(left, People.counted([3, 4, 2, 2]), 10)
    [[0, 1]]
    """
    apart = np.flatnonzero((left**2).sum(axis=1) > LEFT)
    found: list[list[int]] = []
    for size in range(2, min(len(apart), MANY) + 1):
        if len(apart) > {2: PAIRS, 3: THREES}.get(size, MANY):
            break
        sets = apart[np.array(list(combinations(range(len(apart)), size)))]
        nothing = (left[sets].sum(axis=1) ** 2).sum(axis=1) <= LEFT
        found += [one for one in sets[nothing].tolist() if people.together(one) < least]
    return found


def _given(left: Array, people: People, lines: tuple[Rows, Rows], least: int) -> list[list[int]]:
    """Groups, and sets of them, of which nothing is left beside the figures."""
    found = [[int(i)] for i in np.flatnonzero(np.diag(left) <= LEFT)]
    values, axes = np.linalg.eigh(left)
    found += given_together(axes * np.sqrt(np.maximum(values, 0.0)), people, least)
    for line in lines:
        for number in np.unique(line):
            own = np.flatnonzero(line == number)
            sets = [own[list(one)] for one in small_together(people.take(own), least)]
            found += [one.tolist() for one in sets if left[np.ix_(one, one)].sum() <= LEFT]
    return found
