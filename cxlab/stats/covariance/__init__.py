"""Incomplete answers → covariance matrices.

`rows` holds answers as weighted rows, or asks an engine for their sums by missingness pattern
in one GROUP BY; `covariance` and `em` turn either into covariance matrices.
"""

from cxlab.stats.covariance.covariance import to_correlation
from cxlab.stats.covariance.em import MISSING

__all__ = ["MISSING", "to_correlation"]
