"""Control charts of a run of periods whose numbers of answers differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.display import with_display
from cxlab.core.messages import got, unknown
from cxlab.core.periods import in_order
from cxlab.core.result import Result
from cxlab.stats.metrics.estimates import FEW_DEGREES_OF_FREEDOM

Array = NDArray[np.float64]

#: With fewer baseline periods the limits are provisional.
ENOUGH_PERIODS = 12
#: With fewer there are none: a new period would be beyond them once in ten, with nothing new.
FEWEST_PERIODS = 5
#: XmR only while the largest period is smaller than this many times the smallest.
EVEN_SIZES = 1.5
#: Mean moving range of two normal values in units of their standard deviation (d₂).
MOVING_RANGE = 1.128
#: Limits lie this many sigmas from the centre.
SIGMAS = 3.0
#: As many periods in a row on one side of the centre are a signal.
RUN = 8
BEYOND = "beyond the limits"
RUN_OF_EIGHT = "run of eight"
#: Columns in the unit of the score.
LINES = ("estimate", "centre", "lower", "upper")
BOUNDS = {"points": (-100.0, 100.0), "%": (0.0, 100.0)}
#: Shares whose difference is the score, as `cxlab.nps` and as `cxlab.period_scores` name them.
SHARES = (("promoter_share", "detractor_share"), ("top_share", "bottom_share"))


@dataclass(frozen=True, eq=False, kw_only=True)
class ControlChart(Result):
    """A run of periods with the limits within which it varies by itself.

    Attributes
    ----------
    table : DataFrame
        One row per period: ``period``, ``n``, ``estimate``, ``centre``, ``lower``,
        ``upper``, ``signal`` (``beyond the limits``, ``run of eight``, both joined by a
        semicolon, or empty), ``z`` (distance from the centre in the chart's sigmas;
        beyond the limits is over 3), ``baseline`` (whether the limits come from it) and
        ``note``.
    kind : {"Laney", "XmR"}
    what : str
        What is charted: ``NPS``, ``% detractors``, or the metric's name.
    unit : str
        ``points``, ``%``, ``score`` or empty.
    centre : float
    sigma_z : float
        How much more the baseline periods vary than sampling makes them (1: not more).
        NaN on an XmR chart and without limits.
    baseline : tuple of str
        Periods that the limits come from.
    """

    kind: str
    what: str
    unit: str
    centre: float
    sigma_z: float
    baseline: tuple[str, ...]

    def __post_init__(self) -> None:
        limits = self.table[["lower", "centre", "upper"]].dropna().to_numpy(float)
        if (np.diff(limits, axis=1) < 0).any():
            raise ArithmeticError("The limits of a chart must lie on either side of its centre.")

    @property
    def signals(self) -> pd.DataFrame:
        """Rows of the table with a signal."""
        return self.table[self.table["signal"] != ""].reset_index(drop=True)

    def _head(self) -> tuple[str, ...]:
        return (f"{self.kind} chart of {self.what}, {len(self.baseline)} baseline periods",)


def control_chart(
    table: pd.DataFrame,
    *,
    baseline: int | Sequence[str] | None = None,
    min_group_size: int = MIN_GROUP_SIZE,
) -> ControlChart:
    """Which periods differ by more than the run of periods does by itself.

    Parameters
    ----------
    table : DataFrame
        What ``nps(..., by="period")`` returns, or one metric's rows of another table by
        period: ``group`` or ``period``, ``n``, ``estimate``; ``promoter_share`` and
        ``detractor_share``, or ``se``, for the sampling error; ``deff`` if there is a
        design. Rows whose names are calendar periods are put in order; others are taken
        as they come.
    baseline : int or sequence of str, optional
        Periods that the limits come from: the first so many, or those named. Default:
        all. Choose those before a known change, or signals hide in their own limits.
    min_group_size : int
        A period with fewer answers is hidden and takes no part.

    Returns
    -------
    ControlChart

    Raises
    ------
    TypeError
        When ``table`` is no DataFrame.
    ValueError
        For a missing column, a period named twice, an unknown baseline period, or a table
        without sampling errors whose sizes differ too much for XmR.

    Notes
    -----
    ``N̄ = p̄ − d̄`` with shares pooled over the baseline by answers, ``SE_t = √((p̄ + d̄ −
    N̄²)·deff_t/n_t)``, ``z_t = (N_t − N̄)/SE_t``, ``σ_z = mean |Δz| / 1.128``, limits
    ``N̄ ± 3·σ_z·SE_t``, cut at the ends of the scale. Without shares the variance of one
    answer is pooled from the periods' standard errors. When the largest ``n/deff`` is less
    than 1.5 times the smallest, XmR: mean ± 3·mean moving range/1.128. A period with fewer than 8 degrees of
    freedom takes the other periods' mean ``deff``, and ``note`` says so. A run is eight
    periods or more on one side of the centre.

    These are no confidence limits: they say how far periods stray when nothing new
    happens, not how well a period is known. Where nothing happens a new period lies beyond
    limits from 24 periods in about 1 % of cases, from 12 in 2 %, from 5 in 6 %
    (``benchmarks/tracking.py``), and 7 to 10 % of charts of 24 periods have a signal of either
    kind somewhere, 22 to 34 % with limits from the first 12; with fewer than 12 they are called provisional, with fewer
    than 5 there are none. σ_z is one factor for all sizes: where true scores vary by as many
    points in large periods as in small ones, and sizes grow manifold after the baseline,
    there are more false alarms.

    References
    ----------
    Laney (2002), Quality Engineering 14, 531–537. Wheeler (2000), Understanding
    Variation. NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.2.2 and 6.3.3.2.

    Examples
    --------
    >>> table = pd.DataFrame({"period": [f"2024-{month:02d}" for month in range(1, 13)],
    ...     "n": [400, 100] * 6, "promoter_share": [.5, .4] * 5 + [.45, .1],
    ...     "detractor_share": .2})
    >>> table["estimate"] = 100 * (table["promoter_share"] - table["detractor_share"])
    >>> chart = control_chart(table, baseline=10)
    >>> chart.signals[["period", "estimate", "signal"]]
        period  estimate             signal
    0  2024-12     -10.0  beyond the limits
    >>> chart.notes
    ('10 of 12 baseline periods: limits are provisional until 2 more have come',)
    """
    run = _run_of_periods(table, min_group_size)
    what, unit = _what(table, net=bool(run["top"].notna().any()))
    inside = _baseline(run, baseline)
    kind, limits = _limits(run, inside)
    return ControlChart(
        table=_displayed(_chart_table(run, inside, limits, unit), what, unit),
        kind=kind,
        what=what,
        unit=unit,
        centre=limits.centre,
        sigma_z=limits.sigma_z,
        baseline=tuple(run["period"][inside]),
        notes=_notes(int(inside.sum()), limits),
    )


def _run_of_periods(table: pd.DataFrame, min_group_size: int) -> pd.DataFrame:
    """Periods in order: ``period, n, deff, estimate, top, bottom, variance, hidden, remark``.

    ``top`` and ``bottom`` are shares whose difference is the score, ``variance`` that of one answer
    by the standard error; null where not known. ``hidden`` says why a period takes no part.
    """
    rows = _in_order(table)
    run = pd.DataFrame({"period": rows["period"], "n": _numbers(rows, "n")})
    run["deff"], run["remark"] = _design_effects(rows, run["n"])
    run["estimate"] = _numbers(rows, "estimate")
    run[["top", "bottom", "variance"]] = np.nan
    known = ["estimate", "n"]
    if shares := _shares(rows, run["estimate"]):
        run["top"], run["bottom"] = shares
        known += ["top", "bottom"]
    elif "se" in rows:
        run["variance"] = _numbers(rows, "se") ** 2 * run["n"] / run["deff"]
        known.append("variance")
    empty = ~np.isfinite(run[known]).all(axis=1) | (run["n"] == 0)
    few = run["n"] < min_group_size
    words = ["no valid answer, or hidden", f"hidden: fewer than {min_group_size} answers"]
    run["hidden"] = np.select([empty, few], words, "")
    figures = ["n", "deff", "estimate"]
    run[figures] = run[figures].where(run["hidden"] == "")
    return run


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            f"`table` must be a pandas DataFrame by period; got {type(table).__name__}. "
            "Give what nps(..., by='period') returns."
        )
    column = next((name for name in ("period", "group") if name in table), None)
    if column is None or not {"n", "estimate"} <= set(table):
        raise ValueError(
            "`table` must have a column `period` or `group`, `n` and `estimate`; got "
            f"{got(list(map(str, table.columns)) or ['nothing'])}. "
            "Give what nps(..., by='period') returns."
        )
    names = [str(name) for name in table[column]]
    again = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if again or not names:
        raise ValueError(
            f"`table` must have one row per period; got {got(again or ['no row'])}"
            f"{' more than once' if again else ''}. Take one metric's rows."
        )
    rows = table.assign(period=names).set_index("period", drop=False)
    return rows.loc[in_order(names)].reset_index(drop=True)


def _numbers(rows: pd.DataFrame, column: str) -> Array:
    if not pd.api.types.is_numeric_dtype(rows[column]):
        raise TypeError(f"`table` must have numbers in `{column}`; got {rows[column].dtype}.")
    values = rows[column].to_numpy(dtype=float, na_value=np.nan)
    if column in ("n", "deff", "se") and (values < 0).any():
        raise ValueError(f"`{column}` must be 0 or more; got {values[values < 0][0]:g}.")
    return values


def _design_effects(rows: pd.DataFrame, n: pd.Series) -> tuple[Array, Array | str]:
    """Each period's design effect; the others' where its own clusters are too few."""
    if "deff" not in rows:
        return np.ones(len(rows)), ""
    deff = _numbers(rows, "deff")
    few = ~(np.isfinite(deff) & (deff > 0))
    if "df" in rows:
        few |= ~(_numbers(rows, "df") >= FEW_DEGREES_OF_FREEDOM)
    steady = ~few & (n > 0)
    others = float(np.average(deff[steady], weights=n[steady])) if steady.any() else 1.0
    words = "few clusters: the design effect of the other periods stands in"
    return np.where(few, others, deff), np.where(few & (n > 0), words, "")


def _shares(rows: pd.DataFrame, values: pd.Series) -> tuple[Array, Array] | None:
    for names in SHARES:
        if all(name in rows for name in names):
            top, bottom = (_numbers(rows, name) for name in names)
            # a table of means has empty shares; one of a top box counts its top only
            if np.allclose(100 * (top - bottom), values, equal_nan=True):
                return top, bottom
    return None


def _what(table: pd.DataFrame, *, net: bool) -> tuple[str, str]:
    """Name and unit of the table's score."""
    if SHARES[0][0] in table:
        return "NPS", "points"
    name = str(table["metric"].iloc[0]) if "metric" in table else "the score"
    unit = str(table["unit"].iloc[0]) if "unit" in table else ("points" if net else "")
    return ("NPS" if name == "nps" else name), unit


