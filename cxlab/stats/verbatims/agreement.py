"""Whether coders agree: Krippendorff's alpha and Cohen's kappa."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cxlab.core.display import with_display
from cxlab.core.frames import check_choice, check_columns
from cxlab.core.messages import got
from cxlab.stats.inference import check_level, t_quantile

Array = NDArray[np.float64]
SCALES = ("nominal", "ordinal", "interval")
#: Below this α, conclusions are not to be drawn (Krippendorff 2004).
LEAST_ALPHA = 0.667
UNKNOWN = "agreement unknown: one coder"


def krippendorff_alpha(
    ratings: ArrayLike, *, scale: str = "nominal", level: float = 0.95
) -> tuple[float, float, float]:
    """Krippendorff's alpha of several coders, with its interval.

    Parameters
    ----------
    ratings : array_like of float, shape (coders, units)
        NaN where a coder did not rate a unit.
    scale : {"nominal", "ordinal", "interval"}
    level : float

    Returns
    -------
    (alpha, low, high)
        NaN where nothing varies, or no unit has two ratings; limits also where all agree.

    Notes
    -----
    ``α = 1 − D_o/D_e`` from the coincidences of values within units. The interval leaves out
    one unit at a time and is symmetric for ``log(1 − α)``, as α has 1 as its bound.

    References
    ----------
    Krippendorff (2011), Computing Krippendorff's alpha-reliability.

    Examples
    --------
    >>> two = [[1, 1, 0, 1, 0, 0, 1, 0], [1, 1, 0, 0, 0, 0, 1, 0]]
    >>> round(krippendorff_alpha(two)[0], 4)
    0.7619
    """
    check_choice("scale", scale, SCALES)
    level = check_level(level)
    rows = np.asarray(ratings, dtype=float)
    values, counts = _counts(rows)
    if len(values) < 2:
        return (np.nan,) * 3
    size = counts.sum(axis=1)[:, None, None]
    each = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(len(values))
    each = each / (size - 1)
    whole = each.sum(axis=0)
    alpha = float(_alpha(whole[None], values, scale)[0])
    if len(each) < 3 or alpha >= 1:
        return alpha, np.nan, np.nan
    left_out = _alpha(whole - each, values, scale)
    n = len(each)
    se = float(np.sqrt((n - 1) / n * np.nansum((left_out - np.nanmean(left_out)) ** 2)))
    factor = float(np.exp(t_quantile(level, n - 1) * se / (1 - alpha)))
    return alpha, 1 - (1 - alpha) * factor, 1 - (1 - alpha) / factor


def _counts(rows: Array) -> tuple[Array, Array]:
    """Values, and how often each was given to each unit that has two ratings or more."""
    values = np.unique(rows[~np.isnan(rows)])
    counts = (rows[:, :, None] == values).sum(axis=0).astype(float)
    return values, counts[counts.sum(axis=1) > 1]


def _alpha(coincidences: Array, values: Array, scale: str) -> Array:
    margins = coincidences.sum(axis=2)
    n = margins.sum(axis=1)
    apart = _distances(margins, values, scale)
    observed = (coincidences * apart).sum(axis=(1, 2))
    expected = (margins[:, :, None] * margins[:, None, :] * apart).sum(axis=(1, 2)) / (n - 1)
    return 1 - np.divide(observed, expected, out=np.full(len(n), np.nan), where=expected > 0)


def _distances(margins: Array, values: Array, scale: str) -> Array:
    """Squared distance of each pair of values, shape (replicates or 1, values, values)."""
    if scale == "nominal":
        return 1 - np.eye(len(values))[None]
    if scale == "interval":
        return ((values[:, None] - values) ** 2)[None]
    # ranks up to the middle of each value's own
    middle = np.cumsum(margins, axis=1) - margins / 2
    return (middle[:, :, None] - middle[:, None, :]) ** 2


def cohen_kappa(first: ArrayLike, second: ArrayLike) -> float:
    """Cohen's kappa of two codings of the same units; NaN where nothing varies.

    Examples
    --------
    >>> round(cohen_kappa([1, 1, 0, 0], [1, 0, 0, 0]), 3)
    0.5
    """
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    values = np.unique(np.concatenate([one, other]))
    chance = sum(float((one == v).mean() * (other == v).mean()) for v in values)
    return float(((one == other).mean() - chance) / (1 - chance)) if chance < 1 else np.nan


def coding_agreement(
    coding: pd.DataFrame,
    *,
    unit: str = "row",
    coder: str = "coder",
    themes: Sequence[str],
    level: float = 0.95,
) -> pd.DataFrame:
    """Agreement of coders, theme by theme.

    Parameters
    ----------
    coding : DataFrame
        One row per comment and coder; see `cxlab.read_coding`.
    unit, coder : str
        Columns of the comment and of the coder.
    themes : sequence of str
        Columns of 0 and 1.
    level : float

    Returns
    -------
    DataFrame
        One row per theme: ``theme``, ``n`` (comments of two coders or more), ``estimate``
        (Krippendorff's α), ``ci_low``, ``ci_high``, ``kappa`` (two coders), ``note``: one coder,
        or α below .667.

    Examples
    --------
    >>> sheet = pd.DataFrame({"row": [1, 2, 3, 4] * 2, "coder": [1] * 4 + [2] * 4,
    ...                       "rude": [1, 0, 0, 1, 1, 0, 0, 0]})
    >>> coding_agreement(sheet, themes=["rude"])[["theme", "n", "estimate"]].round(2)
      theme  n  estimate
    0  rude  4      0.53
    """
    check_columns(coding, {"unit": unit, "coder": coder, "themes": list(themes)})
    again = coding.loc[coding.duplicated([unit, coder]), unit]
    if len(again):
        raise ValueError(
            f"`coding` must hold each comment once per coder; got {got(list(again))} more than once."
        )
    rows = [
        _agreement(coding.pivot(index=coder, columns=unit, values=one), one, level)
        for one in themes
    ]
    columns = ["theme", "n", "estimate", "ci_low", "ci_high", "kappa", "note"]
    return with_display(
        pd.DataFrame(rows, columns=columns), caption="Agreement of coders",
        columns=("theme", "estimate", "kappa", "n"), level=level, units={"estimate": "r", "kappa": "r"},
        headers={"theme": "Theme", "estimate": "Krippendorff's α", "kappa": "Cohen's κ",
                 "n": "Comments of two coders"},
    )  # fmt: skip


def _agreement(wide: pd.DataFrame, theme: str, level: float) -> tuple[object, ...]:
    shared = wide.loc[:, wide.notna().sum() > 1].to_numpy(float)
    if shared.shape[1] == 0:
        return (theme, 0, *[np.nan] * 4, UNKNOWN)
    alpha, low, high = krippendorff_alpha(shared, level=level)
    kappa = cohen_kappa(*shared) if len(shared) == 2 else np.nan
    note = f"α below {LEAST_ALPHA}: define the theme better" if alpha < LEAST_ALPHA else ""
    return theme, shared.shape[1], alpha, low, high, kappa, note
