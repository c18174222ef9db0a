"""What goes with a change of one touchpoint, as far as its scale leaves room."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cxlab.core.display import with_display
from cxlab.core.frames import check_choice
from cxlab.core.messages import unknown
from cxlab.stats.drivers.replicates import spread
from cxlab.stats.drivers.result import DriverAnalysis

Array = np.ndarray
Ends = tuple[float, float]

#: What `change` counts.
STEPS = ("points", "scale", "sd")
#: Rows that are shown.
MOST_SHOWN = 24
#: Without declared scales, drivers whose highest answers differ by more than this ratio are
#: taken to be on different scales.
ALIKE = 4 / 3

UNITS = {
    "continuous": "outcome points",
    "nps": "NPS points",
    "ordinal": "latent standard deviations",
    "binary": "latent standard deviations",
}


def what_if(
    *analyses: DriverAnalysis,
    change: float | Mapping[str, float] = 1.0,
    step: str | None = None,
    scales: Ends | Mapping[str, Ends] | None = None,
    group: object = None,
) -> pd.DataFrame:
    """What difference of the outcome goes with a change of one touchpoint's ratings.

    Parameters
    ----------
    *analyses : DriverAnalysis
        One per outcome: say satisfaction, and likelihood to recommend with
        ``outcome_scale="nps"`` for points of NPS. Their ``.advocacy`` is added.
    change : float or mapping of str to float
        Change of each user's rating, up or down, as far as the scale goes; one driver at
        a time. A mapping changes only its drivers.
    step : {"points", "scale", "sd"}, optional
        What ``change`` counts: rating points, the length of the driver's scale (.1 is a
        tenth of it), or standard deviations of the driver's ratings. Default: points,
        but for one change of drivers on different scales standard deviations (half a
        point on a scale of 1 to 100 says nothing).
    scales : (lowest, highest) or mapping of driver to (lowest, highest), optional
        Ends of the scales, as in ``study.scales``. Default: the lowest and highest
        answers to each driver.
    group : optional
        With ``by``: which group.

    Returns
    -------
    DataFrame
        One row per outcome × driver: ``outcome, driver, label, unit, change`` (rating
        points), ``n, estimate, se, ci_low, ci_high`` (difference of the mean of all, =
        reach × coefficient × ``moved``), ``estimate_users, users_low, users_high`` (of
        the mean of users), ``note, moved`` (by how much the users' mean rating moves
        when nobody passes the end of the scale).

    Raises
    ------
    ValueError
        For a driver, step or scale that is not among those there are.

    Notes
    -----
    moved = E[min(x + δ, highest)] − E[x]; for a negative δ, E[max(x + δ, lowest)] − E[x].
    Where 60 % rate 5 of 5, half a point more for everyone can move the mean by .2 at most.

    An association in these answers, other drivers held equal: people who rate the driver so
    much higher also rate the outcome so much higher. Whether raising the rating would raise
    the outcome cannot be known from a survey.

    Examples
    --------
    >>> from cxlab.stats.drivers import drivers
    >>> answers = pd.DataFrame({"food": [3, 4, 5, 5, 5] * 8})
    >>> answers["overall"] = 2 * answers["food"] + np.arange(40) % 2
    >>> table = what_if(drivers(answers, "overall", ["food"], replicates=100), change=0.5)
    >>> table[["driver", "change", "moved", "estimate"]].round(2)
      driver  change  moved  estimate
    0   food     0.5    0.2       0.4
    """
    if not analyses:
        raise ValueError("`analyses` must be 1 or more results of cxlab.drivers(); got none.")
    if step is not None:
        check_choice("step", step, STEPS)
    every = [one for pair in analyses for one in (pair, pair.advocacy) if one is not None]
    parts = [_what_if(analysis, change, step, scales, group) for analysis in every]
    names = {one.outcome: one.labels.get(one.outcome, one.outcome) for one in every}
    return with_display(
        pd.concat(parts, ignore_index=True),
        caption="What goes with a higher rating of one touchpoint, as far as its scale leaves room",
        about="Other touchpoints equal; an association in these answers, not the effect of a change",
        columns=("outcome", "label", "unit", "change", "moved", "estimate"),
        headers={"label": "Touchpoint", "change": "Higher by", "moved": "Leaves room for",
                 "estimate": "Outcome of all", "unit": "In"},
        units={"change": "number", "moved": "number"}, sort=("outcome", "-estimate"),
        labels=names, level=every[0].level, top=MOST_SHOWN,
    )  # fmt: skip


def _what_if(
    analysis: DriverAnalysis,
    change: float | Mapping[str, float],
    step: str | None,
    scales: Ends | Mapping[str, Ends] | None,
    group: object,
) -> pd.DataFrame:
    rows = analysis.part(group)
    drawn = analysis.replicates[analysis.group(group)]
    names = list(rows["driver"])
    low, high = _ends(names, scales, analysis.rating_ends)
    if step is None:
        mixed = not isinstance(change, Mapping) and _differ(low, high, scales is not None)
        step = "sd" if mixed else "points"
    sizes = {"points": 1.0, "scale": high - low, "sd": drawn.ratings.standard_deviations}
    steps = _steps(names, change) * sizes[step]
    moved = drawn.ratings.moved(steps, low, high)
    users = rows["coefficient"].to_numpy(dtype=float) * moved[0]
    everyone = users * rows["reach"].to_numpy(dtype=float)
    of_users = drawn.coefficient * moved[1:]
    options = {"df": drawn.df, "level": analysis.level}
    around = spread(everyone, of_users * drawn.reach, drawn.kind, **options)
    around_users = spread(users, of_users, drawn.kind, **options)
    table = rows[["driver", "label"]].assign(
        unit=UNITS[analysis.outcome_scale],
        change=steps,
        n=rows["n"],
        estimate=everyone,
        **around.columns(),
        estimate_users=users,
        **around_users.limits("users"),
        note=[_note(*pair) for pair in zip(steps, moved[0], strict=True)],
        moved=moved[0],
    )
    table.insert(0, "outcome", analysis.outcome)
    return table[steps != 0].reset_index(drop=True)


def _note(step: float, moved: float) -> str:
    text = "goes with, other drivers equal; not the effect of a change"
    if abs(moved) < abs(step) * (1 - 1e-9):
        text += f"; the scale leaves room for {moved:.2g} of {step:.2g} points"
    return text


def _ends(
    names: list[str],
    scales: Ends | Mapping[str, Ends] | None,
    observed: dict[str, Ends],
) -> tuple[Array, Array]:
    found = []
    for name in names:
        pair = scales.get(name, observed[name]) if isinstance(scales, Mapping) else scales
        low, high = pair or observed[name]
        if not low < high:
            raise ValueError(
                f"`scales` must be (lowest, highest) with lowest below highest; got ({low}, "
                f"{high}) for '{name}'."
            )
        found.append((float(low), float(high)))
    ends = np.array(found).reshape(-1, 2)
    return ends[:, 0], ends[:, 1]


def _differ(low: Array, high: Array, declared: bool) -> bool:
    """Whether drivers are rated on different scales; by their highest answers if undeclared."""
    if declared:
        return len(np.unique(np.column_stack([low, high]), axis=0)) > 1
    top = high if high.min() > 0 else high - low
    return bool(top.max() > ALIKE * top.min())


def _steps(names: list[str], change: float | Mapping[str, float]) -> Array:
    if not isinstance(change, Mapping):
        return np.full(len(names), float(change))
    for name in change:
        if name not in names:
            raise ValueError(unknown("change", name, names))
    return np.array([float(change.get(name, 0.0)) for name in names])