def _baseline(run: pd.DataFrame, wanted: int | Sequence[str] | None) -> NDArray[np.bool_]:
    shown = (run["hidden"] == "").to_numpy()
    if wanted is None:
        return shown
    if isinstance(wanted, int):
        if wanted < 1 or isinstance(wanted, bool):
            raise ValueError(f"`baseline` must be 1 period or more; got {wanted}.")
        return shown & (np.arange(len(run)) < wanted)
    names, there = [wanted] if isinstance(wanted, str) else wanted, run["period"].tolist()
    for name in map(str, names):
        if name not in there:
            raise ValueError(unknown("baseline", name, there))
    return shown & np.isin(there, [str(name) for name in names])


def _limits(run: pd.DataFrame, inside: NDArray[np.bool_]) -> tuple[str, Limits]:
    """Kind of chart, and its limits: none while the baseline is too short."""
    sizes = (run["n"] / run["deff"])[run["hidden"] == ""]
    even = bool(len(sizes)) and sizes.max() < EVEN_SIZES * sizes.min()
    centre, errors = _centre_and_errors(run, inside)
    if errors is None and len(sizes) and not even:
        raise ValueError(
            "`table` must have `se`, or the shares that nps() returns, because its sizes differ "
            f"by more than {EVEN_SIZES} times; got neither. XmR would raise false alarms."
        )
    kind, values = ("XmR" if even else "Laney"), run["estimate"].to_numpy()
    if inside.sum() < FEWEST_PERIODS:
        return kind, Limits(centre, np.full(len(run), np.nan), np.nan)
    if kind == "XmR" or errors is None:
        return kind, individuals_limits(values, inside)
    return kind, laney_limits(values, errors, centre, inside)


