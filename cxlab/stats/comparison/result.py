"""The result of a comparison: tables, facts and the sentences that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd

from cxlab.stats.comparison.terms import SUM_TOLERANCE


@dataclass(frozen=True, eq=False)
class NpsComparison:
    """tNPS against rNPS: what the gap is made of.

    Rows about 1 to ``min_group_size − 1`` customers are hidden in every table, and rows
    that would give them back by adding and subtracting: their numbers are null, and
    ``note`` says so. The counts of the flow, which say who was asked and answered but not
    what, are always there.

    Attributes
    ----------
    estimands : DataFrame
        ``estimand, what, status``: what is being estimated, before any number.
    scores : DataFrame
        Both scores and their difference: each answer once, weighted as declared, each
        customer once; and of those who answered both surveys or one.
    shares : DataFrame
        Detractors, passives and promoters of both surveys.
    identity : DataFrame
        Among those who answered: parts of the gap that need no assumption.
    segment_gaps, segments : DataFrame
        The gap by segments that both surveys have: its parts, and its groups.
    flow : DataFrame
        From customers to paired answers: ``survey, stage, n, customers, share``.
    estimates : DataFrame
        Raw, standardised and paired estimates side by side.
    touchpoints : DataFrame
        tNPS per touchpoint (E2), per answer and per customer.
    paired : DataFrame
        Same-customer contrast: ``method, n, customers, estimate, se, ci_low, ci_high,
        statistic, p_value, note`` in points.
    migration : DataFrame
        Nine rows: ``transactional, relationship, n, share, share_of_row, note``; all are
        hidden where one is small.
    categories : DataFrame
        How the same customers answered each survey: the margins of the migration.
    pair_variance : float
        Variance of one pair's difference of net scores, in points²; NaN where it is hidden.
    margins : DataFrame
        Tests of equal category shares.
    decomposition : DataFrame
        The six terms, their totals and the gap, with ``status`` and bounds.
    one_way : DataFrame
        Residual and unit weighting in either order.
    quantities : DataFrame
        A0 to C2 and B0 to B3.
    tilting : DataFrame
        Response terms, residual and standardised gap if answering depends on the score.
    bounds : DataFrame
        What could be, under two assumptions.
    tipping : DataFrame
        How different the silent would have to be for the residual to vanish.
    weights : DataFrame
        Effective sizes and the largest weights, trimmed and not.
    mix : DataFrame
        Cells: eligible and answered shares, NPS of the answers.
    checks : DataFrame
        Does response go with the other survey's score?
    contamination : DataFrame
    sensitivity : DataFrame
        The paired contrast under every rule for several transactional answers.
    windows, delays, regression, later : DataFrame
        Timing: windows, delay, regression to the mean, later association.
    robustness : DataFrame
        Every variant of the conclusion.
    not_robust : dict of str to list of str
        Quantity to the variants under which its conclusion flips.
    sentences : tuple of str
        What may be said, in words.
    n_missing : dict of str to int
        Answers without a score, per survey.
    level : float
    min_group_size : int
        Fewer customers than this are never shown.
    replicates, replicates_not_converged : int
    notes : tuple of str
    """

    estimands: pd.DataFrame
    scores: pd.DataFrame
    shares: pd.DataFrame
    identity: pd.DataFrame
    segment_gaps: pd.DataFrame
    segments: pd.DataFrame
    flow: pd.DataFrame
    estimates: pd.DataFrame
    touchpoints: pd.DataFrame
    paired: pd.DataFrame
    migration: pd.DataFrame
    categories: pd.DataFrame
    pair_variance: float
    margins: pd.DataFrame
    decomposition: pd.DataFrame
    one_way: pd.DataFrame
    quantities: pd.DataFrame
    tilting: pd.DataFrame
    bounds: pd.DataFrame
    tipping: pd.DataFrame
    weights: pd.DataFrame
    mix: pd.DataFrame
    checks: pd.DataFrame
    contamination: pd.DataFrame
    sensitivity: pd.DataFrame
    windows: pd.DataFrame
    delays: pd.DataFrame
    regression: pd.DataFrame
    later: pd.DataFrame
    robustness: pd.DataFrame
    not_robust: dict[str, list[str]]
    sentences: tuple[str, ...]
    n_missing: dict[str, int]
    level: float
    min_group_size: int
    replicates: int
    replicates_not_converged: int
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        terms = self.decomposition[self.decomposition["kind"] == "term"]["estimate"].to_numpy()
        gap = self.decomposition.set_index("term").loc["gap", "estimate"]
        if len(terms) and not np.isnan(terms).any() and abs(terms.sum() - gap) > SUM_TOLERANCE:
            raise ArithmeticError(
                f"The terms must add to the gap; they add to {terms.sum()} instead of {gap}."
            )

    @property
    def standardised(self) -> bool:
        """Whether invitations and customers were there to standardise with."""
        return bool((self.decomposition["kind"] == "term").any())

    @property
    def table(self) -> pd.DataFrame:
        """The decomposition; without invitations or customers the identity of the answers."""
        return self.decomposition if self.standardised else self.identity

    @property
    def identified(self) -> bool:
        """Whether every term has an estimate."""
        return self.standardised and bool(self.decomposition["estimate"].notna().all())

    def _shown(self) -> pd.DataFrame:
        columns = ["term", "estimate", "ci_low", "ci_high", "status", "note"]
        return self.table[[name for name in columns if name in self.table]].round(1)

    def __str__(self) -> str:
        estimands = [
            f"{row.estimand} {row.what}: {row.status}" for row in self.estimands.itertuples()
        ]
        return "\n".join(
            [*estimands, "", *self.sentences, "", self._shown().to_string(index=False)]
        )

    def _repr_html_(self) -> str:
        words = "".join(f"<li>{escape(sentence)}</li>" for sentence in self.sentences)
        return f"<ul>{words}</ul>{self._shown().to_html(index=False, border=0)}"
