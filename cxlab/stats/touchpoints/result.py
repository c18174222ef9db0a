"""What `touchpoint_correlations` returns, and the comparisons that it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr

from cxlab.core.result import Result
from cxlab.stats.association import PairEstimates
from cxlab.stats.inference import adjust_p_values, t_quantile
from cxlab.stats.touchpoints.occasions import Occasion

Array = NDArray[np.float64]
Integers = NDArray[np.intp]
Booleans = NDArray[np.bool_]

#: A variance of a difference below this share of the two variances is rounding of 0.
SAME_SCORES = 1e-10

#: Columns of the table that are shown.
SHOWN = [
    "touchpoint", "outcome", "occasion", "n", "estimate", "ci_low", "ci_high", "p_adjusted",
    "rank", "rank_low", "rank_high", "note",
]  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class TouchpointCorrelations(Result):
    """How each touchpoint's score goes with each outcome.

    Attributes
    ----------
    table : DataFrame
        One row per touchpoint × outcome, in the order given: ``touchpoint, outcome,
        occasion``; ``n`` (pairs); ``estimate, se, ci_low, ci_high, p_value, p_adjusted``
        of Pearson's r; ``rank, rank_low, rank_high`` (the places that the answers allow,
        for all touchpoints at once); ``partial, semi_partial``; ``n_used``;
        ``ceiling_flag``; ``note``.
    coefficients : DataFrame
        One row per touchpoint × outcome × coefficient: ``touchpoint, outcome, occasion,
        coefficient, n, estimate, se, ci_low, ci_high, p_value, p_adjusted, df, note``.
    halo : DataFrame
        One row per outcome: what all touchpoints have in common (see
        `cxlab.stats.touchpoints.halo.halo_table`).
    outcomes, touchpoints : tuple of str
    occasion : Occasion
        When the two were measured, as declared.
    level : float
    rank_method : str
        How the rank intervals were made.
    family : str
        Family of tests behind ``p_adjusted``.
    fit : PairEstimates
        Pearson's r of every touchpoint × outcome, with the covariance of the estimates.
    """

    coefficients: pd.DataFrame
    halo: pd.DataFrame
    outcomes: tuple[str, ...]
    touchpoints: tuple[str, ...]
    occasion: Occasion
    level: float
    rank_method: str
    family: str
    fit: PairEstimates = field(repr=False)

    def __post_init__(self) -> None:
        expected = len(self.touchpoints) * len(self.outcomes)
        if len(self.table) != expected:
            raise ValueError(
                f"`table` must hold one row per touchpoint and outcome, {expected}; "
                f"got {len(self.table)}."
            )
        silent = self.table["estimate"].isna() & (self.table["note"] == "")
        if silent.any():
            name = self.table.loc[silent, "touchpoint"].iloc[0]
            raise ValueError(f"`table` must say why '{name}' has no coefficient; got no note.")
        used = self.table["n_used"] < self.table["n"]
        if used.any():
            name = self.table.loc[used, "touchpoint"].iloc[0]
            raise ValueError(f"`table` must hold no more pairs than users; got more for '{name}'.")

    def compare(self) -> pd.DataFrame:
        """Test which touchpoints' correlations with one outcome differ.

        Returns
        -------
        DataFrame
            One row per outcome × two touchpoints: ``touchpoint, other, outcome, occasion,
            coefficient, n, n_other, estimate`` (first less other), ``se, ci_low, ci_high,
            p_value, p_adjusted`` (Benjamini–Yekutieli within the outcome), ``df, reading,
            note``. Empty for one touchpoint.
        """
        size, parts = len(self.touchpoints), []
        places = np.array(list(combinations(range(size), 2)), dtype=int).reshape(-1, 2)
        for number, outcome in enumerate(self.outcomes):
            first, second = places.T + number * size
            labels = {"touchpoint": self._named(first), "other": self._named(second)}
            parts.append(self._differences({**labels, "outcome": outcome}, first, second))
        return pd.concat(parts, ignore_index=True)

    def compare_outcomes(self) -> pd.DataFrame:
        """Test whether a touchpoint goes more with the first outcome than with another.

        Returns
        -------
        DataFrame
            One row per touchpoint × other outcome: ``touchpoint, outcome, other_outcome,
            occasion, coefficient, n, n_other, estimate, se, ci_low, ci_high, p_value,
            p_adjusted, df, reading, note``.

        Raises
        ------
        ValueError
            If there is one outcome only.
        """
        if len(self.outcomes) < 2:
            raise ValueError(
                f"`outcome` must be two or more columns to compare outcomes; got "
                f"'{self.outcomes[0]}'. Call touchpoint_correlations with both."
            )
        size, parts = len(self.touchpoints), []
        first = np.arange(size)
        for number, other in enumerate(self.outcomes[1:], start=1):
            outcomes = {"outcome": self.outcomes[0], "other_outcome": other}
            labels = {"touchpoint": self._named(first), **outcomes}
            parts.append(self._differences(labels, first, first + number * size))
        return pd.concat(parts, ignore_index=True)

    def words(self, labels: Mapping[str, str] | None = None) -> list[str]:
        """The findings, one sentence each, in words that fit the occasion.

        Parameters
        ----------
        labels : mapping of str to str, optional
            Column to the name that the sentences use, such as ``survey.labels``.

        Returns
        -------
        list of str
            Occasion and caution; which touchpoints can hold the first and the last place for
            each outcome; touchpoints that change place between outcomes.
        """
        names = labels or {}
        sentences = [f"Measurement occasion {self.occasion}. {self.occasion.caution}"]
        sentences += [self._places(outcome, names) for outcome in self.outcomes]
        if len(self.outcomes) > 1:
            nothing = ["No touchpoint is shown to change place between the outcomes."]
            sentences += changes_of_place(self.table, self.outcomes, names) or nothing
        return sentences

    def _places(self, outcome: str, names: Mapping[str, str]) -> str:
        part = self.table[(self.table["outcome"] == outcome) & self.table["rank"].notna()]
        named = names.get(outcome, outcome)
        if part.empty:
            return f"No touchpoint could be placed for {named}."
        first = part[part["rank_low"] == 1]
        last = part[part["rank_high"] == len(part)]
        return (
            f"With {named}, of {len(part)} touchpoints {_settled(first, 'most', names)}; "
            f"{_settled(last, 'least', names)} (pearson; places with intervals that hold for "
            f"all touchpoints at once, {self.level:.0%}; {self.rank_method})."
        )

    def _named(self, pairs: Integers) -> list[str]:
        return [self.touchpoints[number % len(self.touchpoints)] for number in pairs]

    def _differences(
        self, labels: Mapping[str, object], first: Integers, second: Integers
    ) -> pd.DataFrame:
        table = difference_table(self.fit, first, second, level=self.level)
        told = np.where(table["p_adjusted"] < 1 - self.level, "told apart", "not told apart")
        reading = np.where(table["p_adjusted"].isna(), "not compared", told)
        table.insert(table.columns.get_loc("note"), "reading", reading)
        constant = {"occasion": self.occasion.code, "coefficient": "pearson"}
        return pd.DataFrame({**labels, **constant}, index=table.index).join(table)

    def _shown(self) -> pd.DataFrame:
        return self.table[SHOWN].round(3)

    def _head(self) -> tuple[str, ...]:
        return (
            f"Touchpoints against {' and '.join(self.outcomes)}, occasion {self.occasion}",
            self.family,
        )


def _settled(part: pd.DataFrame, word: str, labels: Mapping[str, str]) -> str:
    """Who goes most (or least) with the outcome, if one interval alone reaches that place."""
    ordered = part.sort_values("rank", kind="stable", ascending=word == "most")
    names = [
        f"{labels.get(row.touchpoint, row.touchpoint)} ({row.rank}; {row.rank_low}–{row.rank_high})"
        for row in ordered.itertuples(index=False)
    ]
    if len(names) == 1:
        return f"{names[0]} goes {word}"
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return f"which goes {word} is not settled among {len(names)}: {shown}"


def difference_table(
    fit: PairEstimates,
    first: Integers,
    second: Integers,
    *,
    level: float,
) -> pd.DataFrame:
    """Differences of the coefficients of pairs, first less second, with interval and test.

    The influence functions of the two coefficients, each 0 outside its own rows, are
    subtracted before they are summed over clusters: touchpoints rated by the same people
    share their variation, and missing ratings make no difference. The degrees of freedom are
    the smaller of the two coefficients'. p values are adjusted by Benjamini–Yekutieli over
    the rows.
    """
    estimate = fit.table["estimate"].to_numpy()[first] - fit.table["estimate"].to_numpy()[second]
    variance_first, variance_second = fit.covariance[first, first], fit.covariance[second, second]
    variance = variance_first + variance_second - 2 * fit.covariance[first, second]
    same = (np.abs(estimate) < 1e-12) & (
        variance <= SAME_SCORES * np.maximum(variance_first + variance_second, 1e-300)
    )
    df = np.minimum(fit.df[first], fit.df[second])
    usable = np.isfinite(estimate) & np.isfinite(variance) & (df >= 1)
    se = np.where(usable, np.sqrt(np.where(usable & ~same, np.maximum(variance, 0), 0.0)), np.nan)
    half = t_quantile(level, df) * se
    table = pd.DataFrame({"n": fit.table["n"].to_numpy()[first]})
    table["n_other"] = fit.table["n"].to_numpy()[second]
    table["estimate"], table["se"] = estimate, se
    table["ci_low"], table["ci_high"] = estimate - half, estimate + half
    table["p_value"] = _p_values(estimate, se, df, same & usable)
    table["p_adjusted"] = adjust_p_values(table["p_value"].to_numpy(), method="by")
    table["df"] = df
    table["note"] = _notes(fit, first, second, usable, same & usable)
    return table


def _p_values(estimate: Array, se: Array, df: Array, same: NDArray[np.bool_]) -> Array:
    ratio = np.abs(estimate) / np.where(se > 0, se, np.nan)
    value = 2 * stdtr(np.where(df >= 1, df, np.nan), -ratio)
    return np.where(same, 1.0, value)


def _notes(
    fit: PairEstimates, first: Integers, second: Integers, usable: Booleans, same: Booleans
) -> list[str]:
    reasons = fit.table["note"].to_numpy()
    known = fit.table["estimate"].notna().to_numpy()
    notes = []
    for a, b, good, equal in zip(first, second, usable, same, strict=True):
        if equal:
            notes.append("identical scores: no difference to test")
        elif good:
            notes.append("")
        elif not (known[a] and known[b]):
            notes.append(f"no coefficient: {reasons[a] if not known[a] else reasons[b]}")
        else:
            notes.append("no test: one of the two has no interval")
    return notes


def changes_of_place(
    table: pd.DataFrame, outcomes: Sequence[str], labels: Mapping[str, str]
) -> list[str]:
    """A sentence for each touchpoint whose rank intervals for two outcomes do not overlap.

    The first outcome is compared with each other; ``labels`` are names for the sentences.
    """
    places = ["rank", "rank_low", "rank_high"]
    by_outcome = {
        outcome: part.set_index("touchpoint")[places]
        for outcome, part in table.groupby("outcome", sort=False)
    }
    first, *others = outcomes
    placed, sentences = int(by_outcome[first]["rank"].notna().sum()), []
    for other in others:
        both = by_outcome[first].join(by_outcome[other].add_suffix("_there")).dropna()
        below = both["rank_high"] < both["rank_low_there"]
        above = both["rank_high_there"] < both["rank_low"]
        for row in both[below | above].itertuples():
            sentences.append(
                f"{labels.get(row.Index, row.Index)} changes place: {row.rank} of {placed} "
                f"({row.rank_low}–{row.rank_high}) for {labels.get(first, first)}, "
                f"{row.rank_there} ({row.rank_low_there}–{row.rank_high_there}) for "
                f"{labels.get(other, other)}; the intervals do not overlap."
            )
    return sentences
