"""Answers that stay in files, databases and clusters, cleaned by expressions."""

from cxlab.core.engines import SINGLE_THREAD_ROWS, collect, fenced, without_nan
from cxlab.survey.lazy.answers import lazy_answers, periods_in
from cxlab.survey.lazy.counts import count_answers
from cxlab.survey.lazy.sources import Opener, raw_frame

__all__ = [
    "SINGLE_THREAD_ROWS",
    "Opener",
    "collect",
    "count_answers",
    "fenced",
    "lazy_answers",
    "periods_in",
    "raw_frame",
    "without_nan",
]
