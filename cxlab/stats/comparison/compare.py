"""`compare_tnps_rnps`: the files of a programme → what the gap is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.frames import as_list, check_choice
from cxlab.stats.comparison.collected import check_periods, in_periods
from cxlab.stats.comparison.columns import SURVEY_TYPES, Columns, Rules
from cxlab.stats.comparison.contract import Answers, ProgrammeData, read_programme
from cxlab.stats.comparison.decomposition import combination, interval
from cxlab.stats.comparison.estimates import touchpoint_table
from cxlab.stats.comparison.flow import flow_table
from cxlab.stats.comparison.paired import (
    RULES,
    SCORE_RULES,
    WINDOWS,
    OnePerAnswer,
    apply_rule,
    pair_answers,
)
from cxlab.stats.comparison.paired_tables import pair_variance
from cxlab.stats.comparison.result import NpsComparison
from cxlab.stats.comparison.robustness import not_robust, robustness_table
from cxlab.stats.comparison.sentences import (
    EXEMPTION_ADVICE,
    gap_sentence,
    identification_sentences,
    identity_sentence,
    overlap_sentence,
    paired_sentence,
    part_sentences,
    robustness_sentences,
    segment_sentences,
    standardised_sentence,
    unknown_sentence,
    weighting_sentence,
)
from cxlab.stats.comparison.small import check_min_group_size
from cxlab.stats.comparison.standardise import Options, Standardised, standardise
from cxlab.stats.comparison.support import support
from cxlab.stats.comparison.tables import (
    Tables,
    answer_tables,
    estimands_table,
    paired_tables,
    side_by_side,
    standard_tables,
    timing_tables,
)
from cxlab.stats.comparison.terms import GAP_LESS
from cxlab.stats.inference import check_level

RESPONSE = ("frame", "unknown")


def compare_tnps_rnps(
    transactional: Any,
    relationship: Any,
    *,
    customer: str | None = "customer_id",
    score: str = "recommend",
    invitations: Any = None,
    customers: Any = None,
    traits: str | Sequence[str] | None = None,
    segments: str | Sequence[str] | None = None,
    contact_rules: Rules = None,
    periods: str | Sequence[str] | None = None,
    pairing: str = "last before",
    window_days: float = 90,
    half_life: float = 30,
    response: str = "frame",
    trim: float | None = None,
    transport: bool = False,
    account: str | None = None,
    weights: str | Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    level: float = 0.95,
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
        contact_channel, triggered_at, invited_at, survey_type``. One file of both surveys is split by `split_responses`.
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
        Segments by which the gap is taken apart among those who answered: columns of both
        surveys' answers. Where a survey lacks one it is taken from the customers, or from
        the same customer's answers to the other survey if it doesn't change within customers.
    contact_rules : mapping of str to float or (float, float), or sequence of ContactRule
        Name of a rule, as in the invitations, to its days after a transactional invitation,
        or to (days, share of customers exempt at random). A rule that isn't declared takes
        its customers out of what can be identified.
    periods : str or sequence of str, optional
        The window; default: everything. Earlier invitations still count in look-backs, and
        earlier transactional answers in pairs.
    pairing : {"last before", "every answer", "mean", "half-life", "peak–end"}
        Which transactional answer, or what of several, is set against a relationship
        answer. Choose it before looking; all are shown as sensitivity.
    window_days, half_life : float
        How long before a relationship answer a transactional one may lie; days.
    response : {"frame", "unknown"}
        What is assumed of answering: that it depends on the frame variables only, with
        bounds and `tilting` for the case that it doesn't; or nothing, and only bounds are
        given.
    trim : float, optional
        Quantile of the weights, such as 0.99, at which larger ones are cut. Default: none.
    transport : bool
        Also estimate E1 on an assumption: customers who could not be asked the relationship
        survey have the gap between tNPS and rNPS of those who could.
    account : str, optional
        Column of ``customers``: accounts are then resampled whole.
    weights : str or mapping of str to str, optional
        The surveys' own weights: one column, or survey to column. Weighted scores stand
        beside the unweighted ones; everything else counts answers alike.
    columns : mapping of str to str, optional
        Other column names: name in the contract (`Columns`) to name in the files.
    level : float
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
    >>> from cxlab.survey.simulate import simulate_programme
    >>> p = simulate_programme(1500, seed=3, periods=1, trips_per_period=1.5)
    >>> result = compare_tnps_rnps(
    ...     p.transactional, p.relationship, invitations=p.invitations, customers=p.customers,
    ...     traits=["segment", "home_region"], replicates=50,
    ...     contact_rules=p.contact_rules,
    ... )
    >>> terms = result.decomposition.query("kind == 'term'")["estimate"]
    >>> gap = result.decomposition.set_index("term").loc["gap", "estimate"]
    >>> bool(abs(terms.sum() - gap) < 1e-9)
    True
    """
    _check_options(pairing, window_days, half_life, response, trim, level, replicates)
    names = replace(Columns(), customer=customer, score=score, account=account, weights=weights)
    names = names.renamed(columns or {})
    data = read_programme(
        transactional,
        relationship,
        invitations,
        customers,
        columns=names,
        traits=as_list(traits),
        segments=as_list(segments),
    )
    options = Options(
        periods=as_list(periods) or None,
        pairing=pairing,
        window_days=float(window_days),
        half_life=float(half_life),
        response=response,
        trim=trim,
        transport=transport,
        level=level,
        replicates=int(replicates),
        seed=seed,
        weighted=tuple(s for s in SURVEY_TYPES if names.weights_of(s)),
        min_group_size=check_min_group_size(min_group_size),
    )
    check_periods(data, options.periods)
    t = in_periods(data.transactional, options.periods)
    r = in_periods(data.relationship, options.periods)
    window = replace(data, transactional=t, relationship=r)
    return _compare(window, data.transactional, contact_rules, options)


