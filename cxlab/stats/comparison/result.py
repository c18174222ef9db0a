"""The result of a comparison: tables and the sentences that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxlab.core.result import Result
from cxlab.stats.comparison.standardised.quantities import SUM_TOLERANCE


@dataclass(frozen=True, eq=False, kw_only=True)
class NpsComparison(Result):
    """tNPS against rNPS: what the gap is made of.

    Rows about 1 to ``min_group_size − 1`` customers are hidden in every table, and rows
    that would give them back by adding and subtracting: their numbers are null, and
    ``note`` says so. The counts of the flow, which say who was asked and answered but not
    what, are always there. ``table`` is the decomposition; without invitations or customers the
    identity of the answers.

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
    tilting : DataFrame
        Response terms, residual and standardised gap if answering depends on the score.
    checks : DataFrame
        Does response go with the other survey's score?
    sensitivity : DataFrame
        The paired contrast under every rule for several transactional answers.
    windows, delays, regression, later : DataFrame
        Timing: windows, delay, regression to the mean, later association.
    robustness : DataFrame
        Every variant of the conclusion.
    sentences : tuple of str
        What may be said, in words.
    min_group_size : int
        Fewer customers than this are never shown.
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
    tilting: pd.DataFrame
    checks: pd.DataFrame
    sensitivity: pd.DataFrame
    windows: pd.DataFrame
    delays: pd.DataFrame
    regression: pd.DataFrame
    later: pd.DataFrame
    robustness: pd.DataFrame
    sentences: tuple[str, ...]
    min_group_size: int

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

    def _shown(self) -> pd.DataFrame:
        columns = ["term", "estimate", "ci_low", "ci_high", "status", "note"]
        return self.table[[name for name in columns if name in self.table]].round(1)

    def _head(self) -> tuple[str, ...]:
        estimands = [
            f"{row.estimand} {row.what}: {row.status}" for row in self.estimands.itertuples()
        ]
        return (*estimands, *self.sentences)
