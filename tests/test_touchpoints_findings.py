"""What the report of touchpoints says: every rule, on seeded studies that make it apply."""

from __future__ import annotations

import string

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from cxlab.core.findings import Findings
from cxlab.core.result import table_text
from cxlab.report.plots.intervals import plot_correlations
from cxlab.stats.association.partial import JointModel
from cxlab.stats.touchpoints import correlations, masking, touchpoint_correlations
from cxlab.stats.touchpoints.findings import HALO, MASKING, PLACES
from cxlab.stats.touchpoints.halo import Together
from tests.unfounded import unfounded

#: Names of touchpoints as readers know them.
NAMES = {f"t{i}": f"Touchpoint {letter}" for i, letter in enumerate(string.ascii_uppercase)}
LABELS = NAMES | {"overall": "Overall satisfaction", "recommend": "Recommending"}
TENS = np.linspace(-1.8, 1.8, 10)
FIVES = np.array([-1.5, -0.7, 0.2, 1.0])


@pytest.fixture(autouse=True)
def only_pearson(request, monkeypatch):
    """Only Pearson's r is ranked; the other coefficients and the joint model take most time."""
    if "ceiling" in request.node.name:
        return
    fit, fits = correlations.pair_estimates, {}

    def pearson(counts, kind, *, level):
        return fits.setdefault(id(counts), (counts, fit(counts, level=level)))[1]

    def together(counts, *, missing):
        names = list(dict.fromkeys(x for x, _ in counts.pairs))
        models = {y: JointModel({}, note="not fitted") for _, y in counts.pairs}
        return Together(models, counts.rows[names].corr().to_numpy() if counts.rows is not None
                        else np.eye(len(names)))  # fmt: skip

    monkeypatch.setattr(correlations, "pair_estimates", pearson)
    monkeypatch.setattr(correlations, "correlate_together", together)


def ratings(loadings, n=400, *, seed=1, cuts=TENS, halo=0.0, second=None) -> pd.DataFrame:
    """Ratings whose latent correlation with the outcome is planted; ``second`` with another."""
    generator = np.random.default_rng(seed)
    outcome = generator.normal(size=(n, 2 if second is not None else 1))
    planted = np.array([loadings, second] if second is not None else [loadings], dtype=float)
    common = halo * generator.normal(size=(n, 1))
    rest = np.sqrt(np.maximum(1 - (planted**2).sum(axis=0) - halo**2, 0))
    noise = generator.normal(size=(n, planted.shape[1]))
    latent = outcome @ planted + common + noise * rest
    values = np.digitize(np.hstack([outcome, latent]), cuts).astype(float)
    outcomes = ["overall", "recommend"][: outcome.shape[1]]
    return pd.DataFrame(values, columns=[*outcomes, *(f"t{i}" for i in range(latent.shape[1]))])


def told(data, outcomes="overall", *, masked=None, occasion="A", group="", **options) -> Findings:
    """Findings of a study, each of whose numbers is a rounded cell."""
    names = [name for name in data if name.startswith("t")]
    given = {"replicates": 200, "missing": "pairwise"} | options
    result = touchpoint_correlations(
        data, outcomes, names, occasion=occasion, labels=LABELS, **given
    )
    found = result.findings(masked, group=group)
    tables = {"touchpoint-correlations": result.table, PLACES: result.places(), HALO: result.halo}
    tables |= {} if masked is None else {MASKING: masked}
    assert unfounded(found, tables, words=[*LABELS.values(), group]) == []
    return found


def of_rule(found: Findings, rule: str):
    return next(finding for finding in found if finding.rule == rule)


# the answer


def test_one_place_is_the_answer():
    found = told(ratings([0.9, 0.3, 0.3, 0.3]))
    assert found.answer.text == (
        "Touchpoint A goes most with overall satisfaction; the rest can’t be ranked"
    )
    assert (found.answer.certainty, found.answer.rule) == ("clear", "one")
    assert (found.answer.estimate, found.answer.ci_low, found.answer.ci_high) == (1, 1, 1)
    standing = found.of_kind("finding")[0].text
    assert standing.startswith(
        "With overall satisfaction, of 4 touchpoints: Touchpoint A, place 1 (1 to 1), r = 0.8"
    )


