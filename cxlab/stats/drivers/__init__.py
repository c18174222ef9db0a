"""Key drivers: importance shares that add up to R², with honest intervals.

`answers` reads, `users` and `reach` estimate the two estimands, `subsets` and `orders`
share out R², `uncertainty` makes intervals and tests, `analysis` puts them together.
`mapping`, `what_if`, `shape` and `dominance` go on from there.
"""

from cxlab.stats.drivers.analysis import drivers
from cxlab.stats.drivers.dominance import Dominance, dominance
from cxlab.stats.drivers.mapping import driver_map
from cxlab.stats.drivers.result import DriverAnalysis
from cxlab.stats.drivers.shape import penalty_reward
from cxlab.stats.drivers.sides import compare_outcomes
from cxlab.stats.drivers.what_if import what_if

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
