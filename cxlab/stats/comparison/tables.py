"""The tables of a comparison, by the question that they answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from cxlab.stats.comparison.bootstrap import resample
from cxlab.stats.comparison.bounds import tipping_points
from cxlab.stats.comparison.checks import contamination_check, no_contamination_check
from cxlab.stats.comparison.contract import Answers, ProgrammeData
from cxlab.stats.comparison.decomposition import (
    ASSUMPTION,
    bounds_table,
    decompose,
    no_decomposition,
    one_way,
    quantity_table,
    tilting_table,
)
from cxlab.stats.comparison.estimates import (
    estimates_table,
    paired_rows,
    raw_rows,
    standardised_rows,
    weights_table,
)
from cxlab.stats.comparison.gaps import raw_gap
from cxlab.stats.comparison.mix import hide_cells, mix_table
from cxlab.stats.comparison.paired import OnePerAnswer, Pairs, net_contrast
from cxlab.stats.comparison.paired_tables import (
    categories_table,
    margin_tests,
    migration_table,
    paired_table,
    sensitivity_table,
    window_table,
)
from cxlab.stats.comparison.respondents import identity_table, respondents
from cxlab.stats.comparison.scores import scores_table, shares_table
from cxlab.stats.comparison.segments import segment_tables, segments_of
from cxlab.stats.comparison.small import too_few
from cxlab.stats.comparison.standardise import Options, Standardised
from cxlab.stats.comparison.support import Support, hide_terms
from cxlab.stats.comparison.timing import delay_table, later_table, regression_table
from cxlab.stats.comparison.transport import transported_rows

Tables = dict[str, pd.DataFrame]
ONLY_ANSWERS = "estimated among those who answered only"


def standard_tables(
    data: ProgrammeData, done: Standardised, behind: Support, options: Options
) -> Tables:
    """What the gap is made of, and everything that needs the frame and the invitations."""
    if done.result is None or done.engine is None or done.collected is None:
        return _without_frame(data, done, behind, options.level)
    result, engine, known, level = done.result, done.engine, done.known, options.level
    cells = mix_table(done.collected)
    table = hide_terms(decompose(result, known, level=level), behind, cells)
    residual = float(table.set_index("term").loc["residual", "estimate"])
    unreachable = len(engine.unreachable) > 0
    bounds = bounds_table(result, unreachable=unreachable, level=level)
    smallest = options.min_group_size
    return {
        "decomposition": table,
        "one_way": behind.hide(one_way(result, known, level=level), "version"),
        "quantities": behind.hide(quantity_table(result, known, level=level), "quantity"),
        "tilting": behind.hide(tilting_table(result, done.limits, known, level=level), "term"),
        "bounds": behind.hide(bounds, "quantity"),
        "tipping": pd.DataFrame(tipping_points(engine, residual) if np.isfinite(residual) else []),
        "weights": behind.hide(weights_table(engine, trim=options.trim), "quantity"),
        "mix": hide_cells(cells, smallest),
        "checks": done.checks if done.checks is not None else pd.DataFrame(),
        "contamination": contamination_check(
            engine, done.collected, level=level, smallest=smallest
        ),
    }


def _without_frame(
    data: ProgrammeData, done: Standardised, behind: Support, level: float
) -> Tables:
    gap = raw_gap(data.transactional, data.relationship, data.unit)
    table = no_decomposition(gap.estimate, gap.se, *gap.limits(level))
    nothing = ("one_way", "quantities", "tilting", "bounds", "tipping", "weights", "mix", "checks")
    return {
        "decomposition": hide_terms(table, behind, pd.DataFrame()),
        "contamination": no_contamination_check(done.reason),
        **{name: pd.DataFrame() for name in nothing},
    }


def answer_tables(data: ProgrammeData, options: Options) -> Tables:
    """What the answers alone support: nothing is assumed of anybody who did not answer."""
    people, level, smallest = respondents(data), options.level, options.min_group_size
    found = segments_of(data, smallest)
    replicates = options.replicates if data.n_units > 1 else 0
    sums = sparse.vstack([people.sums, *(one.cells for one in found)]).tocsr()
    many = resample(sums, replicates, np.random.default_rng(options.seed))
    ends = np.cumsum([len(people.names), *(one.cells.shape[0] for one in found)])
    pieces = np.split(many, ends[:-1])
    estimate = people.scores(people.sums @ np.ones((data.n_units, 1)))
    spread = people.scores(pieces[0])
    cells = [
        piece.reshape(len(one.groups) + 1, 4, -1)
        for one, piece in zip(found, pieces[1:], strict=True)
    ]
    gaps, groups = segment_tables(found, cells, level=level)
    return {
        "scores": scores_table(
            data, people, estimate, spread, weighted=bool(options.weighted), level=level,
            smallest=smallest,
        ),
        "shares": shares_table(
            data, weighted=bool(options.weighted), level=level, smallest=smallest
        ),
        "identity": identity_table(people, estimate, spread, level=level, smallest=smallest),
        "segment_gaps": gaps,
        "segments": groups,
    }  # fmt: skip


def side_by_side(
    data: ProgrammeData,
    done: Standardised,
    behind: Support,
    scores: OnePerAnswer,
    weights: pd.DataFrame,
    options: Options,
) -> pd.DataFrame:
    """Raw, standardised and paired estimates as one table."""
    level = options.level
    rows = raw_rows(data.transactional, data.relationship, data.unit, level=level)
    rows += standardised_rows(
        done.result,
        done.engine,
        done.known,
        weights if len(weights) else None,
        behind,
        level=level,
    )
    if options.transport and done.engine is not None and done.result is not None:
        rows += transported_rows(done.engine, done.result, done.known, level=level)
    rows += paired_rows(scores, net_contrast(scores), level=level)
    return estimates_table(rows, behind)


def paired_tables(pairs: Pairs, every: Pairs, scores: OnePerAnswer, options: Options) -> Tables:
    """The same customers in both surveys, under every rule and window."""
    level, half_life, smallest = options.level, options.half_life, options.min_group_size
    return {
        "paired": paired_table(scores, level=level, smallest=smallest),
        "migration": migration_table(scores, smallest=smallest),
        "categories": categories_table(scores, smallest=smallest),
        "margins": margin_tests(scores, net_contrast(scores), smallest=smallest),
        "sensitivity": sensitivity_table(
            pairs, chosen=options.pairing, half_life=half_life, level=level, smallest=smallest
        ),
        "windows": window_table(
            every,
            rule=options.pairing,
            half_life=half_life,
            level=level,
            window_days=options.window_days,
            smallest=smallest,
        ),
    }


def timing_tables(
    data: ProgrammeData, ever: Answers, every: Pairs, chosen: OnePerAnswer, options: Options
) -> Tables:
    """When an answer came, and what goes with what later."""
    t, r, unit = data.transactional, data.relationship, data.unit
    level, smallest = options.level, options.min_group_size
    return {
        "delays": delay_table(t, unit, level=level, smallest=smallest),
        "regression": regression_table(chosen, level=level, smallest=smallest),
        "later": later_table(ever, r, every, unit, level=level, smallest=smallest),
    }


def estimands_table(
    done: Standardised, behind: Support, scores: OnePerAnswer, later: pd.DataFrame
) -> pd.DataFrame:
    """What is estimated: ``estimand, what, status``."""
    frame = done.result is not None
    missing = "" if frame else "not identified"
    relationship = missing or done.known.relationship
    transactional = missing or done.known.transactional
    both = "; ".join(dict.fromkeys(part for part in (transactional, relationship) if part))
    few = {name: behind.few(name) for name in ("C0", "B2", "gap", "standardised gap")}
    words = f"fewer than {behind.smallest} customers: too few to say"
    rows = [
        (
            "E1",
            "rNPS of the customer base, each customer counted once",
            words if few["C0"] else relationship,
        ),
        (
            "E2",
            "tNPS of all eligible episodes, and each user counted once",
            words if few["B2"] else transactional,
        ),
        (
            "E3",
            "same customers, both surveys, within the window",
            _pair_status(scores, behind.smallest),
        ),
        (
            "E4",
            "what tNPS − rNPS as collected is made of",
            words if few["gap"] or few["standardised gap"] else both if frame else ONLY_ANSWERS,
        ),
        (
            "E5",
            "does one score go with the other one later",
            "" if later["estimate"].notna().any() else "too few pairs to say",
        ),
    ]
    table = pd.DataFrame(rows, columns=["estimand", "what", "status"])
    assumed = table["estimand"].isin(("E1", "E2", "E4"))
    estimated = np.where(assumed, f"estimated, {ASSUMPTION}", "estimated")
    table["status"] = table["status"].mask(table["status"] == "", estimated)
    return table


def _pair_status(scores: OnePerAnswer, smallest: int) -> str:
    n = len(scores.r_score)
    if not n:
        return "no pairs"
    few = too_few(len(np.unique(scores.customer)), smallest)
    return f"too few pairs ({n}) to say" if few else ""
