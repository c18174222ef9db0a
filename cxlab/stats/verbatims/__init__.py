"""What customers say: coded comments, corrected by hand codes."""

from cxlab.stats.verbatims.agreement import coding_agreement, krippendorff_alpha
from cxlab.stats.verbatims.codes import CodedComments, code_comments, people_codes, study_themes
from cxlab.stats.verbatims.coding import CodingSheet, coding_sample, read_coding, study_coding
from cxlab.stats.verbatims.scores import ThemeScores, theme_scores

__all__ = [
    "CodedComments",
    "CodingSheet",
    "ThemeScores",
    "code_comments",
    "coding_agreement",
    "coding_sample",
    "krippendorff_alpha",
    "people_codes",
    "read_coding",
    "study_coding",
    "study_themes",
    "theme_scores",
]
