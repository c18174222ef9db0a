"""Parts of a study's answers, their figures over joint cells, and which of these to hide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import block_diag, coo_array, csgraph, csr_array, hstack, vstack

from cxlab.core.disclosure.rule import HiddenFigure
from cxlab.core.disclosure.together import Figures, Groups, hidden_together
from cxlab.survey.answers import choices_of, selected_rows
from cxlab.survey.definition import RATING_ROLES
from cxlab.survey.study import Study

#: Why a part has no report of its own.
FEW = "fewer than {} answers"
GIVES_BACK = "with the other reports it would give a smaller group back"
PERIOD = "period"


class Part(NamedTuple):
    """A part of a study's answers, of which there is a report or a figure in one.

    Attributes
    ----------
    period : str
        Empty: all periods together.
    where : tuple of (str, tuple of str)
        Column to the values wanted.
    """

    period: str
    where: tuple[tuple[str, tuple[str, ...]], ...]

    @classmethod
    def of(cls, period: str | None, where: Mapping[str, Any] | None) -> Part:
        """The part that a report's parameters name."""
        chosen = {name: choices_of(name, wanted) for name, wanted in (where or {}).items()}
        pairs = ((name, tuple(sorted(map(str, values)))) for name, values in chosen.items())
        return cls(str(period or ""), tuple(sorted(pairs)))

    @property
    def columns(self) -> list[str]:
        """Columns that the part is selected by."""
        return [name for name, _ in self.where]

    def may_overlap(self, other: Part) -> bool:
        """Whether an answer may be in both, as far as their names tell."""
        if self.period and other.period and self.period != other.period:
            return False
        theirs = dict(other.where)
        return all(set(values) & set(theirs.get(name, values)) for name, values in self.where)

    def __str__(self) -> str:
        told = ", ".join(f"{name} = {' or '.join(values)}" for name, values in self.where)
        return f"{told or 'everyone'}{f' in {self.period}' if self.period else ''}"


@dataclass
class Hidden:
    """What is hidden of a part.

    Attributes
    ----------
    whole : str
        Why there is no report of it; empty if there may be one.
    rows : list of (str, str, str)
        Column of answers (empty: all), segment and group. Without segment: all figures of
        the column.
    """

    whole: str = ""
    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def figures(self, part: Part) -> Iterator[HiddenFigure]:
        """What a report that shows the part's figures must hide."""
        if self.whole:
            yield HiddenFigure(part.period)
        else:
            yield from (HiddenFigure(part.period, *row) for row in self.rows)

    def words(self, labels: Mapping[str, str]) -> str:
        """The hidden rows in words; empty without any."""
        told: dict[str, list[str]] = {}
        for column, segment, group in self.rows:
            of = f"{labels.get(column, column)}, " if column and segment else ""
            if segment:
                told.setdefault(f"{of}{segment} = ", []).append(group)
            else:
                told.setdefault("", []).append(labels.get(column, column))
        return "; ".join(f"{name}{', '.join(groups)}" for name, groups in told.items())


@dataclass(frozen=True, eq=False)
class _Shown:
    """Figures of parts, by name."""

    parts: list[Part]
    cells: Any
    part: np.ndarray
    segment: list[str]
    group: list[str]

    @property
    def whole(self) -> np.ndarray:
        return np.array([not one for one in self.segment])


def hidden_of_parts(
    study: Study, parts: Iterable[Part], published: Mapping[Part, list[HiddenFigure] | None]
) -> dict[Part, Hidden]:
    """What to hide of the parts of a study's answers that are shown together.

    Parameters
    ----------
    study : Study
    parts : iterable of Part
        Of each the total is shown, and every group of every segment.
    published : mapping of Part to list of HiddenFigure, or None
        Parts that are shown already, and what is hidden of them; None: only the total is shown.

    Returns
    -------
    dict of Part to Hidden
        Nothing is hidden of a part that has no answer in common with another one.
    """
    own = sorted(set(parts))
    every = sorted({*own, *published})
    cells = _joint_cells(study, every)
    inside = {part: mask for part in every if (mask := _rows(cells, part)) is not None}
    hidden = {part: Hidden() for part in own}
    for together in _overlapping(inside):
        if len(together) > 1 and set(together) & set(own):
            found = _decided(
                study, cells, {part: inside[part] for part in together}, published, set(own)
            )
            hidden |= {part: one for part, one in found.items() if part in hidden}
    return hidden


