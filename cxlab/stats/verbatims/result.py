"""Shares and gaps of themes as a result: hidden and shown, as sums for drivers, and their changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.disclosure.gate import hide_rows
from cxlab.core.display import with_display
from cxlab.core.findings import Findings
from cxlab.core.messages import unknown
from cxlab.core.metric import Metric
from cxlab.core.result import Result
from cxlab.stats.covariance import to_correlation
from cxlab.stats.inference import adjust_family, with_decisions
from cxlab.stats.metrics.two_groups import tested_difference
from cxlab.stats.resampling import SampledSums, SamplingDesign
from cxlab.stats.variance import clustered_variance
from cxlab.stats.verbatims import correction
from cxlab.stats.verbatims.codes import CodedComments
from cxlab.stats.verbatims.correction import Correction

Array = NDArray[np.float64]
SHARE, GAP, ADJUSTED, IMPACT = "share", "gap", "adjusted gap", "impact"
#: A correlation matrix whose smallest eigenvalue is below this is not positive definite.
LEAST = 1e-9
COLUMNS = (
    "period", "theme", "label", "tone", "quantity", "unit", "n", "n_theme", "n_hand", "n_lent", "estimate", "se", "ci_low",
    "ci_high", "df", "p_value", "p_adjusted", "decided_low", "decided_high", "machine", "machine_p",
    "tuning", "note",
)  # fmt: skip
FIGURES = ("estimate", "se", "ci_low", "ci_high", "df", "p_value", "machine", "machine_p", "tuning")
CHANGED = [
    "theme", "label", "quantity", "unit", "before", "period", "n", "estimate", "se", "ci_low", "ci_high", "df",
    "p_value",
]  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class ThemeScores(Result):
    """Shares and score gaps of themes; see `theme_scores`.

    Attributes
    ----------
    table : DataFrame
    badge : str
        "corrected with 300 hand-coded comments, α .78", "coded by people" or "not corrected".
    metric : Metric
        The score.
    by : str or None
        Column of the groups that ``period`` names.
    influences : mapping
        (group, theme, quantity) to what each answer adds to the error.
    corrections : mapping
        Group to its corrected moments and their themes.
    sample : SamplingDesign
        How the answers were drawn.
    """

    badge: str
    metric: Metric
    by: str | None = None
    level: float = 0.95
    influences: dict[tuple[str, str, str], Array] = field(repr=False, default_factory=dict)
    corrections: dict[str, tuple[Correction, list[str]]] = field(repr=False, default_factory=dict)
    sample: SamplingDesign = field(repr=False)

    def of(self, period: str | None) -> pd.DataFrame:
        """Rows of a period; all where there is one."""
        if "period" not in self.table or period is None:
            return self.table
        return self.table[self.table["period"] == period]

    @property
    def compared(self) -> str | None:
        """Column of the machine's figure beside; None where people coded, or nothing is corrected."""
        return "machine" if self.badge.startswith("corrected") else None

    def gaps(self, period: str | None = None) -> pd.DataFrame:
        """The themes' gaps, the lowest first."""
        table = self.of(period)
        return table[(table["quantity"] == GAP) & table["estimate"].notna()].sort_values("estimate")

    def sums(self, period: str | None = None) -> SampledSums:
        """Corrected sums of the themes that have a gap, and of the score, for `cxlab.drivers`.

        Raises
        ------
        ValueError
            Where fewer than two themes have a gap, or their covariances are not positive definite.

        Examples
        --------
        >>> from cxlab.stats.drivers import drivers
        >>> from cxlab.stats.verbatims import study_verbatims
        >>> from cxlab.survey.study import load_study
        >>> sums = study_verbatims(load_study("demo")).scores.sums()
        >>> drivers(sums, sums.outcome, sums.drivers, replicates=0).table["label"][0]
        'General praise'
        """
        label = "" if period is None or "period" not in self.table else period
        gaps = self.of(period)
        gaps = gaps[(gaps["quantity"] == GAP) & gaps["estimate"].notna()]
        if len(gaps) < 2:
            raise ValueError(
                f"`hand` must give two themes or more a gap; got {len(gaps)}. Code more comments by hand."
            )
        made, names = self.corrections[label]
        themes = [names.index(name) for name in gaps["theme"]]
        tuning = made.estimate(correction.r_squared(themes)).tuning
        moments = made.moments(tuning)[0]
        spreads = (made.moments(tuning) - np.outer(moments, moments))[1:, 1:]
        places = [*themes, len(spreads) - 1]
        spreads = spreads[np.ix_(places, places)]
        smallest = float(np.linalg.eigvalsh(to_correlation(spreads))[0])
        if smallest < LEAST:
            raise ValueError(
                f"Corrected covariances of themes must be positive definite; got a smallest eigenvalue of {smallest:.2g}. "
                "Code more comments by hand, or put rare themes together."
            )
        table, matrices = made.sums(themes, tuning)
        index, unit = made.drawn.index, self.sample.row_cluster
        clusters = np.unique(unit[index])
        strata = np.unique(self.sample.cluster_stratum[clusters])
        words = dict(zip(gaps["theme"], gaps["label"], strict=True))
        return SampledSums(
            labels={**words, self.metric.column: self.metric.title}, n=int(gaps["n"].iloc[0]),
            n_effective=float(1 / (made.scale**2).sum()), df=float(len(clusters) - len(strata)),
            table=table, matrices=matrices, unit=unit, design=self.sample,
        )  # fmt: skip

    def wide(self, period: str | None = None) -> pd.DataFrame:
        """One row per theme: its comments, share, gap and adjusted gap; the machine's gap beside."""
        rows = {name: part.set_index("theme") for name, part in self.of(period).groupby("quantity")}
        shares = rows[SHARE]
        table = shares[["label", "tone", "n_theme", "n_hand"]].copy()
        ends = {SHARE: ("ci_low", "ci_high"), GAP: ("decided_low", "decided_high"),
                ADJUSTED: ("decided_low", "decided_high")}  # fmt: skip
        for name, (low, high) in ends.items():
            part = rows[name].reindex(table.index) if name in rows else shares.assign(**dict.fromkeys(("estimate", low, high), np.nan))  # fmt: skip
            columns = [name, f"{name}_low", f"{name}_high"]
            table[columns] = part[["estimate", low, high]].to_numpy(float)
        machine = rows[GAP]["machine"] if GAP in rows else pd.Series(dtype=float)
        table["machine"] = machine.reindex(table.index).astype(float)
        table["note"] = rows.get(GAP, shares)["note"].reindex(table.index).fillna("")
        title = score_words(self.metric)
        unit = f"+{self.metric.unit}"
        return with_display(
            table.reset_index(), caption=f"Themes, and {title} where they are commented on less where not",
            about=self.badge, columns=("label", SHARE, GAP, ADJUSTED, *([self.compared] if self.compared else []), "n_theme"), level=self.level,
            headers={"label": "Theme", SHARE: "Of comments", GAP: "Gap", ADJUSTED: "Others held", "n_theme": "Comments",
                     "machine": "Gap by machine alone", "n_hand": "Hand-coded"},
            units={SHARE: "%", GAP: unit, ADJUSTED: unit, "machine": unit}, sort=(GAP,), top=20, bar=(GAP,),
            reference={GAP: 0.0},
        )  # fmt: skip

    def findings(self, **others: Any) -> Findings:
        """Answer, themes, quotes, what is new, what to be careful with."""
        from cxlab.stats.verbatims.findings import theme_findings

        return theme_findings(self, **others)


