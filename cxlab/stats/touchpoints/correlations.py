"""Each touchpoint's score against the overall experience."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from cxlab.core.design import DesignLike
from cxlab.core.disclosure.gate import ANSWERS, CUSTOMERS, answered_by_few
from cxlab.core.display import with_display
from cxlab.core.frames import Opened, as_list, check_choice
from cxlab.core.threads import one_blas_thread
from cxlab.stats.association.coefficients import correlation_of_sums
from cxlab.stats.association.counts import JointCounts, joint_counts
from cxlab.stats.association.estimates import (
    COEFFICIENTS,
    FEW_DEGREES_OF_FREEDOM,
    PERFECT,
    PairEstimates,
    correlation_interval,
    correlation_p_value,
    pair_estimates,
)
from cxlab.stats.association.partial import JointModel
from cxlab.stats.inference import adjust_p_values, check_level, joint_places
from cxlab.stats.resampling import bootstrap_multipliers
from cxlab.stats.touchpoints.halo import MISSING, correlate_together, halo_table
from cxlab.stats.touchpoints.result import TouchpointCorrelations, check_occasion
from cxlab.stats.touchpoints.users import count_use, open_answers

Array = NDArray[np.float64]

#: Polychoric less Pearson above which the ends of the scale hide association.
CEILING_GAP = 0.10

#: Up to this many clusters (or rows) they are resampled; above, draws come from the
#: normal limit of the estimates with their Taylor covariance.
MOST_RESAMPLED = 20_000


@one_blas_thread
def touchpoint_correlations(
    data: Any,
    outcome: str | Sequence[str],
    touchpoints: str | Sequence[str],
    *,
    occasion: str,
    design: DesignLike = None,
    missing: str = "em",
    level: float = 0.95,
    replicates: int = 1000,
    seed: int = 0,
    min_group_size: int = 1,
    labels: Mapping[str, str] | None = None,
) -> TouchpointCorrelations:
    """Correlate each touchpoint's score with one or more outcomes.

    Parameters
    ----------
    data
        pandas, Polars, DuckDB, Ibis or PySpark frame, one row per answer. Null or NaN: not
        answered. Beside a rating ``x`` a text column ``x_missing`` may hold the reason.
    outcome : str or sequence of str
        The overall experience: satisfaction, advocacy, or both side by side.
    touchpoints : str or sequence of str
        Rating columns. Each is paired with each outcome on its own rows; nothing is filled
        in for a touchpoint that was not used.
    occasion : {"A", "B", "C", "D"}
        When the two were measured: A same survey; B same survey, overall asked first; C
        separate occasions, linked; D operational figure against survey. Required, because
        the same number means something else in each.
    design : Design or mapping, optional
        The survey design, such as ``study.design``.
    missing : {"em", "pairwise"}
        How partial and semi-partial coefficients and R² treat missing ratings: maximum likelihood
        where answers are missing at random given the others, or each correlation on its
        own rows (faster).
    level : float
        Of all intervals.
    replicates, seed : int
        Bootstrap replicates of clusters behind the rank intervals, which hold for all
        touchpoints at once.
    min_group_size : int
        Touchpoints that fewer customers than this have rated are left out and called hidden;
        1 hides none.
    labels : mapping of str to str, optional
        Column to the words that readers know, such as ``study.short_labels``.

    Returns
    -------
    TouchpointCorrelations
        A touchpoint that nobody used, that fewer than 3 rated, that is constant or a copy
        of another keeps its row, with the reason.

    Raises
    ------
    ValueError
        For unknown columns or choices, repeated or shared columns, ratings that are not
        finite, bad weights.
    TypeError
        For text where ratings are needed.

    Notes
    -----
    All coefficients come from weighted rating × rating tables. Pearson's r is ranked and
    compared. Pearson, Spearman, tau-b and
    polychoric use each touchpoint's own pairs; partial and semi-partial are given all other
    touchpoints and answer "as if everyone had used everything"; those set aside are named.
    Intervals are Student's t on atanh with the design's degrees of freedom. p-values are
    adjusted by Benjamini–Hochberg within one coefficient × one outcome. ``ceiling_flag``:
    the polychoric exceeds Pearson by more than 0.10 in size.
    Association is not effect: the words are "goes with".

    References
    ----------
    Devlin, Gnanadesikan & Kettenring (1975), Biometrika 62, 531–545. Olsson (1979),
    Psychometrika 44, 443–460. Benjamini & Hochberg (1995), JRSS B 57, 289–300. Mogstad,
    Romano, Shaikh & Wilhelm (2024), Review of Economic Studies 91, 476–518.

    Examples
    --------
    >>> answers = pd.DataFrame({
    ...     "shops": [3, 4, 5, 5, 2, None], "wifi": [1, 5, 2, 4, 3, 3],
    ...     "overall": [3, 5, 4, 5, 2, 4],
    ... })
    >>> result = touchpoint_correlations(answers, "overall", ["shops", "wifi"], occasion="A")
    >>> result.table[["touchpoint", "n", "estimate"]].round(3).values.tolist()
    [['shops', 5, 0.853], ['wifi', 6, 0.605]]
    """
    outcomes, names = as_list(outcome), as_list(touchpoints)
    check_occasion(occasion)
    check_level(level)
    check_choice("missing", missing, MISSING)
    _check_names(outcomes, names)
    opened = open_answers(data, {"outcome": outcomes, "touchpoints": names}, design)
    opened, used, few = _without_few(opened, [*outcomes, *names], min_group_size)
    counts = joint_counts(opened, names, outcomes)
    fits = {kind: pair_estimates(counts, kind, level=level) for kind in COEFFICIENTS}
    together = correlate_together(counts, missing=missing)
    known: dict[str, Any] = {"labels": labels or {}, "level": level}
    long = coefficient_table(fits, together.models, counts, occasion, **known)
    places, rank_method = _places(counts, fits["pearson"], replicates, seed, level)
    n_missing = (counts.n_rows - used["n_rated"]).rename("n_missing").rename_axis("column")
    counted = ANSWERS if opened.most_rows == 1 else CUSTOMERS
    hidden = dict.fromkeys(few, f"hidden: fewer than {min_group_size} {counted}")
    return TouchpointCorrelations(
        table=with_display(
            headline_table(long, places, used, hidden), units={"estimate": "r"}, **known,
            caption="Each touchpoint’s correlation, alone and with the others held equal",
            columns=("touchpoint", "outcome", "n", "estimate", "rank", "partial", "semi_partial"),
            sort=("-estimate",),
        ),
        n_missing=n_missing.reset_index(),
        notes=tuple(filter(None, [counts.units.design.note])),
        coefficients=long,
        halo=halo_table(together, fits["pearson"], counts, missing=missing, **known),
        outcomes=tuple(outcomes),
        touchpoints=tuple(names),
        occasion=occasion,
        level=level,
        rank_method=rank_method,
        fit=fits["pearson"],
        labels=labels or {},
    )  # fmt: skip


def _without_few(
    opened: Opened, names: list[str], least: int
) -> tuple[Opened, pd.DataFrame, list[str]]:
    """The answers without columns that few have rated, how the others were used, and those."""
    used = count_use(opened, names)
    few = used.index[answered_by_few(opened, names, used["n_rated"], least)].tolist()
    if not few:
        return opened, used, few
    used.loc[few] = 0
    # no rating of theirs is read again
    return opened.with_columns({name: nw.lit(None, nw.Float64) for name in few}), used, few


def _check_names(outcomes: list[str], names: list[str]) -> None:
    for argument, given in {"outcome": outcomes, "touchpoints": names}.items():
        if not given:
            raise ValueError(f"`{argument}` must be one or more columns; got none. Name one.")
        repeated = [name for name in given if given.count(name) > 1]
        if repeated:
            raise ValueError(
                f"`{argument}` must be different columns; got '{repeated[0]}' twice. Name it once."
            )
    both = [name for name in names if name in outcomes]
    if both:
        raise ValueError(
            f"`touchpoints` must not hold an outcome; got '{both[0]}' in both. Leave it out."
        )


def _places(
    counts: JointCounts, fit: PairEstimates, replicates: int, seed: int, level: float
) -> tuple[pd.DataFrame, str]:
    """Places with their intervals per outcome, and how they were made."""
    drawn, method = replicate_coefficients(counts, fit, replicates=replicates, seed=seed)
    # without a standard error there is nothing to say of a place
    estimate = fit.table["estimate"].where(fit.table["se"].notna()).to_numpy()
    outcomes, parts = np.array([y for _, y in counts.pairs]), []
    for outcome in dict.fromkeys(outcomes):
        of = outcomes == outcome
        parts.append(joint_places(estimate[of], drawn[:, of], fit.df[of], level=level))
    return pd.concat(parts, ignore_index=True), method


def coefficient_table(
    fits: dict[str, PairEstimates],
    models: dict[str, JointModel],
    counts: JointCounts,
    occasion: str,
    *,
    labels: Mapping[str, str],
    level: float,
) -> pd.DataFrame:
    """One row per touchpoint × outcome × coefficient."""
    pairs = pd.DataFrame(counts.pairs, columns=["touchpoint", "outcome"])
    pairs["occasion"] = occasion
    parts = [pairs.assign(coefficient=kind).join(fit.table) for kind, fit in fits.items()]
    parts += [
        _model_rows(models, kind, pairs, fits["pearson"].df, level)
        for kind in ("partial", "semi_partial")
    ]
    long = pd.concat(parts, ignore_index=True)
    families = long.groupby(["coefficient", "outcome"], sort=False)["p_value"]
    long["p_adjusted"] = families.transform(lambda family: adjust_p_values(family.to_numpy(float)))
    order = ["touchpoint", "outcome", "occasion", "coefficient", "n", "estimate", "se"]
    order += ["ci_low", "ci_high", "p_value", "p_adjusted", "df", "note"]
    return with_display(
        long[order], labels=labels, level=level, units={"estimate": "r"},
        caption="Coefficients of each touchpoint’s score with the outcomes",
        columns=("touchpoint", "outcome", "coefficient", "n", "estimate", "p_adjusted"),
    )  # fmt: skip


def _model_rows(
    models: dict[str, JointModel], kind: str, labels: pd.DataFrame, df: Array, level: float
) -> pd.DataFrame:
    rows = [
        _model_row(models[label.outcome], kind, label.touchpoint, float(df[number]))
        for number, label in enumerate(labels.itertuples())
    ]
    table = pd.DataFrame(rows, columns=["n", "estimate", "se", "df", "note"])
    estimate, se, alone = (table[name].to_numpy(float) for name in ("estimate", "se", "df"))
    table["ci_low"], table["ci_high"] = correlation_interval(estimate, se, alone, level=level)
    table["p_value"] = correlation_p_value(estimate, se, alone)
    return labels.assign(coefficient=kind).join(table)


def _model_row(
    model: JointModel, kind: str, name: str, df: float
) -> tuple[int, float, float, float, str]:
    """Pairs, estimate, standard error, degrees of freedom and note of one touchpoint."""
    nothing = float("nan")
    if name not in model.table.index:
        return 0, nothing, nothing, df, model.set_aside.get(name, model.note)
    row = model.table.loc[name]
    df, se, note = min(df, float(row["df"])), float(row[f"{kind}_se"]), ""
    if not np.isfinite(se):
        note = "no interval in data of this size"
    elif df < 1:
        se, note = nothing, "no interval: it rests on too few answers or clusters"
    elif df < FEW_DEGREES_OF_FREEDOM:
        note = f"only {df:.1f} degrees of freedom".replace(".0 ", " ")
    return int(row["n"]), float(row[kind]), se, df, note


def headline_table(
    long: pd.DataFrame, places: pd.DataFrame, used: pd.DataFrame, hidden: dict[str, str]
) -> pd.DataFrame:
    """One row per touchpoint × outcome: Pearson's r, its place and the partial coefficients."""
    labels = ["touchpoint", "outcome"]
    head = long[long["coefficient"] == "pearson"].reset_index(drop=True)
    wide = long.pivot(index=labels, columns="coefficient", values="estimate")
    wide = wide.loc[list(head[labels].itertuples(index=False, name=None))].reset_index(drop=True)
    used = used.loc[head["touchpoint"]].reset_index(drop=True)
    table = head.drop(columns=["coefficient", "df", "note"]).join(places)
    table[["partial", "semi_partial"]] = wide[["partial", "semi_partial"]]
    table["n_used"] = used["n_used"]
    table["ceiling_flag"] = wide["polychoric"].abs() - wide["pearson"].abs() > CEILING_GAP
    rows = zip(head["touchpoint"], head["outcome"], head["note"], table["rank"], strict=True)
    rated = used["n_rated"].tolist()
    table["note"] = [
        hidden.get(name) or hidden.get(outcome) or _note(note, rank, rated[number])
        for number, (name, outcome, note, rank) in enumerate(rows)
    ]
    return table


