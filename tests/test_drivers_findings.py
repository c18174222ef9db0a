"""What the driver report says: each rule's branch on a seeded study, each number from a cell."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from cxlab.core.metric import Metric, nps_metric
from cxlab.core.result import Result
from cxlab.stats.drivers import compare_outcomes, driver_map, drivers, penalty_reward, what_if
from cxlab.stats.drivers.findings import COMPARED, MORE, SHAPES
from cxlab.stats.drivers.findings import _keep_up as keep_up
from cxlab.stats.drivers.findings import _undecided as undecided
from cxlab.stats.drivers.findings import _within_margin as within_margin
from cxlab.stats.drivers.findings import _without_association as without_association
from cxlab.stats.drivers.singled_out import FITS, MAP, Told
from cxlab.stats.drivers.singled_out import _may_be as may_be
from cxlab.stats.drivers.singled_out import _only_without_association as only_without_association
from cxlab.stats.metrics.scorecard import scorecard
from tests.unfounded import unfounded

NAMES = ("food", "wifi", "signs", "staff", "shops")
LABELS = {name: name.capitalize() for name in NAMES} | {
    "overall": "Overall",
    "again": "Recommending",
}
EVEN = (0.3, 0.3, 0.3, 0.3, 0.3)
LAST = (0.2, 0.2, 0.2, 0.2, 0.6)
#: Numbers in texts that are words: scales, "half a point", "and 1 more".
WORDS = ("of 5", "of 100", "and 1 more", "and 2 more")


def answers(effects=LAST, drop=(0.0, 0.0, 0.0, 0.0, 0.5), n=400, seed=1, top=5, noise=1.0):
    """Ratings from 1 that go together, each lower by its ``drop``, and outcomes they drive."""
    rng = np.random.default_rng(seed)
    count = len(effects)
    latent = 3.2 + np.sqrt(0.5) * (rng.normal(size=(n, 1)) + rng.normal(size=(n, count)))
    names = [*NAMES, *(f"more_{i}" for i in range(count - 5))][:count]
    ratings = pd.DataFrame(np.round(latent - np.array(drop)).clip(1, top), columns=names)
    said = ratings.to_numpy() @ np.array(effects)
    frame = ratings.assign(overall=said + noise * rng.normal(size=n))
    return frame.assign(again=np.round(said + 2 + noise * rng.normal(size=n)).clip(0, 10))


def metrics_of(frame, target=None, margin=None, top=5):
    names = [name for name in frame if name not in ("overall", "again", "group")]
    return [Metric(name, "mean", scale=(1, top), target=target, margin=margin) for name in names]


def mapped(frame, *, advocacy=None, missing="pairwise", replicates=200, **options):
    names = [name for name in frame if name not in ("overall", "again", "group")]
    fields = {"target", "margin", "top"} & set(options)
    metrics = metrics_of(frame, **{name: options.pop(name) for name in fields})
    analysis = drivers(
        frame, "overall", names, advocacy=advocacy, method="johnson", missing=missing,
        replicates=replicates, labels=LABELS, **options,
    )  # fmt: skip
    return driver_map(analysis, metrics=metrics)


@lru_cache(maxsize=32)
def study(**options):
    return mapped(answers(**options))


def founded(found, places, **tables):
    """The findings, after a look at the cell behind every number."""
    recorded = {MAP: places.table, FITS: places.analysis.fits, **tables}
    assert unfounded(found, recorded, words=WORDS) == []
    return found


def rules(found):
    return [finding.rule for finding in found.rows if finding.kind == "finding"]


def said(found, rule):
    (one,) = [
        finding for finding in found.rows if finding.rule == rule and finding.kind != "answer"
    ]
    return one


class TestAnswer:
    def test_one_place_to_look_first(self):
        places = study()
        found = founded(places.findings(), places)
        assert found.answer.text == (
            "Look first at Shops: it counts more than the average touchpoint and is rated 0.3 of 5 "
            "below it"
        )
        assert (found.answer.certainty, found.answer.direction) == ("clear", "bad")
        assert "If everyone used everything" in found.answer.detail
        assert "100 of 100 resamples" in said(found, "numbers").detail

    def test_several_places_are_named_together(self):
        places = study(effects=(0.1, 0.1, 0.1, 0.6, 0.6), drop=(0, 0, 0, 0.8, 0.6))
        found = founded(places.findings(), places)
        assert found.answer.text == (
            "Look first at Staff and Shops: they count more than the average touchpoint and are rated "
            "0.3 to 0.5 of 5 below it"
        )
        assert rules(found)[:2] == ["numbers", "numbers"]

    def test_what_is_likely_is_no_imperative(self):
        places = study(drop=(0.0, 0.0, 0.0, 0.0, 0.1), seed=6)
        found = founded(places.findings(), places)
        assert found.answer.text == (
            "Shops may be the place to look first; these answers do not settle it"
        )
        assert found.answer.certainty == "likely"
        assert said(found, "numbers").certainty == "likely"

    def test_without_an_association_none_stands_out(self):
        places = halo_only()
        found = founded(places.findings(), places)
        assert found.answer.text == (
            "No single touchpoint stands out: Wifi is important and rated below average, but is not "
            "shown to go with the outcome beyond the other ratings"
        )
        assert found.answer.certainty == "not settled"
        assert "no association" not in rules(found)

    @pytest.mark.parametrize(
        ("target", "begins", "certainty"),
        [(2.0, "No touchpoint is below its target", "clear"),
         (3.08, "No touchpoint is shown to be below its target", "not settled")],
    )  # fmt: skip
    def test_all_on_target(self, target, begins, certainty):
        places = mapped(answers(drop=(0,) * 5, seed=4), target=target)
        found = founded(places.findings(), places)
        assert (found.answer.rule, found.answer.certainty) == ("on target", certainty)
        assert found.answer.text.startswith(begins)
        assert found.answer.text.endswith("; Shops counts most")

    def test_below_its_own_target_however_little(self):
        frame = answers(drop=(0,) * 5)
        places = mapped(frame, target=round(frame["shops"].mean() + 0.12, 2))
        found = founded(places.findings(), places)
        assert found.answer.text == (
            "Look first at Shops: it counts more than the average touchpoint and is rated 0.1 of 5 "
            "below its target"
        )
        assert "target 3.3" in said(found, "numbers").text

    def test_none_is_singled_out(self):
        places = study(effects=EVEN, drop=(0.0,) * 5, seed=5)
        found = founded(places.findings(), places)
        assert found.answer.text == "These answers do not single out a touchpoint to look at first"
        assert found.answer.certainty == "not settled"

    def test_without_resamples_nothing_is_decided(self):
        places = mapped(answers(), replicates=0)
        found = founded(places.findings(), places)
        assert (found.answer.rule, rules(found)) == ("none", [])
        assert found.answer.detail == "Without resamples nothing is decided"


class TestDegrading:
    def test_too_few_answers_for_so_many_touchpoints(self):
        places = study(n=40)
        found = founded(places.findings(), places)
        assert [finding.text for finding in found] == [
            "40 answers are too few to single out any of 5 touchpoints"
        ]

    def test_few_answers_are_counted_first(self):
        places = study(n=80)
        assert founded(places.findings(), places).answer.text.startswith(
            "80 answers: look first at Shops: it counts more"
        )

    def test_a_part_is_named_with_its_answers(self):
        places = study()
        found = founded(places.findings(part="Segment = Business"), places)
        assert found.answer.text.startswith("Segment = Business (400 answers): look first at Shops")
        assert places.findings(part="everyone").answer.text.startswith("Look first at Shops")

    def test_many_touchpoints_give_no_more_findings(self):
        effects, drop = (0.02,) * 16 + (0.6,) * 4, (0.0,) * 16 + (0.8, 0.9, 0.7, 0.6)
        places = mapped(answers(effects=effects, drop=drop, n=900))
        found = founded(places.findings(), places)
        assert "and 1 more: they count more than the average" in found.answer.text
        assert rules(found).count("numbers") == 2
        assert len(rules(found)) <= 5

    def test_different_scales_are_rated_from_0_to_100(self):
        frame = answers()
        frame["food"] = 2 * frame["food"]
        metrics = [*metrics_of(frame)[1:], Metric("food", "mean", scale=(2, 10))]
        analysis = drivers(frame, "overall", NAMES, method="johnson", replicates=200, labels=LABELS)
        places = driver_map(analysis, metrics=metrics)
        same = study().table.set_index("driver")
        expected = 25 * (same["performance"] - 1)
        assert places.table.set_index("driver")["performance"].to_dict() == pytest.approx(
            expected.to_dict()
        )
        found = founded(places.findings(), places)
        assert "of 100 below it" in found.answer.text

    def test_nps_alone_is_compared_with_nothing(self):
        frame = answers().drop(columns="overall")
        analysis = drivers(
            frame, "again", NAMES, advocacy="again", method="johnson", replicates=200, labels=LABELS
        )
        places = driver_map(analysis, metrics=metrics_of(frame))
        found = founded(places.findings(compared=compare_outcomes(analysis)), places)
        assert found.answer.rule == "look first"
        assert "advocacy" not in rules(found)


class TestDecidingAgain:
    def test_an_explored_part_is_at_most_likely(self):
        places = study()
        found = founded(places.findings(explored=True), places)
        assert found.answer.text.startswith("Shops may be the place to look first")
        assert {finding.certainty for finding in found} <= {"likely", "not settled", "measured"}
        assert found.answer.detail.endswith("Explored, not planned: at most likely")

    def test_another_margin_decides_again_and_says_what_changed(self):
        places = study()
        found = founded(places.findings(margin=1.0), places)
        assert found.answer.rule == "none"
        assert "Decided again: Shops “within the margin”, was “look first”" in found.answer.detail
        again = driver_map(places.analysis, metrics=places.metrics, margin=1.0)
        assert said(founded(again.findings(), again), "within margin").text == (
            "Shops counts more than the average touchpoint and is rated below average, but by less than "
            "the margin of 1"
        )

    def test_a_named_family_is_adjusted_on_its_own(self):
        analysis = study().analysis
        alone = driver_map(analysis, family=["food"]).table.set_index("driver")
        assert alone.loc["food", "p_adjusted"] == pytest.approx(
            analysis.table.set_index("driver").loc["food", "p_value"]
        )
        assert alone["p_adjusted"].drop("food").isna().all()
        assert study().findings(family=["food"]).answer.rule == "no association"
        with pytest.raises(ValueError, match="`family` must be"):
            driver_map(analysis, family=["fod"])


class TestFindings:
    def test_what_to_keep_up_has_both_gaps(self):
        places = study(drop=(0, 0, 0, 0, -0.5))
        keep = said(founded(places.findings(), places), "keep up")
        assert keep.text == (
            "Keep up Shops: it counts 16 percentage points (6 to 26) more than the average touchpoint "
            "and is rated 0.41 of 5 (0.33 to 0.50) above it"
        )
        assert (keep.certainty, keep.direction) == ("clear", "good")

    def test_what_counts_most_is_said_so(self):
        places = study(effects=(0.1, 0.1, 0.1, 0.1, 0.9), drop=(0, 0, 0, 0, -0.5))
        keep = said(founded(places.findings(), places), "keep up")
        assert "it counts most, " in keep.text

    def test_several_to_keep_up_are_named_together(self):
        places = study(effects=(0.1, 0.1, 0.1, 0.6, 0.6), drop=(0, 0, 0, -0.6, -0.5))
        assert said(founded(places.findings(), places), "keep up").text == (
            "Keep up Staff and Shops: they count more than the average touchpoint and are rated above "
            "average"
        )

    def test_what_half_of_the_resamples_say_is_named_with_its_share(self):
        places = study(drop=(0, 0, 0, 0, -0.5))
        told = said(founded(places.findings(), places), "undecided")
        assert (
            told.text
            == "Important and rated below average in only part of the resamples: Staff (74 %)"
        )
        assert told.certainty == "not settled"

    def test_a_drag_without_association_beside_a_clear_one(self):
        places = halo_only(low=("signs",))
        found = founded(places.findings(), places)
        assert found.answer.text.startswith("Look first at Signs")
        assert said(found, "no association").text.startswith("Wifi is important and rated below")

    def test_more_for_recommending_with_its_interval(self):
        frame = answers(drop=(0,) * 5)
        rng = np.random.default_rng(5)
        frame["again"] = np.round(2 + 1.5 * frame["food"] + rng.normal(size=400)).clip(0, 10)
        places = mapped(frame, advocacy="again")
        compared = compare_outcomes(places.analysis)
        found = founded(places.findings(compared=compared), places, **{COMPARED: compared})
        assert said(found, "advocacy").text == (
            "For Recommending, these count more than for Overall: Food; less: Shops, Staff, Signs and "
            "1 more"
        )

    def test_one_that_counts_less_for_recommending(self):
        places = mapped(answers(drop=(0,) * 5), advocacy="again")
        compared = compare_outcomes(places.analysis)
        one = compared.assign(p_adjusted=np.where(compared["driver"] == "shops", 0.01, 0.5))
        one.loc[one["driver"] == "shops", ["estimate", "deciding_low", "deciding_high"]] = (
            0.12,
            0.02,
            0.22,
        )
        found = founded(places.findings(compared=one), places, **{COMPARED: one})
        assert said(found, "advocacy").text == (
            "For Recommending, Shops counts less than for Overall, by 12 percentage points (2 to 22)"
        )

    def test_what_is_not_shown_says_what_would_be(self):
        places = mapped(answers(drop=(0,) * 5), advocacy="again")
        compared = compare_outcomes(places.analysis)
        told = said(
            founded(places.findings(compared=compared), places, **{COMPARED: compared}), "advocacy"
        )
        assert told.text == (
            "Recommending: no touchpoint is shown to count differently for it than for Overall"
        )
        assert "percentage points would be shown four times in five" in told.detail

    @pytest.mark.parametrize("two", [False, True])
    def test_steeper_below_the_middle_under_both_cuts(self, two):
        frame = answers(effects=EVEN, drop=(0,) * 5, n=1200)
        bent = ["food", "wifi"] if two else ["food"]
        frame["overall"] += sum(1.2 * frame[name].clip(upper=3) for name in bent)
        places = mapped(frame)
        shapes = penalty_reward(
            frame, "overall", NAMES, cuts=(2, 4), missing="pairwise", replicates=100, labels=LABELS
        )
        other = shapes.table.assign(other_shape=shapes.table["shape"])
        found = founded(
            places.findings(shapes=replace(shapes, table=other)), places, **{SHAPES: other}
        )
        told = said(found, "steeper")
        begins = (
            "Overall is steeper below" if two else "At Food, Overall is steeper below the middle of"
        )
        assert told.text.startswith(begins)
        assert told.certainty == "clear"

    def test_a_shape_that_other_cuts_do_not_give_is_not_told(self):
        table = pd.DataFrame(
            {"driver": ["food"], "label": ["Food"], "n": [400], "shape": ["basic"], "basic": [0.99],
             "other_shape": ["undetermined"], "p_adjusted": [0.001], "bend": [-0.4], "bend_low": [-0.6],
             "bend_high": [-0.2]}
        )  # fmt: skip
        places = study()
        assert "steeper" not in rules(places.findings(shapes=Result(table=table)))
        same = table.assign(other_shape="basic", basic=0.9)
        found = founded(places.findings(shapes=Result(table=same)), places, **{SHAPES: same})
        assert said(found, "steeper").certainty == "likely"

    def test_ratings_that_go_together_are_a_caution(self):
        rng = np.random.default_rng(2)
        common = rng.normal(size=(300, 1))
        frame = pd.DataFrame(common + 0.5 * rng.normal(size=(300, 5)), columns=list(NAMES))
        frame["overall"] = frame.mean(axis=1) + rng.normal(size=300)
        places = mapped(frame)
        (caution,) = places.findings().of_kind("caution")
        assert "one impression may colour them all" in caution.text


class TestMargin:
    """A gap of −0.15, its interval from −0.30 to −0.01, beside margins of 0.2 and 0.3."""

    def margins(self, **margins):
        places = study()
        table = places.table.set_index("driver", drop=False)
        columns = ["performance_gap", "performance_gap_low", "performance_gap_high", "margin"]
        for name, margin in margins.items():
            table.loc[name, columns] = (-0.15, -0.30, -0.01, margin)
            table.loc[name, "verdict"] = "within the margin"
        places = replace(places, table=table.reset_index(drop=True))
        return within_margin(Told(places, places.table))

    def test_an_interval_beyond_the_margin_does_not_settle_that_it_is_less(self):
        (told,) = self.margins(shops=0.2)
        assert told.text == (
            "Shops counts more than the average touchpoint and is rated below average, but not shown "
            "to be below by as much as the margin of 0.2"
        )
        assert told.certainty == "not settled"
        assert "smaller than declared" not in told.detail

    def test_an_interval_that_ends_at_the_margin_is_less(self):
        (told,) = self.margins(shops=0.3)
        assert told.text.endswith("rated below average, but by less than the margin of 0.3")
        assert told.certainty == "clear"

    def test_each_is_told_with_what_is_shown_of_it(self):
        less, still_open = self.margins(shops=0.3, food=0.2)
        assert (less.subject, less.certainty) == ("Shops", "clear")
        assert (still_open.subject, still_open.certainty) == ("Food", "not settled")


class TestTargetsInWords:
    """Ratings compared with a declared target are never said to be above or below average."""

    def told(self, targets, rule, verdicts, fix_first=0.9):
        places = study()
        metrics = tuple(replace(one, target=targets.get(one.column)) for one in places.metrics)
        table = places.table.assign(
            verdict=places.table["driver"].map(verdicts).fillna("not first")
        )
        places = replace(places, metrics=metrics, table=table.assign(fix_first=fix_first))
        return rule(Told(places, places.table))

    @pytest.mark.parametrize(
        ("targets", "end"),
        [({}, "above average"), ({"staff": 2, "shops": 2}, "above their targets"),
         ({"shops": 2}, "above its target (Shops) and above average (Staff)")],
    )  # fmt: skip
    def test_to_keep_up(self, targets, end):
        verdicts = dict.fromkeys(["staff", "shops"], "keep up")
        finding = self.told(targets, keep_up, verdicts)
        assert finding.text.endswith(f"the average touchpoint and are rated {end}")

    @pytest.mark.parametrize(
        ("targets", "words"),
        [({}, "below average"), ({"wifi": 5}, "below its target"),
         ({"food": 5}, "below average")],
    )  # fmt: skip
    def test_important_and_low(self, targets, words):
        without = {"wifi": "association not shown"}
        beside = self.told(targets, without_association, without)
        assert beside.text.startswith(f"Wifi is important and rated {words}, but is not shown")
        alone = self.told(targets, only_without_association, without)
        assert f"Wifi is important and rated {words}, but is not shown to go" in alone.text
        part = self.told(targets, undecided, {"wifi": "not settled"})
        assert (
            part.text == f"Important and rated {words} in only part of the resamples: Wifi (90 %)"
        )
        likely = self.told(targets, may_be, {"wifi": "likely"})
        assert f"and is rated {words} is likely" in likely.detail

    def test_what_is_likely_of_two_is_said_of_each(self):
        verdicts = dict.fromkeys(["wifi", "shops"], "likely")
        detail = self.told({"shops": 5}, may_be, verdicts).detail
        assert "are rated below its target (Shops) and below average (Wifi) is likely" in detail

    def test_a_target_of_0_is_a_target(self):
        frame = answers() - 3
        metrics = [Metric("shops", "mean", scale=(-2, 2), target=0)]
        metrics += [Metric(name, "mean", scale=(-2, 2)) for name in NAMES[:4]]
        analysis = drivers(
            frame, "overall", NAMES, method="johnson", missing="pairwise", replicates=50
        )
        table = driver_map(analysis, metrics=metrics).table.set_index("driver")
        assert table.loc["shops", "performance_cut"] == 0


class TestWhatFollows:
    def test_half_a_point_where_a_target_is_missed(self):
        frame = answers()
        places = mapped(frame, advocacy="again")
        more = what_if(places.analysis, change=0.5, scales=dict.fromkeys(NAMES, (1, 5)))
        card = scorecard(frame, [replace(nps_metric("again"), target=60)], labels=LABELS)
        assert card.table["attained"].tolist() == ["no"]
        found = founded(places.findings(more=more, card=card), places, **{MORE: more})
        (told,) = found.of_kind("so what")
        assert told.text.startswith(
            "Half a point more on Shops (capped at the scale's top) goes with +"
        )
        assert told.text.endswith("points of NPS missing: an association, no forecast")
        missing = 60 - card.table["estimate"].iloc[0]
        assert told.reference == pytest.approx(missing)

    @pytest.mark.parametrize("target", [-50, None])
    def test_nothing_follows_from_a_target_that_is_met_or_not_set(self, target):
        frame = answers()
        places = mapped(frame, advocacy="again")
        more = what_if(places.analysis, change=0.5, scales=dict.fromkeys(NAMES, (1, 5)))
        card = scorecard(frame, [replace(nps_metric("again"), target=target)])
        assert places.findings(more=more, card=card).of_kind("so what") == []

    def test_nothing_follows_from_what_is_only_likely(self):
        frame = answers()
        places = mapped(frame, advocacy="again")
        more = what_if(places.analysis, change=0.5, scales=dict.fromkeys(NAMES, (1, 5)))
        card = scorecard(frame, [replace(nps_metric("again"), target=60)])
        found = places.findings(more=more, card=card, explored=True)
        assert found.of_kind("so what") == []


#: Studies of the null test; three standard errors below 94 %.
STUDIES = 20


def test_without_any_difference_nothing_is_clear():
    clear = 0
    for seed in range(STUDIES):
        places = mapped(
            answers(effects=EVEN, drop=(0.0,) * 5, seed=seed), advocacy="again", replicates=150
        )
        found = places.findings(compared=compare_outcomes(places.analysis))
        clear += any(finding.certainty == "clear" for finding in found)
    assert clear / STUDIES <= 0.06 + 3 * np.sqrt(0.06 * 0.94 / STUDIES)


def halo_only(low=()):
    """Wifi goes with the outcome through food alone, and is rated low; so are those named."""
    rng = np.random.default_rng(3)
    common = rng.normal(size=(600, 1))
    frame = pd.DataFrame(common + 0.4 * rng.normal(size=(600, 2)), columns=["food", "wifi"])
    for name in NAMES[2:]:
        frame[name] = rng.normal(size=600)
    frame["overall"] = frame["food"] + 0.1 * frame["staff"] + 0.3 * rng.normal(size=600)
    frame["overall"] += sum(0.8 * frame[name] for name in low)
    frame[["wifi", *low]] -= 1
    return mapped(frame + 3, top=5)
