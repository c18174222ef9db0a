"""Survey platforms' export files → answers, what the platform says of them, a draft study."""

from cxlab.survey.exports.export import Export, Question
from cxlab.survey.exports.reading import read_answers, read_export

__all__ = ["Export", "Question", "read_answers", "read_export"]
