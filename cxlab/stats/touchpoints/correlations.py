"""Each touchpoint's score against the overall experience."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.design import Design, DesignLike, as_design
from cxlab.core.frames import as_list, check_choice, check_columns
from cxlab.stats.association import TABLE_COEFFICIENTS, JointCounts, PairEstimates
from cxlab.stats.inference import check_level
from cxlab.stats.touchpoints.fitting import count_pairs, fit_coefficients
from cxlab.stats.touchpoints.halo import MISSING, correlate_together, halo_table
from cxlab.stats.touchpoints.occasions import find_occasion
from cxlab.stats.touchpoints.ranking import place_touchpoints, replicate_coefficients
from cxlab.stats.touchpoints.result import TouchpointCorrelations
from cxlab.stats.touchpoints.scores import Range, observed_scale, touchpoint_scores
from cxlab.stats.touchpoints.tables import coefficient_table, headline_table, missing_table

Array = NDArray[np.float64]


def touchpoint_correlations(
    data: Any,
    outcome: str | Sequence[str],
    touchpoints: str | Sequence[str],
    *,
    occasion: str,
    coefficient: str = "pearson",
    scale: Range | None = None,
    top_box: Range | Mapping[str, Range] | None = None,
    design: DesignLike = None,
    missing: str = "em",
    level: float = 0.95,
    replicates: int = 1000,
    seed: int = 0,
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
    coefficient : {"pearson", "spearman", "tau_b", "polychoric"}
        Headline coefficient: the one that is ranked and tested.
    scale : (low, high), optional
        Ends of the touchpoints' scale, for floor and ceiling; a rating outside is refused.
        Default: the lowest and highest rating seen.
    top_box : (low, high) or mapping of touchpoint to (low, high), optional
        Ratings that count as good.
    design : Design or mapping, optional
        The survey design, such as ``study.design``.
    missing : {"em", "pairwise"}
        How partial and semi-partial coefficients and R² cope with holes: maximum likelihood
        where answers are missing at random given the others, or each correlation on its
        own rows (faster).
    level : float
        Of all intervals.
    replicates, seed : int
        Resamples of clusters behind the rank intervals, which hold for all touchpoints at
        once.

    Returns
    -------
    TouchpointCorrelations
        A touchpoint that nobody used, that fewer than 3 rated, that is constant or a copy
        of another keeps its row, with the reason.

    Raises
    ------
    ValueError
        For unknown columns or choices, repeated or shared columns, ratings that are not
        finite or off the scale, bad weights.
    TypeError
        For text where ratings are needed.

    Notes
    -----
    All coefficients come from weighted rating × rating tables. Pearson, Spearman, tau-b and
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
    design = as_design(design)
    declared = find_occasion(occasion)
    check_level(level)
    check_choice("coefficient", coefficient, TABLE_COEFFICIENTS)
    check_choice("missing", missing, MISSING)
    _check_names(data, outcomes, names, design)
    counts = count_pairs(data, outcomes, names, design, scale)
    fits = fit_coefficients(data, counts, design, level=level)
    together = correlate_together(data, counts, missing=missing, weights=design.weights)
    ends = scale or observed_scale(data, names)
    scores = touchpoint_scores(data, names, scale=ends, top_box=top_box, level=level, design=design)
    long = coefficient_table(fits, together.models, counts, declared.code, level)
    places, rank_method = _places(counts, fits[coefficient], replicates, seed, level)
    table = headline_table(long, coefficient, places, counts, scores)
    return TouchpointCorrelations(
        table=table,
        coefficients=long,
        scores=scores,
        halo=halo_table(together, fits["pearson"], counts, missing=missing, level=level),
        occasion=declared,
        coefficient=coefficient,
        level=level,
        n_missing=missing_table(table, counts.n_rows),
        scale=ends,
        scale_declared=scale is not None,
        fits=fits,
        **_facts(counts, outcomes, names, design),
        rank_method=rank_method,
    )


def _facts(
    counts: JointCounts, outcomes: list[str], names: list[str], design: Design
) -> dict[str, Any]:
    """What the result says of the sample and of the family of tests."""
    return {
        "outcomes": tuple(outcomes),
        "touchpoints": tuple(names),
        "n_rows": counts.n_rows,
        "design": _design_words(design, counts),
        "family": f"Benjamini–Hochberg over {len(names)} touchpoints × one outcome",
        "note": counts.units.design.note,
    }


def _check_names(data: Any, outcomes: list[str], names: list[str], design: Design) -> None:
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
    check_columns(data, {"outcome": outcomes, "touchpoints": names, **design.columns()})


def _places(
    counts: JointCounts, fit: PairEstimates, replicates: int, seed: int, level: float
) -> tuple[pd.DataFrame, str]:
    """Places with their intervals per outcome, and how they were made."""
    estimate = fit.table["estimate"].to_numpy()
    drawn = replicate_coefficients(
        counts, fit.coefficient, estimate, fit.covariance, replicates=replicates, seed=seed
    )
    # without a standard error there is nothing to say of a place
    estimate = np.where(fit.table["se"].notna(), estimate, np.nan)
    parts = []
    for outcome in dict.fromkeys(y for _, y in counts.pairs):
        inside = [number for number, pair in enumerate(counts.pairs) if pair[1] == outcome]
        parts.append(
            place_touchpoints(
                estimate[inside], drawn.values[:, inside], fit.df[inside], level=level
            )
        )
    return pd.concat(parts, ignore_index=True), drawn.method


def _design_words(design: Design, counts: JointCounts) -> str:
    if design.simple:
        return f"{counts.n_rows:,} answers, taken as a simple random sample"
    parts = [f"weights {design.weights}"] if design.weights else []
    if design.cluster:
        known = "" if counts.units.lumped else f" ({counts.units.n_units:,})"
        parts.append(f"clusters {design.cluster}{known}")
    if design.strata:
        parts.append(f"strata {design.strata} ({len(counts.units.sampled):,})")
    return f"{counts.n_rows:,} answers; " + ", ".join(parts)
