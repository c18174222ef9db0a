import numpy as np
import pandas as pd
import pytest

from benchmarks.simulate import simulate_programme
from cxlab.stats.comparison import compare_tnps_rnps
from cxlab.stats.comparison.contract import ContactRule

SIZES = {"periods": 1, "trips_per_period": 1.2, "transactional_sampling": 0.4}


@pytest.fixture(scope="module")
def programme():
    return simulate_programme(600, seed=21, **SIZES)


def files_of(programme):
    """Fresh copies of the four files, to spoil."""
    names = ("transactional", "relationship", "invitations", "customers")
    return {name: getattr(programme, name).copy() for name in names}


def compare(files, programme, **options):
    options = {"contact_rules": programme.contact_rules, "replicates": 0, **options}
    return compare_tnps_rnps(**files, traits=["segment"], **options)


class TestResponses:
    def test_an_answer_before_its_invitation(self, programme):
        files = files_of(programme)
        files["transactional"].loc[3, "responded_at"] -= pd.Timedelta(days=30)
        with pytest.raises(
            ValueError, match="must not be before its invitation .*got response 'T00004'"
        ):
            compare(files, programme)

    def test_a_relationship_answer_before_its_invitation(self, programme):
        files = files_of(programme)
        files["relationship"].loc[[0, 1], "responded_at"] = pd.Timestamp("2023-01-01")
        with pytest.raises(
            ValueError, match=r"relationship answers must not be .*'R00001' \(and 1 more"
        ):
            compare(files, programme)

    def test_an_answer_on_the_day_of_the_invitation_is_none(self, programme):
        files = files_of(programme)
        files["relationship"]["responded_at"] = files["relationship"]["invited_at"]
        assert compare(files, programme).flow["n"].gt(0).any()

    def test_repeated_ids(self, programme):
        files = files_of(programme)
        files["relationship"].loc[1, "response_id"] = "R00001"
        with pytest.raises(
            ValueError,
            match="`response_id` of the relationship answers must be unique; got 'R00001'",
        ):
            compare(files, programme)

    def test_a_missing_id(self, programme):
        files = files_of(programme)
        files["transactional"].loc[1, "response_id"] = None
        with pytest.raises(ValueError, match="must be given in every row; 1 have none"):
            compare(files, programme)

    def test_a_survey_type_that_is_not_declared(self, programme):
        files = files_of(programme)
        files["transactional"]["survey_type"] = "transactional"
        files["transactional"].loc[2, "survey_type"] = "tNPS"
        with pytest.raises(
            ValueError, match="must be 'transactional' in every row; got 'tNPS'.*never guessed"
        ):
            compare(files, programme)

    def test_surveys_the_wrong_way_round(self, programme):
        files = files_of(programme)
        files["relationship"]["survey_type"] = "transactional"
        with pytest.raises(
            ValueError, match="must be 'relationship' in every row; got 'transactional'"
        ):
            compare(files, programme)

    def test_a_score_off_the_scale(self, programme):
        files = files_of(programme)
        files["relationship"].loc[[4, 5], "recommend"] = 99
        with pytest.raises(
            ValueError, match=r"must be whole numbers from 0 to 10; got 99 \(and 1 more\)"
        ):
            compare(files, programme)

    def test_scores_as_text(self, programme):
        files = files_of(programme)
        files["relationship"]["recommend"] = "9"
        with pytest.raises(
            TypeError, match="`recommend` of the relationship answers must be numbers; got '9'"
        ):
            compare(files, programme)

    def test_dates_that_are_none(self, programme):
        files = files_of(programme)
        files["transactional"] = files["transactional"].astype({"responded_at": "str"})
        files["transactional"].loc[0, "responded_at"] = "last Monday"
        with pytest.raises(ValueError, match="must be ISO dates; got 'last Monday'"):
            compare(files, programme)

    def test_dates_as_numbers(self, programme):
        files = files_of(programme)
        files["transactional"]["responded_at"] = 45_000
        with pytest.raises(TypeError, match="must be dates; got 45000"):
            compare(files, programme)

    def test_dates_as_text_are_read(self, programme):
        files = files_of(programme)
        text = {"responded_at": "str", "invited_at": "str", "triggered_at": "str"}
        files["transactional"] = files["transactional"].astype(text)
        expected = compare(files_of(programme), programme)
        found = compare(files, programme)
        pd.testing.assert_frame_equal(found.delays, expected.delays)

    def test_a_customer_outside_the_frame(self, programme):
        files = files_of(programme)
        files["customers"] = files["customers"].iloc[:-300]
        with pytest.raises(
            ValueError, match="`customer_id` of the .* must be among the customers; got 'C00"
        ):
            compare(files, programme)

    def test_an_answer_without_customer(self, programme):
        files = files_of(programme)
        files["relationship"].loc[7, "customer_id"] = None
        with pytest.raises(
            ValueError, match="`customer_id` of the relationship answers must be given"
        ):
            compare(files, programme)

    def test_a_misspelt_column(self, programme):
        with pytest.raises(ValueError, match="got 'recomend'. Did you mean 'recommend'"):
            compare(files_of(programme), programme, score="recomend")

    def test_a_blank_score_is_counted_and_left_out(self, programme):
        files = files_of(programme)
        blank = files["relationship"]["recommend"].isna().sum()
        files["relationship"].loc[files["relationship"].index[:3], "recommend"] = np.nan
        result = compare(files, programme)
        lost = result.n_missing.set_index("column")["n_missing"][
            "recommend of the relationship answers"
        ]
        assert lost >= max(3, blank)
        flow = result.flow.query("survey == 'relationship'").set_index("stage")["n"]
        assert flow["answered"] - flow["valid score"] == lost


