"""Parts of a study's answers, their figures over joint cells, and which of these to hide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import pandas as pd
import scipy  # its parts are loaded where they are used

from cxlab.core.disclosure.gate import ANSWERS, CUSTOMERS, HiddenFigure
from cxlab.core.disclosure.people import People, named_people
from cxlab.core.disclosure.together import Figures, Groups, hidden_together
from cxlab.core.frames import open_frame
from cxlab.survey.definition import RATING_ROLES
from cxlab.survey.joining import choices_of, selected_rows
from cxlab.survey.study import Study

#: Why a part has no report of its own.
FEW = "fewer than {} {}"
GIVES_BACK = "with the other reports it would give a smaller group back"
PERIOD = "period"


class Part(NamedTuple):
    """A part of a study's answers, of which there is a report or a figure in one."""

    #: Empty: all periods together.
    period: str
    #: Column to the values wanted.
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
        words = ", ".join(f"{name} = {' or '.join(values)}" for name, values in self.where)
        return f"{words or 'everyone'}{f' in {self.period}' if self.period else ''}"


@dataclass
class Hidden:
    """What is hidden of a part."""

    #: Why there is no report of it; empty if there may be one.
    whole: str = ""
    #: Column of answers (empty: all), segment and group; without segment: the column's figures.
    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def figures(self, part: Part) -> Iterator[HiddenFigure]:
        """What a report that shows the part's figures must hide."""
        if self.whole:
            yield HiddenFigure(part.period)
        else:
            yield from (HiddenFigure(part.period, *row) for row in self.rows)

    def words(self, labels: Mapping[str, str]) -> str:
        """The hidden rows in words; empty without any."""
        words: dict[str, list[str]] = {}
        for column, segment, group in self.rows:
            of = f"{labels.get(column, column)}, " if column and segment else ""
            if segment:
                words.setdefault(f"{of}{segment} = ", []).append(group)
            else:
                words.setdefault("", []).append(labels.get(column, column))
        return "; ".join(f"{name}{', '.join(groups)}" for name, groups in words.items())


#: Parts that reports show already, and what is hidden of them; None: only the total is shown.
Published = Mapping[Part, Sequence[HiddenFigure] | None]


def hidden_of_parts(
    study: Study, parts: Iterable[Part], published: Published
) -> dict[Part, Hidden]:
    """What to hide of the parts of a study's answers that are shown together.

    Of each part the total is shown, and every group of every segment. Nothing is hidden of a
    part that has no answer in common with another one.
    """
    own = sorted(set(parts))
    every = sorted({*own, *published})
    cells, people = _joint_cells(study, every)
    inside = {part: rows for part in every if (rows := _rows(cells, part)) is not None}
    hidden = {part: Hidden() for part in own}
    for together in _overlapping(inside):
        if len(together) > 1 and set(together) & set(own):
            apart = {part: inside[part] for part in together}
            shown = _Shown(study, cells, apart, published, frozenset(own), people)
            found = shown.hidden()
            hidden |= {part: one for part, one in found.items() if part in hidden}
    return hidden


def count_answers(
    answers: Any, keys: Sequence[str], *, ratings: Sequence[str] = (), weight: str | None = None
) -> pd.DataFrame:
    """Answers per combination of at least one column, in one query of any engine.

    Columns ``n`` and, of each rating, ``n NAME``; of these, rows of weight 0 are not counted:
    they are outside the population. Rows without a key count as a combination of their own.
    """
    frame = nw.from_native(answers).lazy()
    inside = nw.col(weight) > 0 if weight else nw.lit(True)
    # a rating may be a key, and is counted all the same
    given = {_n(name): nw.when(inside & ~nw.col(name).is_null()).then(1) for name in ratings}
    counts = [nw.len().alias("n"), *(nw.col(name).count() for name in given)]
    frame = frame.with_columns(**given) if given else frame
    return frame.group_by(list(keys)).agg(*counts).collect().to_pandas()


