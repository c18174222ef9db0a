"""Centre and limits of a control chart, from arrays; no tables here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Mean moving range of two normal values in units of their standard deviation (d₂).
MOVING_RANGE = 1.128
#: Limits lie this many sigmas from the centre.
SIGMAS = 3.0
#: As many periods in a row on one side of the centre are a signal.
RUN = 8


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

    @property
    def lower(self) -> Array:
        """Centre less three sigmas."""
        return self.centre - SIGMAS * self.sigma

    @property
    def upper(self) -> Array:
        """Centre and three sigmas."""
        return self.centre + SIGMAS * self.sigma


def individuals_limits(values: Array, baseline: NDArray[np.bool_]) -> Limits:
    """XmR: mean of the baseline ± 3 times its mean moving range / 1.128.

    Examples
    --------
    >>> limits = individuals_limits(np.array([10.0, 12.0, 11.0]), np.array([True] * 3))
    >>> round(limits.centre, 2), round(float(limits.upper[0]), 3)
    (11.0, 14.989)
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
        Estimates, and their standard errors were nothing to change.
    centre : float
    baseline : ndarray of bool, shape (periods,)

    Notes
    -----
    ``z = (value − centre)/SE``, ``σ_z = mean |Δz| / 1.128`` over the baseline.

    Examples
    --------
    >>> limits = laney_limits(np.array([10.0, 12.0, 11.0]), np.array([1.0, 1.0, 2.0]), 11.0,
    ...                       np.array([True] * 3))
    >>> round(limits.sigma_z, 3), limits.upper.round(2).tolist()
    (1.33, [14.99, 14.99, 18.98])
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