class TestInvitations:
    def test_an_answer_without_invitation(self, programme):
        files = files_of(programme)
        answered = (
            files["invitations"]["episode_id"] == files["transactional"]["episode_id"].iloc[0]
        )
        files["invitations"] = files["invitations"][~answered]
        with pytest.raises(
            ValueError, match="Every transactional answer must have an invitation .*'T00001'"
        ):
            compare(files, programme)

    def test_an_answer_to_an_invitation_that_was_not_answered(self, programme):
        files = files_of(programme)
        who = files["relationship"]["customer_id"].iloc[0]
        asked = files["invitations"]
        row = (asked["customer_id"] == who) & (asked["survey_type"] == "relationship")
        asked.loc[row, "status"] = "invited"
        with pytest.raises(
            ValueError, match="Every relationship answer must have an invitation .*'R00001'"
        ):
            compare(files, programme)

    def test_two_answers_to_one_invitation(self, programme):
        files = files_of(programme)
        files["relationship"].loc[1, "customer_id"] = files["relationship"].loc[0, "customer_id"]
        with pytest.raises(ValueError, match="must have one answer; got two for response 'R00002'"):
            compare(files, programme)

    def test_unknown_status(self, programme):
        files = files_of(programme)
        files["invitations"].loc[0, "status"] = "sent"
        with pytest.raises(ValueError, match="`status` of the invitations must be .*; got 'sent'"):
            compare(files, programme)

    def test_a_probability_of_zero(self, programme):
        files = files_of(programme)
        files["invitations"].loc[0, "probability"] = 0.0
        with pytest.raises(ValueError, match="must be above 0 and at most 1; got '0'"):
            compare(files, programme)

    def test_a_suppressed_row_without_rule(self, programme):
        files = files_of(programme)
        files["invitations"]["rule"] = None
        with pytest.raises(ValueError, match="must name the rule of every suppressed row"):
            compare(files, programme)

    def test_repeated_episodes(self, programme):
        files = files_of(programme)
        files["invitations"].loc[1, "episode_id"] = files["invitations"].loc[0, "episode_id"]
        with pytest.raises(
            ValueError, match="`episode_id` of the transactional invitations must be unique"
        ):
            compare(files, programme)

    def test_two_waves_of_one_name(self, programme):
        files = files_of(programme)
        waves = files["invitations"].query("survey_type == 'relationship'").head(1)
        files["invitations"] = pd.concat([files["invitations"], waves], ignore_index=True)
        with pytest.raises(ValueError, match="must be one per `customer_id` and `period`"):
            compare(files, programme)


class TestContactRules:
    def test_a_rule_that_the_invitations_do_not_have(self, programme):
        with pytest.raises(
            ValueError, match="got 'relationship quarantin'. Did you mean 'relationship quarantine'"
        ):
            compare(files_of(programme), programme, contact_rules={"relationship quarantin": 60})

    def test_an_exemption_that_was_not_declared(self, programme):
        rules = {"relationship quarantine": 60, "transactional quarantine": 30}
        with pytest.raises(ValueError, match="must hold for everyone if `exempt` is 0"):
            compare(files_of(programme), programme, contact_rules=rules)

    def test_days_that_do_not_explain_the_suppressed(self, programme):
        rules = {"relationship quarantine": (10, 0.1), "transactional quarantine": 30}
        with pytest.raises(ValueError, match="`contact_rules` must explain the suppressed rows"):
            compare(files_of(programme), programme, contact_rules=rules)

    def test_an_undeclared_rule_leaves_its_customers_out(self, programme):
        result = compare(files_of(programme), programme, contact_rules=None)
        coverage = result.decomposition.set_index("term").loc["coverage"]
        assert coverage["status"] == "not identified"
        assert np.isnan(coverage["estimate"])
        assert any("was not declared" in note for note in result.notes)

    @pytest.mark.parametrize("told", ["60", [60], {"days": 60}])
    def test_days_that_are_none(self, programme, told):
        with pytest.raises((TypeError, ValueError), match="contact_rules"):
            compare(files_of(programme), programme, contact_rules={"relationship quarantine": told})

    def test_negative_days(self):
        with pytest.raises(ValueError, match="`days` of rule 'q' must be 0 or more"):
            ContactRule("q", -1)

    def test_everybody_exempt(self):
        with pytest.raises(ValueError, match="`exempt` of rule 'q' must be from 0 to below 1"):
            ContactRule("q", 30, exempt=1.0)


