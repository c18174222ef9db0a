"""Key drivers, from answers to result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.design import DesignLike
from cxlab.core.frames import check_choice
from cxlab.core.threads import one_blas_thread
from cxlab.stats.covariance import MISSING
from cxlab.stats.drivers.answers import (
    OUTCOME_SCALES,
    Answers,
    driver_names,
    read_answers,
    recode_outcome,
)
from cxlab.stats.drivers.estimands import (
    Options,
    Users,
    among_users,
    performance,
    rating_shares,
    reach_adjusted,
)
from cxlab.stats.drivers.importance import METHODS
from cxlab.stats.drivers.replicates import Resample, make_resample
from cxlab.stats.drivers.result import (
    DriverAnalysis,
    Replicates,
    collinearity,
    covariance_table,
    fit_rows,
    fits_table,
    reach_table,
    rows_used,
    stacked,
    users_notes,
    users_table,
)
from cxlab.stats.drivers.sums import sums_analysis
from cxlab.stats.resampling import SampledSums, check_level

Array = np.ndarray

#: Groups with fewer rows are set aside.
FEWEST_ROWS = 30


@one_blas_thread
def drivers(
    data: Any,
    outcome: str,
    drivers: Sequence[str] | Mapping[str, str],
    *,
    advocacy: str | None = None,
    method: str = "lmg",
    missing: str = "em",
    design: DesignLike = None,
    by: str | None = None,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    outcome_scale: str = "continuous",
    segments: Sequence[str] = (),
    top_box: float | Mapping[str, float] | None = None,
    labels: Mapping[str, str] | None = None,
) -> DriverAnalysis:
    """What goes with an outcome: importance of each driver, with its interval.

    Parameters
    ----------
    data
        Answers in a pandas, Polars, DuckDB, Ibis or PySpark frame. A rating ``x`` is
        blank unless answered; a text column ``x_missing`` beside it says why. Or sums that
        stand for answers, such as those of themes (`ThemeScores.sums`): the importances then
        have no tests, and only ``method``, ``replicates``, ``seed``, ``level`` and ``labels``
        count; ``by``, ``segments``, ``design`` and ``advocacy`` are refused.
    outcome : str
        Numeric column. Rows without an outcome are left out and counted.
    drivers : sequence of str, or mapping of str to str
        Numeric columns, or column to label.
    advocacy : str, optional
        Column of likelihood to recommend, 0 to 10: the same drivers of NPS, from the same
        resampling, as ``.advocacy`` of the result.
    method : {"lmg", "johnson", "first", "last", "betasq", "pratt", "car"}
        How R² is shared. "lmg" is the mean gain of R² over all orders; "johnson" (relative
        weights) is near it and faster. Others, to compare: R² alone, fall of R² when taken
        out, squared standardised coefficient, that times the correlation, CAR scores.
    missing : {"em", "pairwise", "complete"}
        Treatment of blanks: maximum likelihood under a multivariate normal from all rows,
        missing at random; each pair from the rows that have both; rows with every value only.
    design : Design or mapping, optional
        Columns of the survey design. Weights are 0 or more; clusters are nested in
        strata; a row without a cluster is its own; ``stratum_clusters`` is the number of
        clusters drawn in the row's stratum before any filter.
    by : str, optional
        Column of segments or waves: each group's drivers; importances by "lmg" are then of
        adjusted R², without the upward bias of small samples (small ones may be negative).
    replicates : int
        Of a row, cluster or stratified (Rao–Wu) bootstrap, whose percentiles are the
        intervals; a delete-a-group jackknife where they would be too many. 0: no intervals.
    seed : int
        Seed of the replicates; the same seed gives the same digits.
    level : float
        Confidence level, between 0 and 1.
    outcome_scale : {"continuous", "nps", "ordinal", "binary"}
        "nps": −100, 0, 100. "ordinal", "binary": R² of a latent normal outcome.
    segments : sequence of str
        Columns of segments, as in ``study.segments``, that may be unable to use a
        touchpoint (passengers in transit park no car). Where a segment's reach of one is
        near 0 (2 % or less, with an upper limit below a quarter of that of the others),
        "among users" is estimated on the segments that use everything, and the notes say
        who is left out: no treatment of missing ratings can know what those who never use
        it would say.
    top_box : float or mapping of str to float, optional
        Smallest rating that counts as top box; default one below the highest answer.
    labels : mapping of str to str, optional
        Column to words.

    Returns
    -------
    DriverAnalysis
        ``.table`` has one row per driver, most important first: ``driver, label, n``
        (who rated it), ``estimate, se, ci_low, ci_high`` (importance in R² units),
        ``share`` (of R², with ``share_low, share_high``), ``rank`` (with ``rank_low,
        rank_high``, the best and the worst place that simultaneous tests of the differences
        allow it), ``reach`` (share who used it), ``mean``, ``top_box`` (share),
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
    rating was given and 0 where "never used" was said; any other blank says neither, and
    both V and Z are then missing.

    An importance is above 0 for a driver without effect whenever drivers correlate, so
    its interval is never a test. The test is that of the coefficient in the full model,
    an association beyond the other ratings: coefficient ÷ standard error (HC3 for a
    simple sample without missing ratings, otherwise from the replicates), t on the design's
    degrees of freedom, or on those of the few answers that carry it (3 of 300 differ: 2).
    Of more than 100 million values some answers are drawn at random, and a note says so.
    Ratings are measured with error, so a driver without effect may show an association
    that the other ratings leave unexplained, the more so in large samples (Westfall &
    Yarkoni 2016).

    References
    ----------
    Lindeman, Merenda & Gold (1980). Grömping (2007), The American Statistician 61,
    139–147. Johnson (2000), Multivariate Behavioral Research 35, 1–19. MacKinnon & White
    (1985), Journal of Econometrics 29, 305–325 (HC3). Olsson, Drasgow & Dorans (1982),
    Psychometrika 47, 337–347 (latent outcomes). Westfall & Yarkoni (2016), PLoS ONE 11,
    e0152719. Zuber & Strimmer (2011), Statistical Applications in Genetics and Molecular
    Biology 10, 34 (CAR).

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
        adjusted=by is not None and method == "lmg",
        level=level,
    )
    _check_choices(options, replicates)
    if isinstance(data, SampledSums):
        ignored = {"advocacy": advocacy, "design": design, "by": by, "segments": segments or None}
        given = [name for name, value in ignored.items() if value is not None]
        if given:
            raise ValueError(
                f"`{given[0]}` must be left out where `data` are sums, which hold no rows; got "
                f"{ignored[given[0]]!r}. Make sums of each part, or with the design, instead."
            )
        words = {**data.labels, **(labels or {})}
        words |= drivers if isinstance(drivers, Mapping) else {}
        names = driver_names(drivers, outcome)
        return sums_analysis(
            data,
            outcome,
            {name: words.get(name, name) for name in names},
            options,
            replicates,
            seed,
        )
    read = partial(
        read_answers, data, drivers=drivers, design=design, by=by, segments=segments, labels=labels
    )
    make = partial(make_resample, replicates=replicates, seed=seed)
    found = _of_answers(read(outcome), options, make, top_box)
    if advocacy is None:
        return found
    nps = replace(options, outcome_scale="nps")
    return replace(found, advocacy=_of_answers(read(advocacy), nps, make, top_box))