def people_of_cells(
    answers: Any,
    cells: pd.DataFrame,
    keys: Sequence[str],
    study: Study,
    *,
    ratings: Sequence[str] = (),
) -> dict[str, People]:
    """Who gave the answers in each cell that `count_answers` found, by rating (empty: all answers).

    Empty where the study names no customers, or each of them answered once.
    """
    customer, weight = study.design.customer, study.design.weights
    there = nw.from_native(answers).lazy().collect_schema().names()
    if customer is None or customer not in there:
        return {}
    counts = {"n": "", **{_n(name): name for name in ratings}}
    design = {"customer": customer, "weights": weight}
    opened = open_frame(answers, columns=[*keys, *ratings], design=design)
    if opened.most_rows == 1:
        return {}
    inside = nw.col(weight) > 0 if weight else nw.lit(True)
    given = {
        f"n_{i}": nw.when(inside & ~nw.col(name).is_null()).then(nw.lit(1)).otherwise(nw.lit(0))
        if name
        else nw.lit(1)
        for i, name in enumerate(counts.values())
    }
    by = {f"by_{i}": nw.col(name) for i, name in enumerate(keys)}
    rows = opened.lazy.with_columns(**given).select(*given, **by, customer=nw.col(customer))
    table = cells[[*keys, *counts]].set_axis([*by, *given], axis=1)
    found = named_people(rows, table, list(by), list(given), study.definition.min_group_size)
    return {counts[n]: found[i] for i, n in zip(given, counts, strict=True) if i in found}


def _n(rating: str) -> str:
    return f"n {rating}"


def _ratings(study: Study) -> list[str]:
    return [column.name for column in study.main.with_role(*RATING_ROLES)]


def _joint_cells(study: Study, parts: Sequence[Part]) -> tuple[pd.DataFrame, dict[str, People]]:
    """Answers per combination of period, segments and selected columns, and who gave them."""
    periods = sorted({part.period for part in parts})
    answers = study.read(period=None if "" in periods else periods)
    there = nw.from_native(answers).collect_schema().names()
    chosen = sorted({name for part in parts for name in part.columns if name in there})
    keys = list(dict.fromkeys([PERIOD, *study.segments, *chosen]))
    ratings, weight = _ratings(study), study.design.weights
    cells = count_answers(answers, keys, ratings=ratings, weight=weight)
    cells = cells.sort_values(keys, ignore_index=True)
    return cells, people_of_cells(answers, cells, keys, study, ratings=ratings)


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
    masks = scipy.sparse.csr_array((np.ones(len(rows)), (rows, columns)))
    _, label = scipy.sparse.csgraph.connected_components(masks @ masks.T, directed=False)
    parts = list(inside)
    return [[parts[i] for i in np.flatnonzero(label == one)] for one in np.unique(label)]


