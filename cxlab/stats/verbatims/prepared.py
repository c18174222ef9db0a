"""Codes, hand codes and design of all answers as arrays, and the variance over clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr

from cxlab.core.design import Design
from cxlab.core.messages import got
from cxlab.stats.inference import ALPHA, adjust_family
from cxlab.stats.verbatims import correction
from cxlab.stats.verbatims.codes import PEOPLE, CodedComments
from cxlab.stats.verbatims.coding import STRATA, coding_agreement, strata_of

Array = NDArray[np.float64]
#: Fewer hand codes of a stratum say nothing of how the machine errs in a group.
FEWEST_EACH = 5


@dataclass(frozen=True, eq=False)
class Prepared:
    """Codes, hand codes and design as arrays over all answers."""

    names: list[str]
    machine: Array
    hand: Array
    by_people: bool
    drawn: Array
    stratum: NDArray[np.int64]
    weight: Array
    label: NDArray[np.int64]
    units: NDArray[np.int64]
    agreement: pd.DataFrame | None

    @classmethod
    def of(
        cls, data: pd.DataFrame, themes: CodedComments, hand: pd.DataFrame | None, row: str | None,
        by: str | None, design: Design,
    ) -> Prepared:  # fmt: skip
        """Arrays of answers, their codes, hand codes and design."""
        machine = themes.values.to_numpy(float)
        labels = pd.factorize(data[by])[0] if by else np.zeros(len(data), dtype=int)
        by_people = themes.by == PEOPLE
        coded, drawn, agreement = np.full(machine.shape, np.nan), np.ones(len(data)), None
        if hand is not None and not by_people:
            ids = pd.Index(data[row] if row else data.index)
            place = ids.get_indexer(hand["row"])
            silent = (place < 0) | ~themes.commented.to_numpy()[place]
            if silent.any():
                raise ValueError(
                    f"`hand` must be of comments in the data; got {got(list(hand.loc[silent, 'row']))} "
                    "without one. Give the answers of all periods that were coded."
                )
            first = ~hand["row"].duplicated().to_numpy()
            coded[place[first]] = hand.loc[first, list(themes.themes)].to_numpy(float)
            drawn = _chances(hand, place, labels, len(data))
            agreement = coding_agreement(hand, themes=list(themes.themes))
        stratum = strata_of(themes).map({name: i for i, name in enumerate(STRATA)}).fillna(0)
        weight = data[design.weights].to_numpy(float) if design.weights else np.ones(len(data))
        return cls(
            list(themes.themes), machine, machine if by_people else coded, by_people, drawn,
            stratum.to_numpy(int), weight, labels, units_of(data, design), agreement,
        )  # fmt: skip

    def known(self, own: NDArray[np.bool_], themes: list[int]) -> bool:
        """Whether a group has hand codes of its own; where codes are lent, enough of every stratum."""
        coded = ~np.isnan(self.hand[:, themes]).any(axis=1)
        if not (coded & ~own).any():
            return bool((coded & own).any())
        all_, mine = (
            np.bincount(self.stratum[rows], minlength=len(STRATA)) for rows in (own, own & coded)
        )
        return bool((mine >= np.minimum(all_, FEWEST_EACH)).all())

    def comments(
        self, own: NDArray[np.bool_], score: Array, themes: list[int]
    ) -> correction.Comments:
        """Those of a group that have a score, and others whose hand codes it may use."""
        lend = ~np.isnan(self.hand[:, themes]).any(axis=1) & ~np.isnan(score)
        use = (own & ~np.isnan(score)) | lend
        codes = np.where(use[:, None], self.hand[:, themes], np.nan)
        drawn = self.drawn.copy()
        # within a stratum each period counts by how many were coded
        place = pd.Series(drawn[lend]).groupby([self.label[lend], self.stratum[lend]])
        drawn[lend] = drawn[lend] / place.transform("mean").to_numpy()
        score = self._levelled(score, own)
        return correction.Comments(
            np.nan_to_num(self.machine[:, themes]), codes, np.nan_to_num(score), own & ~np.isnan(score),
            self.weight, drawn, self.stratum,
        )  # fmt: skip

    def _levelled(self, score: Array, own: NDArray[np.bool_]) -> Array:
        """Scores of other groups about the mean of this one: lent codes say where the machine errs."""
        known = ~np.isnan(score) & ~np.isnan(self.machine).all(axis=1) & (self.label >= 0)
        weight = self.weight * known
        total, size = (np.bincount(np.maximum(self.label, 0), w) for w in (weight * np.nan_to_num(score), weight))  # fmt: skip
        mean = total / np.where(size > 0, size, 1.0)
        here = (
            np.average(np.nan_to_num(score), weights=weight * own) if (weight * own).any() else 0.0
        )
        return np.where(own, score, score - mean[self.label] + here)

    def drifted(self, own: NDArray[np.bool_]) -> list[str]:
        """Themes on which the machine errs otherwise in a group than in the rest, beyond chance."""
        coded = ~np.isnan(self.hand).any(axis=1)
        p_values = []
        for i in range(len(self.names)):
            wrong = self.hand[:, i] - self.machine[:, i]
            total, variance = 0.0, 0.0
            for stratum in range(len(STRATA)):
                sides = [wrong[coded & side & (self.stratum == stratum)] for side in (own, ~own)]
                if min(len(side) for side in sides) < FEWEST_EACH:
                    continue
                share = (own & (self.stratum == stratum)).sum() / own.sum()
                both = np.concatenate(sides)
                total += share * (sides[0].mean() - sides[1].mean())
                variance += share**2 * both.var(ddof=1) * sum(1 / len(side) for side in sides)
            p_values.append(2 * ndtr(-abs(total) / np.sqrt(variance)) if variance > 0 else np.nan)
        adjusted = adjust_family(p_values, method="bh")
        return [name for name, p in zip(self.names, adjusted, strict=True) if p < ALPHA]


def _chances(
    hand: pd.DataFrame, place: NDArray[np.int64], label: NDArray[np.int64], n: int
) -> Array:
    """One over the chance of each comment to be drawn at all, in the first sample or in a top-up.

    A top-up's probability is that among comments not drawn before; those of one stratum and
    period have the same chance, whichever sample drew them.
    """
    table = pd.DataFrame({"label": label[place], "stratum": hand["stratum"].to_numpy(object),
                          "missed": 1 - hand["probability"].to_numpy(float)})  # fmt: skip
    never = table.drop_duplicates().groupby(["label", "stratum"])["missed"].prod()
    drawn = np.ones(n)
    drawn[place] = 1 / (
        1 - never.loc[pd.MultiIndex.from_frame(table[["label", "stratum"]])].to_numpy()
    )
    return drawn


def units_of(data: pd.DataFrame, design: Design) -> NDArray[np.int64]:
    """Stratum and cluster of each answer; one without a cluster is its own."""
    strata = pd.factorize(data[design.strata])[0] if design.strata else np.zeros(len(data), int)
    if not design.cluster:
        return np.column_stack([strata, np.arange(len(data))])
    cluster = pd.factorize(data[design.cluster])[0]
    alone = cluster < 0
    cluster[alone] = cluster.max() + 1 + np.arange(alone.sum())
    # clusters are nested in strata
    pair = pd.factorize(strata.astype(np.int64) * (cluster.max() + 1) + cluster)[0]
    return np.column_stack([strata, pair])


def spread(influence: Array, information: Array, units: NDArray[np.int64]) -> tuple[float, float]:
    """Variance of an estimate over clusters within strata, and its degrees of freedom."""
    clusters = int(units[:, 1].max()) + 1
    total = np.bincount(units[:, 1], influence, clusters)
    stratum = np.zeros(clusters, dtype=int)
    stratum[units[:, 1]] = units[:, 0]
    n = np.bincount(stratum)
    centred = total - (np.bincount(stratum, total) / n)[stratum]
    variance = float((np.where(n > 1, n / np.maximum(n - 1, 1), 1.0)[stratum] * centred**2).sum())
    pull = np.bincount(units[:, 1], information, clusters)
    few = float(pull.sum() ** 2 / (pull**2).sum()) if pull.any() else 0.0
    return variance, min(few - 1, float((pull > 0).sum() - len(n)))


def p_value(estimate: float, se: float, df: float) -> float:
    """Two-sided p of a t test; NaN without a standard error."""
    if not se > 0 or df < 1:
        return np.nan
    return float(2 * stdtr(df, -abs(estimate) / se))
