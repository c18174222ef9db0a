"""Answers in any dataframe engine, reduced once to sums.

`sums` asks the engine one GROUP BY over missingness patterns; `covariance` and `em` turn
the sums into covariance matrices; `moments` makes the sums and holds them.
"""

from cxlab.stats.covariance.covariance import Covariance, to_correlation
from cxlab.stats.covariance.moments import MISSING, Moments, moments

__all__ = ["MISSING", "Covariance", "Moments", "moments", "to_correlation"]
