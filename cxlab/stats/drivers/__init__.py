"""Key drivers: importance shares that add up to R², with their intervals.

`answers` reads, `covariances` fits (with `rows` and `replicates`), `estimands` estimates
importance among users and adjusted for reach, `subsets` and `importance` share out R²,
`coefficients` tests, `analysis` puts them together in a `result`. `map`,
`penalty_reward` and `comparisons` (with dominance and what-if) go on from there.
"""

from cxlab.stats.drivers.analysis import drivers
from cxlab.stats.drivers.comparisons import Dominance, compare_outcomes, dominance, what_if
from cxlab.stats.drivers.map import driver_map
from cxlab.stats.drivers.penalty_reward import penalty_reward
from cxlab.stats.drivers.result import DriverAnalysis

__all__ = [
    "Dominance",
    "DriverAnalysis",
    "compare_outcomes",
    "dominance",
    "driver_map",
    "drivers",
    "penalty_reward",
    "what_if",
]
