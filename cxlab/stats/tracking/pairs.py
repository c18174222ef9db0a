"""Two periods' statistics side by side: covariances, degrees of freedom, what is shared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxlab.stats.inference import Spread
from cxlab.stats.tracking.statistics import EVERYONE, Key, PeriodStatistics

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pair:
    """The earlier and the later of two periods.

    Attributes
    ----------
    before, now : PeriodStatistics
    """

    before: PeriodStatistics
    now: PeriodStatistics

    def __post_init__(self) -> None:
        designs = [
            [one.facts[name] for name in ("weights", "strata", "cluster")]
            for one in (self.before, self.now)
        ]
        if designs[0] != designs[1]:
            raise ValueError(
                f"`periods` must be of one design; got {self.before.period} and "
                f"{self.now.period}, of which one has weights, strata or clusters that the other "
                "has not. Save them again with the same design."
            )

    @property
    def shared(self) -> int | None:
        """Clusters in both; −1: too few to be told; None: not known."""
        if not self.now.facts["cluster"]:
            return 0
        one, other = (
            self.now.beside.get(self.before.period),
            self.before.beside.get(self.now.period),
        )
        known = one or other
        return known.shared if known else None

    @property
    def note(self) -> str:
        """What to know of customers in both periods; empty if nothing."""
        if self.shared is None and not self.now.facts["strata"]:
            return (
                f"taken as sampled apart: whether {self.before.period} and {self.now.period} "
                "share clusters was not known when they were saved"
            )
        if self.shared == -1:
            return "taken as sampled apart: the periods share very few clusters"
        return ""

    def scales(self) -> tuple[float, float]:
        """What each period's covariances are multiplied by when both are one sample.

        Without strata both periods' clusters lie in one stratum, whose n/(n − 1) is that of
        the two together.
        """
        sampled = self._sampled()
        if sampled is None:
            return 1.0, 1.0
        own = [one.facts["sampled"] for one in (self.before, self.now)]
        first, second = (_factor(sampled) / _factor(size) for size in own)
        return first, second

    def across(self, key: Key, segment: str = EVERYONE) -> tuple[Array | None, int]:
        """Covariances of the earlier period's parameters with the later's, and shared clusters."""
        there = self.now.block(key, segment, self.before.period)
        if there is not None:
            return there.values.T, there.shared
        there = self.before.block(key, segment, self.now.period)
        return (there.values, there.shared) if there is not None else (None, 0)

    def spread(self, key: Key) -> tuple[Spread, list[Spread]]:
        """Spread of the change of everybody's score, and that of each score, earlier first."""
        own = [self._own_spread(one, key) for one in (self.before, self.now)]
        between = [
            one.block(key, EVERYONE, other.period)
            for one, other in ((self.now, self.before), (self.before, self.now))
        ]
        common = next((block.spread for block in between if block and block.spread), None)
        parts = [*own, *([common] if common else [])]
        summed = (
            sum(getattr(part, name) for part in parts) for name in ("variance", "trace", "squares")
        )
        return Spread(*summed), own

    def _own_spread(self, one: PeriodStatistics, key: Key) -> Spread:
        block, row = one.block(key), one.rows(key).iloc[0]
        if block and block.spread:
            return block.spread
        # files of earlier versions know the variance, and clusters less strata
        trace = 1 / float(row["n"])
        df = max(float(row["clusters"] - row["strata"]), 1.0)
        return Spread(float(block.values[1, 1]) if block else np.nan, trace, trace**2 / df)

    def units(self) -> int:
        """Clusters less strata seen in the two periods, with a valid answer or without."""
        both = (self.before.facts, self.now.facts)
        strata = sum(one["design_strata"] for one in both) if self.now.facts["strata"] else 1
        return int(sum(one["clusters"] for one in both) - max(self.shared or 0, 0) - strata)

    def _sampled(self) -> float | None:
        own = [one.facts["sampled"] for one in (self.before, self.now)]
        if own[0] is None or own[1] is None:
            return None
        known = self.now.beside.get(self.before.period) or self.before.beside.get(self.now.period)
        return known.sampled if known else own[0] + own[1]


def _factor(sampled: float) -> float:
    return sampled / (sampled - 1) if sampled > 1 else 1.0
