"""The answers a driver analysis reads: ratings, who used what, the outcome, the design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.design import Design, DesignLike
from cxlab.core.engines import PART_ROWS, narrow
from cxlab.core.frames import Opened, as_list, column_names, open_frame
from cxlab.core.messages import got
from cxlab.core.result import no_missing
from cxlab.stats.resampling import SamplingDesign, sampling_design

Array = np.ndarray

NEVER_USED = "never used"

#: Scales of which the outcome is a latent normal one, seen in steps.
LATENT = ("ordinal", "binary")
OUTCOME_SCALES = ("continuous", "nps", *LATENT)
#: More different answers than this are no ordered scale with ends to speak of.
MOST_STEPS = 30


@dataclass(frozen=True, eq=False)
class Answers:
    """Rows that have an outcome, as arrays; n rows, p drivers."""

    outcome_name: str
    names: list[str]  # columns of the drivers
    labels: dict[str, str]  # column to words
    ratings: Array  # (n, p); NaN where not rated
    never: Array  # (n, p) of bool; never used, so that it has no rating
    outcome: Array  # (n,), as it is analysed
    weights: Array  # (n,); 1 without
    group: pd.Series | None  # segment or wave of each row
    unit: Array  # (n,), the row's cluster in ``design``
    design: SamplingDesign  # of all rows of positive weight, with an outcome or without
    n_total: int  # rows of positive weight
    #: Of these, rows without outcome, group or rating.
    n_missing: pd.DataFrame = field(default_factory=no_missing)
    segments: pd.DataFrame | None = None  # that may be unable to use a touchpoint

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.outcome)

    @property
    def words(self) -> dict[str, str]:
        """Column of each driver to words."""
        return {name: self.labels[name] for name in self.names}

    @property
    def rated(self) -> Array:
        """Where there is a rating, shape (n, p)."""
        return ~np.isnan(self.ratings)

    @cached_property
    def ends(self) -> tuple[Array, Array, Array]:
        """See `rating_ends`."""
        return rating_ends(self.ratings)

    @property
    def dead(self) -> Array:
        """See `dead_drivers`."""
        seen, low, high = self.ends
        return np.asarray((seen < 2) | (low >= high))

    @property
    def asked(self) -> Array:
        """Where use is known, shape (n, p)."""
        return self.rated | self.never

    @property
    def clusters(self) -> Array:
        """Clusters that hold a row, in order."""
        return np.flatnonzero(np.bincount(self.unit))

    @property
    def simple(self) -> bool:
        """Whether rows are drawn one by one with equal weights and no strata."""
        alike = self.weights.min(initial=np.inf) == self.weights.max(initial=-np.inf)
        return bool(alike and not self.design.stratified and len(self.clusters) == self.n)

    def with_outcome(self, ratings: Array) -> Array:
        """Columns with the outcome as the last, no wider than both need.

        Ratings stand beside the outcome as they are read, so that no copy of them is made.
        """
        beside = ratings.base
        if (
            beside is not None
            and beside.shape == (self.n, ratings.shape[1] + 1)
            and np.array_equal(beside[:, -1], self.outcome)
        ):
            return beside
        wide = ratings.dtype == self.outcome.dtype
        return np.column_stack([ratings, self.outcome if wide else narrow(self.outcome)])

    def rows(self, chosen: Array | slice) -> Answers:
        """The chosen rows; the design stays whole, so that a part is a domain."""
        if not isinstance(chosen, slice) and chosen.dtype == bool and chosen.all():
            return self
        return replace(
            self,
            ratings=self.ratings[chosen],
            never=self.never[chosen],
            outcome=self.outcome[chosen],
            weights=self.weights[chosen],
            group=None if self.group is None else self.group[chosen],
            segments=None if self.segments is None else self.segments[chosen],
            unit=self.unit[chosen],
        )

    def in_group(self, value: object) -> Array:
        """Which rows are of one group, shape (n,)."""
        if self.group is None:
            raise ValueError("`by` must be given.")
        return (self.group == value).to_numpy(dtype=bool)

    def with_drivers(self, kept: Sequence[int]) -> Answers:
        """Some of the drivers."""
        if list(kept) == list(range(len(self.names))):
            return self
        return replace(
            self,
            names=[self.names[j] for j in kept],
            ratings=self.ratings[:, kept],
            never=self.never[:, kept],
        )

    def degrees_of_freedom(self) -> int:
        """Clusters that hold a row less strata that do."""
        strata = np.bincount(self.design.cluster_stratum[self.clusters])
        return len(self.clusters) - int((strata > 0).sum())


def read_answers(
    data: Any,
    outcome: str,
    drivers: Sequence[str] | Mapping[str, str],
    *,
    design: DesignLike = None,
    by: str | None = None,
    segments: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    most: int | None = None,
) -> Answers:
    """Read and check, once, the columns of a driver analysis from a frame of any engine.

    Parameters are those of `cxlab.drivers`; of more than ``most`` cells a part is drawn.
    Everything below works on the arrays; of more than 65,536 rows the ratings are the narrowest
    floats that hold them, and arithmetic takes some rows at a time.
    """
    names, segments = driver_names(drivers, outcome), as_list(segments)
    words = {**(labels or {}), **(drivers if isinstance(drivers, Mapping) else {})}
    there = set(column_names(data))
    reasons = [f"{name}_missing" for name in names if f"{name}_missing" in there]
    numbers = {"outcome": outcome, "drivers": names}
    opened = open_frame(
        data, numbers=numbers, design=design, by=by, segments=segments, reasons=reasons
    )
    opened = _told_never(opened, reasons)
    labelled = {*as_list(by), *segments, *opened.design.used()}
    frame, part = opened.narrow_rows([n for n in [outcome, *names] if n not in labelled], most)
    design, kinds = opened.design, opened.columns["segments"]
    if by and isinstance(data, pd.DataFrame) and isinstance(data[by].dtype, pd.CategoricalDtype):
        frame[by] = pd.Categorical(frame[by], categories=data[by].cat.categories, ordered=True)
    if design.weights:
        frame = frame[frame[design.weights] > 0].reset_index(drop=True)
    sample = _sampled(frame, design)
    if part:
        sample = replace(sample, note=f"From {part}. {sample.note}".rstrip())
    kept = frame[[outcome, *as_list(by)]].notna().all(axis=1).to_numpy()
    rows = frame if kept.all() else frame[kept]
    ratings = np.column_stack([rows[name].to_numpy() for name in [*names, outcome]])[:, :-1]
    _check_finite(ratings, rows[outcome].to_numpy(dtype=float), names, outcome)
    weights = np.broadcast_to(1.0, len(rows))
    if design.weights:
        weights = rows[design.weights].to_numpy(dtype=float)
    return Answers(
        outcome_name=outcome,
        names=names,
        labels={name: words.get(name, name) for name in [*names, outcome, *kinds]},
        ratings=ratings,
        never=_never(rows, names, ratings),
        outcome=rows[outcome].to_numpy(dtype=float),
        weights=weights,
        group=None if by is None else rows[by].reset_index(drop=True),
        unit=sample.row_cluster if kept.all() else sample.row_cluster[kept],
        design=sample,
        n_total=len(frame),
        n_missing=_missing(frame, [outcome, *as_list(by), *names]),
        segments=rows[kinds].reset_index(drop=True) if kinds else None,
    )


def _told_never(opened: Opened, reasons: list[str]) -> Opened:
    """Of each reason only whether it says "never used" is fetched: words are long."""
    never = {
        name: (nw.col(name).cast(nw.String) == NEVER_USED).fill_null(False) for name in reasons
    }
    return replace(opened, lazy=opened.lazy.with_columns(**never)) if never else opened


def _sampled(frame: pd.DataFrame, design: Design) -> SamplingDesign:
    names = ("strata", "cluster", "stratum_clusters")
    columns = {name: column for name in names if (column := getattr(design, name))}
    return sampling_design(len(frame), **{name: frame[own] for name, own in columns.items()})


def _missing(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    counts = [int(frame[name].isna().sum()) for name in names]
    return pd.DataFrame({"column": names, "n_missing": counts})


def _never(rows: pd.DataFrame, names: list[str], ratings: Array) -> Array:
    reasons = [f"{name}_missing" for name in names]
    if not any(reason in rows for reason in reasons):
        return np.broadcast_to(False, ratings.shape)
    nowhere = np.broadcast_to(False, len(rows))
    never = np.column_stack([rows.get(reason, nowhere) for reason in reasons]).astype(bool)
    for name, both, rating in zip(names, (never & ~np.isnan(ratings)).T, ratings.T, strict=True):
        if both.any():
            raise ValueError(
                f"`drivers` must be blank where never used; got "
                f"{got([float(rating[both][0])], int(both.sum()))} in '{name}' beside "
                f"'{NEVER_USED}' in '{name}_missing'."
            )
    return never


def driver_names(drivers: Sequence[str] | Mapping[str, str], outcome: str) -> list[str]:
    """Columns of the drivers, each named once and none of them the outcome."""
    if not isinstance(outcome, str):
        raise TypeError(
            f"`outcome` must be the name of one column; got {outcome}. Take one outcome at a time."
        )
    names = as_list(drivers) if isinstance(drivers, str) else list(drivers)
    if not names:
        raise ValueError("`drivers` must name 1 or more columns; got none.")
    repeated = [name for position, name in enumerate(names) if name in names[:position]]
    if repeated:
        raise ValueError(f"`drivers` must name each column once; got '{repeated[0]}' twice.")
    if outcome in names:
        raise ValueError(
            f"`drivers` must not hold the outcome; got '{outcome}' in both. Leave it out of drivers."
        )
    return names


def _check_finite(ratings: Array, outcome: Array, names: list[str], outcome_name: str) -> None:
    for name, values in [(outcome_name, outcome), *zip(names, ratings.T, strict=True)]:
        infinite = np.isinf(values)
        if infinite.any():
            shown = got([float(values[infinite][0])], int(infinite.sum()))
            raise ValueError(
                f"`data` must hold finite numbers; got {shown} in '{name}'. Declare it as missing."
            )


def recode_outcome(outcome: Array, scale: str, name: str) -> Array:
    """The outcome as it is analysed: −100, 0, 100 for "nps", checked for the others."""
    values = np.unique(outcome)
    if len(values) < 2:
        found = f"only {values[0]:g}" if len(values) else "no answer"
        raise ValueError(
            f"`outcome` must have 2 or more different answers; got {found} in '{name}'. "
            "With nothing to explain there are no drivers."
        )
    if scale == "nps":
        off = values[(values < 0) | (values > 10) | (values != np.round(values))]
        if len(off):
            raise ValueError(
                f"`outcome` must be whole numbers from 0 to 10 for outcome_scale='nps'; got "
                f"{off[0]:g} in '{name}'. Declare codes such as 99 as missing in the study file."
            )
        points = np.where(outcome >= 9, 100.0, np.where(outcome >= 7, 0.0, -100.0))
        return recode_outcome(points, "continuous", name)
    if scale == "binary" and len(values) > 2:
        raise ValueError(
            f"`outcome` must have 2 different answers for outcome_scale='binary'; got "
            f"{len(values)} in '{name}'."
        )
    if scale == "ordinal" and len(values) > MOST_STEPS:
        raise ValueError(
            f"`outcome` must have at most {MOST_STEPS} different answers for "
            f"outcome_scale='ordinal'; got {len(values)} in '{name}'. Use 'continuous'."
        )
    return outcome


def dead_drivers(ratings: Array) -> Array:
    """Drivers with fewer than two answers, or one answer always, shape (drivers,)."""
    seen, low, high = rating_ends(ratings)
    return np.asarray((seen < 2) | (low >= high))


def rating_ends(ratings: Array) -> tuple[Array, Array, Array]:
    """How many ratings each driver has, the lowest and the highest; ±inf without any."""
    seen = np.zeros(ratings.shape[1], dtype=np.int64)
    low, high = np.full(len(seen), np.inf), np.full(len(seen), -np.inf)
    for start in range(0, len(ratings), PART_ROWS):
        part = ratings[start : start + PART_ROWS].astype(float)
        seen += (~np.isnan(part)).sum(axis=0)
        low = np.fmin(low, np.fmin.reduce(part, axis=0))
        high = np.fmax(high, np.fmax.reduce(part, axis=0))
    return seen, low, high
