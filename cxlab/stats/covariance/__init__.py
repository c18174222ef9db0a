"""Incomplete answers → covariance matrices.

`covariance` holds answers as weighted rows, or asks an engine for their sums by missingness
pattern in one GROUP BY; `em` fits what is missing.
"""

from cxlab.stats.covariance.covariance import to_correlation
from cxlab.stats.covariance.em import MISSING

__all__ = ["MISSING", "to_correlation"]
