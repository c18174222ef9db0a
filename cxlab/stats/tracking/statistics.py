"""What is kept of a period: enough to compare it with others, and nobody's answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.frames import natural_order
from cxlab.core.messages import got, unknown
from cxlab.core.metric import Metric
from cxlab.stats.inference import Spread
from cxlab.stats.tracking import period_files
from cxlab.stats.tracking.driver_shares import DriverShares
from cxlab.stats.tracking.periods import in_order

Array = NDArray[np.float64]
Key = tuple[str, str]

EVERYONE = "everyone"
#: Name of the small groups of a segment, together.
HIDDEN = "small groups together"


@dataclass(frozen=True, eq=False)
class Block:
    """Covariances of one metric's parameters within a segment: weights, then scores.

    Attributes
    ----------
    key : (column, metric)
    segment : str
        Column; `EVERYONE` for the whole.
    other : str
        Other period with which the covariances are; empty: the period itself.
    groups, other_groups : tuple of str
        Groups of the rows and of the columns.
    values : ndarray, shape (2 · groups, 2 · other groups)
    shared : int
        Clusters that hold an answer in both periods; 0 within the period.
    spread : Spread or None
        Of everybody's score; with another period, what the spread of the difference has
        beside those of the two scores. None in segments and in files of earlier versions.
    """

    key: Key
    segment: str
    other: str
    groups: tuple[str, ...]
    other_groups: tuple[str, ...]
    values: Array
    shared: int = 0
    spread: Spread | None = None


@dataclass(frozen=True)
class Beside:
    """What is known of a period and another one, whose answers were at hand together.

    Attributes
    ----------
    sampled : float or None
        Clusters sampled in both together, where there are no strata; None with strata.
    shared : int
        Clusters in both; −1: some, but too few to be told.
    """

    sampled: float | None
    shared: int


@dataclass(frozen=True, eq=False)
class PeriodStatistics:
    """A period's sufficient statistics, small groups left out; see `cxlab.period_statistics`.

    Attributes
    ----------
    period : str
    table : DataFrame
        One row per metric and group: ``column``, ``metric``, ``unit``, ``segment`` and
        ``group`` (``everyone`` for the whole), then what `cxlab.nps` tells, then ``y``,
        ``yy`` (sums of the values and of their squares), ``weight``, ``origin`` (which the
        values are counted from), ``clusters``, ``strata`` (that hold an answer).
    metrics : tuple of Metric
    blocks : tuple of Block
        Design-based covariances.
    beside : dict of str to Beside
        Other periods whose answers were at hand.
    drivers : tuple of DriverShares
        One for each outcome.
    hidden : dict
        (column, metric, segment) to the names of the groups that were hidden, and that are
        together in the row ``small groups together``.
    labels : dict of str to str
        Column to words.
    facts : dict of str to object
        ``weights``, ``strata``, ``cluster`` (whether there are any), ``sampled`` (clusters
        sampled, where there are no strata), ``clusters`` and ``design_strata`` (seen, with
        an answer or without), ``rows``, ``lone_rows``, ``place`` (of the period among those
        at hand), ``selection``, ``min_group_size``.
    note : str
        What to know before comparing; empty if nothing.
    """

    period: str
    table: pd.DataFrame
    metrics: tuple[Metric, ...]
    blocks: tuple[Block, ...]
    beside: dict[str, Beside]
    drivers: tuple[DriverShares, ...]
    hidden: dict[tuple[str, str, str], list[str]]
    labels: dict[str, str]
    facts: dict[str, Any]
    note: str = ""

    @property
    def simple(self) -> bool:
        """Whether the answers were taken as a simple random sample."""
        return not (self.facts["weights"] or self.facts["strata"] or self.facts["cluster"])

    def metric(self, key: Key) -> Metric | None:
        """The metric as it was declared."""
        return next((metric for metric in self.metrics if key_of(metric) == key), None)

    def rows(self, key: Key, segment: str = EVERYONE) -> pd.DataFrame:
        """Rows of one metric and segment; none if nothing was kept."""
        table = self.table
        chosen = (table["column"] == key[0]) & (table["metric"] == key[1])
        return table[chosen & (table["segment"] == segment)].reset_index(drop=True)

    def block(self, key: Key, segment: str = EVERYONE, other: str = "") -> Block | None:
        """Covariances within the period, or with another one."""
        wanted = (key, segment, other)
        found = (b for b in self.blocks if (b.key, b.segment, b.other) == wanted)
        return next(found, None)

    def save(self, folder: str | Path) -> Path:
        """Write ``PERIOD.parquet`` into a folder, which is made if it is not there.

        The file is written whole or not at all; an earlier one of the period is replaced.

        Parameters
        ----------
        folder : str or Path

        Returns
        -------
        Path
            The file.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        # a file whose name starts with a dot is hidden, and unfinished ones are called so
        name = re.sub(r"^\.", "%2E", quote(self.period, safe=" "))
        return period_files.write_period(folder / f"{name}.parquet", self)

    @classmethod
    def load(cls, path: str | Path) -> PeriodStatistics:
        """The statistics in a file that `save` wrote.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        ValueError
            When it is cut short, holds something else, or comes from a newer cxlab.
        """
        return cls(**period_files.read_period(path))

    def __str__(self) -> str:
        whole = self.table[self.table["segment"] == EVERYONE]
        segments = self.table["segment"].nunique() - 1
        head = (
            f"Statistics of {self.period}: {self.facts['rows']:,} rows, {len(whole)} metrics, "
            f"{segments} segments, drivers of {len(self.drivers)} outcomes"
        )
        return f"{head}\n{self.note}" if self.note else head


