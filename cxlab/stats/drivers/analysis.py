"""Key drivers, from answers to result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.design import DesignLike, as_design
from cxlab.core.frames import check_choice
from cxlab.stats.covariance import MISSING
from cxlab.stats.drivers.answers import Answers, read_answers
from cxlab.stats.drivers.facts import (
    Part,
    Sample,
    analysis_notes,
    collinearity,
    covariance_table,
    family_of_tests,
    fit_table,
    kept_replicates,
    rows_used,
)
from cxlab.stats.drivers.groups import COMPARISONS, group_values, in_group, share_differences
from cxlab.stats.drivers.importance import ADDS_UP, METHODS
from cxlab.stats.drivers.outcomes import SCALES, recode_outcome
from cxlab.stats.drivers.reach import reach_adjusted
from cxlab.stats.drivers.replicates import Resample
from cxlab.stats.drivers.result import DriverAnalysis
from cxlab.stats.drivers.room import rating_shares
from cxlab.stats.drivers.tables import reach_table, users_table
from cxlab.stats.drivers.uncertainty import (
    make_resample,
)
from cxlab.stats.drivers.users import Options, among_users, dead_drivers, performance
from cxlab.stats.resampling import check_level

Array = np.ndarray

INTERVALS = ("bootstrap", "jackknife")
#: Groups with fewer rows are set aside.
FEWEST_ROWS = 30


def drivers(
    data: Any,
    outcome: str,
    drivers: Sequence[str] | Mapping[str, str],
    *,
    method: str = "lmg",
    missing: str = "em",
    design: DesignLike = None,
    by: str | None = None,
    compare: str = "complement",
    interval: str | None = "bootstrap",
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    adjusted: bool | None = None,
    outcome_scale: str = "continuous",
    segments: Sequence[str] = (),
    top_box: float | Mapping[str, float] | None = None,
    labels: Mapping[str, str] | None = None,
    full_replicates: int = 50,
) -> DriverAnalysis:
    """What goes with an outcome: importance of each driver, with honest intervals.

    Parameters
    ----------
    data
        Answers in a pandas, Polars, DuckDB, Ibis or PySpark frame. A rating ``x`` is
        blank unless answered; a text column ``x_missing`` beside it says why.
    outcome : str
        Numeric column. Rows without an outcome are left out and counted.
    drivers : sequence of str, or mapping of str to str
        Numeric columns, or column to label.
    method : {"lmg", "johnson", "first", "last", "betasq", "pratt", "car"}
        How R² is shared. "lmg" is the mean gain of R² over all orders.
    missing : {"em", "pairwise", "complete"}
        Treatment of blanks: see `cxlab.Moments.covariance`.
    design : Design or mapping, optional
        Columns of the survey design. Weights are 0 or more; clusters are nested in
        strata; a row without a cluster is its own; ``stratum_clusters`` is the number of
        clusters drawn in the row's stratum before any filter.
    by : str, optional
        Column of segments or waves: each group's drivers, and tests of differences.
    compare : {"complement", "pairs"}
        Test each group against all others, or every two groups.
    interval : {"bootstrap", "jackknife"} or None
        Percentile intervals of a row, cluster or stratified (Rao–Wu) bootstrap; or t
        intervals of a delete-a-group jackknife.
    replicates : int
        Bootstrap replicates.
    seed : int
        Seed of the replicates; the same seed gives the same digits.
    level : float
        Confidence level, between 0 and 1.
    adjusted : bool, optional
        For "lmg": importances of adjusted R², which removes the upward bias of small
        samples (small ones may be negative). Default: only with ``by``.
    outcome_scale : {"continuous", "ordinal", "binary", "nps"}
        "ordinal", "binary": R² of the latent outcome. "nps": −100, 0, 100.
    segments : sequence of str
        Columns of segments, as in ``study.segments``, by which some may be unable to use a
        touchpoint (who connects parks no car). Where a segment's reach of one is near 0
        (2 % or less, and surely below a quarter of that of the others), "among users" is
        estimated on the segments that use everything, and the notes say whom that leaves
        out: no treatment of blanks can tell what those who never use it would say.
    top_box : float or mapping of str to float, optional
        Smallest rating that counts as top box; default one below the highest answer.
    labels : mapping of str to str, optional
        Column to words.
    full_replicates : int
        For "em" without ``by``: how many replicates are checked by EM to the end.

    Returns
    -------
    DriverAnalysis
        ``.table`` has one row per driver, most important first: ``driver, label, n``
        (who rated it), ``estimate, se, ci_low, ci_high`` (importance in R² units),
        ``share`` (of R², with ``share_low, share_high``), ``rank`` (with ``rank_best,
        rank_worst``, the places that simultaneous tests of the differences allow it), ``reach`` (share who used it), ``mean``, ``top_box`` (share),
        ``correlation``, ``coefficient`` (of the full model, per rating point, with
        ``coefficient_low, coefficient_high``), ``p_value`` (of that coefficient),
        ``p_adjusted`` (Benjamini–Hochberg over the drivers), ``suppressor``, ``vif``,
        ``note, coefficient_se``. ``.reach_adjusted`` has the second estimand.

    Raises
    ------
    ValueError
        If there is nothing to explain, there are too few answers, or a name, weight or
        choice is wrong.
    TypeError
        If a column is text.

    Notes
    -----
    Two estimands. *Among users*: LMG of the EM covariance, "as if everyone used
    everything". *Reach-adjusted*: driver j is the pair V (used it: 0 or 1) and
    Z = V(x − mean among users); LMG of the R² of the outcome on all pairs. V is 1 where a
    rating was given and 0 where "never used" was said; any other blank tells neither, and
    both V and Z are then missing.

    An importance is above 0 for a driver without effect whenever drivers correlate, so
    its interval is never a test. The test is that of the coefficient in the full model,
    an association beyond the other ratings: coefficient ÷ standard error (HC3 for a
    simple sample without blanks, otherwise of the replicates), t on the design's degrees
    of freedom, or on those of the few answers that carry it (3 of 300 differ: 2). Ratings
    are measured with error, so a driver without effect may show an association that is
    left over from the others, the more so in large samples (Westfall & Yarkoni 2016).

    References
    ----------
    Lindeman, Merenda & Gold (1980). Grömping (2007), The American Statistician 61,
    139–147. Johnson (2000), Multivariate Behavioral Research 35, 1–19. MacKinnon & White
    (1985), Journal of Econometrics 29, 305–325 (HC3). Westfall & Yarkoni (2016), PLoS ONE
    11, e0152719.

    Examples
    --------
    >>> answers = pd.DataFrame({
    ...     "food": [1, 2, 3, 4, 5, 2, 4, 3], "wifi": [2, 1, 3, 5, 4, 4, 2, 3],
    ...     "overall": [1, 2, 3, 5, 5, 3, 4, 3]})
    >>> analysis = drivers(answers, "overall", ["food", "wifi"], replicates=200)
    >>> analysis.table[["driver", "n", "estimate", "share"]].round(3)
      driver  n  estimate  share
    0   food  8     0.676  0.702
    1   wifi  8     0.287  0.298
    """
    options = Options(
        method=method,
        missing=missing,
        outcome_scale=outcome_scale,
        adjusted=(by is not None and method == "lmg") if adjusted is None else adjusted,
        level=level,
        full_replicates=full_replicates if by is None and interval else 0,
    )
    _check_options(options)
    _check_arguments(interval, compare, replicates)
    answers = read_answers(
        data,
        outcome,
        drivers,
        design=as_design(design),
        by=by,
        segments=segments,
        labels=labels,
    )
    recoded = recode_outcome(answers.outcome, outcome_scale, outcome)
    answers = replace(answers, outcome=recoded)
    aside, kept = _set_aside(answers)
    sample = Sample(answers, answers.with_drivers(kept), kept, aside)
    resample, unit = make_resample(answers, interval, replicates, seed)
    top_from = _top_from(sample.kept, top_box)
    if by is None:
        part = _analyse(sample, sample.all, unit, resample, options, top_from)
        return _result(sample, {None: part}, pd.DataFrame(), resample, options)
    return _grouped(sample, unit, resample, options, top_from, compare)


def _analyse(
    sample: Sample,
    everything: Answers,
    unit: Array,
    resample: Resample,
    options: Options,
    top_from: Array,
) -> Part:
    answers = everything.with_drivers(sample.positions)
    users = among_users(answers, unit, resample, options)
    around = performance(answers, unit, resample, top_from)
    levels = rating_shares(answers, unit, resample)
    table = users_table(users, around, resample.kind, options.level)
    if options.method != "lmg":
        note = "Reach-adjusted importance is defined for method='lmg' only."
        return Part(users, None, note, around, levels, table, pd.DataFrame())
    try:
        reach = reach_adjusted(everything, unit, resample, options)
    except ValueError as error:
        note = f"Reach-adjusted importance could not be estimated: {error}"
        return Part(users, None, note, around, levels, table, pd.DataFrame())
    used = performance(everything, unit, resample, np.full(len(everything.names), np.inf))
    second = reach_table(everything, reach, used, resample.kind, users.df, options.level)
    return Part(users, reach, "", around, levels, table, second)


def _grouped(
    sample: Sample,
    unit: Array,
    resample: Resample,
    options: Options,
    top_from: Array,
    compare: str,
) -> DriverAnalysis:
    answers = sample.kept
    parts: dict[object, Part] = {}
    for value in group_values(answers):
        inside = in_group(answers, value)
        smallest = max(FEWEST_ROWS, len(answers.names) + 2)
        if inside.sum() < smallest:
            reason = f"{int(inside.sum())} rows, fewer than {smallest}"
            sample.aside.append({"group": value, "driver": "", "reason": reason})
            continue
        rows = sample.all.rows(inside)
        parts[value] = _analyse(sample, rows, unit[inside], resample, options, top_from)
    if not parts:
        raise ValueError(
            f"`by` must have a group of {FEWEST_ROWS} or more rows; got none. Take wider groups."
        )
    fits = {value: part.users for value, part in parts.items()}
    differences = share_differences(answers, fits, unit, resample, options, compare)
    return _result(sample, parts, differences, resample, options)


def _result(
    sample: Sample,
    parts: dict[object, Part],
    differences: pd.DataFrame,
    resample: Resample,
    options: Options,
) -> DriverAnalysis:
    answers = sample.kept
    first = next(iter(parts.values()))
    users = first.users
    fits = fit_table(parts, resample, options.level)
    return DriverAnalysis(
        table=_stack({value: part.table for value, part in parts.items()}),
        reach_adjusted=_stack({value: part.reach_table for value, part in parts.items()}),
        differences=differences,
        outcome=answers.outcome_name,
        outcome_scale=options.outcome_scale,
        method=options.method,
        missing=options.missing,
        interval=resample.kind,
        adjusted=options.adjusted,
        level=options.level,
        n=answers.n,
        n_total=answers.n_total,
        n_missing=answers.n_missing,
        r_squared=users.importance.r_squared,
        adjusted_r_squared=float(fits["adjusted_r_squared"][0]),
        r_squared_low=float(fits["ci_low"][0]),
        r_squared_high=float(fits["ci_high"][0]),
        reach_r_squared=first.reach.importance.r_squared if first.reach else float("nan"),
        fits=fits,
        rows_used=rows_used(answers),
        set_aside=pd.DataFrame(sample.aside, columns=["group", "driver", "reason"]),
        collinearity=collinearity(users),
        df=users.df,
        family=family_of_tests(parts, differences, answers.outcome_name),
        notes=analysis_notes(sample, parts, resample, options),
        covariances={value: covariance_table(part) for value, part in parts.items()},
        rating_ends={
            name: (float(np.nanmin(rating)), float(np.nanmax(rating)))
            for name, rating in zip(answers.names, answers.ratings.T, strict=True)
        },
        replicates={value: kept_replicates(part, resample) for value, part in parts.items()},
        adds_up=options.method in ADDS_UP,
    )


def _check_options(options: Options) -> None:
    check_choice("method", options.method, METHODS)
    check_choice("missing", options.missing, MISSING)
    check_choice("outcome_scale", options.outcome_scale, SCALES)
    check_level(options.level)
    if options.adjusted and options.method != "lmg":
        raise ValueError(
            f"`adjusted` must be False unless method='lmg'; got method='{options.method}'."
        )


def _check_arguments(interval: str | None, compare: str, replicates: int) -> None:
    if interval is not None:
        check_choice("interval", interval, INTERVALS)
    check_choice("compare", compare, COMPARISONS)
    if replicates < 2:
        raise ValueError(
            f"`replicates` must be 2 or more; got {replicates}. For none, interval=None."
        )


def _set_aside(answers: Answers) -> tuple[list[dict[str, object]], list[int]]:
    """Drivers that nobody rated, or all alike, and those that remain."""
    seen = (~np.isnan(answers.ratings)).sum(axis=0)
    dead = dead_drivers(answers.ratings)
    aside: list[dict[str, object]] = []
    for position in np.flatnonzero(dead):
        count = int(seen[position])
        reason = f"rated by {count}" if count < 2 else f"all {count:,} ratings are the same"
        aside.append({"group": "", "driver": answers.names[position], "reason": reason})
    kept = np.flatnonzero(~dead).tolist()
    if not kept:
        raise ValueError(
            f"`drivers` must have one whose ratings differ; got {aside[0]['driver']}: "
            f"{aside[0]['reason']} (and {len(aside) - 1} more)."
        )
    return aside, kept


def _top_from(answers: Answers, top_box: float | Mapping[str, float] | None) -> Array:
    highest = float(np.nanmax(answers.ratings))
    if top_box is None:
        return np.full(len(answers.names), highest - 1)
    if isinstance(top_box, Mapping):
        return np.array([float(top_box.get(name, highest - 1)) for name in answers.names])
    return np.full(len(answers.names), float(top_box))


def _stack(tables: dict[object, pd.DataFrame]) -> pd.DataFrame:
    if list(tables) == [None]:
        return tables[None]
    parts = []
    for value, table in tables.items():
        part = table.copy()
        part.insert(0, "group", value)
        parts.append(part)
    return pd.concat([part for part in parts if len(part.columns) > 1] or parts, ignore_index=True)