def _centre_and_errors(run: pd.DataFrame, inside: NDArray[np.bool_]) -> tuple[float, Array | None]:
    """Score of the baseline's answers together, and each period's standard error around it.

    The error is that were the baseline's shares true throughout; None where it is not known.
    """
    base = run[inside]
    if base.empty:
        return np.nan, None
    columns = ["estimate", "top", "bottom", "variance"]
    centre, p, d, variance = np.average(base[columns], axis=0, weights=base["n"])
    if np.isfinite(p):
        variance = 100.0**2 * max(p + d - (p - d) ** 2, 0.0)
    if not np.isfinite(variance):
        return float(centre), None
    return float(centre), np.sqrt(variance / (run["n"] / run["deff"])).to_numpy()


def _chart_table(
    run: pd.DataFrame, inside: NDArray[np.bool_], limits: Limits, unit: str
) -> pd.DataFrame:
    low, high = BOUNDS.get(unit, (-np.inf, np.inf))
    sigma = np.where((run["hidden"] == "") & (limits.sigma > 0), limits.sigma, np.nan)
    values = run["estimate"].to_numpy()
    z = (values - limits.centre) / sigma
    return pd.DataFrame(
        {
            "period": run["period"],
            "n": run["n"].astype("Int64"),
            "estimate": values,
            "centre": limits.centre,
            "lower": np.clip(limits.centre - SIGMAS * sigma, low, high),
            "upper": np.clip(limits.centre + SIGMAS * sigma, low, high),
            "signal": _signals(values, z, limits.centre),
            "z": z,
            "baseline": inside,
            "note": run["hidden"].where(run["hidden"] != "", run["remark"]),
        }
    )