class _Shown:
    """The figures of parts that have answers in common: of each its total, then its groups.

    ``names`` are part, segment and group of each figure, without segment a total; ``matrix`` has
    a 1 for each joint cell that a figure sums over; ``places`` are the numbers of each part's
    figures, its total first; figures of one ``family`` have no answer in common.
    """

    def __init__(
        self,
        study: Study,
        cells: pd.DataFrame,
        inside: Mapping[Part, np.ndarray],
        published: Published,
        own: frozenset[Part],
        people: Mapping[str, People],
    ) -> None:
        self.study, self.cells, self.published, self.own = study, cells, published, own
        self.people = people
        self.least = study.definition.min_group_size
        self.names: list[tuple[Part, str, str]] = []
        members: list[np.ndarray] = []
        # segments are text once they are cleaned
        labels = {name: cells[name].astype("object") for name in study.segments}
        for part, rows in inside.items():
            self.names.append((part, "", ""))
            members.append(rows)
            for segment, label in labels.items():
                for group, number in label.iloc[rows].groupby(label.iloc[rows]).indices.items():
                    self.names.append((part, segment, str(group)))
                    members.append(rows[number])
        figure = np.repeat(np.arange(len(members)), [len(own) for own in members])
        ones, shape = np.ones(len(figure)), (len(members), len(cells))
        self.matrix = scipy.sparse.csr_array((ones, (figure, np.concatenate(members))), shape=shape)
        parts = np.array([list(inside).index(part) for part, _, _ in self.names])
        self.places = {part: np.flatnonzero(parts == i) for i, part in enumerate(inside)}
        self.report = np.array([self.places[part][0] for part, _, _ in self.names])
        families = list(map(_family, self.names))
        number = {family: i for i, family in enumerate(dict.fromkeys(families))}
        self.family = np.array([number[family] for family in families])
        self.groups = _groups(study, cells, list(inside))

    def hidden(self) -> dict[Part, Hidden]:
        """What to hide of each part: of all answers, then of each column's."""
        everything = self._settled("")
        by_column = {name: self._settled(name, everything) for name in _ratings(self.study)}
        sizes = {name: self.matrix @ self._n(name) for name in ("", *by_column)}
        return {
            part: self._of_part(places.tolist(), everything, by_column, sizes)
            for part, places in self.places.items()
        }

    def _n(self, column: str) -> np.ndarray:
        """Answers of each cell, or those to one column."""
        return self.cells[_n(column) if column else "n"].to_numpy(float)

    def _who(self, column: str) -> People:
        """Who answered in each cell, or who answered one column."""
        return self.people.get(column) or People.counted(self._n(column))

    def _settled(self, column: str, start: Iterable[int] = ()) -> set[int]:
        """Numbers of the figures of one column of answers to hide."""
        n = self._n(column)
        fixed, away = self._published(n, column)
        figures = Figures(self.matrix, self.report, self.family, fixed)
        return hidden_together(
            figures, n, self.groups, self.least, {*start, *away}, self._who(column)
        )

    def _published(self, n: np.ndarray, column: str) -> tuple[np.ndarray, set[int]]:
        """Figures that are published, and those that are in no report."""
        fixed, away = np.zeros(len(self.names), dtype=bool), set()
        for part, places in self.places.items():
            if part not in self.published:
                continue
            recorded = self.published[part]
            if recorded is None:
                fixed[places[0]] = True
                away |= set() if part in self.own else set(places[1:].tolist())
                continue
            gone = places[self._gone(places, recorded, n, column)]
            fixed[places] = True
            fixed[gone] = False
            away |= set(gone.tolist())
        return fixed, away

    def _gone(
        self, places: np.ndarray, recorded: Sequence[HiddenFigure], n: np.ndarray, column: str
    ) -> list[int]:
        """Of one report's figures those that it hides: by its record, and by itself."""
        by_record = {
            i
            for i, place in enumerate(places.tolist())
            if any(_hides(one, self.names[place], column) for one in recorded)
        }
        nothing = np.zeros(len(places), dtype=int)
        alone = Figures(self.matrix[places], nothing, self.family[places], nothing.astype(bool))
        who = self._who(column)
        return list(hidden_together(alone, n, self.groups, self.least, by_record, who))

    def _of_part(
        self,
        places: list[int],
        everything: set[int],
        by_column: Mapping[str, set[int]],
        sizes: Mapping[str, np.ndarray],
    ) -> Hidden:
        whole, *rows = places
        without = [name for name in by_column if sizes[name][whole] and whole in by_column[name]]
        asked = [name for name in self.study.outcomes if sizes[name][whole]]
        if whole in everything or (asked and set(asked) <= set(without)):
            few = self._who("").of(self.matrix[[whole]]).sizes[0] < self.least
            counted = CUSTOMERS if sizes[""][whole] >= self.least else ANSWERS
            return Hidden(FEW.format(self.least, counted) if few else GIVES_BACK)
        found = [(name, "", "") for name in without]
        for name, hidden in {"": everything, **by_column}.items():
            # small ones every table finds by itself
            found += [
                (name, *self.names[row][1:])
                for row in rows
                if row in hidden
                and name not in without
                and sizes[name][row] >= self.least
                and not (name and row in everything)
            ]
        return Hidden(rows=found)


def _family(name: tuple[Part, str, str]) -> tuple[Any, ...]:
    """Parts selected by the same columns, and the groups of one more, have nothing in common."""
    part, segment, _ = name
    several = tuple(pair for pair in part.where if len(pair[1]) > 1)
    columns = {*part.columns, *([segment] if segment else [])}
    return bool(part.period), tuple(sorted(columns)), several


def _hides(one: HiddenFigure, name: tuple[Part, str, str], column: str) -> bool:
    """Whether a record's line is about a figure of a column of answers."""
    part, segment, group = name
    if one.column not in ("", column) or (one.period and one.period != part.period):
        return False
    return not one.segment or (one.segment, one.group) == (segment, group)


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
        lines.append(scipy.sparse.hstack([_indicators(one[first]).T for one in larger]))
    return Groups(
        scipy.sparse.csr_array(scipy.sparse.vstack(tables)),
        scipy.sparse.csr_array(scipy.sparse.block_diag(lines)),
    )


def _codes(cells: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Number of each cell's group by several columns."""
    if not columns:
        return np.zeros(len(cells), dtype=int)
    return cells.groupby(list(columns), dropna=False, observed=True).ngroup().to_numpy()


def _indicators(code: np.ndarray) -> Any:
    shape = (int(code.max()) + 1, len(code))
    return scipy.sparse.coo_array((np.ones(len(code)), (code, np.arange(len(code)))), shape=shape)