def _joint_cells(study: Study, parts: Sequence[Part]) -> pd.DataFrame:
    """Answers per combination of period, segments and selected columns: ``n``, and of each rating."""
    periods = sorted({part.period for part in parts})
    answers = study.read(period=None if "" in periods else periods)
    ratings = [column.name for column in study.main.with_role(*RATING_ROLES)]
    weight = study.design.weights
    if weight:
        # rows of weight 0 are outside the population
        answers[ratings] = answers[ratings].where(answers[weight] > 0)
    chosen = {name for part in parts for name in part.columns if name in answers}
    keys = list(dict.fromkeys([PERIOD, *study.segments, *sorted(chosen)]))
    # a rating may be selected by, and is counted all the same
    counted = answers[[*keys]].assign(n=1, **{_n(name): answers[name].notna() for name in ratings})
    return counted.groupby(keys, dropna=False, observed=True, sort=False).sum().reset_index()


def _n(rating: str) -> str:
    return f"n {rating}"


def _rows(cells: pd.DataFrame, part: Part) -> np.ndarray | None:
    """Numbers of the part's cells; None where nobody is in it."""
    there = pd.Series(True, index=cells.index)
    if part.period:
        there &= cells[PERIOD].astype(str) == part.period
    try:
        there &= selected_rows(cells, {name: list(values) for name, values in part.where})
    except ValueError:
        return None
    found = np.flatnonzero(there)
    return found if len(found) else None


def _overlapping(inside: Mapping[Part, np.ndarray]) -> list[list[Part]]:
    """Parts that have cells in common, directly or through others."""
    rows = np.repeat(np.arange(len(inside)), [len(one) for one in inside.values()])
    columns = np.concatenate(list(inside.values()))
    masks = csr_array((np.ones(len(rows)), (rows, columns)))
    _, label = csgraph.connected_components(masks @ masks.T, directed=False)
    parts = list(inside)
    return [[parts[i] for i in np.flatnonzero(label == one)] for one in np.unique(label)]


def _decided(
    study: Study,
    cells: pd.DataFrame,
    inside: Mapping[Part, np.ndarray],
    published: Mapping[Part, list[HiddenFigure] | None],
    own: set[Part],
) -> dict[Part, Hidden]:
    """What to hide of parts that have answers in common: of all answers, then of each column's."""
    shown = _figures(study, cells, inside)
    groups = _groups(study, cells, list(inside))
    least = study.definition.min_group_size
    ratings = [column.name for column in study.main.with_role(*RATING_ROLES)]
    everything = _settled(shown, cells["n"], groups, least, published, "", own)
    found: dict[str, set[int]] = {}
    for name in ratings:
        n = cells[_n(name)]
        found[name] = _settled(shown, n, groups, least, published, name, own, everything)
    return _as_hidden(study, shown, cells, everything, found)


def _figures(study: Study, cells: pd.DataFrame, inside: Mapping[Part, np.ndarray]) -> _Shown:
    # segments are text once they are cleaned
    labels = {name: cells[name].astype("object") for name in study.segments}
    names: list[tuple[int, str, str]] = []
    members: list[np.ndarray] = []
    for part, rows in enumerate(inside.values()):
        names.append((part, "", ""))
        members.append(rows)
        for segment, label in labels.items():
            for group, own in label.iloc[rows].groupby(label.iloc[rows]).indices.items():
                names.append((part, segment, str(group)))
                members.append(rows[own])
    figure = np.repeat(np.arange(len(members)), [len(own) for own in members])
    shape = (len(members), len(cells))
    matrix = csr_array((np.ones(len(figure)), (figure, np.concatenate(members))), shape=shape)
    parts, segments, groups = (list(one) for one in zip(*names, strict=True))
    return _Shown(list(inside), matrix, np.array(parts), segments, groups)


def _groups(study: Study, cells: pd.DataFrame, parts: Sequence[Part]) -> Groups:
    """Groups that must not be given back: those by which parts are selected, and of these every
    group of up to two segments.
    """
    chosen = {tuple(part.columns) for part in parts}
    families = {
        tuple(sorted({*columns, *segments, *period}))
        for columns in chosen
        for segments in combinations_with_replacement(["", *study.segments], 2)
        for period in [(), (PERIOD,)]
    }
    families = {tuple(name for name in one if name) for one in families} - {()}
    numbers = {name: _codes(cells, [name]) for columns in families for name in columns}
    cells = pd.DataFrame(numbers, index=cells.index)
    tables, lines = [], []
    for columns in sorted(families):
        code = _codes(cells, columns)
        first = np.unique(code, return_index=True)[1]
        larger = [_codes(cells, [one for one in columns if one != name]) for name in columns]
        tables.append(_indicators(code))
        lines.append(hstack([_indicators(one[first]).T for one in larger]))
    return Groups(csr_array(vstack(tables)), csr_array(block_diag(lines)))


