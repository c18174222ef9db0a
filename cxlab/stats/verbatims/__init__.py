"""What customers say: coded comments, corrected by hand codes."""

from cxlab.stats.verbatims.codes import CodedComments, code_comments, people_codes, study_themes
from cxlab.stats.verbatims.coding import (
    CodingSheet,
    coding_agreement,
    coding_sample,
    krippendorff_alpha,
    read_coding,
    study_coding,
)
from cxlab.stats.verbatims.findings import commenters
from cxlab.stats.verbatims.learned import find_themes, theme_sentiment
from cxlab.stats.verbatims.quotes import typical_quotes
from cxlab.stats.verbatims.result import ThemeScores, theme_changes
from cxlab.stats.verbatims.scores import theme_scores
from cxlab.stats.verbatims.study import Verbatims, study_verbatims

__all__ = [
    "CodedComments",
    "CodingSheet",
    "ThemeScores",
    "Verbatims",
    "code_comments",
    "coding_agreement",
    "coding_sample",
    "commenters",
    "find_themes",
    "krippendorff_alpha",
    "people_codes",
    "read_coding",
    "study_coding",
    "study_themes",
    "study_verbatims",
    "theme_changes",
    "theme_scores",
    "theme_sentiment",
    "typical_quotes",
]