def _of_answers(
    answers: Answers,
    options: Options,
    make: Callable[[Answers], tuple[Resample, Array]],
    top_box: float | Mapping[str, float] | None,
) -> DriverAnalysis:
    """The analysis of one outcome."""
    outcome = recode_outcome(answers.outcome, options.outcome_scale, answers.outcome_name)
    answers = replace(answers, outcome=outcome)
    kept, aside = _varying(answers)
    resample, unit = make(answers)
    top_from = _top_from(answers, kept, top_box)
    parts: dict[object, _Part] = {}
    for value, rows in _groups(answers, len(kept), aside).items():
        parts[value] = _analyse(answers.rows(rows), kept, unit[rows], resample, options, top_from)
    analysed = answers.with_drivers(kept)
    return _result(analysed, parts, aside, resample, options)


def _check_choices(options: Options, replicates: int) -> None:
    check_choice("method", options.method, METHODS)
    check_choice("missing", options.missing, MISSING)
    check_choice("outcome_scale", options.outcome_scale, OUTCOME_SCALES)
    check_level(options.level)
    if replicates < 0 or replicates == 1:
        raise ValueError(f"`replicates` must be 2 or more, or 0 for none; got {replicates}.")


def _varying(answers: Answers) -> tuple[list[int], list[dict[str, object]]]:
    """Positions of the drivers whose ratings differ, and why the others are set aside."""
    seen, dead = answers.ends[0], answers.dead
    aside: list[dict[str, object]] = []
    for position in np.flatnonzero(dead):
        count = int(seen[position])
        reason = f"rated by {count}" if count < 2 else f"all {count:,} ratings are the same"
        aside.append({"group": "", "driver": answers.names[position], "reason": reason})
    if dead.all():
        raise ValueError(
            f"`drivers` must have one whose ratings differ; got {aside[0]['driver']}: "
            f"{aside[0]['reason']} (and {len(aside) - 1} more)."
        )
    return np.flatnonzero(~dead).tolist(), aside


def _top_from(
    answers: Answers, kept: list[int], top_box: float | Mapping[str, float] | None
) -> Array:
    """Smallest rating in the top box of each driver."""
    top = float(answers.ends[2][kept].max()) - 1
    if isinstance(top_box, Mapping):
        return np.array([float(top_box.get(name, top)) for name in answers.names])
    return np.full(len(answers.names), top if top_box is None else float(top_box))


