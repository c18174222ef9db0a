"""What goes with a change of one touchpoint, as far as its scale leaves room."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cxlab.core.display import with_display
from cxlab.stats.drivers.replicates import spread
from cxlab.stats.drivers.result import DriverAnalysis

Array = np.ndarray
Ends = tuple[float, float]

#: Rows that are shown.
MOST_SHOWN = 24
#: Without declared scales, drivers whose highest answers differ by more than this ratio are
#: taken to be on different scales.
ALIKE = 4 / 3

UNITS = {
    "continuous": "outcome points",
    "nps": "NPS points",
}


def what_if(
    analysis: DriverAnalysis, *, change: float = 1.0, scales: Mapping[str, Ends] | None = None
) -> pd.DataFrame:
    """What difference of the outcome goes with a change of one touchpoint's ratings.

    Parameters
    ----------
    analysis : DriverAnalysis
        From `cxlab.drivers`, without groups; NPS is added where it has ``advocacy``.
    change : float
        Change of each user's rating, up or down, as far as the scale goes; one driver at a
        time. In rating points; for drivers on different scales in standard deviations of their
        ratings (half a point on a scale of 1 to 100 says nothing).
    scales : mapping of driver to (lowest, highest), optional
        Ends of the scales, as in ``study.scales``. Default: the lowest and highest
        answers to each driver.

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
        For a scale whose lowest answer is not below its highest.

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
    every = [one for one in (analysis, analysis.advocacy) if one is not None]
    parts = [_what_if(one, change, scales or {}) for one in every]
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


def _what_if(analysis: DriverAnalysis, change: float, scales: Mapping[str, Ends]) -> pd.DataFrame:
    rows = analysis.part()
    drawn = analysis.replicates[analysis.group()]
    names = list(rows["driver"])
    low, high = _ends(names, scales, analysis.rating_ends)
    mixed = _differ(low, high, bool(scales))
    sizes = drawn.ratings.standard_deviations if mixed else np.ones(len(names))
    steps = change * sizes
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
    scales: Mapping[str, Ends],
    observed: dict[str, Ends],
) -> tuple[Array, Array]:
    found = []
    for name in names:
        low, high = scales.get(name) or observed[name]
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
