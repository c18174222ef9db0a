"""What several reports give back together, and what to hide so that they don't.

As in one scorecard (`cxlab.core.disclosure.rule`), every figure is a sum over joint cells and what
is shown is a system of equations; here the figures are those of all reports that can be laid side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import scipy  # its parts are loaded where they are used
from numpy.typing import ArrayLike, NDArray

from cxlab.core.disclosure.people import People
from cxlab.core.disclosure.rule import (
    NOTHING,
    combinations_of,
    given_together,
    small_together,
)

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.intp]

#: Of more vectors than this, what is hidden without need stays hidden: looking for it takes long.
LARGE = 600
#: So many numbers a cell tell whether groups add up to a combination of figures.
NUMBERS = 3
#: Groups to protect are looked at so many at a time.
MANY_GROUPS = 10_000
#: Of fewer vectors than this one is hidden at a time, which hides less.
FEW = 200


@dataclass(frozen=True, eq=False)
class Figures:
    """Figures of several reports.

    Attributes
    ----------
    cells : sparse array of 0 and 1, shape (figures, cells)
        Joint cells that each figure sums over.
    report : ndarray of int, shape (figures,)
        Number of the figure that is the whole report a figure is in; a whole report's own.
    family : ndarray of int, shape (figures,)
        Figures of one family have no answer in common.
    fixed : ndarray of bool, shape (figures,)
        Published already.
    """

    cells: Any
    report: Places
    family: Places
    fixed: Flags


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups that must not be given back where they are small.

    Attributes
    ----------
    cells : sparse array of 0 and 1, shape (groups, cells)
    lines : sparse array of 0 and 1, shape (groups, lines)
        Groups that make up a larger one: several that are small together are protected too.
    """

    cells: Any
    lines: Any


@dataclass(frozen=True, eq=False)
class _System:
    """Figures as vectors of cells: figures that sum over the same cells are one vector.

    ``sizes``: answers of each figure; ``vector``: the first figure that is alike; ``common`` and
    ``group_common``: cells that two figures, a figure and a group to protect, have in common;
    ``group_cells``: cells of each such group; ``who``: people of each cell that has answers, and
    ``inside``: which of these cells each figure sums over.
    """

    figures: Figures
    sizes: Array
    vector: Places
    common: Array
    group_common: Array
    group_cells: Array
    who: People
    inside: Any
    least: int


def hidden_together(
    figures: Figures,
    n: ArrayLike,
    groups: Groups,
    min_group_size: int,
    hidden: Iterable[int] = (),
    people: People | None = None,
) -> set[int]:
    """Figures to hide so that all that is shown gives no small group back.

    ``n``: answers in each joint cell; ``people``: who gave them (default: one person each); ``hidden``:
    figures that are hidden anyway. Where a whole report is hidden, all its figures are.

    Notes
    -----
    Small figures first. Protected are the small groups, several that are small together, and what
    is left of a figure less the figures of one family within it, where that is small. While one of
    these is a combination of the figures shown, the smallest figure without which it is none is
    hidden, rows of tables before whole reports; at the end everything that turns out not to be needed
    is shown again. What reports that are published already give back by themselves is past protecting.
    Hundepool et al. (2012), Statistical Disclosure Control, chapter 4.

    Examples
    --------
    A report of everybody with rows of two regions, 59 and 130, and reports of three of their
    four parts. The fourth, of 4, is what is left of the first region, and of everybody, less the
    others; without the report of 55 it is neither:

    >>> from scipy.sparse import csr_array
    >>> shown = csr_array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 0], [0, 0, 1, 0],
    ...                    [0, 0, 0, 1]])
    >>> figures = Figures(shown, report=np.array([0, 0, 0, 3, 4, 5]),
    ...                   family=np.array([0, 1, 1, 2, 2, 2]), fixed=np.zeros(6, dtype=bool))
    >>> groups = Groups(csr_array([[0, 1, 0, 0]]), csr_array([[0]]))
    >>> hidden_together(figures, [55, 4, 60, 70], groups, 10)
    {3}
    """
    size = np.asarray(n, dtype=float)
    who = people or People.counted(size)
    system = _system(figures, size, who, min_group_size)
    few = system.who.of(system.inside).sizes < min_group_size
    small = (system.sizes > 0) & few & ~figures.fixed
    start = _with_rows(figures, {*hidden, *np.flatnonzero(small).tolist()})
    system = _within_reach(system, start, size, who, groups)
    found = set(start)
    while choice := _next_to_hide(system, found):
        found = _with_rows(figures, found | choice)
    return _without_needless(system, found, start)