@dataclass(frozen=True, eq=False)
class SavedPeriods:
    """Statistics of several periods, in order; it stands where answers would.

    Attributes
    ----------
    statistics : tuple of PeriodStatistics
    """

    statistics: tuple[PeriodStatistics, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        names = [one.period for one in self.statistics]
        again = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if again or not names:
            raise ValueError(
                f"`statistics` must be of one period or more, each once; got {got(again or ['none'])}."
            )
        selections = list(dict.fromkeys(one.facts["selection"] for one in self.statistics))
        if len(selections) > 1:
            raise ValueError(
                f"`statistics` must be of one selection; got '{selections[0]}' and "
                f"'{selections[1]}'. Keep selections in folders of their own."
            )
        object.__setattr__(self, "statistics", _in_order(self.statistics))

    @property
    def periods(self) -> list[str]:
        """Names, from the earliest."""
        return [one.period for one in self.statistics]

    def __getitem__(self, period: str) -> PeriodStatistics:
        for one in self.statistics:
            if one.period == str(period):
                return one
        raise ValueError(unknown("period", period, self.periods))

    def __len__(self) -> int:
        return len(self.statistics)

    def __str__(self) -> str:
        return "\n".join(str(one) for one in self.statistics)

    def save(self, folder: str | Path) -> list[Path]:
        """Write one file per period; see `PeriodStatistics.save`."""
        return [one.save(folder) for one in self.statistics]


def key_of(metric: Metric) -> Key:
    """What names a metric: its column and its name."""
    return metric.column, metric.name or metric.kind


def load_periods(
    folder: str | Path, *, selection: Mapping[str, Any] | str | None = None
) -> SavedPeriods:
    """Statistics of all periods in a folder, to be compared without any answers.

    Parameters
    ----------
    folder : str or Path
        Where `PeriodStatistics.save` wrote them, one file per period.
    selection : mapping or str, optional
        The selection that they must be of, as given to `cxlab.period_statistics`; default:
        everyone.

    Returns
    -------
    SavedPeriods
        To be given to `cxlab.period_changes`, `cxlab.mix_and_performance`,
        `cxlab.driver_changes` and `cxlab.period_scores` in place of answers.

    Raises
    ------
    FileNotFoundError
        When the folder is not there, or holds no period.
    ValueError
        For a file that is cut short or holds something else, or another selection.

    Examples
    --------
    >>> import tempfile
    >>> from cxlab import period_changes, period_statistics
    >>> answers = pd.DataFrame({"recommend": [10] * 60 + [3] * 40 + [10] * 30 + [3] * 70,
    ...                         "period": ["2025-Q3"] * 100 + ["2025-Q4"] * 100})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = period_statistics(answers, "recommend").save(folder)
    ...     saved = load_periods(folder)
    >>> period_changes(saved, "recommend")[["period", "before", "estimate"]].head(1)
        period   before  estimate
    0  2025-Q4  2025-Q3     -60.0
    """
    folder = Path(folder)
    paths = sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))
    if not paths:
        what = "which holds none" if folder.is_dir() else "which is not there"
        raise FileNotFoundError(
            f"`folder` must hold saved periods; got '{folder}', {what}. "
            "Save them with period_statistics(...).save(folder)."
        )
    found = SavedPeriods(tuple(PeriodStatistics.load(path) for path in paths))
    made_of, asked = found.statistics[0].facts["selection"], selection_in_words(selection)
    if asked != made_of:
        raise ValueError(
            f"`selection` must be that of the saved periods, '{made_of or 'everyone'}'; got "
            f"'{asked or 'everyone'}'. A part of them cannot be had without the answers."
        )
    return found


def selection_in_words(selection: Mapping[str, Any] | str | None) -> str:
    """Which answers were taken; empty: all.

    Examples
    --------
    >>> selection_in_words({"trip": ["work", "leisure"], "area": "A"})
    'area: A; trip: leisure, work'
    """
    if not isinstance(selection, Mapping):
        return selection or ""
    parts = []
    for column, wanted in sorted(selection.items()):
        several = isinstance(wanted, Iterable) and not isinstance(wanted, str)
        values = sorted(map(str, wanted)) if several else [str(wanted)]
        parts.append(f"{column}: {', '.join(values)}")
    return "; ".join(parts)


def _in_order(statistics: Sequence[PeriodStatistics]) -> tuple[PeriodStatistics, ...]:
    """By place among those kept together, then by name; the calendar goes before either."""
    ordered = sorted(statistics, key=lambda one: (one.facts["place"], natural_order(one.period)))
    names = in_order([one.period for one in ordered])
    return tuple(sorted(ordered, key=lambda one: names.index(one.period)))