def _groups(answers: Answers, drivers: int, aside: list[dict[str, object]]) -> dict[object, Array]:
    """Rows of each group that is large enough; the others go to ``aside``. All rows without."""
    if answers.group is None:
        return {None: np.ones(answers.n, dtype=bool)}
    smallest = max(FEWEST_ROWS, drivers + 2)
    groups: dict[object, Array] = {}
    for value in _in_order(answers.group):
        inside = answers.in_group(value)
        if inside.sum() < smallest:
            reason = f"{int(inside.sum())} rows, fewer than {smallest}"
            aside.append({"group": value, "driver": "", "reason": reason})
        else:
            groups[value] = inside
    if not groups:
        raise ValueError(
            f"`by` must have a group of {FEWEST_ROWS} or more rows; got none. Take wider groups."
        )
    return groups


def _in_order(group: pd.Series) -> list[object]:
    """Groups in declared order (categories) or sorted."""
    if isinstance(group.dtype, pd.CategoricalDtype):
        present = set(group.unique())
        return [value for value in group.cat.categories if value in present]
    return sorted(group.unique(), key=lambda value: (str(type(value)), value))


@dataclass(frozen=True, eq=False)
class _Part:
    """Everything about one group."""

    users: Users
    reach_note: str
    table: pd.DataFrame
    reach_table: pd.DataFrame
    fits: list[dict[str, object]]
    replicates: Replicates


def _analyse(
    answers: Answers,
    kept: list[int],
    unit: Array,
    resample: Resample,
    options: Options,
    top_from: Array,
) -> _Part:
    """Both estimands of one group; the second one of all drivers, also those set aside."""
    used = performance(answers, unit, resample, top_from)
    around = {name: (one[kept], drawn[:, kept]) for name, (one, drawn) in used.items()}
    rated = answers.with_drivers(kept)
    users = among_users(rated, unit, resample, options)
    reach, note, second = None, "", pd.DataFrame()
    if options.method != "lmg":
        note = "Reach-adjusted importance is defined for method='lmg' only."
    else:
        try:
            reach = reach_adjusted(answers, unit, resample, options, users)
            second = reach_table(answers, reach, used, resample.kind, users.df, options.level)
        except ValueError as error:
            note = f"Reach-adjusted importance could not be estimated: {error}"
    replicates = Replicates(
        kind=resample.kind,
        share=users.importance.share_replicates,
        mean=around["mean"][1],
        reach=around["reach"][1],
        coefficient=users.coefficient_replicates,
        ratings=rating_shares(rated, unit, resample),
        df=users.df,
    )
    table = users_table(users, around, resample.kind, options.level)
    fits = fit_rows(users, reach, answers.n, resample, options.level)
    return _Part(users, note, table, second, fits, replicates)


def _result(
    answers: Answers,
    parts: dict[object, _Part],
    aside: list[dict[str, object]],
    resample: Resample,
    options: Options,
) -> DriverAnalysis:
    users = next(iter(parts.values())).users
    notes = _notes(answers, parts, aside, resample, options)
    return DriverAnalysis(
        table=stacked({value: part.table for value, part in parts.items()}),
        n_missing=answers.n_missing,
        notes=notes,
        reach_adjusted=stacked({value: part.reach_table for value, part in parts.items()}),
        fits=fits_table({value: part.fits for value, part in parts.items()}),
        rows_used=rows_used(answers),
        set_aside=pd.DataFrame(aside, columns=["group", "driver", "reason"]),
        outcome=answers.outcome_name,
        outcome_scale=options.outcome_scale,
        method=options.method,
        missing=options.missing,
        interval=resample.kind,
        adjusted=options.adjusted,
        level=options.level,
        n=answers.n,
        n_total=answers.n_total,
        collinearity=collinearity(users),
        df=users.df,
        family=_family(answers, parts),
        covariances={value: covariance_table(part.users) for value, part in parts.items()},
        labels=answers.labels,
        rating_ends={
            name: (float(low), float(high))
            for name, _, low, high in zip(answers.names, *answers.ends, strict=True)
        },
        replicates={value: part.replicates for value, part in parts.items()},
    )


def _family(answers: Answers, parts: dict[object, _Part]) -> str:
    """The tests among which false discoveries are controlled, in words."""
    text = f"{len(answers.names)} coefficients with '{answers.outcome_name}'"
    return text + (", per group" if len(parts) > 1 else "")


def _notes(
    answers: Answers,
    parts: dict[object, _Part],
    aside: list[dict[str, object]],
    resample: Resample,
    options: Options,
) -> tuple[str, ...]:
    """What was done, assumed and left out, in words."""
    found = [answers.design.note, resample.note]
    if answers.n < answers.n_total:
        left = answers.n_total - answers.n
        found.append(f"{left:,} rows without an outcome or group were left out.")
    if aside:
        found.append(f"{len(aside)} drivers or groups were set aside: see set_aside.")
    for value, part in parts.items():
        lead = "" if value is None else f"{value}: "
        found += [
            lead + note for note in [*users_notes(part.users, resample), part.reach_note] if note
        ]
    if options.latent:
        found.append(
            "R² is that of a latent normal outcome, not comparable with other kinds of R²."
        )
        if not options.adjusted:
            found.append("Shares are those of the outcome as scored.")
    if options.adjusted:
        found.append("Importances are of adjusted R²; small ones may be negative.")
    return tuple(dict.fromkeys(note for note in found if note))
