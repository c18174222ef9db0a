"""The tables of a `TouchpointCorrelations`, put together from its parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.stats.association import (
    TABLE_COEFFICIENTS,
    JointCounts,
    JointModel,
    PairEstimates,
    correlation_interval,
    correlation_p_value,
)
from cxlab.stats.association.estimates import FEW_DEGREES_OF_FREEDOM
from cxlab.stats.inference import adjust_p_values

Array = NDArray[np.float64]

#: Polychoric less Pearson above which the ends of the scale hide association.
CEILING_GAP = 0.10


def coefficient_table(
    fits: dict[str, PairEstimates],
    models: dict[str, JointModel],
    counts: JointCounts,
    occasion: str,
    level: float,
) -> pd.DataFrame:
    """One row per touchpoint × outcome × coefficient."""
    labels = pd.DataFrame(counts.pairs, columns=["touchpoint", "outcome"])
    labels["occasion"] = occasion
    parts = [
        labels.assign(coefficient=kind)
        .join(fit.table.drop(columns="df"))
        .assign(df=fit.table["df"])
        for kind, fit in fits.items()
    ]
    df = fits["pearson"].df
    for kind in ("partial", "semi_partial"):
        parts.append(_model_rows(models, kind, labels, df, level))
    long = pd.concat(parts, ignore_index=True)
    adjusted = long.groupby(["coefficient", "outcome"], sort=False)["p_value"].transform(
        lambda family: adjust_p_values(family.to_numpy(float))
    )
    long["p_adjusted"] = adjusted
    order = ["touchpoint", "outcome", "occasion", "coefficient", "n", "estimate", "se"]
    order += ["ci_low", "ci_high", "p_value", "p_adjusted", "df", "note"]
    return long[order]


def _model_rows(
    models: dict[str, JointModel], kind: str, labels: pd.DataFrame, df: Array, level: float
) -> pd.DataFrame:
    rows = []
    for number, label in enumerate(labels.itertuples()):
        model = models[label.outcome]
        rows.append(_model_row(model, kind, label.touchpoint, float(df[number])))
    table = pd.DataFrame(rows, columns=["n", "estimate", "se", "df", "note"])
    estimate, se, alone = (table[name].to_numpy(float) for name in ("estimate", "se", "df"))
    table["ci_low"], table["ci_high"] = correlation_interval(estimate, se, alone, level=level)
    table["p_value"] = correlation_p_value(estimate, se, alone)
    return labels.assign(coefficient=kind).join(table)


def _model_row(
    model: JointModel, kind: str, name: str, df: float
) -> tuple[int, float, float, float, str]:
    nothing = float("nan")
    if name in model.set_aside:
        return 0, nothing, nothing, df, model.set_aside[name]
    if model.smallest_n == 0:
        return 0, nothing, nothing, df, model.note
    place = model.columns.index(name)
    value = getattr(model, kind)[place]
    df = df if model.df is None else min(df, float(model.df[place]))
    se, note = getattr(model, f"{kind}_se")[place], ""
    if not np.isfinite(se):
        note = "no interval in data of this size"
    elif df < 1:
        se, note = nothing, "no interval: it rests on too few answers or clusters"
    elif df < FEW_DEGREES_OF_FREEDOM:
        note = f"only {df:.1f} degrees of freedom".replace(".0 ", " ")
    return int(model.n[place]), float(value), float(se), df, note


def headline_table(
    long: pd.DataFrame,
    coefficient: str,
    places: pd.DataFrame,
    counts: JointCounts,
    scores: pd.DataFrame,
) -> pd.DataFrame:
    """One row per touchpoint × outcome, the headline coefficient in front."""
    labels = ["touchpoint", "outcome"]
    head = long[long["coefficient"] == coefficient].drop(columns=["coefficient", "df"])
    note = head.pop("note").reset_index(drop=True)
    table = pd.concat([head.reset_index(drop=True), places], axis=1)
    wide = long.pivot(index=labels, columns="coefficient", values="estimate")
    kinds = [*TABLE_COEFFICIENTS, "partial", "semi_partial"]
    table = table.merge(wide[kinds].reset_index(), on=labels, how="left")
    table["sd"] = _standard_deviations(counts)
    own = scores.drop(columns=["se", "use_recorded", "note"]).rename(
        columns={"n": "n_rated", "estimate": "mean", "ci_low": "mean_low", "ci_high": "mean_high"}
    )
    table = table.merge(own, on="touchpoint", how="left")
    gap = table["polychoric"].abs() - table["pearson"].abs()
    table["ceiling_flag"] = (gap > CEILING_GAP).fillna(False).astype(bool)
    table["note"] = [_note(*row) for row in zip(note, table["rank"], table["n_rated"], strict=True)]
    return table


def _note(note: str, rank: Any, n_rated: int) -> str:
    if n_rated == 0:
        return "nobody rated it"
    if pd.isna(rank) and not note:
        return "not placed: too few pairs for its resamples"
    return note


def _standard_deviations(counts: JointCounts) -> Array:
    """Weighted standard deviation of the scores behind each coefficient."""
    found = np.full(len(counts.pairs), np.nan)
    for number in range(len(counts.pairs)):
        cells = counts.pair(number)
        if len(cells):
            share = cells["weight"] / cells["weight"].sum()
            mean = (share * cells["x"]).sum()
            found[number] = np.sqrt((share * (cells["x"] - mean) ** 2).sum())
    return found


def missing_table(table: pd.DataFrame, n_rows: int) -> pd.DataFrame:
    """Rows without a complete pair."""
    return table[["touchpoint", "outcome"]].assign(n_missing=n_rows - table["n"])