def test_the_rest_can_be_ranked_where_a_pair_of_it_is_told_apart():
    found = told(ratings([0.9, 0.6, 0.1]))
    assert found.answer.text == "Touchpoint A goes most with overall satisfaction"


def test_two_or_three_that_may_be_first_are_named():
    found = told(ratings([0.85, 0.8, 0.2, 0.2, 0.2], seed=2))
    assert found.answer.text == (
        "Touchpoint A or Touchpoint B goes most with overall satisfaction; the rest can’t be ranked"
    )
    assert (found.answer.certainty, found.answer.rule) == ("clear", "few")
    standing = found.of_kind("finding")[0].text
    assert standing.count(", place ") == 2
    assert "Touchpoint A, place 1 (1 to 2), r = 0.8" in standing


def test_none_stands_out_among_more():
    found = told(ratings([0.6] * 6, seed=4))
    assert found.answer.text == (
        "No touchpoint stands out in how it goes with overall satisfaction"
    )
    assert (found.answer.certainty, found.answer.rule) == ("not settled", "none")
    assert "6 of 6 may be first" in found.of_kind("finding")[0].text


def test_two_that_are_all_there_is_are_no_answer():
    assert told(ratings([0.6, 0.6])).answer.rule == "none"


def test_one_touchpoint_has_nobody_to_be_before():
    found = told(ratings([0.6]))
    assert found.answer.text == "Only Touchpoint A can be placed for overall satisfaction"
    assert found.answer.certainty == "not settled"


def test_touchpoints_that_go_with_nothing_are_said_to():
    found = told(ratings([0.0, 0.0, 0.0], seed=3))
    assert found.answer.text == "No touchpoint is shown to go with overall satisfaction"
    assert "none is shown to differ from r = 0" in found.of_kind("finding")[0].text


def test_a_constant_outcome_leaves_nothing_to_place():
    found = told(ratings([0.5, 0.4]).assign(overall=9.0))
    assert found.answer.text == "No touchpoint can be placed for overall satisfaction"
    assert found.answer.detail == (
        "2 of 2 touchpoints have no place: the outcome is the same for all of them"
    )
    assert [finding.kind for finding in found] == ["answer", "caution"]


def test_everything_hidden_is_a_sentence_with_the_reason():
    data = ratings([0.5, 0.4], n=8)
    found = told(data, min_group_size=10)
    assert found.answer.text == "No touchpoint can be placed for overall satisfaction"
    assert "hidden: fewer than 10 answers" in found.answer.detail
    assert found.answer.n == 0


def test_a_touchpoint_of_few_is_left_out_with_the_reason():
    data = ratings([0.9, 0.3, 0.3])
    data.loc[7:, "t2"] = np.nan
    found = told(data, min_group_size=10)
    assert found.answer.rule == "one"
    assert found.answer.detail == (
        "1 of 3 touchpoints have no place: hidden: fewer than 10 answers"
    )


def test_few_answers_are_the_first_word():
    found = told(ratings([0.5, 0.5, 0.4, 0.4], n=60))
    assert found.answer.text.startswith("60 answers: no touchpoint stands out")
    found = told(ratings([0.95, 0.2, 0.2, 0.2], n=60))
    assert found.answer.text.startswith("60 answers: Touchpoint A goes most")


def test_a_group_is_named_with_its_answers():
    found = told(ratings([0.5] * 5, seed=4), group="Segment = Business")
    assert found.answer.text.startswith("Segment = Business, 400 answers: no touchpoint")


# many answers: the margin decides


def test_a_clear_difference_that_is_too_small_names_both():
    found = told(ratings([0.72, 0.70, 0.3, 0.3], n=60_000), replicates=100)
    assert found.answer.text == (
        "Touchpoint A or Touchpoint B goes most with overall satisfaction; the rest can’t be ranked"
    )
    assert found.answer.rule == "few"
    pairs = of_rule(found, "pairs").text
    assert pairs == (
        "5 of 6 pairs of touchpoints are told apart for overall satisfaction; in 1 of them the "
        "difference is under 0.05, too small to matter"
    )


