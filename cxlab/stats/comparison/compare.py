"""`compare_tnps_rnps`: the files of a programme → what the gap is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.frames import as_list, check_choice
from cxlab.stats.comparison.contract import SURVEY_TYPES, Columns, Rules
from cxlab.stats.comparison.disclosure import (
    ComparisonGate,
    Tables,
    check_min_group_size,
    pool_small_groups,
)
from cxlab.stats.comparison.gaps import raw_gap, robustness_table
from cxlab.stats.comparison.identity import (
    AmongAnswers,
    among_answers,
    customers_of,
    identity_table,
    segment_gaps,
    segment_groups,
)
from cxlab.stats.comparison.paired.pairs import (
    RULES,
    SCORE_RULES,
    WINDOWS,
    OnePerAnswer,
    apply_rule,
    categories_table,
    margin_tests,
    migration_table,
    pair_answers,
    pair_variance,
    paired_table,
    sensitivity_table,
    window_table,
    windows_taken,
)
from cxlab.stats.comparison.paired.timing import (
    delay_of,
    delay_table,
    later_table,
    regression_table,
)
from cxlab.stats.comparison.programme import Answers, ProgrammeData, read_programme
from cxlab.stats.comparison.result import NpsComparison
from cxlab.stats.comparison.scores import (
    answers_behind,
    estimates_table,
    flow_table,
    scores_table,
    shares_table,
    touchpoint_table,
)
from cxlab.stats.comparison.sentences import sentences_of
from cxlab.stats.comparison.standardised.asked import in_periods
from cxlab.stats.comparison.standardised.decomposition import (
    ASSUMPTION,
    NOT_IDENTIFIED,
    Standardised,
    no_decomposition,
    standardise,
)
from cxlab.stats.inference import check_level

ONLY_ANSWERS = "estimated among those who answered only"


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
    pairing : {"last before", "every answer", "mean", "half-life", "peak–end"}
        Which transactional answer, or what of several, is set against a relationship
        answer ("half-life": an answer counts half as much after 30 days). Choose it before
        looking; all are shown as sensitivity.
    window_days : float
        How long before a relationship answer a transactional one may lie; days.
    weights : str or mapping of str to str, optional
        The surveys' own weights: one column, or survey to column. Weighted scores are
        shown beside the unweighted ones; everything else counts answers alike.
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
    check_choice("pairing", pairing, RULES)
    check_level(level)
    if not 0 < window_days < np.inf:
        raise ValueError(f"`window_days` must be a number of days above 0; got {window_days}.")
    if isinstance(replicates, bool) or int(replicates) != replicates or replicates < 0:
        raise ValueError(f"`replicates` must be a whole number of 0 or more; got {replicates}.")
    names = replace(Columns(), customer=customer, score=score, weights=weights)
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
        score=names.score,
        periods=as_list(periods) or None,
        pairing=pairing,
        window_days=float(window_days),
        level=level,
        replicates=int(replicates),
        seed=seed,
        weighted=tuple(s for s in SURVEY_TYPES if names.weights_of(s)),
        min_group_size=check_min_group_size(min_group_size),
    )
    window = pool_small_groups(in_periods(data, options.periods), options.min_group_size)
    return _compare(window, data.transactional, contact_rules, options)


@dataclass(frozen=True)
class Options:
    """What the caller of `compare_tnps_rnps` chose."""

    score: str
    periods: Sequence[str] | None
    pairing: str
    window_days: float
    level: float
    replicates: int
    seed: int
    weighted: Sequence[str]
    min_group_size: int


def _compare(data: ProgrammeData, ever: Answers, rules: Rules, options: Options) -> NpsComparison:
    """Compare the window; ``ever`` are the transactional answers of any time, for pairing."""
    level = options.level
    done = standardise(
        data,
        rules,
        options.periods,
        level=level,
        replicates=options.replicates,
        seed=options.seed,
        fewest=options.min_group_size,
    )
    found = among_answers(data, replicates=options.replicates, seed=options.seed)
    behind = answers_behind(data, done)
    rule = options.pairing if options.pairing in SCORE_RULES else "last before"
    every = pair_answers(ever, data.relationship, longest=max(options.window_days, *WINDOWS))
    pairs = every.within(options.window_days)
    # a mean of several answers is no category: the net score takes the last
    scores = apply_rule(pairs, rule)
    windows = windows_taken(every, options.pairing, options.window_days)
    weighted = bool(options.weighted)
    t = data.transactional
    gap = raw_gap(t, data.relationship)
    tables: Tables = {
        "decomposition": no_decomposition(gap.estimate, gap.se, *gap.limits(level)),
        **done.tables(level=level),
        "scores": scores_table(data, found, weighted=weighted, level=level),
        "shares": shares_table(data, weighted=weighted, level=level),
        "identity": identity_table(found, level=level),
        "segment_gaps": segment_gaps(found, level=level),
        "segments": segment_groups(found),
        "flow": flow_table(data, done, pairs),
        "estimates": estimates_table(data, done, behind, scores, level=level),
        "touchpoints": touchpoint_table(t, level=level),
        "paired": paired_table(scores, level=level),
        "migration": migration_table(scores),
        "categories": categories_table(scores),
        "margins": margin_tests(scores),
        "sensitivity": sensitivity_table(pairs, chosen=options.pairing, level=level),
        "windows": window_table(windows, options.pairing, level=level),
        "delays": delay_table(t, level=level),
        "regression": regression_table(windows[options.window_days], level=level),
        "later": later_table(ever, data.relationship, every, level=level),
        "robustness": robustness_table(data, done, level=level, weighted=weighted),
    }
    gate = _gate(data, done, found, behind, windows, options)
    return _result(gate.shown(tables), data, done, scores, gate, options)


def _gate(
    data: ProgrammeData,
    done: Standardised,
    found: AmongAnswers,
    behind: Mapping[str, np.ndarray],
    windows: Mapping[float, OnePerAnswer],
    options: Options,
) -> ComparisonGate:
    """The counts that the tables are hidden by."""
    t, cells = data.transactional, np.empty(0)
    if done.result is not None and done.collected is not None:
        rows, n_cells = done.collected.episodes, len(done.collected.cells)
        cells = customers_of(rows.cell[rows.answered], rows.customer[rows.answered], n_cells)
    lost = {"touchpoints": t.touchpoint.isna().to_numpy(), "delays": np.isnan(delay_of(t))}
    return ComparisonGate(
        smallest=options.min_group_size,
        behind=behind,
        people=found.people,
        cells=cells,
        windows=windows,
        window_days=options.window_days,
        unplaced={k: len(np.unique(t.customer[t.valid & rows])) for k, rows in lost.items()},
        pooled=data.pooled,
    )


def _result(
    tables: Tables,
    data: ProgrammeData,
    done: Standardised,
    scores: OnePerAnswer,
    gate: ComparisonGate,
    options: Options,
) -> NpsComparison:
    residual = tables["decomposition"].set_index("term")["estimate"].get("residual", np.nan)
    sentences = sentences_of(
        tables,
        data,
        done,
        tipping=done.tipping(residual),
        n_pairs=len(scores.customer),
        weighted=options.weighted,
        level=options.level,
    )
    answers = data.surveys.items()
    return NpsComparison(
        **tables,
        table=tables["decomposition" if done.result is not None else "identity"],
        estimands=_estimands(done, gate, scores, tables["later"]),
        pair_variance=np.nan if gate.few_pairs else pair_variance(scores),
        sentences=tuple(sentences),
        n_missing=pd.DataFrame(
            {
                "column": [f"{options.score} of the {survey} answers" for survey, _ in answers],
                "n_missing": [int((~one.valid).sum()) for _, one in answers],
            }
        ),
        notes=tuple(note for note in (*data.notes, *_notes(done)) if note),
        min_group_size=options.min_group_size,
    )


def _notes(done: Standardised) -> list[str]:
    """Notes of the files; what is lacking altogether is said in a sentence, once."""
    notes = [*done.collected.notes, done.note] if done.collected else []
    if done.result is not None and done.result.n_not_converged:
        notes.append(f"{done.result.n_not_converged:,} fits of the bootstrap did not converge")
    return notes


def _estimands(
    done: Standardised, gate: ComparisonGate, scores: OnePerAnswer, later: pd.DataFrame
) -> pd.DataFrame:
    """What is estimated: ``estimand, what, status``."""
    known = done.known if done.result is not None else None
    relationship = known.relationship if known else NOT_IDENTIFIED
    transactional = known.transactional if known else NOT_IDENTIFIED
    both = "; ".join(dict.fromkeys(part for part in (transactional, relationship) if part))
    words = f"fewer than {gate.smallest} customers: too few to say"
    few_of_gap = gate.few("gap") or gate.few("standardised gap")
    n = len(scores.customer)
    pairs = f"too few pairs ({n}) to say" if gate.few_pairs else "" if n else "no pairs"
    rows = {
        "E1": (
            "rNPS of the customer base, each customer counted once",
            words if gate.few("C0") else relationship,
        ),
        "E2": (
            "tNPS of all eligible episodes, and each user counted once",
            words if gate.few("B2") else transactional,
        ),
        "E3": ("same customers, both surveys, within the window", pairs),
        "E4": (
            "what tNPS − rNPS as collected is made of",
            words if few_of_gap else both if known else ONLY_ANSWERS,
        ),
        "E5": (
            "does one score go with the other one later",
            "" if later["estimate"].notna().any() else "too few pairs to say",
        ),
    }
    assumed = f"estimated, {ASSUMPTION}"
    return pd.DataFrame(
        [
            (name, what, status or (assumed if name in ("E1", "E2", "E4") else "estimated"))
            for name, (what, status) in rows.items()
        ],
        columns=["estimand", "what", "status"],
    )