def score_words(metric: Metric) -> str:
    """A score within a sentence.

    Examples
    --------
    >>> score_words(Metric("overall", "mean", scale=(1, 5)))
    'mean score (of 5)'
    """
    if metric.kind != "mean" or metric.words:
        return metric.title
    return f"mean score (of {metric.scale[1]:g})" if metric.scale else "mean score"


def finished(
    table: pd.DataFrame, themes: CodedComments, metric: Metric, fewest: int
) -> pd.DataFrame:
    """Labels, adjusted p per kind of gap, small themes hidden."""
    table = table.reindex(columns=list(COLUMNS)).assign(
        label=table["theme"].map(themes.labels),
        tone=table["theme"].map({name: theme.tone for name, theme in themes.themes.items()}),
        unit=np.where(table["quantity"] == SHARE, "%", metric.unit),
        note=table["note"].fillna(""),
    )
    counts = dict.fromkeys(("n", "n_theme", "n_hand", "n_lent"), "Int64")
    table = table.astype(counts | dict.fromkeys(FIGURES, float))
    families = ["period", "quantity"]
    table = with_decisions(table, families, method="bh", interval="decided")
    table["machine_p"] = table.groupby(families)["machine_p"].transform(
        lambda p: adjust_family(p, method="bh")
    )
    small = (table["n_theme"] < fewest) | (table["n"] - table["n_theme"] < fewest)
    names = table[["theme", "quantity", "tone"]]
    hidden = hide_rows(table, small.map({True: "small", False: ""}), fewest)
    return hidden.assign(**{name: names[name] for name in names})


