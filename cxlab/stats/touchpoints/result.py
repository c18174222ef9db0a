"""What `touchpoint_correlations` returns: when both were measured, and comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr

from cxlab.core.display import with_display
from cxlab.core.findings import Findings
from cxlab.core.messages import unknown
from cxlab.core.result import Result
from cxlab.stats.association.estimates import PairEstimates
from cxlab.stats.inference import adjust_p_values, t_quantile
from cxlab.stats.touchpoints.findings import MARGIN, places_table, touchpoint_findings

Array = NDArray[np.float64]
Integers = NDArray[np.intp]
Booleans = NDArray[np.bool_]

#: A variance of a difference below this share of the two variances is rounding of 0.
SAME_SCORES = 1e-10


#: When a touchpoint's score and the outcome were measured.
OCCASIONS = {
    "A": "same survey",
    "B": "same survey, overall asked first",
    "C": "separate occasions",
    "D": "operational figure against survey",
}


def check_occasion(code: str) -> None:
    """Refuse anything but A to D, with their meanings."""
    if code not in OCCASIONS:
        meanings = ", ".join(f"{one} ({words})" for one, words in OCCASIONS.items())
        message = unknown("occasion", code, OCCASIONS)
        raise ValueError(f"{message} Declare when the two were measured: {meanings}.")


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
    occasion : {"A", "B", "C", "D"}
        When the two were measured, as declared.
    level : float
    rank_method : str
        How the rank intervals were made.
    fit : PairEstimates
        Pearson's r of every touchpoint × outcome, with the covariance of the estimates.
    labels : mapping of str to str
        Column to the words that tables, sentences and figures use.
    """

    coefficients: pd.DataFrame
    halo: pd.DataFrame
    outcomes: tuple[str, ...]
    touchpoints: tuple[str, ...]
    occasion: str
    level: float
    rank_method: str
    fit: PairEstimates = field(repr=False)
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)

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
        return with_display(
            pd.concat(parts, ignore_index=True), labels=self.labels, units={"estimate": "+r"},
            caption="Differences of two touchpoints’ correlations, the surest first",
            columns=("touchpoint", "other", "outcome", "estimate", "p_adjusted", "reading"),
            sort=("p_value",), level=self.level,
        )  # fmt: skip

    def compare_outcomes(self) -> pd.DataFrame:
        """Test whether a touchpoint goes more with the first outcome than with another.

        Returns
        -------
        DataFrame
            One row per touchpoint × other outcome: ``touchpoint, outcome, other_outcome,
            occasion, coefficient, n, n_other, estimate, se, ci_low, ci_high, p_value,
            p_adjusted, df, reading, note``; empty for one outcome.
        """
        size, parts = len(self.touchpoints), []
        first = np.arange(size)
        for number, other in enumerate(self.outcomes[1:], start=1):
            outcomes = {"outcome": self.outcomes[0], "other_outcome": other}
            labels = {"touchpoint": self._named(first), **outcomes}
            parts.append(self._differences(labels, first, first + number * size))
        return with_display(
            pd.concat(parts, ignore_index=True) if parts else self.compare().head(0),
            labels=self.labels, units={"estimate": "+r"}, level=self.level,
            caption="Correlation with the first outcome less that with the other",
            columns=("touchpoint", "other_outcome", "estimate", "p_adjusted", "reading"),
            sort=("-estimate",),
        )  # fmt: skip

    def overview(self, masked: pd.DataFrame | None = None) -> pd.DataFrame:
        """One row per touchpoint, the outcomes side by side, strongest first.

        Parameters
        ----------
        masked : DataFrame, optional
            As `cxlab.masking` returns it.

        Returns
        -------
        DataFrame
            ``touchpoint, n``; for each outcome ``OUTCOME_r`` and ``OUTCOME_place``, each with
            ``_low`` and ``_high``; with ``masked``, its ``among_good`` with both ends.
        """
        found = pd.DataFrame({"touchpoint": list(self.touchpoints)})
        names = {"estimate": "r", "ci_low": "r_low", "ci_high": "r_high", "rank": "place"}
        names |= {"rank_low": "place_low", "rank_high": "place_high"}
        headers: dict[str, str] = {}
        units: dict[str, str] = {}
        for outcome in self.outcomes:
            own = self.table[self.table["outcome"] == outcome].reset_index(drop=True)
            if "n" not in found:
                found["n"] = own["n"]
            renamed = own[list(names)].set_axis(
                [f"{outcome}_{to}" for to in names.values()], axis=1
            )
            found, words = found.join(renamed), self.labels.get(outcome, outcome)
            headers |= {f"{outcome}_r": f"{words}: r", f"{outcome}_place": f"{words}: place"}
            units |= {f"{outcome}_r": "r", f"{outcome}_place": "count"}
        if masked is not None:
            shares = ["among_good", "among_good_low", "among_good_high"]
            found = found.merge(masked[["touchpoint", *shares]], on="touchpoint", how="left")
        found = found.sort_values(f"{self.outcomes[0]}_r", ascending=False, ignore_index=True)
        return with_display(
            found, labels=self.labels, headers=headers, units=units, level=self.level,
            columns=("touchpoint", *headers, "among_good"), bar=(f"{self.outcomes[0]}_r",),
            caption="How each touchpoint’s score goes with the outcomes, strongest first",
            about="Correlation among those who rated both; places hold for all at once",
        )  # fmt: skip

    def grid(self) -> pd.DataFrame:
        """The coefficients of the first outcome for `cxlab.plot_grid`, strongest first.

        Returns
        -------
        DataFrame
            One row per touchpoint × coefficient, in words: ``label, group, estimate``.
        """
        own = self.coefficients[self.coefficients["outcome"] == self.outcomes[0]]
        order = self.overview()["touchpoint"].tolist()
        own = own.sort_values("touchpoint", key=lambda one: one.map(order.index), kind="stable")
        words = own["coefficient"].str.replace("_", "-").str.capitalize()
        labels = own["touchpoint"].map(lambda name: self.labels.get(name, name))
        return pd.DataFrame({"label": labels, "group": words, "estimate": own["estimate"]})

    def places(self, *, margin: float = MARGIN) -> pd.DataFrame:
        """How far the touchpoints can be ranked, per outcome.

        Parameters
        ----------
        margin : float
            The smallest difference of two correlations that matters.

        Returns
        -------
        DataFrame
            One row per outcome: ``outcome``; ``n_least, n_most`` (pairs); ``placed`` (touchpoints
            with a place), ``may_be_first``, ``first_within_margin`` (these and those that
            differ from the first by less than ``margin``), ``may_be_last``; ``pairs`` compared,
            ``told_apart``, and of these ``told_within_margin``; ``margin``.
        """
        return with_display(
            places_table(self, margin), labels=self.labels, level=self.level,
            caption="How far the touchpoints can be ranked",
            headers={
                "placed": "Touchpoints", "may_be_first": "May be first", "may_be_last": "May be last",
                "pairs": "Pairs", "told_apart": "Told apart",
                "told_within_margin": "Of these, too close to matter",
            },
            columns=(
                "outcome", "placed", "may_be_first", "may_be_last", "pairs", "told_apart",
                "told_within_margin",
            ),
        )  # fmt: skip

    def findings(
        self,
        masked: pd.DataFrame | None = None,
        *,
        margin: float = MARGIN,
        group: str = "",
    ) -> Findings:
        """What the correlations say, the answer first.

        Parameters
        ----------
        masked : DataFrame, optional
            As `cxlab.masking` returns it, of the first outcome.
        margin : float
            The smallest difference of two correlations that matters.
        group : str
            Whose answers they are, as ``study.selection`` says it; named in the answer unless
            it is everyone.

        Returns
        -------
        Findings
            Which touchpoint goes most with the first outcome; the places for each outcome; how
            many pairs are told apart; what good overall scores mask; what may be mood.
        """
        return touchpoint_findings(self, masked, margin=margin, group=group)

    def _named(self, pairs: Integers) -> list[str]:
        return [self.touchpoints[number % len(self.touchpoints)] for number in pairs]

    def _differences(
        self, labels: Mapping[str, object], first: Integers, second: Integers
    ) -> pd.DataFrame:
        table = difference_table(self.fit, first, second, level=self.level)
        told = np.where(table["p_adjusted"] < 1 - self.level, "told apart", "not told apart")
        reading = np.where(table["p_adjusted"].isna(), "not compared", told)
        table.insert(table.columns.get_loc("note"), "reading", reading)
        constant = {"occasion": self.occasion, "coefficient": "pearson"}
        return pd.DataFrame({**labels, **constant}, index=table.index).join(table)

    def _head(self) -> tuple[str, ...]:
        occasion = f"{self.occasion} ({OCCASIONS[self.occasion]})"
        return (f"Touchpoints against {' and '.join(self.outcomes)}, occasion {occasion}",)


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
