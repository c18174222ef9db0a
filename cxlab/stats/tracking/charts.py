"""Control charts of a run of periods whose numbers of answers differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.display import with_display
from cxlab.core.messages import unknown
from cxlab.core.result import Result
from cxlab.stats.tracking.run import Run, run_of_periods

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
    run = run_of_periods(table, min_group_size)
    inside = _baseline(run, baseline)
    kind, limits = _limits(run, inside)
    return ControlChart(
        table=_chart_table(run, inside, limits),
        kind=kind,
        what=run.what,
        unit=run.unit,
        centre=limits.centre,
        sigma_z=limits.sigma_z,
        baseline=tuple(np.array(run.periods, dtype=object)[inside]),
        notes=_notes(int(inside.sum()), limits),
    )


def _baseline(run: Run, wanted: int | Sequence[str] | None) -> NDArray[np.bool_]:
    if wanted is None:
        return run.shown
    if isinstance(wanted, int):
        if wanted < 1 or isinstance(wanted, bool):
            raise ValueError(f"`baseline` must be 1 period or more; got {wanted}.")
        return run.shown & (np.arange(len(run.periods)) < wanted)
    names = [wanted] if isinstance(wanted, str) else [str(name) for name in wanted]
    for name in names:
        if name not in run.periods:
            raise ValueError(unknown("baseline", name, run.periods))
    return run.shown & np.isin(run.periods, names)


def _limits(run: Run, inside: NDArray[np.bool_]) -> tuple[str, Limits]:
    """Kind of chart, and its limits: none while the baseline is too short."""
    sizes = run.sizes[run.shown]
    even = bool(len(sizes)) and sizes.max() < EVEN_SIZES * sizes.min()
    errors = run.standard_errors(inside) if inside.any() else None
    if errors is None and len(sizes) and not even:
        raise ValueError(
            "`table` must have `se`, or the shares that nps() returns, because its sizes differ "
            f"by more than {EVEN_SIZES} times; got neither. XmR would raise false alarms."
        )
    kind = "XmR" if even else "Laney"
    if inside.sum() < FEWEST_PERIODS:
        centre = run.centre(inside) if inside.any() else np.nan
        return kind, Limits(centre, np.full(len(run.periods), np.nan), np.nan)
    if kind == "XmR" or errors is None:
        return kind, individuals_limits(run.values, inside)
    return kind, laney_limits(run.values, errors, run.centre(inside), inside)


def _chart_table(run: Run, inside: NDArray[np.bool_], limits: Limits) -> pd.DataFrame:
    low, high = BOUNDS.get(run.unit, (-np.inf, np.inf))
    sigma = np.where(run.shown & (limits.sigma > 0), limits.sigma, np.nan)
    z = (run.values - limits.centre) / sigma
    table = pd.DataFrame(
        {
            "period": run.periods,
            "n": pd.array(np.where(run.shown, run.n, np.nan), dtype="Int64"),
            "estimate": run.values,
            "centre": limits.centre,
            "lower": np.clip(limits.centre - SIGMAS * sigma, low, high),
            "upper": np.clip(limits.centre + SIGMAS * sigma, low, high),
            "signal": _signals(run, z, limits),
            "z": z,
            "baseline": inside,
            "note": run.notes,
        }
    )
    return with_display(
        table, caption=f"{run.what} by period, with control limits",
        about="limits say how far periods stray when nothing new happens; they are no intervals",
        columns=("period", "estimate", "lower", "centre", "upper", "signal", "n"), top=24,
        headers={"estimate": run.what}, units=dict.fromkeys(LINES, run.unit),
    )  # fmt: skip


def _signals(run: Run, z: Array, limits: Limits) -> list[str]:
    run_of_eight = np.zeros(len(z), dtype=bool)
    usable = np.isfinite(z)
    # a hidden period neither ends a run nor counts in it
    run_of_eight[usable] = runs(run.values[usable], limits.centre)
    beyond = usable & (np.abs(z) > SIGMAS)
    said = []
    for far, long in zip(beyond, run_of_eight, strict=True):
        words = [word for word, due in ((BEYOND, far), (RUN_OF_EIGHT, long)) if due]
        said.append("; ".join(words))
    return said


def _notes(periods: int, limits: Limits) -> tuple[str, ...]:
    count = f"{periods} of {ENOUGH_PERIODS} baseline periods"
    if periods < FEWEST_PERIODS:
        more = FEWEST_PERIODS - periods
        return (f"{count}: no limits before {more} more {'has' if more == 1 else 'have'} come",)
    notes = []
    if periods < ENOUGH_PERIODS:
        more = ENOUGH_PERIODS - periods
        have = "has" if more == 1 else "have"
        notes.append(f"{count}: limits are provisional until {more} more {have} come")
    if not np.nanmax(limits.sigma) > 0:
        notes.append("no limits: the baseline periods are all alike")
    return tuple(notes)


@dataclass(frozen=True, eq=False)
class Limits:
    """Centre of a chart and each period's sigma.

    Attributes
    ----------
    centre : float
    sigma : ndarray of shape (periods,)
        One sigma of each period; NaN where there are no limits.
    sigma_z : float
        Period-to-period variation in units of the sampling error (Laney); NaN for XmR.
    """

    centre: float
    sigma: Array
    sigma_z: float


def individuals_limits(values: Array, baseline: NDArray[np.bool_]) -> Limits:
    """XmR: mean of the baseline ± 3 times its mean moving range / 1.128.

    Examples
    --------
    >>> limits = individuals_limits(np.array([10.0, 12.0, 11.0]), np.array([True] * 3))
    >>> round(limits.centre, 2), round(float(limits.sigma[0]), 3)
    (11.0, 1.33)
    """
    used = values[baseline]
    sigma = float(np.abs(np.diff(used)).mean()) / MOVING_RANGE if len(used) > 1 else np.nan
    return Limits(float(used.mean()), np.full(len(values), sigma), np.nan)


def laney_limits(
    values: Array, standard_error: Array, centre: float, baseline: NDArray[np.bool_]
) -> Limits:
    """Laney: sampling error of each period, times what the periods vary beyond it.

    Parameters
    ----------
    values, standard_error : ndarray of shape (periods,)
        Estimates, and their standard errors if the true score were constant.
    centre : float
    baseline : ndarray of bool, shape (periods,)

    Notes
    -----
    ``z = (value − centre)/SE``, ``σ_z = mean |Δz| / 1.128`` over the baseline.

    Examples
    --------
    >>> limits = laney_limits(np.array([10.0, 12.0, 11.0]), np.array([1.0, 1.0, 2.0]), 11.0,
    ...                       np.array([True] * 3))
    >>> round(limits.sigma_z, 3), limits.sigma.round(2).tolist()
    (1.33, [1.33, 1.33, 2.66])
    """
    z = ((values - centre) / standard_error)[baseline]
    sigma_z = float(np.abs(np.diff(z)).mean()) / MOVING_RANGE if len(z) > 1 else np.nan
    return Limits(centre, sigma_z * standard_error, sigma_z)


def runs(values: Array, centre: float, *, length: int = RUN) -> NDArray[np.bool_]:
    """Whether each value is at least the ``length``-th in a row on its side of the centre.

    A value on the centre ends a run.

    Examples
    --------
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