def _system(figures: Figures, n: Array, who: People, least: int) -> _System:
    cells = figures.cells[:, n > 0]
    common = (cells @ cells.T).toarray()
    own = common.diagonal()
    return _System(
        figures=figures,
        sizes=cells @ n[n > 0],
        vector=((common == own) & (common == own[:, None])).argmax(axis=1),
        common=common,
        group_common=np.zeros((len(own), 0)),
        group_cells=np.zeros(0),
        who=who.take(n > 0),
        inside=scipy.sparse.csr_array(cells),
        least=least,
    )


def _within_reach(
    system: _System, start: set[int], n: Array, who: People, groups: Groups
) -> _System:
    """With the groups only that hiding decides about.

    What all figures together don't give back is safe, and what is published already gives back
    by itself is past protecting.
    """
    fixed = _vectors(system, set(np.flatnonzero(~system.figures.fixed).tolist()))
    cells, protected = system.inside, _protected(system, start, n > 0, who, groups)
    found: list[tuple[Array, Array]] = [(system.group_common, system.group_cells)]
    for begin in range(0, protected.shape[0], MANY_GROUPS):
        part = protected[begin : begin + MANY_GROUPS, n > 0]
        common, own = (cells @ part.T).toarray(), np.asarray(part.sum(axis=1))
        given = _combined(system, _vectors(system, start), common, own)[0]
        given &= ~_combined(system, fixed, common, own)[0]
        found.append((common[:, given], own[given]))
    common, own = (np.concatenate(parts, axis=-1) for parts in zip(*found, strict=True))
    return replace(system, group_common=common, group_cells=own)


def _protected(system: _System, start: set[int], there: Flags, who: People, groups: Groups) -> Any:
    """The small groups, those of one line that are small together, and others given back together."""
    people, least = who.of(groups.cells), system.least
    few = np.flatnonzero((people.sizes > 0) & (people.sizes < least))
    alone, people = groups.cells[few], people.take(few)
    lines = groups.lines[few].tocsc()
    sets = set()
    for begin, end in pairwise(lines.indptr.tolist()):
        own = sorted(lines.indices[begin:end].tolist())
        few_of_line = small_together(people.take(own), least)
        sets |= {tuple(own[i] for i in one) for one in few_of_line}
    left = _left(system, _vectors(system, start), alone[:, there])
    sets |= {tuple(one) for one in given_together(left, people, least)}
    together = [list(one) for one in sorted(sets)]
    rows = np.repeat(np.arange(len(together)), [len(one) for one in together])
    columns = np.array([i for one in together for i in one], dtype=int)
    shape = (len(together), len(few))
    made = scipy.sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape) @ alone
    # groups that overlap are no larger group
    apart = np.flatnonzero(made.max(axis=1).toarray() == 1)
    return scipy.sparse.vstack([alone, made[apart]]).tocsr()


def _left(system: _System, shown: Places, groups: Any) -> Array:
    """What the figures shown leave of numbers drawn for the cells, in each group.

    Figures leave nothing of a combination of theirs, whatever the numbers, and of nothing else.
    """
    numbers = np.random.default_rng(0).normal(size=(system.inside.shape[1], NUMBERS))
    figures = system.inside[shown]
    length = np.sqrt(system.common[shown, shown])[:, None]
    alike = system.common[np.ix_(shown, shown)] / (length * length.T)
    _, weights, _ = combinations_of(alike, figures @ numbers / length, np.zeros(NUMBERS))
    return np.asarray(groups @ (numbers - figures.T @ (weights / length)))


def _with_rows(figures: Figures, hidden: set[int]) -> set[int]:
    """With a report all its figures are hidden."""
    inside = np.isin(figures.report, list(hidden)) & ~figures.fixed
    return hidden | set(np.flatnonzero(inside).tolist())


def _vectors(system: _System, hidden: set[int]) -> Places:
    """First figures of the vectors that are shown."""
    shown = np.array(system.sizes > 0)
    shown[list(hidden)] = False
    return np.unique(system.vector[shown])


def _next_to_hide(system: _System, hidden: set[int]) -> set[int]:
    """Figures to hide next, none if nothing is given back.

    One vector; of many vectors one at least of every combination, which is faster.
    """
    shown = _vectors(system, hidden)
    common, cells = _remainders(system, shown)
    common = np.hstack([system.group_common, common])
    back, weights, needed = _combined(
        system, shown, common, np.concatenate([system.group_cells, cells])
    )
    members = {i: _figures_of(system, one, hidden) for i, one in enumerate(shown.tolist())}
    free = np.array([not system.figures.fixed[own].any() for own in members.values()], dtype=bool)
    cost = [(not sure, *_cost(system, members[i])) for i, sure in enumerate(needed.tolist())]
    chosen: set[int] = set()
    uses = (np.abs(weights[:, back]) > NOTHING).T
    if len(shown) < FEW:
        uses = np.atleast_2d(uses.any(axis=0))
    for used in uses:
        choice = np.flatnonzero(used & free).tolist()
        if choice and not chosen & set(choice):
            chosen.add(min(choice, key=lambda i: cost[i]))
    return {figure for i in chosen for figure in members[i].tolist()}