class TestOptions:
    @pytest.mark.parametrize(
        ("option", "words"),
        [
            ({"window_days": 0}, "`window_days` must be"),
            ({"replicates": -1}, "`replicates` must be"),
            ({"min_group_size": 0}, "`min_group_size` must be a whole number of 1 or more; got 0"),
            ({"min_group_size": 9.5}, "`min_group_size` must be a whole number"),
            ({"periods": "2031-Q1"}, "`periods` must be periods"),
        ],
    )
    def test_bad_options(self, programme, option, words):
        with pytest.raises(ValueError, match=words):
            compare(files_of(programme), programme, **option)

    def test_traits_without_customers(self, programme):
        files = files_of(programme) | {"customers": None}
        with pytest.raises(ValueError, match="`traits` must be columns of `customers`"):
            compare(files, programme)

    def test_negative_weights(self, programme):
        files = files_of(programme)
        files["relationship"].loc[0, "weight"] = -1.0
        with pytest.raises(ValueError, match="`weight` of the relationship answers must be finite"):
            compare(files, programme, weights={"relationship": "weight"})


class TestDegenerate:
    def test_no_overlap_at_all_is_a_stated_result(self, programme):
        files = files_of(programme)
        shared = set(files["transactional"]["customer_id"])
        lonely = ~files["relationship"]["customer_id"].isin(shared)
        result = compare_tnps_rnps(
            files["transactional"], files["relationship"][lonely], replicates=0
        )
        assert result.paired["n"].tolist() == [0, 0]
        said = result.findings().of_kind("finding")[-1].text
        assert said.endswith("no customer answered both surveys in the window")
        assert result.estimands.set_index("estimand").loc["E3", "status"] == "no pairs"

    def test_one_customer_only_is_a_stated_result(self):
        t = pd.DataFrame(
            {
                "response_id": ["t1", "t2"],
                "customer_id": ["a", "a"],
                "recommend": [9, 3],
                "responded_at": pd.to_datetime(["2025-01-03", "2025-01-05"]),
            }
        )
        r = pd.DataFrame(
            {
                "response_id": ["r1"],
                "customer_id": ["a"],
                "recommend": [10],
                "responded_at": pd.to_datetime(["2025-01-20"]),
            }
        )
        result = compare_tnps_rnps(t, r, min_group_size=1, replicates=0)
        raw = result.estimates.query("estimate_kind == 'raw'").set_index("survey")
        assert raw.loc["difference", "estimate"] == pytest.approx(-100)
        assert np.isnan(raw.loc["difference", "ci_low"])
        assert result.paired["estimate"].tolist() == [-200, -200]
        assert str(result).startswith("With 2 and 1 answers: ")
        assert "it is −100, without an interval" in str(result)

    def test_no_answer_in_one_survey_is_a_stated_result(self, programme):
        files = files_of(programme)
        result = compare_tnps_rnps(
            files["transactional"], files["relationship"].iloc[:0], replicates=0
        )
        assert "no valid answer" in str(result)

    def test_only_blank_scores_in_one_survey(self, programme):
        files = files_of(programme)
        files["relationship"]["recommend"] = np.nan
        result = compare(files, programme)
        assert "no valid answer" in str(result)
        assert "no valid relationship answer in the window" in result.notes

    def test_without_frame_only_raw_and_paired_results(self, programme):
        result = compare_tnps_rnps(programme.transactional, programme.relationship, replicates=0)
        terms = result.decomposition.query("kind == 'term'")
        assert (terms["status"] == "not identified").all()
        assert terms["estimate"].isna().all()
        assert terms["note"].str.contains("needs the frame").all()
        gap = result.decomposition.set_index("term").loc["gap"]
        raw = result.estimates.query("estimate_kind == 'raw' and survey == 'difference'").iloc[0]
        assert gap["estimate"] == raw["estimate"]
        assert not result.standardised

    def test_without_invitations_the_frame_alone_does_not_help(self, programme):
        result = compare_tnps_rnps(
            programme.transactional, programme.relationship, customers=programme.customers,
            replicates=0,
        )  # fmt: skip
        assert not result.standardised
