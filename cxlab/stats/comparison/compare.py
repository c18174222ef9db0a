"""`compare_tnps_rnps`: the files of a programme → what the gap is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.frames import as_list
from cxlab.core.messages import check_whole
from cxlab.core.metric import MARGIN
from cxlab.stats.comparison.contract import CUSTOMER, SCORE, Rules
from cxlab.stats.comparison.decomposition import (
    ASSUMPTION,
    NOT_IDENTIFIED,
    Standardised,
    no_decomposition,
    standardise,
)
from cxlab.stats.comparison.disclosure import ComparisonGate, Tables, pool_small_groups
from cxlab.stats.comparison.gaps import (
    COLLECTED,
    PAIRED,
    gaps_table,
    raw_gap,
    robustness_table,
    with_decisions,
)
from cxlab.stats.comparison.identity import AmongAnswers, among_answers, identity_tables
from cxlab.stats.comparison.pairs import (
    WINDOWS,
    net_contrast,
    pair_answers,
    pair_tables,
    pairs_within,
    windows_taken,
)
from cxlab.stats.comparison.programme import ProgrammeData, in_periods, read_programme
from cxlab.stats.comparison.result import NpsComparison, displayed
from cxlab.stats.comparison.scores import (
    answers_behind,
    answers_by_cell,
    flow_table,
    score_tables,
)

ONLY_ANSWERS = "estimated among those who answered only"
ESTIMANDS = {
    "E1": "rNPS of the customer base, each customer counted once",
    "E2": "tNPS of all eligible episodes, and each user counted once",
    "E3": "same customers, both surveys, within the window",
    "E4": "what tNPS − rNPS as collected is made of",
    "E5": "does one score go with the other one later",
}


def compare_tnps_rnps(
    transactional: Any,
    relationship: Any,
    *,
    customer: str | None = CUSTOMER,
    score: str = SCORE,
    invitations: Any = None,
    customers: Any = None,
    traits: str | Sequence[str] | None = None,
    segments: str | Sequence[str] | None = None,
    contact_rules: Rules = None,
    periods: str | Sequence[str] | None = None,
    window_days: float = 90,
    weights: Mapping[str, str] | None = None,
    margin: float = MARGIN,
    labels: Mapping[str, str] | None = None,
    min_group_size: int = MIN_GROUP_SIZE,
    replicates: int = 1000,
    seed: int = 0,
) -> NpsComparison:
    """Transactional NPS against relationship NPS: what the gap is made of.

    Parameters
    ----------
    transactional, relationship
        Answers of each survey, one row per answer; dataframes of any engine. Needed:
        customer and score (0 to 10; null: no answer). Used if there: ``response_id,
        responded_at`` (without it nothing is paired), ``period, episode_id, touchpoint,
        triggered_at, invited_at, survey_type``.
    customer, score : str
        Columns of the customer and of likelihood to recommend, in all files; customer
        None: the answers don't name their customer, and nothing is paired.
    invitations
        One row per eligible episode and per customer and relationship wave:
        ``survey_type, customer, triggered_at, status`` (not_sampled, suppressed, invited,
        bounced, answered), and if there ``period, episode_id, touchpoint, contact_channel,
        rule, probability``. A contact rule comes before sampling: a row is suppressed whether
        or not it would have been drawn.
    customers
        The frame: everybody who could be asked.
    traits : str or sequence of str, optional
        Frame variables on which answering may depend: columns of ``customers``.
    segments : str or sequence of str, optional
        Segments by which the gap is decomposed among those who answered: columns of both
        surveys' answers. Where a survey lacks one it is taken from the customers, or from
        the same customer's answers to the other survey if it doesn't change within customers.
    contact_rules : mapping of str to float or (float, float), optional
        Name of a rule, as in the invitations, to its days after a transactional invitation,
        or to (days, share of customers exempt at random). A rule that isn't declared takes
        its customers out of what can be identified.
    periods : str or sequence of str, optional
        The window; default: everything. Earlier invitations still count in look-backs, and
        earlier transactional answers in pairs.
    window_days : float
        How long before a relationship answer a transactional one may lie; days. Of several
        the last counts; other rules are shown as sensitivity.
    weights : mapping of str to str, optional
        Survey to the column of its own weights. Weighted scores are shown beside the
        unweighted ones; everything else counts answers alike.
    margin : float
        The smallest gap that matters, in points.
    labels : mapping of str to str, optional
        Names of segments and touchpoints to the words that readers know.
    min_group_size : int
        Rows about fewer customers than this are hidden in every table, with those that
        would give them back; 1 hides nothing.
    replicates : int
        Bootstrap replicates of customers; 0: no intervals of standardised quantities.
    seed : int

    Returns
    -------
    NpsComparison

    Raises
    ------
    ValueError, TypeError
        Where the files break the contract: a repeated id, an answer before its invitation,
        a score off the scale, a survey that isn't declared, a customer outside the frame,
        answers and invitations that contradict one another.

    Notes
    -----
    With i a customer, m its eligible episodes in the window, c an episode's cell (touchpoint ×
    contact channel), T and R the answers, v and w the inverse chances of an answer given the
    frame variables and m: B0 = mean T; B1 = Σ S_c·T̄_c with S_c the eligible shares; B2 =
    ΣvT/Σv; B3 the same with v/m; A0 = mean R; C0 = ΣwR/Σw; C1 = C0 over m > 0; C2 =
    ΣwmR/Σwm. Terms, in this order: mix B0 − B1; transactional response B1 − B2; residual
    ½[(B2 − C2) + (B3 − C1)]; unit weighting ½[(C2 − C1) + (B2 − B3)]; coverage C1 − C0;
    relationship response and contact rules C0 − A0. Each has its own formula and they add to
    B0 − A0. Customers are resampled with all their rows, and every propensity and share is
    fitted again: the intervals are about customers like these. Taken as intervals about these
    very customers they err on the safe side, the more so the larger the share that answered.

    The chance of an answer is the product of: not being suppressed (episodes: logistic in
    cell, traits and m; waves: e + (1 − e)·Π(1 − q) over the look-back), being drawn
    (designed, or the share), and answering (logistic). What is not identified is given as
    bounds, never as a number. Whether answering depends on the score itself cannot be told
    from the data: each term that rests on it carries bounds, and ``tilting`` gives it for
    log odds of answering that change by ±0.1 and ±0.25 per score point, in both surveys or
    one, and at the far end of the interval of the check.

    References
    ----------
    Hájek (1971); Kitagawa (1955); Horvitz & Thompson (1952); Manski (2003); Scharfstein,
    Rotnitzky & Robins (1999).

    Examples
    --------
    >>> from cxlab import load_study, programme_tables
    >>> tables = programme_tables(load_study("demo"))
    >>> result = compare_tnps_rnps(**tables, periods="2025-Q4", replicates=50)
    >>> terms = result.decomposition.query("kind == 'term'")["estimate"]
    >>> gap = result.decomposition.set_index("term").loc["gap", "estimate"]
    >>> bool(abs(terms.sum() - gap) < 1e-9)
    True
    """
    if not 0 < window_days < np.inf:
        raise ValueError(f"`window_days` must be a number of days above 0; got {window_days}.")
    replicates = check_whole("replicates", replicates, 0)
    least = check_whole("min_group_size", min_group_size, 1)
    data = read_programme(
        transactional,
        relationship,
        invitations,
        customers,
        customer=customer,
        score=score,
        weights=weights or {},
        traits=as_list(traits),
        segments=as_list(segments),
    )
    # earlier transactional answers count in pairs, earlier invitations in look-backs
    ever, chosen = data.surveys["transactional"], as_list(periods) or None
    data = pool_small_groups(in_periods(data, chosen), least)
    drawn = {"replicates": int(replicates), "seed": seed}
    done = standardise(data, contact_rules, chosen, **drawn, fewest=least)
    tables = _tables(
        data, ever, done, among_answers(data, **drawn), float(window_days), bool(weights), least
    )
    return _result(tables, data, done, labels or {}, score=score, margin=float(margin), least=least)


def _tables(
    data: ProgrammeData,
    ever: pd.DataFrame,
    done: Standardised,
    found: AmongAnswers,
    window_days: float,
    weighted: bool,
    least: int,
) -> Tables:
    """Every table as it may be shown; ``ever`` are the transactional answers of any time."""
    behind = answers_behind(data, done)
    longest = max(window_days, *WINDOWS)
    r = data.surveys["relationship"]
    every, later = (pair_answers(*both, longest=longest) for both in ((ever, r), (r, ever)))
    windows = windows_taken(every, window_days)
    scores = windows[window_days]
    gap = raw_gap(data.surveys)
    tables: Tables = {
        "decomposition": no_decomposition(gap.numbers()),
        **done.tables(),
        **identity_tables(found),
        "flow": flow_table(data, done, pairs_within(every, window_days)),
        **score_tables(data, done, behind, scores, weighted=weighted),
        **pair_tables(every, later, windows, window_days, why_none=_why_no_pairs(data)),
        "robustness": robustness_table(data, done, weighted=weighted),
    }
    gate = ComparisonGate(
        smallest=least,
        behind=behind,
        people=found.people,
        named=data.has_customers,
        cells=answers_by_cell(done),
        windows=windows,
        window_days=window_days,
        pooled=data.pooled,
    )
    shown = gate.shown(tables)
    shown["estimands"] = _estimands(done, gate, shown)
    shown["gaps"] = gaps_table(shown, {COLLECTED: gap.df, PAIRED: net_contrast(scores).test_df})
    for name in ("decomposition", "identity"):
        terms = shown[name]
        shown[name] = with_decisions(terms, terms["kind"] == "term", "bh", terms.get("df", np.inf))
    return shown


def _why_no_pairs(data: ProgrammeData) -> str:
    """Why answers cannot be paired at all; empty if they can."""
    if not data.has_customers:
        return "the answers don't name their customer"
    if any(len(one) and one["responded_at"].isna().all() for one in data.surveys.values()):
        return "the answers have no dates"
    return ""


def _result(
    tables: Tables,
    data: ProgrammeData,
    done: Standardised,
    labels: Mapping[str, str],
    *,
    score: str,
    margin: float,
    least: int,
) -> NpsComparison:
    residual = tables["decomposition"].set_index("term")["estimate"].get("residual", np.nan)
    names = tables["touchpoints"]["touchpoint"].astype("str")
    words = {name: name.replace("_", " ").capitalize() for name in names}
    tables = displayed(tables, {**words, **labels})
    missing = {
        f"{score} of the {survey} answers": int(one["score"].isna().sum())
        for survey, one in data.surveys.items()
    }
    return NpsComparison(
        **tables,
        table=tables["decomposition" if done.result is not None else "identity"],
        tipping=tuple(done.tipping(residual)),
        n_missing=pd.DataFrame(missing.items(), columns=["column", "n_missing"]),
        notes=tuple(note for note in (*data.notes, *_notes(done)) if note),
        margin=margin,
        min_group_size=least,
    )


def _notes(done: Standardised) -> list[str]:
    """Notes of the files, and what is lacking altogether."""
    notes = [*(done.collected.notes if done.collected else []), done.note]
    if done.result is not None and done.result.n_not_converged:
        notes.append(f"{done.result.n_not_converged:,} fits of the bootstrap did not converge")
    return notes


def _estimands(done: Standardised, gate: ComparisonGate, tables: Tables) -> pd.DataFrame:
    """What is estimated: ``estimand, what, status``."""
    assumed = f"estimated, {ASSUMPTION}"
    transactional, relationship, both = NOT_IDENTIFIED, NOT_IDENTIFIED, ONLY_ANSWERS
    if done.result is not None:
        transactional, relationship = assumed, done.lost or assumed
        both = relationship
    few = f"fewer than {gate.smallest} customers: too few to say"
    few_of_gap = gate.few("gap") or gate.few("standardised gap")
    no_pairs = "too few pairs to say" if gate.few_pairs else "no pairs"
    paired, later = (tables[name]["estimate"].notna().any() for name in ("paired", "later"))
    status = {
        "E1": few if gate.few("C0") else relationship,
        "E2": few if gate.few("B2") else transactional,
        "E3": "estimated" if paired else no_pairs,
        "E4": few if few_of_gap else both,
        "E5": "estimated" if later else "too few pairs to say",
    }
    rows = [(name, what, status[name]) for name, what in ESTIMANDS.items()]
    return pd.DataFrame(rows, columns=["estimand", "what", "status"])