def _figures_of(system: _System, vector: int, hidden: set[int]) -> Places:
    alike = np.flatnonzero(system.vector == vector)
    return np.array([one for one in alike.tolist() if one not in hidden], dtype=np.intp)


def _cost(system: _System, figures: Places) -> tuple[bool, float, int]:
    """Rows of tables are hidden before whole reports, small ones before large ones."""
    whole = bool((system.figures.report[figures] == figures).any())
    return whole, float(system.sizes[figures[0]]), int(figures[0])


def _remainders(system: _System, shown: Places) -> tuple[Array, Array]:
    """What is left of a figure less those of one family within it, where that is small.

    Cells that each has in common with the figures, and its own number of cells.
    """
    own = system.common.diagonal()
    family = system.figures.family[np.flatnonzero(np.isin(system.vector, shown))]
    member = system.vector[np.flatnonzero(np.isin(system.vector, shown))]
    found, cells = [np.zeros((len(own), 0))], [np.zeros(0)]
    # people add up to no less than these shares of them
    share = system.inside @ system.who.least_sizes
    for one in np.unique(family):
        parts = np.unique(member[family == one])
        inside = system.common[np.ix_(shown, parts)] == own[parts]
        left = system.sizes[shown] - inside @ system.sizes[parts]
        few = (left > 0) & (share[shown] - inside @ share[parts] < system.least)
        few[few] = _few_people(system, shown[few], parts, inside[few])
        taken = inside[few].astype(float)
        found.append(system.common[:, shown[few]] - system.common[:, parts] @ taken.T)
        cells.append(own[shown[few]] - taken @ own[parts])
    return np.hstack(found), np.concatenate(cells)


def _few_people(system: _System, figures: Places, parts: Places, inside: Flags) -> Flags:
    """Whether figures less their parts are about few people."""
    if system.who.named is None or not len(figures):
        return np.ones(len(figures), dtype=bool)
    taken = scipy.sparse.csr_array(inside.astype(float)) @ system.inside[parts]
    return system.who.of(system.inside[figures] - taken).sizes < system.least


def _combined(
    system: _System, shown: Places, common: Array, cells: Array
) -> tuple[Flags, Array, Flags]:
    """As `combinations_of`, of the vectors shown at length 1."""
    length = np.sqrt(system.common[shown, shown])
    alike = system.common[np.ix_(shown, shown)] / np.outer(length, length)
    return combinations_of(alike, common[shown] / length[:, None], cells)


def _without_needless(system: _System, hidden: set[int], start: set[int]) -> set[int]:
    """The hidden figures, less those that can be shown again, large ones first."""
    found = set(hidden)
    added = np.array(sorted(hidden - start), dtype=np.intp)
    vectors = {int(one): added[system.vector[added] == one] for one in system.vector[added]}
    waiting = sorted(vectors, key=lambda one: _cost(system, vectors[one]), reverse=True)
    while waiting and len(_vectors(system, found)) < LARGE:
        waiting = _harmless(system, found, waiting)
        if waiting:
            one, *waiting = waiting
            again = {
                figure
                for figure in vectors[one].tolist()
                if (whole := int(system.figures.report[figure])) == figure or whole not in found
            }
            if again and not _next_to_hide(system, found - again):
                found -= again
    return found


def _harmless(system: _System, hidden: set[int], vectors: Sequence[int]) -> list[int]:
    """Vectors of which no group is a combination together with what is shown.

    Beside what is shown, a vector gives back the groups that differ from a combination as it
    does: what is left of both lies in one direction.
    """
    shown = _vectors(system, hidden)
    common = np.hstack([system.group_common, system.common[:, list(vectors)]])
    own = np.concatenate([system.group_cells, system.common.diagonal()[list(vectors)]])
    _, weights, _ = _combined(system, shown, common, own)
    products = common[shown] / np.sqrt(system.common[shown, shown])[:, None]
    split = len(system.group_cells)
    left = own - (products * weights).sum(axis=0)
    both = system.group_common[list(vectors)] - products[:, split:].T @ weights[:, :split]
    along = both**2 >= (1 - NOTHING) * np.outer(left[split:], left[:split])
    gives = along & (left[:split] > NOTHING * own[:split]) & (both**2 > 0)
    return [one for one, bad in zip(vectors, gives.any(axis=1), strict=True) if not bad]
