"""Comments in numbers: machine codes corrected by hand codes, agreement, sheets to code."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulate.comments import draw_comments
from cxlab.core.metric import nps_metric
from cxlab.stats.drivers import drivers
from cxlab.stats.verbatims import (
    code_comments,
    coding_agreement,
    coding_sample,
    krippendorff_alpha,
    people_codes,
    read_coding,
    study_coding,
    study_themes,
    theme_scores,
)
from cxlab.stats.verbatims.codes import WORDS, CodedComments
from cxlab.stats.verbatims.coding import STRATA, strata_of
from cxlab.stats.verbatims.correction import (
    Comments,
    Correction,
    adjusted_gap,
    gap,
    impact,
    share,
)
from cxlab.survey.definition import Theme
from cxlab.survey.study import load_study
from cxlab.survey.study_file import definition_of

EXACT = 1e-12
NAN = np.nan


def comments(machine, hand, score, stratum, **changes):
    n = len(machine)
    parts = {
        "own": np.ones(n, dtype=bool), "weight": np.ones(n), "drawn": np.ones(n), **changes,
    }  # fmt: skip
    return Comments(
        np.asarray(machine, float), np.asarray(hand, float), np.asarray(score, float),
        stratum=np.asarray(stratum), **parts,
    )  # fmt: skip


def planted(seed, n=400, coded=60, accuracy=0.9):
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, 2)) < [0.3, 0.2]).astype(float)
    score = 7 + truth @ [-2.0, 1.0] + rng.normal(0, 1.5, n)
    machine = np.where(rng.random((n, 2)) < accuracy, truth, 1 - truth)
    stratum = machine.any(axis=1).astype(int)
    hand = np.full((n, 2), NAN)
    for place in (0, 1):
        chosen = rng.choice(np.flatnonzero(stratum == place), coded // 2, replace=False)
        hand[chosen] = truth[chosen]
    return truth, machine, hand, score, stratum


def test_a_share_corrected_by_hand():
    # ten comments: the machine finds the theme in four; of two of these that were coded one has
    # it not, of two of the other six one has it: .4 + .4·(−1/2) + .6·(1/2) = .5
    machine = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0.0])[:, None]
    hand = np.array([1, 0, NAN, NAN, 0, 1, NAN, NAN, NAN, NAN])[:, None]
    made = Correction(comments(machine, hand, np.zeros(10), machine[:, 0].astype(int)))
    assert made.estimate(share(0), tuning=1.0).estimate == pytest.approx(0.5, abs=EXACT)
    assert made.estimate(share(0)).machine == pytest.approx(0.4, abs=EXACT)
    # hand codes alone: .4·(1/2) + .6·(1/2)
    assert made.estimate(share(0), tuning=0.0).estimate == pytest.approx(0.5, abs=EXACT)


def test_the_second_phase_of_a_share_has_its_textbook_variance():
    # a machine that says nothing, one stratum: f·s²/n of a sample of n of N, and p(1 − p)/N
    hand = np.full((1000, 1), NAN)
    hand[:100, 0] = np.arange(100) < 30
    made = Correction(comments(np.zeros((1000, 1)), hand, np.zeros(1000), np.zeros(1000, int)))
    variance = (made.estimate(share(0), tuning=0.0).influence ** 2).sum()
    expected = 0.9 * 0.21 / 99 + 0.21 / 1000
    assert variance == pytest.approx(expected, rel=1e-9)


def test_all_hand_coded_is_the_census():
    truth, machine, _, score, stratum = planted(1)
    made = Correction(comments(machine, truth, score, stratum))
    difference = score[truth[:, 0] == 1].mean() - score[truth[:, 0] == 0].mean()
    assert made.estimate(gap(0)).estimate == pytest.approx(difference, abs=EXACT)
    design = np.column_stack([np.ones(len(score)), truth])
    expected = np.linalg.lstsq(design, score, rcond=None)[0][2]
    assert made.estimate(adjusted_gap(1, 2)).estimate == pytest.approx(expected, abs=1e-10)


def test_a_perfect_machine_is_believed_and_noise_is_not():
    truth, _, hand, score, stratum = planted(2)
    perfect = Correction(comments(truth, hand, score, stratum))
    for quantity in (share(0), gap(0), adjusted_gap(1, 2)):
        found = perfect.estimate(quantity)
        assert found.tuning == pytest.approx(1.0, abs=1e-9)
        assert found.estimate == pytest.approx(found.machine, abs=1e-9)
    rng = np.random.default_rng(3)
    noise = (rng.random(truth.shape) < 0.5).astype(float)
    tunings = [
        Correction(comments(noise, hand, score, np.zeros(len(score), int))).estimate(one).tuning
        for one in (share(0), gap(0))
    ]
    assert max(tunings) < 0.2


@given(st.integers(0, 50), st.floats(0, 1))
@settings(max_examples=25)
def test_impact_is_share_times_gap_and_what_leaving_out_adds(seed, tuning):
    truth, machine, hand, score, stratum = planted(seed)
    made = Correction(comments(machine, hand, score, stratum))
    figures = [made.estimate(one(0), tuning=tuning).estimate for one in (impact, share, gap)]
    assert figures[0] == pytest.approx(figures[1] * figures[2], abs=1e-10)
    whole = Correction(comments(truth, truth, score, stratum)).estimate(impact(0)).estimate
    assert whole == pytest.approx(score.mean() - score[truth[:, 0] == 0].mean(), abs=1e-10)


def test_corrected_figures_cover_the_truth_where_the_machine_alone_does_not():
    # fifty studies; benchmarks/verbatims.py has a thousand
    inside, plain = [], []
    for seed in range(50):
        _, machine, hand, score, stratum = planted(seed, n=1500, coded=200)
        found = Correction(comments(machine, hand, score, stratum)).estimate(gap(0))
        se = np.sqrt((found.influence**2).sum())
        inside.append(abs(found.estimate + 2) < 2 * se)
        plain.append(abs(found.machine + 2) < 2 * se)
    assert np.mean(inside) >= 0.86
    assert np.mean(plain) < 0.7


def book(*names, **codes):
    return {name: Theme(name, name.capitalize(), (name,), codes=codes) for name in names}


def answers(n=200, seed=0, coded=60):
    truth, machine, hand, score, _ = planted(seed, n=n, coded=coded)
    data = pd.DataFrame({"score": score, "id": [f"R{i}" for i in range(n)]})
    values = pd.DataFrame(machine, columns=["rude", "slow"])
    words = CodedComments(table=values, values=values, themes=book("rude", "slow"), by=WORDS)
    done = ~np.isnan(hand).any(axis=1)
    sheet = pd.DataFrame(hand[done], columns=["rude", "slow"]).assign(
        row=data["id"][done].to_numpy(), coder=1, stratum=strata_of(words)[done].to_numpy(),
        probability=0.5,
    )  # fmt: skip
    return data, words, sheet


def test_without_hand_codes_there_are_counts_only():
    data, coded, _ = answers()
    found = theme_scores(data, coded, score="score")
    assert found.badge == "not corrected"
    assert set(found.table["quantity"]) == {"share"}
    assert found.table["estimate"].isna().all()
    assert found.table["machine"].notna().all()
    assert found.table["note"].str.startswith("machine codes, not corrected").all()


def test_few_positives_give_a_share_only():
    data, coded, sheet = answers()
    sheet["rude"] = (np.arange(len(sheet)) < 9).astype(float)
    table = theme_scores(data, coded, score="score", hand=sheet, row="id", min_group_size=1).table
    rude = table[table["theme"] == "rude"].set_index("quantity")
    assert np.isfinite(rude.loc["share", "estimate"])
    assert np.isnan(rude.loc["gap", "estimate"])
    assert "share only" in rude.loc["gap", "note"]


def test_columns_of_a_classifier_are_refused():
    data, coded, sheet = answers()
    with pytest.raises(TypeError, match="must come from code_comments or people_codes"):
        theme_scores(data, coded.values, score="score", hand=sheet, row="id")


def test_hand_codes_of_comments_that_are_not_there_are_refused():
    data, coded, sheet = answers()
    sheet.loc[0, "row"] = "R999"
    with pytest.raises(ValueError, match="must be of comments in the data; got 'R999'"):
        theme_scores(data, coded, score="score", hand=sheet, row="id")


def test_weights_of_one_and_clusters_of_one_change_nothing():
    data, coded, sheet = answers()
    plain = theme_scores(data, coded, score="score", hand=sheet, row="id")
    data = data.assign(w=1.0, flight=range(len(data)))
    design = {"weights": "w", "cluster": "flight"}
    same = theme_scores(data, coded, score="score", hand=sheet, row="id", design=design)
    pd.testing.assert_frame_equal(plain.table, same.table)
    assert "one coder" in plain.badge


def test_small_themes_are_hidden():
    data, coded, sheet = answers()
    table = theme_scores(data, coded, score="score", hand=sheet, row="id", min_group_size=150).table
    assert table["estimate"].isna().all()
    assert table["n_theme"].isna().all()


#: Krippendorff (2011): four coders, twelve units. His .849 is 951/1120 exactly (counted pair by pair).
CODERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
    [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
]


@pytest.mark.parametrize(
    ("scale", "alpha"), [("nominal", 904 / 1216), ("ordinal", 0.815388), ("interval", 951 / 1120)]
)
def test_alpha_of_krippendorffs_example(scale, alpha):
    assert krippendorff_alpha(CODERS, scale=scale)[0] == pytest.approx(alpha, abs=1e-6)


def test_agreement_of_one_coder_is_unknown_and_poor_agreement_warns():
    rng = np.random.default_rng(0)
    sheet = pd.DataFrame({"row": range(40), "coder": 1, "rude": rng.integers(0, 2, 40)})
    assert coding_agreement(sheet, themes=["rude"])["note"][0] == "agreement unknown: one coder"
    both = pd.concat([sheet, sheet.assign(coder=2, rude=rng.integers(0, 2, 40))])
    table = coding_agreement(both, themes=["rude"])
    assert table["estimate"][0] < 0.5
    assert "below 0.667" in table["note"][0]
    with pytest.raises(ValueError, match="each comment once per coder; got 0"):
        coding_agreement(pd.concat([sheet, sheet]), themes=["rude"])


def test_words_stand_whole_and_case_does_not_matter():
    data = pd.DataFrame({"said": ["RUDE!", "an intruder", "queuing  up", None, "  ", "(queue)"]})
    coded = code_comments(
        data, "said", {"r": Theme("r", "Rude", ("rude",)), "q": Theme("q", "Queue", ("queu*",))}
    )
    assert coded.values["r"].tolist()[:3] == [1, 0, 0]
    assert coded.values["q"].tolist()[2] == 1
    assert coded.values["q"].tolist()[5] == 1
    assert coded.commented.tolist() == [True, True, True, False, False, True]
    with pytest.raises(ValueError, match="must have words for every theme; got none for Rude"):
        code_comments(data, "said", {"r": Theme("r", "Rude")})


def test_the_sheet_is_half_without_a_theme_and_known_by_its_chances():
    study = load_study("demo")
    data = study.read()
    coded = study_themes(study, data)
    drawn = coding_sample(data, coded, text="comment", row="response_id", size=100, overlap=20)
    assert drawn.table["drawn"].tolist() == [50, 50]
    assert drawn.rows["coder"].value_counts().to_dict() == {1: 60, 2: 60}
    assert (drawn.rows.groupby("row")["coder"].nunique() == 2).sum() == 20
    again = coding_sample(data, coded, text="comment", row="response_id", size=100, overlap=20)
    pd.testing.assert_frame_equal(drawn.rows, again.rows)
    assert "about 0.5 hours for each of 2 coder(s)" in drawn.notes[0]
    later = coding_sample(
        data, coded, text="comment", row="response_id", size=40, earlier=drawn.rows, coders=1
    )
    assert not set(later.rows["row"]) & set(drawn.rows["row"])
    everything = coding_sample(data.head(80), people_like(coded, 80), text="comment", size=300)
    assert everything.table["drawn"].tolist() == everything.table["n"].tolist()


def people_like(coded, n):
    return CodedComments(
        table=coded.table, values=coded.values.head(n), themes=coded.themes, by=coded.by
    )


@pytest.mark.parametrize("name", ["sheet.xlsx", "sheet.csv"])
def test_a_sheet_is_written_filled_and_read_back(tmp_path, name):
    said = ["=1+1 rude", "fine", "slow and rude", "good"] * 5
    data = pd.DataFrame({"said": said})
    coded = code_comments(data, "said", book("rude", "slow"))
    drawn = coding_sample(data, coded, text="said", size=20, coders=1)
    drawn.write(tmp_path / name)
    read = pd.read_excel if name.endswith("xlsx") else pd.read_csv
    sheet = read(tmp_path / name)
    assert sheet["comment"].str.startswith("=1+1").sum() == 5
    sheet["rude"] = sheet["comment"].str.contains("rude").astype(int)
    sheet["slow"], sheet["none"] = NAN, NAN
    sheet.loc[3, "rude"] = NAN
    sheet.to_csv(tmp_path / "filled.csv", index=False)
    hand = read_coding(tmp_path / "filled.csv", coded)
    assert len(hand) == 19
    assert hand.attrs["not_coded"] == 1
    assert hand["slow"].eq(0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rude": 2}, "must hold 1, 0 or blanks; got 2"),
        ({"rude": 1, "none": 1}, "must not mark a theme and `none`"),
        ({"probability": 0}, "probabilities over 0 and up to 1"),
        ({"row": 1}, "each comment once per coder; got 1"),
    ],
)
def test_a_wrong_sheet_is_refused(change, message):
    coded = code_comments(pd.DataFrame({"said": ["rude", "fine"]}), "said", book("rude"))
    sheet = pd.DataFrame(
        {
            "row": [0, 1],
            "coder": 1,
            "stratum": STRATA,
            "probability": 1.0,
            "rude": [1, 0],
            "none": 0,
        }
    )
    with pytest.raises(ValueError, match=message):
        read_coding(sheet.assign(**change), coded)
    with pytest.raises(ValueError, match="must have the columns row, coder"):
        read_coding(sheet.drop(columns="coder"), coded)


def test_the_demo_coded_its_own_draw_and_words_are_as_planted():
    study = load_study("demo")
    data = study.read()
    coded = study_themes(study, data)
    hand = study_coding(study, coded)
    strata = strata_of(coded).set_axis(data["response_id"])
    assert (strata[hand["row"]].to_numpy() == hand["stratum"].to_numpy()).all()
    assert "comment" not in coded.table
    planted_truth = draw_comments(
        pd.read_csv(study.path.parent / "relationship.csv"), 20240101
    ).truth
    there = data["comment"].notna().to_numpy()
    wrong = (planted_truth.to_numpy() != coded.values.fillna(0).to_numpy())[there]
    assert 0.02 < wrong.mean() < 0.05  # misses and misleading sentences


def test_the_corrected_shares_of_the_demo_hold_what_was_planted():
    study = load_study("demo")
    data = study.read()
    coded = study_themes(study, data)
    truth = draw_comments(pd.read_csv(study.path.parent / "relationship.csv"), 20240101).truth
    found = theme_scores(
        data, coded, score=nps_metric("recommend"), hand=study_coding(study, coded),
        row="response_id", design=study.design,
    ).table  # fmt: skip
    shares = found[found["quantity"] == "share"].set_index("theme")
    there = data["comment"].notna().to_numpy()
    for theme, row in shares.iterrows():
        true = 100 * np.average(truth.loc[there, theme], weights=data.loc[there, "weight"])
        assert row["ci_low"] - 0.5 < true < row["ci_high"] + 0.5, theme


def test_codes_mean_what_the_crosswalk_says_of_their_wave():
    rows = pd.DataFrame(
        {"period": ["2016", "2017", "2017", "2015"], "code": ["102", "102", "206", None]}
    )
    rude = book("rude", **{"2016": ("102",), "2017": ("206",)})
    assert people_codes(rows, ["code"], rude).values["rude"].tolist()[:3] == [1, 0, 1]
    only = book("rude", **{"2016": ("102",)})
    with pytest.raises(ValueError, match="must say which codes of 2017 mean which theme"):
        people_codes(rows, ["code"], only)


def test_a_code_of_two_themes_is_refused():
    content = {
        "study": {"name": "x", "title": "X"},
        "tables": {"a": {"file": "a.csv", "columns": {"code": {"role": "codes"}}}},
        "codebook": {"one": {"codes": {"2017": [5]}}, "two": {"codes": {"2017": ["5.0"]}}},
    }
    with pytest.raises(
        ValueError, match=r"`codes` of codebook.two must be of one theme; got 5 of 2017"
    ):
        definition_of(content)
    with pytest.raises(
        ValueError, match=r"codebook.one may have .*; got 'word'. Did you mean 'words'"
    ):
        definition_of({**content, "codebook": {"one": {"word": ["a"]}}})


def test_the_airports_comments_of_2017(sfo):
    data = sfo.read(period="2017")
    coded = study_themes(sfo, data)
    found = theme_scores(
        data, coded, score=nps_metric("recommend"), design={"cluster": "flight_run"}
    )
    praise = found.table[found.table["theme"] == "praise"].set_index("quantity")
    assert praise.loc["gap", "n"] == 1395
    assert praise.loc["gap", "n_theme"] == 262
    assert praise.loc["gap", "estimate"] == pytest.approx(32.815669, abs=1e-6)
    score = data.loc[coded.commented, "recommend"].dropna()
    assert 100 * ((score >= 9).mean() - (score <= 6).mean()) == pytest.approx(39.0, abs=0.05)


def test_adjusted_gaps_of_the_airports_twelve_most_frequent_codes(sfo):
    data = sfo.read(period="2017")
    columns = [f"comment_code_{i}" for i in range(1, 6)]
    scored = data[data["recommend"].notna()]
    respondents = (
        scored[columns].stack().dropna().groupby(level=0).unique().explode().value_counts()
    )
    often = respondents[respondents >= 40].index
    themes = {f"c{code}": Theme(f"c{code}", code, codes={"2017": (code,)}) for code in often}
    assert len(themes) == 12
    table = theme_scores(
        data, people_codes(data, columns, themes), score=nps_metric("recommend"),
        design={"cluster": "flight_run"},
    ).table  # fmt: skip
    rows = table[table["quantity"] == "adjusted gap"].set_index("theme")
    # Satterthwaite's degrees of freedom widen the planned intervals by up to half a point
    for code, middle, low, high in (
        ("c1", 28.8, 19.0, 38.6), ("c32", -21.0, -38.2, -3.7), ("c105", -17.7, -34.5, -1.0),
    ):  # fmt: skip
        assert rows.loc[code, "estimate"] == pytest.approx(middle, abs=0.05)
        assert rows.loc[code, ["ci_low", "ci_high"]].tolist() == pytest.approx([low, high], abs=0.5)


def test_rude_security_staff_are_followed_and_not_confused_with_restaurants(sfo):
    data = sfo.read(period=["2015", "2016", "2017"])
    counts = study_themes(sfo, data).values.groupby(data["period"]).sum()
    assert counts["security_rude"].tolist() == [25, 28, 17]
    assert counts.loc["2017", "restaurants"] >= 150  # code 102 of 2017


def two_periods(found, coded_later=0, seed=0):
    """A machine that finds some of the theme in each of two periods; the first is hand-coded."""
    rng = np.random.default_rng(seed)
    truth = rng.random(2000) < 0.2
    period = np.repeat(["1", "2"], 1000)
    machine = truth & (rng.random(2000) < np.where(period == "1", *found))
    values = pd.DataFrame({"rude": machine.astype(float), "slow": 0.0})
    coded = CodedComments(table=values, values=values, themes=book("rude", "slow"), by=WORDS)
    data = pd.DataFrame({"period": period, "score": rng.normal(size=2000)})
    drawn = []
    for one, size in (("1", 300), ("2", coded_later)):
        for stratum in STRATA:
            pool = np.flatnonzero((period == one) & (strata_of(coded) == stratum).to_numpy())
            chosen = rng.choice(pool, size // 2, replace=False)
            drawn.append(
                pd.DataFrame(
                    {"row": chosen, "coder": 1, "stratum": stratum, "probability": len(chosen) / len(pool),
                     "rude": truth[chosen].astype(float), "slow": 0.0}
                )
            )  # fmt: skip
    return data, coded, pd.concat(drawn, ignore_index=True)


def share_rises(seed, top_up=40):
    """The theme's share rises from 10 to 30 %; the machine misses four of ten in both periods."""
    rng = np.random.default_rng(seed)
    own = np.arange(5000) >= 2500
    truth = (rng.random((5000, 1)) < np.where(own, 0.3, 0.1)[:, None]).astype(float)
    machine = np.where(rng.random((5000, 1)) < np.where(truth == 1, 0.6, 0.05), 1.0, 0.0)
    stratum, hand = machine[:, 0].astype(int), np.full((5000, 1), NAN)
    for side, size in ((own, top_up // 2), (~own, 150)):
        for mark in (0, 1):
            chosen = rng.choice(np.flatnonzero(side & (stratum == mark)), size, False)
            hand[chosen] = truth[chosen]
    return Correction(comments(machine, hand, np.zeros(5000), stratum, own=own))


def test_lent_hand_codes_leave_intervals_right_where_a_share_rises():
    inside, far = [], []
    for seed in range(30):
        found = share_rises(seed).estimate(share(0))
        far.append(found.estimate - 0.3)
        se = np.sqrt((found.influence**2).sum() + found.unseen)
        inside.append(abs(far[-1]) < 1.96 * se)
    assert np.mean(inside) >= 0.9
    assert abs(np.mean(far)) < 0.05


def test_lent_hand_codes_weigh_a_fifth_of_the_own():
    made = share_rises(0)
    own = made.comments.own[made.drawn.index]
    assert (~own).sum() == 300
    for stratum in (0, 1):
        there = made.drawn.place == stratum
        lent = made.drawn.part[there & ~own].sum()
        assert lent / made.drawn.part[there & own].sum() == pytest.approx(0.2)


def test_too_few_hand_codes_of_its_own_leave_a_period_counted_only():
    data, coded, hand = two_periods((0.95, 0.4), coded_later=8)
    found = theme_scores(data, coded, score="score", hand=hand, by="period")
    assert found.of("2")["estimate"].isna().all()
    alone = (data["period"] == "2").to_numpy()
    own = replace(coded, values=coded.values[alone])
    hand = hand[hand["row"].isin(data.index[alone])].reset_index(drop=True)
    found = theme_scores(data[alone], own, score="score", hand=hand, by="period")
    assert found.table["estimate"].notna().any()


def test_a_period_without_hand_codes_of_its_own_is_counted_only():
    data, coded, hand = two_periods((0.95, 0.4))
    found = theme_scores(data, coded, score="score", hand=hand, by="period")
    row = found.of("2").set_index(["theme", "quantity"]).loc[("rude", "share")]
    assert np.isnan(row["estimate"])
    assert row["note"].startswith("machine codes, not corrected")
    assert found.gaps("2").empty


def test_lent_hand_codes_are_counted_named_and_tested_for_drift():
    data, coded, hand = two_periods((0.95, 0.4), coded_later=60)
    found = theme_scores(data, coded, score="score", hand=hand, by="period", groups=["2"])
    row = found.of("2").set_index(["theme", "quantity"]).loc[("rude", "share")]
    assert (row["n_hand"], row["n_lent"]) == (60, 300)
    assert any("300 hand codes of other periods" in note for note in found.notes)
    assert any(
        "errors differ from those of earlier periods on: Rude" in note for note in found.notes
    )


def test_a_share_covers_the_truth_where_the_sample_shows_no_error():
    rng, inside = np.random.default_rng(0), []
    for _ in range(60):
        n = 20_000
        truth = rng.random(n) < 0.1
        machine = truth & (rng.random(n) >= 0.06)
        stratum, hand = machine.astype(int), np.full((n, 1), NAN)
        for place in (0, 1):
            chosen = rng.choice(np.flatnonzero(stratum == place), 150, replace=False)
            hand[chosen, 0] = truth[chosen]
        made = Correction(comments(machine[:, None], hand, np.zeros(n), stratum)).estimate(share(0))
        inside.append(
            abs(made.estimate - 0.1) < 1.98 * np.sqrt((made.influence**2).sum() + made.unseen)
        )
    assert np.mean(inside) >= 0.9


def test_a_machine_that_never_varies_has_no_weight():
    _, machine, hand, score, _ = planted(1)
    made = Correction(comments(0 * machine, hand, score, np.zeros(len(score), int)))
    assert made.estimate(share(0)).tuning == 0.0


def test_a_fully_coded_stratum_of_one_comment_is_no_division_by_zero():
    _, machine, hand, score, stratum = planted(4)
    alone = np.flatnonzero(np.isnan(hand[:, 0]))[0]
    hand[alone], stratum[alone] = machine[alone], 2
    found = Correction(comments(machine, hand, score, stratum)).estimate(gap(0))
    assert np.isfinite(found.influence).all()


def test_hiding_counts_people_not_weights():
    data, coded, sheet = answers()
    few = coded.values.copy()
    few["rude"] = 0.0
    few.loc[:2, "rude"] = 1.0
    coded = CodedComments(table=few, values=few, themes=coded.themes, by=WORDS)
    sheet["rude"] = few["rude"].to_numpy()[[int(one[1:]) for one in sheet["row"]]]
    data["w"] = np.where(data.index < 3, 30.0, 1.0)
    found = theme_scores(data, coded, score="score", hand=sheet, row="id", design={"weights": "w"})
    assert found.table.loc[found.table["theme"] == "rude", "estimate"].isna().all()


def test_answers_without_a_period_are_left_out_and_counted():
    data, coded, hand = two_periods((0.95, 0.9), coded_later=60)
    data.loc[[0, 1, 1999], "period"] = None
    hand = hand[~hand["row"].isin([0, 1, 1999])]
    found = theme_scores(data, coded, score="score", hand=hand, by="period")
    assert list(dict.fromkeys(found.table["period"])) == ["1", "2"]
    assert any("3 comments have no period" in note for note in found.notes)


def test_a_top_up_of_the_same_period_weighs_as_the_first_sample():
    data, coded, hand = two_periods((0.95, 0.9))
    free = np.flatnonzero((data["period"] == "1").to_numpy() & ~data.index.isin(hand["row"]))
    free = free[strata_of(coded).to_numpy(object)[free] == STRATA[1]][:20]
    more = pd.DataFrame({"row": free, "coder": 1, "stratum": STRATA[1], "probability": 20 / 650})
    more = more.assign(rude=0.0, slow=0.0)
    first, both = (
        theme_scores(data, coded, score="score", hand=one, by="period", groups=["1"]).table
        for one in (hand, pd.concat([hand, more], ignore_index=True))
    )
    assert both["df"][0] >= 0.9 * first["df"][0]


def coded_frame(data, coded, sheet):
    """Hand codes as columns of the answers; blank without any."""
    codes = sheet.set_index("row")[list(coded.themes)]
    return data.assign(**{name: data["id"].map(codes[name]) for name in coded.themes})


@pytest.mark.parametrize("design", [None, {"weights": "w", "cluster": "flight"}])
def test_drivers_of_hand_coded_themes_are_those_of_the_hand_codes(design):
    data, coded, _ = answers()
    data = data.assign(w=np.linspace(0.5, 2, 200), flight=np.arange(200) // 4)
    truth = planted(0, n=200)[0]
    sheet = pd.DataFrame(truth, columns=["rude", "slow"]).assign(
        row=data["id"], coder=1, stratum=strata_of(coded).to_numpy(), probability=1.0
    )
    scores = theme_scores(data, coded, score="score", hand=sheet, row="id", design=design)
    sums = scores.sums()
    found = drivers(sums, sums.outcome, sums.drivers, replicates=50)
    frame = coded_frame(data, coded, sheet)
    plain = drivers(frame, "score", ["rude", "slow"], design=design, replicates=50)
    # of a simple sample, drivers counts the coefficients off the degrees of freedom too
    limits = ["ci_low", "ci_high", "share_low", "rank_low"] if design else []
    left = found.table.set_index("driver").loc[["rude", "slow"]]
    for column in ["estimate", "se", "share", "coefficient", *limits]:
        right = plain.part()[column].tolist()
        assert left[column].tolist() == pytest.approx(right, abs=1e-9), column
    for column in ["r_squared", "adjusted_r_squared", *(["se", *limits[:2]] if design else [])]:
        assert found.fits[column][0] == pytest.approx(plain.fits[column][0], abs=1e-9), column


def test_themes_as_drivers_hold_the_planted_shares_where_the_machine_does_not():
    inside, machine = [], []
    # variance of -2·rude and 1·slow, independent, beside noise of 1.5²
    parts = np.array([4 * 0.3 * 0.7, 1 * 0.2 * 0.8])
    true = parts[0] / (parts.sum() + 1.5**2)
    for seed in range(30):
        data, coded, sheet = answers(n=1500, seed=seed, coded=200)
        sums = theme_scores(data, coded, score="score", hand=sheet, row="id").sums()
        found = drivers(sums, sums.outcome, sums.drivers, replicates=100).table.set_index("driver")
        row = found.loc["rude"]
        inside.append(row["ci_low"] <= true <= row["ci_high"])
        plain = np.corrcoef(np.column_stack([coded.values, data["score"]]), rowvar=False)
        machine.append(plain[0, 2] ** 2)
    assert np.mean(inside) >= 0.85
    assert np.mean(machine) < 0.8 * true


def test_sums_that_are_no_covariances_are_refused():
    data, coded, sheet = answers()
    # one theme is the other: nothing tells them apart
    twice = sheet.assign(slow=sheet["rude"])
    values = coded.values.assign(slow=coded.values["rude"])
    same = CodedComments(table=values, values=values, themes=coded.themes, by=WORDS)
    scores = theme_scores(data, same, score="score", hand=twice, row="id")
    with pytest.raises(ValueError, match="must be positive definite; got a smallest eigenvalue"):
        scores.sums()
    with pytest.raises(ValueError, match="`hand` must give two themes or more a gap; got 0"):
        theme_scores(data, coded, score="score").sums()
    sums = theme_scores(data, coded, score="score", hand=sheet, row="id").sums()
    with pytest.raises(ValueError, match="`drivers` must be .*; got 'rood'"):
        drivers(sums, sums.outcome, ["rood"])


def test_lent_hand_codes_bring_no_score_of_the_others_along():
    # the theme goes with 60 points less among the others, and with nothing here
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        own = np.arange(3000) >= 1500
        truth = (rng.random((3000, 1)) < 0.2).astype(float)
        score = 40 - 60 * truth[:, 0] * ~own - 40 * ~own + rng.normal(0, 30, 3000)
        machine = np.where(rng.random((3000, 1)) < 0.94, truth, 1 - truth)
        hand = np.full((3000, 1), NAN)
        for side, size in ((own, 25), (~own, 150)):
            for mark in (0, 1):
                chosen = rng.choice(np.flatnonzero(side & (machine[:, 0] == mark)), size, False)
                hand[chosen] = truth[chosen]
        stratum = machine[:, 0].astype(int)
        made = Correction(comments(machine, hand, score, stratum, own=own))
        found.append((made.estimate(gap(0)).estimate, made.estimate(mean_score).estimate))
    gaps, means = np.mean(found, axis=0)
    assert abs(gaps) < 10
    assert abs(means - 40) < 1


def mean_score(moments):
    return moments[:, 0, -1]


def test_a_higher_score_of_the_period_that_lends_changes_nothing():
    data, coded, hand = two_periods((0.95, 0.9), coded_later=60)
    data["score"] -= 2.0 * coded.values["rude"]
    first, moved = (
        theme_scores(
            data.assign(score=data["score"] + shift * (data["period"] == "1")), coded, score="score",
            hand=hand, by="period", groups=["2"],
        ).table for shift in (0, 40)
    )  # fmt: skip
    columns = ["quantity", "estimate", "se", "p_value"]
    assert first["estimate"].notna().sum() > 2
    pd.testing.assert_frame_equal(first[columns], moved[columns], rtol=1e-6)


def test_top_ups_of_the_same_chance_weigh_as_others():
    # all comments of one stratum and period weigh alike, whatever the draws' probabilities
    data, coded, hand = two_periods((0.95, 0.9), coded_later=60)
    strata = strata_of(coded).to_numpy(object)
    free = data.index[
        (data["period"] == "2") & ~data.index.isin(hand["row"]) & (strata == STRATA[1])
    ]
    tops = [
        pd.DataFrame({"row": free[at : at + 20], "coder": 1, "stratum": STRATA[1], "rude": 0.0, "slow": 0.0})
        for at in (0, 20)
    ]  # fmt: skip
    tables = []
    for chances in ((0.03, 0.03), (0.03, 0.031)):
        more = [top.assign(probability=p) for top, p in zip(tops, chances, strict=True)]
        sheet = pd.concat([hand, *more], ignore_index=True)
        tables.append(theme_scores(data, coded, score="score", hand=sheet, by="period").table)
    pd.testing.assert_frame_equal(*tables)
    assert tables[0]["n_hand"].max() == 300


@pytest.fixture
def panchen():
    """Pan & Chen's complaints, `PanChen` of the R package dsl (GPL-2), written as CSV."""
    path = Path(os.environ.get("CXLAB_DATA", "")) / "verbatims" / "panchen.csv"
    if not path.is_file():
        pytest.skip("CXLAB_DATA has no verbatims/panchen.csv (data(PanChen) of the R package dsl)")
    return pd.read_csv(path)


def test_the_published_example_of_design_based_supervised_learning(panchen):
    # 1,412 complaints, 500 of them coded by experts; five other codes are known of all
    known = panchen[["prefecWrong", "connect2b", "prevalence", "regionj", "groupIssue"]].to_numpy()
    expert = panchen[["countyWrong"]].to_numpy()
    hand = np.column_stack([expert, np.where(np.isnan(expert), NAN, known)])
    machine = np.column_stack([panchen["pred_countyWrong"], known])
    score = panchen["SendOrNot"]
    made = Correction(comments(machine, hand, score, np.zeros(len(score), dtype=int)))
    effect = adjusted_gap(0, 6)
    corrected = made.estimate(effect, tuning=1.0)
    assert corrected.machine == pytest.approx(-0.286, abs=5e-4)
    assert made.estimate(effect, tuning=0.0).estimate == pytest.approx(-0.064, abs=5e-4)
    assert corrected.estimate == pytest.approx(-0.0565, abs=5e-5)
    # theirs is a sandwich, ours a jackknife with what the sample may have missed
    se = np.sqrt((corrected.influence**2).sum() + corrected.unseen)
    assert se == pytest.approx(0.0541, abs=2e-4)


@pytest.mark.parametrize("value", ["mean", "nps"])
def test_a_dozen_comments_that_are_alike_are_no_certainty(value):
    # 12 of 300 have the theme and gave 10, as 92 % of all did: a gap of 6.5 points was significant
    score = [10.0] * 12 + [10.0] * 265 + [8.0] * 14 + [3.0] * 9
    rows = pd.DataFrame({"period": "1", "code": ["a"] * 12 + ["b"] * 288, "score": score})
    coded = people_codes(rows, ["code"], {"a": Theme("a", "A", codes={"1": ("a",)})})
    metric = nps_metric("score") if value == "nps" else "score"
    found = theme_scores(rows, coded, score=metric).table.set_index("quantity").loc["gap"]
    # the spread of all answers over twelve
    points = np.select([rows["score"] >= 9, rows["score"] <= 6], [100, -100], 0)
    all_scores = points if value == "nps" else rows["score"].to_numpy()
    assert found["se"] == pytest.approx(all_scores.std() * np.sqrt(1 / 12 + 1 / 288), rel=1e-6)
    assert found["ci_low"] < 0 < found["ci_high"]
    assert found["p_value"] > 0.3
