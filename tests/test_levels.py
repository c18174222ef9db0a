"""True nulls: how often a difference that is none is found (in full: benchmarks/differences)."""

import numpy as np
import pytest

from benchmarks import differences, scorecard_findings

#: Studies of a cell: many where they are computed together, fewer where each by itself.
STUDIES, SINGLY = 300, 150
#: Share of true nulls rejected at 5 % that is allowed, and for a dozen skewed answers' means.
LIMIT, SKEWED_LIMIT = 0.065, 0.09


def most(limit, studies=STUDIES):
    """The limit and three Monte-Carlo standard errors."""
    return limit + 3 * np.sqrt(limit * (1 - limit) / studies)


@pytest.mark.parametrize("crossed", [False, True])
@pytest.mark.parametrize("sizes", ["equal", "1-60, weights"])
@pytest.mark.parametrize("own", [1, 2, 3, 15])
def test_few_of_thirty_clusters_find_no_more_than_they_should(own, sizes, crossed):
    rng = np.random.default_rng([differences.SEED, own, len(sizes), crossed])
    p = differences.clustered(own, sizes, crossed, STUDIES, rng)
    if own == 1:
        assert np.isnan(p).all()
    else:
        assert (p < differences.LEVEL).mean() <= most(LIMIT)


@pytest.mark.parametrize("kind", ["net", "box", "mean"])
@pytest.mark.parametrize("design", [(), ("w",), ("c",), ("w", "c")])
def test_a_dozen_answers_that_are_often_alike_find_no_more_than_they_should(design, kind):
    rng = np.random.default_rng([differences.SEED, len(design), len(kind)])
    p = differences.skewed(kind, design, SINGLY, rng)
    limit = SKEWED_LIMIT if kind == "mean" and "c" in design else LIMIT
    assert (p < differences.LEVEL).mean() <= most(limit, SINGLY)


def test_the_scorecard_calls_little_clear_where_nothing_differs():
    # at 5 % a family is clear in three or more of six studies twice in a thousand; what 200 give
    # (5 to 7.5 %): python -m benchmarks scorecard_findings
    table = scorecard_findings.null_table(6).set_index("family")
    assert (table["clear"] <= 2).all(), table