def _note(note: str, rank: Any, n_rated: int) -> str:
    if n_rated == 0:
        return "nobody rated it"
    if pd.isna(rank) and not note:
        return "not placed: too few pairs in its bootstrap replicates"
    return note


def replicate_coefficients(
    counts: JointCounts, fit: PairEstimates, *, replicates: int, seed: int
) -> tuple[Array, str]:
    """Replicates of Pearson's r of every pair, shape (replicates, pairs), and their origin.

    Clusters are resampled; in large data the replicates are draws from the normal limit.
    """
    units = counts.units
    if not units.lumped and 2 <= units.n_units <= MOST_RESAMPLED:
        unit = "clusters" if units.clustered else "rows"
        multipliers = bootstrap_multipliers(units.design, replicates, seed=seed)
        drawn = _pearson_replicates(counts, multipliers)
        return drawn, f"bootstrap of {unit}, {replicates:,} times"
    drawn = _normal_draws(fit, replicates, seed)
    return drawn, f"{replicates:,} draws from the estimates' normal limit"


def _pearson_replicates(counts: JointCounts, multipliers: Array) -> Array:
    cells, pairs = counts.cells, len(counts.pairs)
    x, y = _centred(cells, "x"), _centred(cells, "y")
    powers = (np.ones(len(cells)), x, y, x * x, y * y, x * y)
    entries = (np.arange(len(cells)), cells["pair"].to_numpy())
    shape = (len(cells), pairs)
    basis = sparse.hstack([sparse.coo_array((power, entries), shape=shape) for power in powers])
    moments = np.asarray((counts.by_unit @ basis.tocsr()).todense())
    sums = (multipliers.T @ moments).reshape(multipliers.shape[1], len(powers), pairs)
    return correlation_of_sums(sums.swapaxes(0, 1))


def _centred(cells: pd.DataFrame, name: str) -> Array:
    """Values less their pair's mean, in standard deviations: sums then lose no digits."""
    grouped = cells.groupby("pair")[name]
    spread = grouped.transform("std").fillna(0).to_numpy(float)
    centred = (cells[name] - grouped.transform("mean")).to_numpy(float)
    return centred / np.where(spread > 0, spread, 1.0)


def _normal_draws(fit: PairEstimates, replicates: int, seed: int) -> Array:
    """Draws on the scale of atanh, taken back."""
    estimate = fit.table["estimate"].to_numpy()
    known = np.abs(estimate) < PERFECT
    drawn = np.tile(estimate, (replicates, 1))
    slope = 1 / (1 - estimate[known] ** 2)
    spread = fit.covariance[np.ix_(known, known)] * np.outer(slope, slope)
    values, vectors = np.linalg.eigh(spread)
    root = vectors * np.sqrt(np.maximum(values, 0))
    normal = np.random.default_rng(seed).standard_normal((replicates, int(known.sum())))
    drawn[:, known] = np.tanh(np.arctanh(estimate[known]) + normal @ root.T)
    return drawn