def _displayed(table: pd.DataFrame, what: str, unit: str) -> pd.DataFrame:
    return with_display(
        table, caption=f"{what} by period, with control limits",
        about="limits say how far periods stray when nothing new happens; they are no intervals",
        columns=("period", "estimate", "lower", "centre", "upper", "signal", "n"), top=24,
        headers={"estimate": what}, units=dict.fromkeys(LINES, unit),
    )  # fmt: skip


def _signals(values: Array, z: Array, centre: float) -> list[str]:
    run_of_eight = np.zeros(len(z), dtype=bool)
    usable = np.isfinite(z)
    # a hidden period neither ends a run nor counts in it
    run_of_eight[usable] = runs(values[usable], centre)
    beyond = usable & (np.abs(z) > SIGMAS)
    return [
        "; ".join(word for word, due in ((BEYOND, far), (RUN_OF_EIGHT, long)) if due)
        for far, long in zip(beyond, run_of_eight, strict=True)
    ]


def _notes(periods: int, limits: Limits) -> tuple[str, ...]:
    count = f"{periods} of {ENOUGH_PERIODS} baseline periods"
    needed = FEWEST_PERIODS if periods < FEWEST_PERIODS else ENOUGH_PERIODS
    more = f"{needed - periods} more {'has' if needed - periods == 1 else 'have'} come"
    if periods < FEWEST_PERIODS:
        return (f"{count}: no limits before {more}",)
    notes = []
    if periods < ENOUGH_PERIODS:
        notes.append(f"{count}: limits are provisional until {more}")
    if not np.nanmax(limits.sigma) > 0:
        notes.append("no limits: the baseline periods are all alike")
    return tuple(notes)


class Limits(NamedTuple):
    """Centre of a chart, one sigma of each period, and what periods vary beyond sampling.

    ``sigma_z``: variation from period to period in units of the sampling error; NaN for XmR.
    """

    centre: float
    sigma: Array
    sigma_z: float


def individuals_limits(values: Array, baseline: NDArray[np.bool_]) -> Limits:
    """XmR: mean of the baseline ± 3 times its mean moving range / 1.128.

    >>> limits = individuals_limits(np.array([10.0, 12.0, 11.0]), np.array([True] * 3))
    >>> round(limits.centre, 2), round(float(limits.sigma[0]), 3)
    (11.0, 1.33)
    """
    used = values[baseline]
    return Limits(float(used.mean()), np.full(len(values), _moving_range(used)), np.nan)


def laney_limits(
    values: Array, standard_error: Array, centre: float, baseline: NDArray[np.bool_]
) -> Limits:
    """Laney: sampling error of each period, times what the periods vary beyond it.

    ``z = (value − centre)/SE``, ``σ_z = mean |Δz| / 1.128`` over the baseline.

    >>> limits = laney_limits(np.array([10.0, 12.0, 11.0]), np.array([1.0, 1.0, 2.0]), 11.0,
    ...                       np.array([True] * 3))
    >>> round(limits.sigma_z, 3), limits.sigma.round(2).tolist()
    (1.33, [1.33, 1.33, 2.66])
    """
    sigma_z = _moving_range(((values - centre) / standard_error)[baseline])
    return Limits(centre, sigma_z * standard_error, sigma_z)


def _moving_range(values: Array) -> float:
    """Mean moving range in sigmas."""
    return float(np.abs(np.diff(values)).mean()) / MOVING_RANGE if len(values) > 1 else np.nan


def runs(values: Array, centre: float, *, length: int = RUN) -> NDArray[np.bool_]:
    """Whether each value is at least the ``length``-th in a row on its side of the centre.

    A value on the centre ends a run.

    >>> runs(np.array([1.0, 2.0, 1.0, -1.0]), 0.0, length=2).tolist()
    [False, True, True, False]
    """
    found = np.zeros(len(values), dtype=bool)
    count, last = 0, 0.0
    for i, side in enumerate(np.sign(values - centre)):
        count = count + 1 if side == last and side != 0 else int(side != 0)
        last = side
        found[i] = count >= length
    return found