def _check_options(
    pairing: str,
    window_days: float,
    half_life: float,
    response: str,
    trim: float | None,
    level: float,
    replicates: int,
) -> None:
    check_choice("pairing", pairing, RULES)
    check_choice("response", response, RESPONSE)
    check_level(level)
    for name, value in (("window_days", window_days), ("half_life", half_life)):
        if not 0 < value < np.inf:
            raise ValueError(f"`{name}` must be a number of days above 0; got {value}.")
    if trim is not None and not 0.5 <= trim <= 1:
        raise ValueError(f"`trim` must be a quantile from 0.5 to 1, or None; got {trim}.")
    if isinstance(replicates, bool) or int(replicates) != replicates or replicates < 0:
        raise ValueError(f"`replicates` must be a whole number of 0 or more; got {replicates}.")


def _compare(data: ProgrammeData, ever: Answers, rules: Rules, options: Options) -> NpsComparison:
    """Compare the window; ``ever`` are the transactional answers of any time, for pairing."""
    t, r, unit, smallest = data.transactional, data.relationship, data.unit, options.min_group_size
    done = standardise(data, rules, options)
    behind = support(t, r, done.engine, smallest)
    longest = max(options.window_days, *WINDOWS)
    every = pair_answers(ever, r, unit, longest=longest)
    pairs = every.within(options.window_days)
    chosen = apply_rule(pairs, options.pairing, half_life=options.half_life)
    scores = chosen
    if options.pairing not in SCORE_RULES:
        # a mean of several answers is no category: the table and the net score take the last
        scores = apply_rule(pairs, "last before", half_life=options.half_life)
    tables = standard_tables(data, done, behind, options)
    tables |= answer_tables(data, options)
    tables |= paired_tables(pairs, every, scores, options)
    tables |= timing_tables(data, ever, every, chosen, options)
    tables["touchpoints"] = touchpoint_table(t, unit, level=options.level, smallest=smallest)
    tables["flow"] = flow_table(data, t, r, done.collected, pairs)
    tables["estimates"] = side_by_side(data, done, behind, scores, tables["weights"], options)
    tables["robustness"] = robustness_table(
        t,
        r,
        unit,
        done.result,
        done.known,
        behind,
        level=options.level,
        weighted=bool(options.weighted),
    )
    tables["estimands"] = estimands_table(done, behind, scores, tables["later"])
    return _result(tables, data, done, scores, options)


def _result(
    tables: Tables,
    data: ProgrammeData,
    done: Standardised,
    scores: OnePerAnswer,
    options: Options,
) -> NpsComparison:
    flips = not_robust(tables["robustness"])
    # what is lacking altogether is said in a sentence, once
    of_files = [*done.collected.notes, done.note] if done.collected else []
    return NpsComparison(
        **tables,
        pair_variance=pair_variance(scores, options.min_group_size),
        not_robust=flips,
        sentences=tuple(_sentences(tables, data, done, len(scores.r_score), flips, options)),
        n_missing={
            "transactional": int((~data.transactional.valid).sum()),
            "relationship": int((~data.relationship.valid).sum()),
        },
        level=options.level,
        min_group_size=options.min_group_size,
        replicates=done.result.n if done.result else 0,
        replicates_not_converged=done.result.n_not_converged if done.result else 0,
        notes=tuple(note for note in (*data.segment_notes, *of_files) if note),
    )


def _sentences(
    tables: Tables,
    data: ProgrammeData,
    done: Standardised,
    n_pairs: int,
    flips: dict[str, list[str]],
    options: Options,
) -> list[str]:
    level = options.level
    said = [gap_sentence(tables["estimates"], level)]
    if done.result is not None:
        less = interval(combination(done.result, GAP_LESS)[1], level)[1:]
        said += standardised_sentence(tables, less, level)
    said += weighting_sentence(tables["scores"], tables["estimates"], options.weighted)
    said += _about_the_gap(tables, done, level)
    return [
        *said,
        paired_sentence(tables["paired"], level, n_pairs, _why_no_pairs(data)),
        *robustness_sentences(flips, tables["robustness"]),
    ]


def _about_the_gap(tables: Tables, done: Standardised, level: float) -> list[str]:
    if done.result is None:
        return [
            *identity_sentence(tables["identity"], level),
            *overlap_sentence(tables["scores"], level),
            *segment_sentences(tables["segment_gaps"], level),
            unknown_sentence(done.reason),
        ]
    unreachable = done.engine is not None and len(done.engine.unreachable) > 0
    return [
        *part_sentences(tables["decomposition"], level),
        *identification_sentences(
            *(tables[name] for name in ("decomposition", "tilting", "tipping", "checks"))
        ),
        *([EXEMPTION_ADVICE] if unreachable else []),
    ]


def _why_no_pairs(data: ProgrammeData) -> str:
    """Why answers cannot be paired at all; empty if they can."""
    if not data.has_customers:
        return "The answers don't name their customer: there is no same-customer contrast."
    for survey in (data.transactional, data.relationship):
        if len(survey) and np.isnan(survey.responded).all():
            return "The answers have no dates: there is no same-customer contrast within a window."
    return ""
