"""The result of a comparison: its tables, how they are shown, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.display import with_display
from cxlab.core.findings import Findings
from cxlab.core.result import Result
from cxlab.stats.comparison.findings import findings_of
from cxlab.stats.comparison.gaps import beliefs_table, parts_table
from cxlab.stats.comparison.quantities import SUM_TOLERANCE
from cxlab.stats.inference import LEVEL

SIGNED = {"estimate": "+points"}
#: A difference in points, and where there is none.
DIFFERENCE: dict[str, Any] = {"units": SIGNED, "reference": {"estimate": 0.0}}
ONE = "Each answer counted once, clustered by customer"
#: How each table is shown.
DISPLAYS: dict[str, dict[str, Any]] = {
    "gaps": {
        "caption": "The gap between tNPS and rNPS, three ways",
        "about": "Each interval on its own; those of the answer allow for three gaps",
        "columns": ("gap", "n", "customers", "estimate", "shown"),
        "headers": {"gap": "Gap", "shown": "Shown four times in five"},
        "units": {**SIGNED, "shown": "points", "gap": ""},
        "reference": {"estimate": 0.0},
    },
    "beliefs": {
        "caption": "What is left of the gap, by what is believed of those who did not answer",
        "about": "Context, wording and timing together",
        "columns": ("belief", "estimate", "bound_low", "bound_high"),
        "headers": {"belief": "If", "estimate": "What is left"},
        "units": {**SIGNED, "needed": "+points"},
        "reference": {"estimate": 0.0},
    },
    "estimands": {"caption": "What is estimated, and whether these files give it"},
    "flow": {"caption": "From customers to paired answers", "top": 20},
    "estimates": {
        "caption": "tNPS, rNPS and their difference, however they are counted",
        "columns": ("estimate_kind", "survey", "population", "n", "customers", "estimate"),
        "headers": {"estimate_kind": "Counted"},
        "units": {"estimate": "points"},
        "top": 20,
    },
    "touchpoints": {
        "caption": "tNPS of each touchpoint",
        "about": ONE,
        "sort": ("estimate",),
        "headers": {"estimate": "tNPS"},
        "units": {"estimate": "points"},
        "reference": {"estimate": "mean"},
    },
    "delays": {
        "caption": "tNPS by the time between episode and answer",
        "about": ONE,
        "headers": {"estimate": "tNPS"},
        "units": {"estimate": "points"},
    },
    "identity": {
        "caption": "What the gap is made of, among those who answered",
        "columns": ("term", "n", "customers", "estimate", "share"),
        **DIFFERENCE,
    },
    "segment_gaps": {
        "caption": "The gap by the mix of customers in the two surveys",
        "columns": ("segment", "part", "estimate"),
        **DIFFERENCE,
    },
    "segments": {
        "caption": "Groups of customers in the two surveys",
        "columns": ("segment", "group", "customers", "share_transactional", "share_relationship",
                    "tnps", "rnps"),
    },
    "decomposition": {
        "caption": "What the gap is made of, with customers and invitations",
        "columns": ("term", "estimate", "share", "bound_low", "bound_high"),
        **DIFFERENCE,
    },
    "tilting": {
        "caption": "If the odds of answering change with the score",
        "columns": ("term", "answering", "slope_transactional", "slope_relationship", "estimate"),
        "headers": {"term": "Part"},
        "units": SIGNED,
    },
    "checks": {
        "caption": "Does answering one survey go with the same customer's score in the other?",
        "columns": ("survey", "n", "customers", "estimate", "p_value", "note"),
        "headers": {"estimate": "Log odds a point"},
    },
    "paired": {
        "caption": "The same customers: tNPS less rNPS",
        "columns": ("method", "n", "customers", "estimate"),
        "headers": {"method": "Interval"},
        **DIFFERENCE,
    },
    "migration": {
        "caption": "The same customers after a transaction and in the relationship survey",
        "headers": {"transactional": "After a transaction", "relationship": "Relationship survey",
                    "share_of_row": "Share of its row"},
        "units": {"share_of_row": "share"},
    },
    "categories": {"caption": "The same customers in each survey"},
    "margins": {"caption": "Are the shares of both surveys alike?"},
    "sensitivity": {
        "caption": "The same customers, by the answer that counts",
        "columns": ("rule", "measure", "n", "customers", "estimate", "chosen"),
        "units": {"estimate": "+number"},
    },
    "windows": {
        "caption": "The same customers, by how long before an answer may lie",
        "columns": ("window_days", "n", "customers", "estimate"),
        **DIFFERENCE,
    },
    "regression": {
        "caption": "The other survey's mean score, given the category in one",
        "columns": ("given", "group", "n", "mean_given", "mean_other", "estimate"),
        "headers": {"estimate": "Difference"},
        "units": {"estimate": "+score"},
    },
    "later": {
        "caption": "Does one score go with the other one later?",
        "about": "The last earlier answer of the same customer within the longest window",
        "headers": {"estimate": "Correlation"},
        "units": {"estimate": "r"},
    },
    "robustness": {
        "caption": "The gap under other ways of scoring",
        "columns": ("quantity", "variant", "estimate", "conclusion", "same"),
        "units": SIGNED,
        "top": 30,
    },
}  # fmt: skip


def displayed(
    tables: Mapping[str, pd.DataFrame], labels: Mapping[str, str]
) -> dict[str, pd.DataFrame]:
    """The tables, each of which knows how it is shown."""
    told = {"level": LEVEL, "labels": dict(labels)}
    return {
        name: with_display(one, **told, **DISPLAYS.get(name, {})) for name, one in tables.items()
    }


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
    gaps : DataFrame
        The gap as collected, of customers weighted alike and of the same customers: ``gap, n,
        customers, estimate, se, ci_low, ci_high, note, df``, ``p_value, p_adjusted`` (Holm),
        ``deciding_low, deciding_high`` (the interval at the level that decides), ``shown`` (the
        true gap that would be shown four times in five), ``pairs_needed`` (that a gap of 10
        takes), ``bound_low, bound_high``.
    estimands : DataFrame
        ``estimand, what, status``: what is being estimated, before any number.
    flow : DataFrame
        From customers to paired answers: ``survey, stage, n`` (episodes, waves or answers),
        ``customers, share`` of the eligible rows.
    estimates : DataFrame
        Both scores and their difference side by side: ``estimate_kind`` (raw, weighted as
        declared, each customer once, standardised, paired), ``survey, population, n,
        customers, estimate, se, ci_low, ci_high`` in points, ``deff, n_eff, response_rate,
        status, note``.
    touchpoints, delays : DataFrame
        tNPS of each touchpoint (E2), per answer and per customer; by the time between
        episode and answer.
    identity : DataFrame
        Among those who answered, parts of the gap that need no assumption: ``term, n,
        customers, estimate, se, ci_low, ci_high, share`` of the gap, ``note``.
    segment_gaps, segments : DataFrame
        The gap by segments that both surveys have: its parts, and its groups.
    decomposition : DataFrame
        Six terms, their totals and the gap: ``term, about, kind`` (term or total),
        ``estimate, se, ci_low, ci_high, share, bound_low, bound_high, status, note``. A term
        that is not identified has no estimate; its interval is that of the bounds.
    tilting : DataFrame
        Response terms, residual and standardised gap if answering depends on the score:
        ``answering, slope_transactional, slope_relationship`` (log odds per score point),
        ``term, estimate, se, ci_low, ci_high, note``.
    checks : DataFrame
        Does response go with the other survey's score?
    paired : DataFrame
        Same-customer contrast: ``method, n, customers, estimate, se, ci_low, ci_high,
        statistic, p_value, note`` in points.
    migration, categories, margins : DataFrame
        The nine cells of both surveys' categories, all hidden where one is small; their
        margins; tests of equal shares.
    sensitivity, windows : DataFrame
        The contrast under every rule for several transactional answers, and by window.
    regression, later : DataFrame
        Regression to the mean; correlation of earlier and later scores, over the longest
        window (180 days, or ``window_days``) in both directions.
    robustness : DataFrame
        Every variant of the conclusion: ``quantity, variant, estimate, se, ci_low, ci_high,
        conclusion, same``.
    tipping : tuple of (str, float)
        Survey, and by how many points those who did not answer would have to score higher for the
        residual to vanish; infinite where no difference would do.
    margin : float
        The smallest gap that matters, in points.
    min_group_size : int
        Fewer customers than this are never shown.
    """

    gaps: pd.DataFrame
    estimands: pd.DataFrame
    flow: pd.DataFrame
    estimates: pd.DataFrame
    touchpoints: pd.DataFrame
    delays: pd.DataFrame
    identity: pd.DataFrame
    segment_gaps: pd.DataFrame
    segments: pd.DataFrame
    decomposition: pd.DataFrame
    tilting: pd.DataFrame
    checks: pd.DataFrame
    paired: pd.DataFrame
    migration: pd.DataFrame
    categories: pd.DataFrame
    margins: pd.DataFrame
    sensitivity: pd.DataFrame
    windows: pd.DataFrame
    regression: pd.DataFrame
    later: pd.DataFrame
    robustness: pd.DataFrame
    tipping: tuple[tuple[str, float], ...]
    margin: float
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

    @property
    def parts(self) -> pd.DataFrame:
        """From rNPS to tNPS by the terms, as `cxlab.plot_waterfall` draws them."""
        return parts_table(self)

    @property
    def beliefs(self) -> pd.DataFrame:
        """What is left of the gap by what is believed of those who did not answer."""
        return displayed({"beliefs": beliefs_table(self)}, {})["beliefs"]

    def findings(self, *, margin: float | None = None, group: str = "everyone") -> Findings:
        """What the comparison says.

        Parameters
        ----------
        margin : float, optional
            The smallest gap that matters, in points; default: as declared.
        group : str
            The customers compared, in words: `Study.selection`.
        """
        found = findings_of(self, self.margin if margin is None else margin)
        return found if group == "everyone" else found.about(group)
