"""tNPS against rNPS: what the gap is made of."""

from cxlab.stats.comparison.compare import compare_tnps_rnps
from cxlab.stats.comparison.contract import programme_tables, rules_in_words
from cxlab.stats.comparison.result import NpsComparison

__all__ = ["NpsComparison", "compare_tnps_rnps", "programme_tables", "rules_in_words"]
