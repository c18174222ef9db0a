import pytest

from cxlab.core.metric import Metric
from cxlab.survey.scales import KIND_OF, METRICS, Scale, normal_code

NPS_BINS = {"detractors": (0, 6), "passives": (7, 8), "promoters": (9, 10)}


def test_bins_that_overlap_are_refused():
    # the overlap that articles print: "passives 7–9"
    bins = {**NPS_BINS, "passives": (7, 9)}
    with pytest.raises(ValueError, match="once each; got 'passives' and 'promoters' for 9"):
        Scale("likelihood", 0, 10, bins=bins)


def test_bins_that_leave_a_gap_are_refused():
    bins = {**NPS_BINS, "detractors": (0, 5)}
    with pytest.raises(ValueError, match="once each; got none for 6"):
        Scale("likelihood", 0, 10, bins=bins)


def test_bins_off_the_scale_are_refused():
    with pytest.raises(ValueError, match="must lie within 0 to 10"):
        Scale("likelihood", 0, 10, bins={**NPS_BINS, "promoters": (9, 11)})


def test_a_code_cannot_be_a_score_and_missing():
    with pytest.raises(ValueError, match="not scores, .* as 1 to 5 on scale 'rating'; got '5'"):
        Scale("rating", 1, 5, missing={"5": "never used"})


def test_metric_without_its_bins_is_refused():
    with pytest.raises(ValueError, match="'nps' needs the bins promoters"):
        Scale("rating", 1, 5, metrics=("nps",))


def test_upside_down_range_is_refused():
    with pytest.raises(ValueError, match="low below high"):
        Scale("rating", 5, 1)


def test_metrics_take_their_boxes_from_the_bins():
    scale = Scale("likelihood", 0, 10, bins=NPS_BINS, metrics=("nps",))
    metric = scale.metric("recommend", "nps", target=30)
    assert (metric.kind, metric.top, metric.bottom) == ("net", (9, 10), (0, 6))
    assert (metric.unit, metric.factor, metric.target) == ("points", 100.0, 30)


@pytest.mark.parametrize(
    ("text", "code"),
    [("4", "4"), (" 4.0 ", "4"), ("04", "4"), ("-99", "-99"), ("+3", "3"), ("6.5", "6.5"),
     ("BLANK", "blank"), ("Don't  know", "don't know"), ("", ""), ("-0", "0"),
     ("12345678901234567890", "12345678901234567890")],
)  # fmt: skip
def test_codes_have_one_spelling(text, code):
    assert normal_code(text) == code


def test_every_metric_of_a_scale_has_a_kind():
    assert KIND_OF.keys() == METRICS.keys()


def test_an_unknown_kind_of_metric_is_refused():
    with pytest.raises(ValueError, match="`kind` must be 'net', 'box' or 'mean'; got 'spread'"):
        Metric("score", "spread")
