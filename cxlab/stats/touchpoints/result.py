"""What `touchpoint_correlations` returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.frames import check_choice
from cxlab.stats.association import PairEstimates
from cxlab.stats.touchpoints.compare import difference_table
from cxlab.stats.touchpoints.occasions import Occasion
from cxlab.stats.touchpoints.ranking import rank_disagreement

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TouchpointCorrelations:
    """How each touchpoint's score goes with each outcome.

    Attributes
    ----------
    table : DataFrame
        One row per touchpoint × outcome, in the order given: ``touchpoint, outcome,
        occasion``; ``n`` (pairs); ``estimate, se, ci_low, ci_high, p_value, p_adjusted``
        of the headline coefficient; ``rank, rank_low, rank_high`` (the places that the
        answers allow, for all touchpoints at once); the other coefficients
        ``pearson, spearman, tau_b, polychoric, partial, semi_partial``; ``sd`` of the
        scores behind them; ``n_used, n_rated, mean, mean_low, mean_high`` and, if asked
        for, ``top_box, top_box_low, top_box_high``; ``floor, ceiling``; ``ceiling_flag``;
        ``note``.
    coefficients : DataFrame
        One row per touchpoint × outcome × coefficient: ``touchpoint, outcome, occasion,
        coefficient, n, estimate, se, ci_low, ci_high, p_value, p_adjusted, df, note``.
    scores : DataFrame
        From `touchpoint_scores`.
    halo : DataFrame
        One row per outcome: what all touchpoints have in common (see `halo_diagnosis`).
    outcomes, touchpoints : tuple of str
    occasion : Occasion
        When the two were measured, as declared.
    coefficient : str
        The headline coefficient.
    level : float
    n_rows : int
        Rows of positive weight.
    n_missing : DataFrame
        ``touchpoint, outcome, n_missing``: rows without a complete pair.
    scale : (low, high)
        Ends of the scale that floor and ceiling refer to.
    scale_declared : bool
    design : str
        How the sample was taken, in words.
    rank_method : str
        How the rank intervals were made.
    family : str
        Family of tests behind ``p_adjusted``.
    note : str
        What was assumed; empty if nothing.
    """

    table: pd.DataFrame
    coefficients: pd.DataFrame
    scores: pd.DataFrame
    halo: pd.DataFrame
    outcomes: tuple[str, ...]
    touchpoints: tuple[str, ...]
    occasion: Occasion
    coefficient: str
    level: float
    n_rows: int
    n_missing: pd.DataFrame
    scale: tuple[float, float]
    scale_declared: bool
    design: str
    rank_method: str
    family: str
    note: str
    fits: dict[str, PairEstimates] = field(repr=False)

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

    def compare(
        self,
        touchpoints: Sequence[str] | None = None,
        *,
        outcome: str | None = None,
        coefficient: str | None = None,
    ) -> pd.DataFrame:
        """Test which touchpoints' coefficients can be told apart.

        Parameters
        ----------
        touchpoints : sequence of str, optional
            At least two of the touchpoints; default all.
        outcome : str, optional
            One of the outcomes; default each of them.
        coefficient : {"pearson", "spearman", "tau_b", "polychoric"}, optional
            Default the headline coefficient.

        Returns
        -------
        DataFrame
            One row per outcome × two touchpoints: ``touchpoint, other, outcome, occasion,
            coefficient, n, n_other, estimate`` (first less other), ``se, ci_low, ci_high,
            p_value, p_adjusted`` (Benjamini–Yekutieli within the outcome), ``df, reading,
            note``.

        Raises
        ------
        ValueError
            For names that are not in the result.
        """
        names = self._chosen(touchpoints)
        outcomes = self.outcomes if outcome is None else (self._known_outcome(outcome),)
        kind = self._known_coefficient(coefficient)
        numbers = [self.touchpoints.index(name) for name in names]
        parts = [self._compare_within(numbers, chosen, kind) for chosen in outcomes]
        return pd.concat(parts, ignore_index=True)

    def compare_outcomes(self, *, coefficient: str | None = None) -> pd.DataFrame:
        """Test whether a touchpoint goes more with the first outcome than with another.

        Parameters
        ----------
        coefficient : str, optional
            Default the headline coefficient.

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
        kind = self._known_coefficient(coefficient)
        self._check_two_outcomes()
        size = len(self.touchpoints)
        first = np.tile(np.arange(size), len(self.outcomes) - 1)
        second = first + np.repeat(np.arange(1, len(self.outcomes)), size) * size
        table = difference_table(
            self.fits[kind], first, second, level=self.level, family=second // size
        )
        labels = pd.DataFrame(
            {
                "touchpoint": [self.touchpoints[number] for number in first],
                "outcome": self.outcomes[0],
                "other_outcome": [self.outcomes[number // size] for number in second],
                "occasion": self.occasion.code,
                "coefficient": kind,
            }
        )
        return _read_differences(labels.join(table), 1 - self.level)

    def rankings(self) -> pd.DataFrame:
        """Places for the first outcome against those for the others.

        Returns
        -------
        DataFrame
            See `cxlab.stats.touchpoints.ranking.rank_disagreement`; touchpoints whose rank
            intervals do not overlap come first.

        Raises
        ------
        ValueError
            If there is one outcome only.
        """
        self._check_two_outcomes()
        return rank_disagreement(self.table, self.outcomes)

    def matrix(self, coefficient: str | None = None) -> pd.DataFrame:
        """Touchpoints × outcomes of one coefficient, for a heat map.

        Parameters
        ----------
        coefficient : str, optional
            Any value of ``coefficients["coefficient"]``; default the headline.
        """
        kind = coefficient or self.coefficient
        check_choice("coefficient", kind, self.coefficients["coefficient"].unique())
        chosen = self.coefficients[self.coefficients["coefficient"] == kind]
        wide = chosen.pivot(index="touchpoint", columns="outcome", values="estimate")
        return wide.loc[list(self.touchpoints), list(self.outcomes)]

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
            moved = rank_disagreement(self.table, self.outcomes, labels=names)
            sentences += [
                f"{names.get(row.touchpoint, row.touchpoint)} {row.reading}."
                for row in moved.query("apart").itertuples()
            ]
            if not moved["apart"].any():
                sentences.append("No touchpoint is shown to change place between the outcomes.")
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
            f"{_settled(last, 'least', names)} ({self.coefficient}; places with intervals that "
            f"hold for all touchpoints at once, {self.level:.0%}; {self.rank_method})."
        )

    def _compare_within(self, numbers: list[int], outcome: str, kind: str) -> pd.DataFrame:
        offset = self.outcomes.index(outcome) * len(self.touchpoints)
        places = list(combinations(numbers, 2))
        first = np.array([a + offset for a, _ in places])
        second = np.array([b + offset for _, b in places])
        table = difference_table(self.fits[kind], first, second, level=self.level)
        labels = pd.DataFrame(
            {
                "touchpoint": [self.touchpoints[a] for a, _ in places],
                "other": [self.touchpoints[b] for _, b in places],
                "outcome": outcome,
                "occasion": self.occasion.code,
                "coefficient": kind,
            }
        )
        return _read_differences(labels.join(table), 1 - self.level)

    def _chosen(self, touchpoints: Sequence[str] | None) -> tuple[str, ...]:
        names = self.touchpoints if touchpoints is None else tuple(touchpoints)
        for name in names:
            check_choice("touchpoints", name, self.touchpoints)
        if len(set(names)) < 2 or len(set(names)) < len(names):
            raise ValueError(
                f"`touchpoints` must be two or more different ones; got {list(names)}. "
                "Leave it out to compare all."
            )
        return names

    def _known_outcome(self, outcome: str) -> str:
        check_choice("outcome", outcome, self.outcomes)
        return outcome

    def _known_coefficient(self, coefficient: str | None) -> str:
        kind = coefficient or self.coefficient
        check_choice("coefficient", kind, self.fits)
        return kind

    def _check_two_outcomes(self) -> None:
        if len(self.outcomes) < 2:
            raise ValueError(
                f"`outcome` must be two or more columns to compare outcomes; got "
                f"'{self.outcomes[0]}'. Call touchpoint_correlations with both."
            )

    def __str__(self) -> str:
        head = f"Touchpoints against {' and '.join(self.outcomes)}, occasion {self.occasion}"
        lines = [head, f"{self.design}; {self.family}", _display(self.table).to_string(index=False)]
        return "\n".join([*lines, *([self.note] if self.note else [])])

    def _repr_html_(self) -> str:
        return _display(self.table).to_html(index=False, na_rep="")


def _display(table: pd.DataFrame) -> pd.DataFrame:
    shown = ["touchpoint", "outcome", "occasion", "n", "estimate", "ci_low", "ci_high"]
    shown += ["p_adjusted", "rank", "rank_low", "rank_high", "note"]
    return table[shown].round(3)


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


def _read_differences(table: pd.DataFrame, alpha: float) -> pd.DataFrame:
    told = table["p_adjusted"] < alpha
    reading = np.where(told, "told apart", "not told apart")
    table.insert(
        table.columns.get_loc("note"),
        "reading",
        np.where(table["p_adjusted"].isna(), "not compared", reading),
    )
    return table