def test_touchpoints_that_are_alike_in_many_answers_are_said_to_be():
    found = told(ratings([0.6] * 5, n=30_000), replicates=100)
    assert found.answer.text == (
        "Several touchpoints go most with overall satisfaction, alike within 0.05"
    )
    assert (found.answer.rule, found.answer.certainty) == ("alike", "clear")
    assert "5 of 5 go alike" in found.of_kind("finding")[0].text


# scales, outcomes, many touchpoints


def test_five_points_give_the_same_words():
    data = ratings([0.9, 0.3, 0.3, 0.3], cuts=FIVES) + 1
    masked = masking(data, "overall", ["t0", "t1", "t2", "t3"], low=2, high=5)
    found = told(data, masked=masked)
    assert found.answer.rule == "one"
    assert "Of those with 5 or more for overall satisfaction" in of_rule(found, "masking").text
    assert "at least one 2 or less" in of_rule(found, "masking").text


def test_the_second_outcome_has_a_finding_of_its_own():
    data = ratings([0.8, 0.2, 0.2, 0.2], second=[0.1, 0.1, 0.1, 0.9])
    found = told(data, ["overall", "recommend"])
    rules = [finding.rule for finding in found.of_kind("finding")]
    assert rules == ["one", "one", "changes place", "pairs"]
    texts = [finding.text for finding in found.of_kind("finding")]
    assert texts[0].startswith("With overall satisfaction, of 4 touchpoints: Touchpoint A, place")
    assert texts[1].startswith("With recommending, of 4 touchpoints: Touchpoint D, place 1")
    assert texts[2] == (
        "Touchpoint A and Touchpoint D change place: Touchpoint D 4 (2 to 4) with overall "
        "satisfaction, 1 (1 to 1) with recommending"
    )


def test_one_touchpoint_changes_place():
    data = ratings([0.8, 0.3, 0.3, 0.3], second=[0.0, 0.5, 0.5, 0.5])
    found = told(data, ["overall", "recommend"])
    assert of_rule(found, "changes place").text == (
        "Touchpoint A changes place: 1 (1 to 1) with overall satisfaction, 4 (4 to 4) with "
        "recommending"
    )


def test_places_that_overlap_are_no_change():
    data = ratings([0.5, 0.4, 0.4], second=[0.4, 0.5, 0.4], n=80)
    found = told(data, ["overall", "recommend"])
    assert "changes place" not in {finding.rule for finding in found}


def test_places_among_different_touchpoints_are_not_compared():
    same = [0.2, 0.4, 0.7, 0.7, 0.7]
    data = ratings(same, second=same, n=1200)
    # three that come first for satisfaction have too few answers for recommending
    data.loc[data.index >= 600, ["t2", "t3", "t4"]] = np.nan
    data.loc[data.index < 600, "recommend"] = np.nan
    found = told(data, ["overall", "recommend"], min_group_size=10)
    places = [finding.text for finding in found.of_kind("finding")]
    assert "of 2 touchpoints: Touchpoint B, place 1 (1 to 1)" in places[1]
    assert "changes place" not in {finding.rule for finding in found}


def test_advocacy_alone_is_an_outcome_like_any_other():
    data = ratings([0.9, 0.3, 0.3]).rename(columns={"overall": "recommend"})
    assert told(data, "recommend").answer.text.startswith(
        "Touchpoint A goes most with recommending"
    )


def test_forty_touchpoints_keep_sentences_short():
    found = told(ratings([0.4] * 40, n=600, halo=0.3), replicates=100)
    assert found.answer.rule == "none"
    assert max(len(finding.text) for finding in found) < 160


def test_no_pair_told_apart_is_not_settled():
    pairs = of_rule(told(ratings([0.5] * 4, n=150)), "pairs")
    assert pairs.text == (
        "No two touchpoints are told apart in how they go with overall satisfaction"
    )
    assert pairs.certainty == "not settled"


def test_words_never_say_that_one_thing_leads_to_another():
    text = " ".join(finding.text for finding in told(ratings([0.9, 0.3, 0.3, 0.3]))).casefold()
    assert "goes most" in text
    assert not any(word in text for word in ("leads to", "drives", "causes", "impact"))


