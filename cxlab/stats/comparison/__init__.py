"""tNPS against rNPS: what the gap is made of."""

from cxlab.stats.comparison.compare import NpsComparison, compare_tnps_rnps
from cxlab.stats.comparison.contract import programme_tables, rules_in_words

__all__ = ["NpsComparison", "compare_tnps_rnps", "programme_tables", "rules_in_words"]
