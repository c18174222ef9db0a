"""Answers in any dataframe engine, reduced once to sums.

`sums` asks the engine one GROUP BY over missingness patterns; `covariance` and `em` turn
the sums into covariance matrices; `summary` holds them, `taking` makes it. `saved` keeps them in
a file, with small cells pooled.
"""

from cxlab.stats.moments.blocks import with_blocks
from cxlab.stats.moments.covariance import Covariance, to_correlation
from cxlab.stats.moments.summary import MISSING, Moments
from cxlab.stats.moments.taking import moments

__all__ = ["MISSING", "Covariance", "Moments", "moments", "to_correlation", "with_blocks"]
