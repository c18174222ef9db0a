"""Answers in any dataframe engine, reduced once to sums.

`sums` asks the engine one GROUP BY over missingness patterns; `covariance` and `em` turn
the sums into covariance matrices; `summary` holds them, `taking` makes it.
"""

from cxlab.stats.covariance.covariance import Covariance, to_correlation
from cxlab.stats.covariance.summary import MISSING, Moments
from cxlab.stats.covariance.taking import moments

__all__ = ["MISSING", "Covariance", "Moments", "moments", "to_correlation"]