# masking and cautions


def test_masking_says_of_how_many_ratings_it_is():
    data = ratings([0.5] * 4)
    data.loc[::2, "t3"] = np.nan
    masked = masking(data, "overall", ["t0", "t1", "t2", "t3"], low=3, high=8)
    finding = of_rule(told(data, masked=masked), "masking")
    good = data[data["overall"] >= 8]
    bad = (good[["t0", "t1", "t2", "t3"]] <= 3).any(axis=1)
    assert finding.certainty == "measured"
    assert finding.estimate == pytest.approx(100 * bad.mean())
    rated = good[["t0", "t1", "t2", "t3"]].notna().sum(axis=1).mean()
    assert f"who rated {rated:.1f} touchpoints on average" in finding.text
    assert finding.detail == f"n = {len(good)}"


def test_masking_of_few_good_scores_is_hidden_with_the_reason():
    data = ratings([0.5] * 3, n=120)
    data["overall"] = np.where(data.index < 5, 10.0, data["overall"].clip(upper=6))
    masked = masking(data, "overall", ["t0", "t1", "t2"], low=3, high=10)
    finding = of_rule(told(data, masked=masked), "masking hidden")
    assert finding.text == (
        "What share had a bad touchpoint behind a good overall score is not shown"
    )
    assert finding.detail == "too few answers, or all alike"


@pytest.mark.parametrize(
    ("occasion", "words"),
    [
        ("A", "may be mood: all was rated in one sitting; touchpoints go together by r = "),
        ("B", "may be mood: all was rated in one sitting, the outcome first; touchpoints go"),
        ("C", "Lasting differences between customers may be part"),
        ("D", "Who got which service was not decided by lot, which may be part"),
    ],
)
def test_the_caution_is_that_of_the_occasion(occasion, words):
    caution = of_rule(told(ratings([0.5, 0.4, 0.4]), occasion=occasion), "halo")
    assert words in caution.text
    assert "may be" in caution.text
    assert caution.kind == "caution"


def test_ratings_that_all_go_together_are_an_alarm():
    caution = of_rule(told(ratings([0.5] * 4, halo=0.85)), "halo")
    assert caution.text.endswith("; one impression may colour all ratings")


def test_a_ceiling_is_a_caution():
    latent = np.random.default_rng(15).normal(size=(600, 2)) @ np.array([[1, 0.8], [0, 0.6]])
    values = np.where(latent > 1, 1.0, np.where(latent > 0.9, 2.0, 3.0))
    found = told(pd.DataFrame(values, columns=["t0", "overall"]))
    assert of_rule(found, "ceiling").text == (
        "Many best scores may hide part of the correlation of Touchpoint A"
    )
    many = pd.DataFrame({f"t{i}": values[:, 0] for i in range(4)}).assign(overall=values[:, 1])
    assert of_rule(told(many), "ceiling").text.endswith("correlation of several touchpoints")


# studies without any true difference


def test_studies_without_a_difference_have_nothing_clear():
    studies, clear, false = 20, [], []
    for seed in range(studies):
        found = told(ratings([0.6] * 6, n=300, seed=seed), replicates=100, seed=seed)
        clear.append(found.answer.certainty == "clear")
        false.append(of_rule(found, "pairs").certainty == "clear")
    # 200 studies are in benchmarks/touchpoint_coverage.py; 20 stray by three standard errors
    slack = 3 * np.sqrt(0.05 * 0.95 / studies)
    assert np.mean(clear) <= 0.05 + slack
    assert np.mean(false) <= 0.05 + slack


def test_places_table_counts_what_the_sentences_say():
    data = ratings([0.9, 0.5, 0.3, 0.3])
    names = ["t0", "t1", "t2", "t3"]
    result = touchpoint_correlations(data, "overall", names, occasion="A", replicates=200)
    row = result.places().iloc[0]
    assert row["pairs"] == 6
    assert row["told_apart"] == (result.compare()["p_adjusted"] < 0.05).sum()
    assert row["may_be_first"] == (result.table["rank_low"] == 1).sum()
    assert row["may_be_last"] == (result.table["rank_high"] == 4).sum()
    assert (row["n_least"], row["n_most"]) == (400, 400)


