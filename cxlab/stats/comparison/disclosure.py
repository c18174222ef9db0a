"""What is hidden because it is about few customers: the one place of a comparison that decides.

Estimates are made of everything, with their counts. Before, `pool_small_groups` takes small
groups of a segment together; after, a `ComparisonGate` lets the tables through with rows about few
customers hidden, and rows that would give them back by adding and subtracting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cxlab.core.disclosure.rule import COMPLEMENTARY, SMALL, hidden_groups
from cxlab.stats.comparison.contract import SEGMENT
from cxlab.stats.comparison.gaps import ONCE
from cxlab.stats.comparison.identity import (
    DIFFERENT,
    R_ONLY,
    SAME,
    T_ONLY,
    TOGETHER,
    UNIT,
    customers_of,
    who_answered,
)
from cxlab.stats.comparison.pairs import customers_that_differ
from cxlab.stats.comparison.programme import OTHERS, ProgrammeData, known_groups
from cxlab.stats.comparison.quantities import QUANTITY_COEFFICIENTS
from cxlab.stats.comparison.scores import CUSTOMERS

#: Status of an estimate that is hidden.
TOO_FEW = "too few customers"
COMPLEMENT = "hidden: it would give a smaller group back"
POOLED = "groups of few customers, taken together"
#: Numbers that name a row, and so stay when its figures are hidden.
LABELS = ("window_days",)

Tables = dict[str, pd.DataFrame]


def too_few(customers: ArrayLike, smallest: int) -> np.ndarray:
    """Which counts are those of a small group; nobody is no group."""
    counts = np.asarray(customers, dtype=float)
    return (counts > 0) & (counts < smallest)


def why_hidden(smallest: int) -> str:
    """The note of a hidden row."""
    return f"hidden: fewer than {smallest} customers"


def hide(table: pd.DataFrame, rows: ArrayLike, note: str | Sequence[str]) -> pd.DataFrame:
    """The table with the numbers of some rows null, and a note in their place.

    Text, truth values and `LABELS` stay; whole numbers become ``Int64``, which holds nulls.
    """
    marked = pd.Series(np.asarray(rows, dtype=bool), index=table.index)
    result = table.copy()
    for column in result.columns:
        values = result[column]
        numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        if numeric and column not in LABELS:
            whole = pd.api.types.is_integer_dtype(values)
            result[column] = (values.astype("Int64") if whole else values).mask(marked)
    words = pd.Series(note, index=table.index, dtype="str")
    before = result["note"] if "note" in result else pd.Series("", table.index, dtype="str")
    result["note"] = before.astype("str").mask(marked, words)
    return result


def hide_groups(table: pd.DataFrame, smallest: int, *, within: str | None = None) -> pd.DataFrame:
    """Hide small groups of a whole, and those whose absence would give them back.

    ``within`` names the column of each group's whole (default: one whole). A column ``outside``
    counts the customers of the whole who are in no group.
    """
    reason = np.full(len(table), "", dtype=object)
    words = {SMALL: why_hidden(smallest), COMPLEMENTARY: COMPLEMENT}
    whole = table[within].to_numpy() if within else np.zeros(len(table))
    customers = table["customers"].to_numpy(dtype=float)
    outside = int(table["outside"].max()) if "outside" in table and len(table) else 0
    for name in pd.unique(whole):
        places = np.flatnonzero(whole == name)
        found = hidden_groups(customers[places], smallest, ungrouped=outside)
        for place, why in found.items():
            reason[places[place]] = words[why]
        if too_few(customers[places].sum() + outside, smallest):
            # that a category of so few is empty tells what they did not answer
            reason[places] = why_hidden(smallest)
    return hide(table.drop(columns="outside", errors="ignore"), reason != "", list(reason))


def pool_small_groups(data: ProgrammeData, smallest: int) -> ProgrammeData:
    """The programme with small groups of each segment taken together as `OTHERS`.

    They are one group in both surveys, so that neither survey's total gives one of them back;
    few answers without a group join them.
    """
    surveys, sides, pooled = data.surveys, list(data.valid.values()), set()
    for column in data.shared_segments:
        if small := _small_groups(column, sides, smallest):
            surveys = {
                survey: answers.assign(**{column: _with_others(answers[column], small)})
                for survey, answers in surveys.items()
            }
            pooled.add(column.removeprefix(SEGMENT))
    return replace(data, surveys=surveys, pooled=frozenset(pooled))


def _small_groups(column: str, sides: Sequence[pd.DataFrame], smallest: int) -> set[str | None]:
    """Groups to be taken together; None is that of answers without a group."""
    *codes, groups = known_groups(*(one[column] for one in sides))
    found: set[int] = set()
    for code, one in zip(codes, sides, strict=True):
        nowhere = one["customer"][code < 0].nunique()
        lost = nowhere if too_few(nowhere, smallest) else 0
        sizes = customers_of(code, one["customer"], len(groups))
        found |= set(hidden_groups([*sizes, lost], smallest))
    return {[*groups, None][k] for k in found}


def _with_others(groups: pd.Series, small: set[str | None]) -> pd.Series:
    pooled = groups.mask(groups.isin([one for one in small if one is not None]), OTHERS)
    return pooled.fillna(OTHERS) if None in small else pooled


@dataclass(frozen=True, eq=False)
class ComparisonGate:
    """The counts behind a comparison's tables, and what may be shown of them.

    ``behind`` has for each quantity the customers of its answers (`answers_behind`), ``people``
    what each customer answered (`respondents`), ``named`` whether answers name their customer,
    ``cells`` how many customers answered in each cell of touchpoint and contact channel, ``windows`` the
    pairs of each window, ``pooled`` the segments of which groups were taken together.
    """

    smallest: int
    behind: Mapping[str, np.ndarray]
    people: pd.DataFrame
    named: bool
    cells: np.ndarray
    windows: Mapping[float, pd.DataFrame]
    window_days: float
    pooled: frozenset[str]

    def shown(self, tables: Tables) -> Tables:
        """The tables as they may be shown."""
        rules = {
            "decomposition": self._decomposition,
            "tilting": self._hide_few,
            "estimates": self._estimates,
            "identity": self._identity,
            "segments": self._segments,
            "touchpoints": self._touchpoints,
            "migration": self._migration,
            "categories": lambda table: hide_groups(table, self.smallest, within="survey"),
            "margins": lambda table: self._hide(table, [self.few_pairs] * len(table)),
            "sensitivity": self._sensitivity,
            "windows": self._windows,
            "delays": lambda table: hide_groups(table, self.smallest),
            "regression": lambda table: hide_groups(table, self.smallest, within="given"),
            "robustness": self._robustness,
            **dict.fromkeys(("paired", "later", "checks"), self._hide_rows),
        }
        return {
            name: rules[name](table) if name in rules and table.shape[1] else table
            for name, table in tables.items()
        }

    def few(self, name: str) -> bool:
        """Whether a quantity that this one is made of rests on too few customers.

        A term is hidden with its quantity: the terms add up, so it would give it back.
        """
        known = [self.behind.get(one) for one in QUANTITY_COEFFICIENTS[name]]
        return self.any_few([len(np.unique(rows)) for rows in known if rows is not None])

    def any_few(self, customers: ArrayLike) -> bool:
        """Whether one of these counts is that of a small group."""
        return bool(too_few(customers, self.smallest).any())

    @property
    def few_pairs(self) -> bool:
        """Whether too few customers answered both surveys within the window."""
        return self.any_few(self.windows[self.window_days]["customer"].nunique())

    def _hide(self, table: pd.DataFrame, rows: ArrayLike) -> pd.DataFrame:
        return hide(table, rows, why_hidden(self.smallest))

    def _hide_rows(self, table: pd.DataFrame) -> pd.DataFrame:
        return self._hide(table, too_few(table["customers"], self.smallest))

    def _hide_few(self, table: pd.DataFrame, column: str = "term") -> pd.DataFrame:
        """Hide the rows whose quantity or term, named in ``column``, is `few`."""
        rows = np.array([bool(name) and self.few(name) for name in table[column]], dtype=bool)
        result = self._hide(table, rows)
        if "status" in result:
            result["status"] = result["status"].mask(rows, TOO_FEW)
        return result

    def _decomposition(self, table: pd.DataFrame) -> pd.DataFrame:
        """Terms of few hidden, and terms of which a part is about few named."""
        result = self._hide_few(table)
        if self.few("gap"):
            # the estimate divided by its share is the gap
            result["share"] = np.nan
        few, thin = f"fewer than {self.smallest} customers", {}
        if small := int(too_few(self.cells, self.smallest).sum()):
            thin["mix"] = f"{small} of {len(self.cells)} cells have answers of {few}"
        base, used = (self.behind.get(name, np.empty(0)) for name in ("C0", "C1"))
        if self.any_few(len(np.setdiff1d(base, used))):
            thin["coverage"] = f"{few} who answered had no eligible episode"
        for term, words in thin.items():
            rows = (result["term"] == term) & result["estimate"].notna()
            result["note"] = result["note"].mask(rows, words)
        return result

    def _estimates(self, table: pd.DataFrame) -> pd.DataFrame:
        """A difference goes with either of its sides: the other side would give it back.

        A survey's score less that of each customer once is about those who answered often.
        """
        result = self._hide_few(table, "of").drop(columns="of")
        small = too_few(result["customers"].astype("float64"), self.smallest)
        result = self._hide(result, small)
        result = result.assign(status=result["status"].mask(small, TOO_FEW))
        t, r = self._few_answered_often()
        near = result["survey"].map({"transactional": t, "relationship": r, "difference": t or r})
        near &= (result["estimate_kind"] == CUSTOMERS) & result["n"].notna()
        return hide(result, near, COMPLEMENT)

    def _few_answered_often(self) -> tuple[bool, bool]:
        several = (self.people[["t answers", "r answers"]] > 1).sum()
        return self.any_few(several["t answers"]), self.any_few(several["r answers"])

    def _identity(self, table: pd.DataFrame) -> pd.DataFrame:
        """The parts that may be shown alone, and together those that may not."""
        surveys = self.people[["t customers", "r customers"]].sum().tolist()
        result = table.set_index("term").loc[[*self._parts(surveys), "gap"]].reset_index()
        together = result["term"].isin(list(TOGETHER))
        why = f"together, because one of them is about fewer than {self.smallest} customers"
        if not self.people["both"].any():
            why = "no customer answered both surveys"
            result["term"] = result["term"].mask(together, DIFFERENT)
        result["note"] = result["note"].mask(together, why)
        return self._hide(result, [self.any_few(surveys)] * len(result))

    def _parts(self, surveys: Sequence[int]) -> list[str]:
        if not self.named or self.any_few(surveys) or not all(surveys):
            return []
        cells = [int(who.sum()) for who in who_answered(self.people).values()]
        apart = cells[0] > 0 and not self.any_few(cells)
        first, rest = TOGETHER
        if not any(self._few_answered_often()):
            return [UNIT, SAME, T_ONLY, R_ONLY] if apart else [UNIT, rest]
        return [first, T_ONLY, R_ONLY] if apart else []

    def _segments(self, table: pd.DataFrame) -> pd.DataFrame:
        pooled = table["segment"].isin(self.pooled) & (table["group"] == OTHERS)
        return table.assign(note=table["note"].mask(pooled, POOLED))

    def _touchpoints(self, table: pd.DataFrame) -> pd.DataFrame:
        """Each customer once less the estimate is about those who answered more than once."""
        few = too_few(table["repeated"], self.smallest)
        once = [name for name in table if name.startswith("per_customer")]
        words = (
            f"each customer once: hidden, fewer than {self.smallest} customers answered more than "
            "once"
        )
        notes = table["note"].astype("str")
        joined = (notes + "; " + words).where(notes != "", words)
        result = table.drop(columns="repeated").assign(note=notes.mask(few, joined))
        result.loc[few, once] = np.nan
        return hide_groups(result, self.smallest)

    def _migration(self, table: pd.DataFrame) -> pd.DataFrame:
        """All nine cells or none: totals give one back, and where four are hidden the se does."""
        small = self.any_few(table["customers"])
        note = f"hidden: one of the nine cells has fewer than {self.smallest} customers"
        return hide(table.drop(columns="customers"), [small] * len(table), note)

    def _sensitivity(self, table: pd.DataFrame) -> pd.DataFrame:
        """A rule that differs for few is hidden: less the chosen one it would be about them."""
        near = too_few(table["differ"], self.smallest)
        note = f"hidden: it differs from the chosen rule for fewer than {self.smallest} customers"
        result = hide(self._hide_rows(table.drop(columns=["differ", "chosen"])), near, note)
        return result.assign(chosen=table["chosen"])

    def _windows(self, table: pd.DataFrame) -> pd.DataFrame:
        near = table["window_days"].isin(self._given_back()).to_numpy()
        return hide(self._hide_rows(table), near, COMPLEMENT)

    def _given_back(self) -> list[float]:
        """Windows that less the next one shown would be about too few customers.

        They are taken outwards from the chosen one, which the paired contrast shows.
        """
        found: list[float] = []
        lengths = sorted(self.windows)
        longer = [days for days in lengths if days >= self.window_days]
        shorter = [days for days in reversed(lengths) if days <= self.window_days]
        for outwards in (longer, shorter):
            last: pd.DataFrame | None = None
            for days in outwards:
                one = self.windows[days]
                if self.any_few(one["customer"].nunique()):
                    continue
                if last is not None and self.any_few(customers_that_differ(one, last)):
                    found.append(days)
                else:
                    last = one
        return found

    def _robustness(self, table: pd.DataFrame) -> pd.DataFrame:
        """Without quantities of few, and without one answer a customer where few have several."""
        names = table["quantity"].replace("raw gap", "gap")
        kept = ~names.map(self.few)
        if any(self._few_answered_often()):
            kept &= table["variant"] != ONCE
        return table[kept].reset_index(drop=True)