def displayed(table: pd.DataFrame, metric: Metric, level: float, badge: str) -> pd.DataFrame:
    """All figures as they are shown."""
    return with_display(
        table, caption="Themes: share of comments, and the score that goes with them", about=badge,
        columns=("label", "quantity", "estimate", "machine", "n_theme", "n_hand"), level=level,
        headers={"label": "Theme", "machine": "Machine alone", "n_theme": "Comments", "n_hand": "Hand-coded", "n_lent": "Lent by other periods",
                 "tuning": "Weight of the machine", "machine_p": "Adjusted p, machine alone", "tone": "Tone"},
        labels={metric.column: metric.title}, top=48,
    )  # fmt: skip


def theme_changes(scores: ThemeScores, *, period: str) -> pd.DataFrame:
    """Changes of shares and gaps since the period before.

    Parameters
    ----------
    scores : ThemeScores
        Of `theme_scores` with ``by`` a column of periods.
    period : str

    Returns
    -------
    DataFrame
        Per theme and quantity (``share``, ``gap``): ``estimate`` (the period's figure less the
        earlier one's), ``se``, ``ci_low``, ``ci_high``, ``df``, ``p_value``, ``p_adjusted`` (false
        discoveries over the themes of one quantity), ``decided_low``, ``decided_high``. Hidden
        and uncorrected figures have no change.

    Raises
    ------
    ValueError
        For a period that is not there or the first, or without a theme in common with that before.

    Notes
    -----
    Both figures lean on the same hand codes and may share clusters: their difference is
    linearised as one statistic. What hand codes leave open of either is added.

    Examples
    --------
    >>> from cxlab.survey.definition import Theme
    >>> from cxlab.stats.verbatims.codes import people_codes
    >>> from cxlab.stats.verbatims.scores import theme_scores
    >>> rows = pd.DataFrame({"period": ["1"] * 40 + ["2"] * 40, "score": [1, 2, 3, 4] * 20,
    ...                      "code": ["a", "b"] * 20 + ["a", "b", "b", "b"] * 10})
    >>> coded = people_codes(rows, ["code"], {"a": Theme("a", "A", codes={"1": ("a",), "2": ("a",)})})
    >>> changes = theme_changes(theme_scores(rows, coded, score="score", by="period"), period="2")
    >>> changes.loc[changes["quantity"] == "share", "estimate"].round(6).tolist()
    [-25.0]
    """
    table = scores.table
    periods = list(dict.fromkeys(table["period"])) if "period" in table else []
    if period not in periods:
        raise ValueError(unknown("period", period, periods))
    place = periods.index(period)
    if not place:
        raise ValueError(f"`period` must have one before it; got '{period}', the first.")
    before = periods[place - 1]
    first, second = (
        table[table["period"] == one].set_index(["theme", "quantity"]) for one in (before, period)
    )
    both = [key for key in second.index if key in first.index and key[1] in (SHARE, GAP)]
    if not both:
        raise ValueError(
            f"`period` must have a theme in common with {before}; got none. Name the codes of both in "
            "the codebook: the same number may mean something else."
        )
    rows = [
        _change(scores, key, {before: first.loc[key], period: second.loc[key]})
        for key in both
        if not np.isnan(second.loc[key, "estimate"] - first.loc[key, "estimate"])
    ]
    made = pd.DataFrame(rows, columns=CHANGED).astype(dict.fromkeys(CHANGED[7:], float))
    return with_display(
        with_decisions(made, ["quantity"], method="bh", interval="decided"),
        caption=f"Themes: changes from {before} to {period}",
        columns=("label", "quantity", "estimate", "n"), level=scores.level,
        headers={"label": "Theme", "quantity": "Quantity", "estimate": "Change"}, sort=("quantity",), top=24,
    )  # fmt: skip


def _variance(influence: Array, scores: ThemeScores) -> float:
    return clustered_variance(influence, np.ones(len(influence)), scores.sample)[0]


def _change(
    scores: ThemeScores, key: tuple[str, str], sides: dict[str, pd.Series]
) -> dict[str, Any]:
    """A figure of the second period less that of the first."""
    (before, first), (period, second) = sides.items()
    influence = scores.influences[period, *key] - scores.influences[before, *key]
    variance = _variance(influence, scores)
    # what hand codes leave open of either figure
    for name, row in sides.items():
        variance += row["se"] ** 2 - _variance(scores.influences[name, *key], scores)
    df = float(min(first["df"], second["df"]))
    difference = second["estimate"] - first["estimate"]
    return {
        "theme": key[0], "label": second["label"], "quantity": key[1], "unit": second["unit"],
        "before": before, "period": period, "n": int(second["n"]),
        **tested_difference(difference, variance, df, scores.level, "t"),
    }  # fmt: skip