# tables and figure


def result_of(data, outcomes="overall", labels=LABELS):
    names = [name for name in data if name.startswith("t")]
    return touchpoint_correlations(
        data, outcomes, names, occasion="A", replicates=100, missing="pairwise", labels=labels
    )


def rows_drawn(figure) -> list[str]:
    return [tick.get_text() for tick in figure.axes[0].get_yticklabels()]


def test_the_figure_has_a_panel_per_outcome_and_one_order():
    data = ratings([0.3, 0.8, 0.3, 0.3], second=[0.2, 0.1, 0.2, 0.9])
    result = result_of(data, ["overall", "recommend"])
    figure = plot_correlations(result)
    assert [ax.get_title() for ax in figure.axes] == ["Overall satisfaction", "Recommending"]
    order = result.overview()["touchpoint"].map(LABELS).tolist()
    assert order[0] == "Touchpoint B"
    assert rows_drawn(figure) == order
    own = result.table[result.table["outcome"] == "recommend"].set_index("touchpoint")["estimate"]
    values = [text.get_text() for text in figure.axes[1].texts]
    assert values == [f"{own[name]:.2f}" for name in result.overview()["touchpoint"]]
    plt.close(figure)


def test_a_table_of_correlations_is_not_drawn_without_its_result():
    result = result_of(ratings([0.3, 0.8], n=300))
    with pytest.raises(TypeError, match="`result` must be what touchpoint_correlations.. returned"):
        plot_correlations(result.table)


def test_of_many_touchpoints_the_first_and_the_last_are_drawn():
    labels = {f"t{i}": f"Costs ${i} $" for i in range(40)}
    result = result_of(ratings(np.linspace(0.8, 0.1, 40), n=600), labels=labels)
    figure = plot_correlations(result)
    order = result.overview()["touchpoint"].map(labels).tolist()
    assert rows_drawn(figure) == [*order[:8], *order[-4:]]
    assert "12 of 40 drawn" in figure.get_supxlabel()
    # a dollar is a letter, not the start of a formula
    assert not any(tick.get_parse_math() for tick in figure.axes[0].get_yticklabels())
    plt.close(figure)


def test_the_overview_has_the_outcomes_side_by_side():
    data = ratings([0.3, 0.8, 0.3], second=[0.2, 0.1, 0.9])
    result = result_of(data, ["overall", "recommend"])
    masked = masking(data, "overall", ["t0", "t1", "t2"], low=3, high=8)
    table = result.overview(masked)
    assert table["touchpoint"].iloc[0] == "t1"
    shares = masked.set_index("touchpoint")["among_good"]
    assert table["among_good"].tolist() == shares[table["touchpoint"]].tolist()
    wide = table.set_index("touchpoint")
    for row in result.table.itertuples():
        assert wide.loc[row.touchpoint, f"{row.outcome}_r"] == row.estimate
        assert wide.loc[row.touchpoint, f"{row.outcome}_place_high"] == row.rank_high
    shown = table_text(table)
    assert "Overall satisfaction: r" in shown
    assert "Recommending: place" in shown


def test_the_grid_names_coefficients_and_touchpoints_in_words():
    result = result_of(ratings([0.3, 0.8]))
    grid = result.grid()
    assert grid["label"].iloc[0] == "Touchpoint B"
    assert {"Pearson", "Tau-b", "Semi-partial"} <= set(grid["group"])


def test_masking_takes_its_limits_from_the_study():
    data = ratings([0.5, 0.5])
    cuts = {"t0": (3.0, 7.0), "overall": (2.0, 8.0)}
    by_study = masking(data, "overall", ["t0", "t1"], cuts=cuts)
    asked = masking(data, "overall", ["t0", "t1"], low=3.0, high=8.0)
    pd.testing.assert_frame_equal(by_study, asked)
    own = masking(data, "overall", ["t0", "t1"], cuts=cuts, low=4)
    assert set(own["low"]) == {4}