def _codes(cells: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Number of each cell's group by several columns."""
    if not columns:
        return np.zeros(len(cells), dtype=int)
    return cells.groupby(list(columns), dropna=False, observed=True).ngroup().to_numpy()


def _indicators(code: np.ndarray) -> Any:
    shape = (int(code.max()) + 1, len(code))
    return coo_array((np.ones(len(code)), (code, np.arange(len(code)))), shape=shape)


def _settled(
    shown: _Shown,
    n: pd.Series,
    groups: Groups,
    least: int,
    published: Mapping[Part, list[HiddenFigure] | None],
    column: str,
    own: set[Part],
    start: Iterable[int] = (),
) -> set[int]:
    """Numbers of the figures of one column of answers to hide."""
    size = n.to_numpy(dtype=float)
    fixed, away = _fixed(shown, size, groups, least, published, column, own)
    figures = Figures(shown.cells, _reports(shown), _families(shown), fixed)
    return hidden_together(figures, size, groups, least, {*start, *away})


def _reports(shown: _Shown) -> np.ndarray:
    return np.flatnonzero(shown.whole)[shown.part]


def _families(shown: _Shown) -> np.ndarray:
    """Parts selected by the same columns, and the groups of one more, have nothing in common."""
    names = []
    for part, segment in zip(shown.part, shown.segment, strict=True):
        own = shown.parts[part]
        several = tuple(pair for pair in own.where if len(pair[1]) > 1)
        columns = {*own.columns, *([segment] if segment else [])}
        names.append((bool(own.period), tuple(sorted(columns)), several))
    found = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([found[name] for name in names])


def _fixed(
    shown: _Shown,
    size: np.ndarray,
    groups: Groups,
    least: int,
    published: Mapping[Part, list[HiddenFigure] | None],
    column: str,
    own: set[Part],
) -> tuple[np.ndarray, set[int]]:
    """Figures that are published, and those that are in no report."""
    fixed, away = np.zeros(len(shown.part), dtype=bool), set()
    families = _families(shown)
    for number, part in enumerate(shown.parts):
        if part not in published:
            continue
        places = np.flatnonzero(shown.part == number)
        recorded = published[part]
        if recorded is None:
            fixed[places[0]] = True
            away |= set() if part in own else set(places[1:].tolist())
            continue
        gone = {
            i
            for i, place in enumerate(places.tolist())
            if any(_is_hidden(one, shown, place, column) for one in recorded)
        }
        alone = Figures(
            shown.cells[places], np.zeros(len(places), dtype=int), families[places],
            np.zeros(len(places), dtype=bool),
        )  # fmt: skip
        gone = hidden_together(alone, size, groups, least, gone)
        fixed[places] = True
        fixed[places[list(gone)]] = False
        away |= set(places[list(gone)].tolist())
    return fixed, away


def _is_hidden(one: HiddenFigure, shown: _Shown, place: int, column: str) -> bool:
    if one.column not in ("", column) or (one.period and one.period != _period(shown, place)):
        return False
    return not one.segment or (one.segment, one.group) == (shown.segment[place], shown.group[place])


def _period(shown: _Shown, place: int) -> str:
    return shown.parts[shown.part[place]].period


def _as_hidden(
    study: Study,
    shown: _Shown,
    cells: pd.DataFrame,
    everything: set[int],
    by_column: Mapping[str, set[int]],
) -> dict[Part, Hidden]:
    least = study.definition.min_group_size
    sizes = {"": shown.cells @ cells["n"].to_numpy(float)}
    sizes |= {name: shown.cells @ cells[_n(name)].to_numpy(float) for name in by_column}
    found: dict[Part, Hidden] = {}
    for number, part in enumerate(shown.parts):
        whole, *rows = np.flatnonzero(shown.part == number).tolist()
        hidden = found[part] = Hidden()
        without = [name for name in by_column if sizes[name][whole] and whole in by_column[name]]
        asked = [name for name in study.outcomes if sizes[name][whole]]
        if whole in everything or (asked and set(asked) <= set(without)):
            few = sizes[""][whole] < least
            hidden.whole = FEW.format(least) if few else GIVES_BACK
            continue
        hidden.rows += [(name, "", "") for name in without]
        for name, places in {"": everything, **by_column}.items():
            # small ones every table finds by itself
            hidden.rows += [
                (name, shown.segment[row], shown.group[row])
                for row in rows
                if row in places
                and name not in without
                and sizes[name][row] >= least
                and not (name and row in everything)
            ]
    return found
