"""Is this data fit to use? By hand; every engine gives the same in test_engines."""

import numpy as np
import pandas as pd
import pytest

from cxlab import repeated_answers, straight_lining, usage, weight_summary
from cxlab.core import frames
from cxlab.stats.metrics.scorecard import usage_each
from cxlab.stats.metrics.values import _ranges

RATED = pd.DataFrame(
    {
        "wifi": [5.0, 4.0, 3.0, 3.0],
        "wifi_missing": [None] * 4,
        "shops": [5.0, None, 3.0, 3.0],
        "shops_missing": [None, "never used", None, None],
        "weight": [1.0, 1.0, 3.0, 0.0],
    }
)


def test_use_is_counted_where_nobody_left_a_touchpoint_out():
    table = usage(RATED, ["wifi", "shops"]).table.set_index("touchpoint")
    assert table.loc["wifi", "note"].startswith('nobody said "never used"')
    assert table.loc["shops", "estimate"] == 75


def test_use_by_several_groupings_is_that_of_each():
    answers = RATED.assign(group=["a", "a", "b", "b"])
    asked = {"design": {"weights": "weight"}, "min_group_size": 1}
    found = usage_each(answers, ["wifi", "shops"], [None, "group"], **asked)
    for by, one in zip([None, "group"], found, strict=True):
        alone = usage(answers, ["wifi", "shops"], by=by, **asked)
        pd.testing.assert_frame_equal(one.table, alone.table)


def test_weighted_use_leaves_rows_of_no_weight_out():
    table = usage(RATED, ["shops"], design={"weights": "weight"}).table
    assert table.loc[0, "estimate"] == pytest.approx(80)


def test_weights_are_summed_up_by_hand():
    row = weight_summary(RATED, design={"weights": "weight"}).iloc[0]
    assert (row["n"], row["smallest"], row["largest"]) == (3, 1, 3)
    assert row["kish_deff"] == pytest.approx(3 * 11 / 25)


def test_one_score_for_all_items_is_counted():
    table = straight_lining(RATED, ["wifi", "shops"], min_answered=2).set_index("score")
    assert table["respondents"].astype(int).to_dict() == {"3": 2, "5": 1, "any": 3}
    assert (table["n"] == 3).all()


def test_rows_alike_are_counted_in_sets():
    rows = RATED.assign(shops=[5.0, 1.0, 4.0, 4.0], shops_missing=None)
    row = repeated_answers(rows, ["wifi", "shops"], min_answered=2).iloc[0]
    assert (row["n"], row["sets"], row["rows"], row["largest"]) == (3, 1, 2, 2)


def test_ranges_in_memory_are_those_of_a_query(monkeypatch):
    answers = pd.DataFrame(
        {"whole": [1, 5, 3], "part": [1.5, None, 2.0], "none": [None] * 3, "far": [1.0, np.inf, 2]}
    ).astype(float)
    opened = frames.open_frame(answers, numbers={"score": list(answers)})
    found = _ranges(opened, list(answers))
    monkeypatch.setattr(frames, "NUMPY_VALUES", 0)
    assert str(found) == str(_ranges(opened, list(answers)))
    assert found["part"] == (1.5, 2.0, False)
