"""What the scorecard says: every branch of every rule, on studies made from a seed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxlab import load_study, study_scorecard
from cxlab.stats.metrics.standing import _tile_note
from tests.unfounded import unfounded

SCALES = {
    10: 'range = [0, 10]\nbins = { low = [0, 5], middle = [6, 7], top = [8, 10] }',
    5: "range = [1, 5]\nbins = { low = [1, 2], middle = [3, 3], top = [4, 5] }",
}  # fmt: skip
HEAD = """
[study]
name = "seeded"
title = "Seeded"
simulated = true
main = "answers"
[scales.likelihood]
range = [0, 10]
bins = {{ detractors = [0, 6], passives = [7, 8], promoters = [9, 10] }}
metrics = ["nps"]
[scales.rating]
{scale}
metrics = ["mean", "top box"]
names = {{ "top box" = "Satisfied" }}
missing = {{ 98 = "never used" }}
[tables.answers]
file = "answers.csv"
[tables.answers.columns.period]
role = "period"
[tables.answers.columns.kind]
role = "segment"
label = "Kind"
"""


def letters(number):
    return ("A" if number >= 26 else "") + chr(65 + number % 26)


def column(name, role, scale, **more):
    lines = [f"[tables.answers.columns.{name}]", f'role = "{role}"', f'scale = "{scale}"']
    lines += [f"{key} = {value}" for key, value in more.items()]
    return "\n".join(lines) + "\n"


def scores(rng, n, mean, top=10, low=0):
    """Whole scores about a mean, most of them near it."""
    return np.clip(np.round(rng.normal(mean, (top - low) / 5, n)), low, top).astype(int)


def seeded(
    folder, *, n=200, nps=7.5, overall=7.0, touchpoints=(6.0, 7.5, 7.5, 7.5), targets=None,
    periods=("2025", "2026"), change=0.0, points=10, kind_gap=0.0, only_nps=False, unused=0.3, seed=1,
):  # fmt: skip
    """A study with its answers; ``change`` is what the last period adds to the first touchpoint."""
    rng, parts, low = np.random.default_rng(seed), [], 0 if points == 10 else 1
    for place, period in enumerate(periods):
        last = place == len(periods) - 1
        kind = np.array(["a", "b"])[np.arange(n) % 2]
        frame = {"period": period, "kind": kind}
        frame["recommend"] = scores(rng, n, nps + kind_gap * (kind == "a"))
        if not only_nps:
            frame["overall"] = scores(rng, n, overall, points, low)
        for number, mean in enumerate(touchpoints):
            rated = scores(rng, n, mean + change * (last and not number), points, low)
            away = (rng.random(n) < unused) & (number == 0)
            frame[f"t{number}"] = np.where(away, 98, rated)
        parts.append(pd.DataFrame(frame))
    folder.mkdir(exist_ok=True)
    pd.concat(parts).to_csv(folder / "answers.csv", index=False)
    aims = targets or {}
    text = HEAD.format(scale=SCALES[points])
    text += column("recommend", "outcome", "likelihood", targets=aims.get("recommend", "{}"))
    if not only_nps:
        text += column("overall", "outcome", "rating", targets=aims.get("overall", "{}"))
    for number in range(len(touchpoints)):
        text += column(f"t{number}", "touchpoint", "rating", label=f'"Point {letters(number)}"')
    (folder / "study.toml").write_text(text)
    return load_study(folder)


def card_of(study, period="2026", where=None):
    return study_scorecard(
        study.read(period=period, where=where), study, period=period, where=where
    )


def tables_of(card):
    return {
        "outcomes": card.table, "targets": card.targets, "headline-shares": card.shares,
        "touchpoints": card.touchpoints, "headline-changes": card.changes,
        "differences-between-segments": card.differences, "groups-tested": card.tested,
    }  # fmt: skip


def told(card, **options):
    """Findings by their rule, once every number in them is the rounding of its cell."""
    findings = card.findings(**options)
    words = [metric.title for metric in card.metrics] + [*card.names.values(), "2025", "2026"]
    words += ["Scores 8 to 10", "scores 6 to 7", "scores 0 to 5", "of 10", "of 5"]
    assert unfounded(findings, tables_of(card), words=words) == []
    return {finding.rule: finding for finding in findings}, findings.answer


BOTH = {"recommend": "{ nps = 30 }", "overall": '{ "top box" = 75 }'}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Scorecards of studies by how these are seeded, each made once."""
    cards = {}

    def of(**options):
        key = repr(options)
        if key not in cards:
            cards[key] = card_of(seeded(tmp_path_factory.mktemp("made") / "s", **options))
        return cards[key]

    return of


@pytest.fixture(scope="module")
def base(made):
    return made(targets=BOTH)


def aimed(card, **targets):
    """The same card with other targets and intervals that lie where they are put."""
    table = card.targets.copy()
    for metric, (low, high, target) in targets.items():
        row = table["metric"] == metric.replace("_", " ")
        table.loc[row, ["ci_low", "estimate", "ci_high", "target"]] = (
            low,
            (low + high) / 2,
            high,
            target,
        )
    return replace(card, targets=table)


@pytest.mark.parametrize(
    ("nps", "box", "text", "certainty", "direction"),
    [((35, 45, 30), (76, 84, 75),
      "Both targets are met: NPS is 40 against 30; 80 % are satisfied against 75 %", "clear", "good"),
     ((10, 20, 30), (46, 54, 75),
      "Both targets are missed: NPS is 15 against 30; 50 % are satisfied against 75 %", "clear", "bad"),
     ((26, 36, 30), (70, 80, 75),
      "Both targets are not settled: NPS is 31 against 30; 75 % are satisfied against 75 %", "not settled", ""),
     ((35, 45, 30), (70, 78, 75),
      "One of two targets is met, one not settled: NPS is 40 against 30 (met); "
      "74 % are satisfied against 75 % (not settled)", "not settled", ""),
     ((35, 45, 30), (50, 60, 75),
      "One of two targets is met: NPS is 40 against 30 (met); 55 % are satisfied against 75 % (missed)",
      "clear", ""),
     ((28.1, 29.1, 30), (50, 60, 75),
      "None of two targets is met: NPS is 29 against 30 (missed by less than matters); "
      "55 % are satisfied against 75 % (missed)", "clear", "")],
)  # fmt: skip
def test_targets_are_told_by_intervals_that_hold_all_of_them(
    base, nps, box, text, certainty, direction
):
    _, answer = told(aimed(base, nps=nps, top_box=box))
    assert answer.text == text
    assert (answer.certainty, answer.direction) == (certainty, direction)


@pytest.mark.parametrize(
    ("targets", "put", "start"),
    [({"recommend": "{ nps = 30 }"}, {"nps": (10, 20, 30)}, "The target is missed: NPS is 15 against 30"),
     ({"recommend": "{ nps = 30 }"}, {"nps": (28.2, 29, 30)}, "The target is missed by less than matters: "
      "NPS is 29 against 30"),
     ({"recommend": "{ nps = 30 }"}, {"nps": (25, 34.8, 30)}, "The target is not settled: NPS is 29.9 against 30"),
     ({**BOTH, "overall": '{ "top box" = 75, mean = 8 }'},
      {"nps": (35, 45, 30), "top_box": (76, 80, 75), "mean": (8.1, 8.3, 8)},
      "All three targets are met: NPS is 40 against 30; ")],
)  # fmt: skip
def test_one_target_and_three_have_their_sentences(made, targets, put, start):
    _, answer = told(aimed(made(n=120, touchpoints=(), targets=targets), **put))
    assert answer.text.startswith(start)


def test_without_a_target_the_headline_has_its_interval(made):
    card = made()
    found, answer = told(card)
    row = card.table.query("metric == 'nps'").iloc[0]
    assert (
        answer.text
        == f"NPS is {row['estimate']:.0f} ({row['ci_low']:.0f} to {row['ci_high']:.0f})".replace(
            "-", "−"
        )
    )
    assert (answer.rule, answer.certainty) == ("no target", "measured")
    assert "targets met" not in found


def test_nps_alone_is_a_scorecard(tmp_path):
    found, answer = told(card_of(seeded(tmp_path, only_nps=True, touchpoints=())))
    assert answer.text.startswith("NPS is ")
    assert list(found) == ["no target", "shares", "no change shown", "no group shown"]
    assert found["shares"].text.startswith("Promoters ")


def test_without_touchpoints_the_distribution_comes_first(tmp_path):
    study = seeded(tmp_path, touchpoints=())
    text = (study.path).read_text().replace('role = "outcome"', 'role = "rating"', 1)
    study.path.write_text(text)
    found, answer = told(card_of(load_study(tmp_path)))
    assert answer.text.startswith("overall is ")
    assert list(found)[1] == "shares"
    assert found["shares"].text.startswith("Scores 8 to 10: ")


def test_the_weakest_is_named_when_its_place_is_sure(tmp_path):
    found, _ = told(card_of(seeded(tmp_path, n=300)))
    assert found["ends"].text.startswith("The weakest is Point A 5.")
    assert (found["ends"].certainty, found["ends"].subject) == ("clear", "Point A")
    # three that are alike on top are named, too
    assert "the strongest is" in found["ends"].text


def test_two_that_cannot_be_told_apart_share_the_last_place(tmp_path):
    found, _ = told(card_of(seeded(tmp_path, n=400, touchpoints=(6.0, 6.0, 7.5, 7.5, 7.5, 7.5))))
    assert " or Point " in found["ends"].text.partition(";")[0]
    assert "strongest" not in found["ends"].text


def test_touchpoints_all_alike_have_no_ends(tmp_path):
    found, _ = told(card_of(seeded(tmp_path, touchpoints=(7.0,) * 6)))
    assert found["no ends"].text == "No touchpoint is shown to be the weakest or the strongest"
    assert found["no ends"].certainty == "not settled"


def test_a_weakest_that_hardly_differs_is_said_to(tmp_path):
    card = card_of(seeded(tmp_path, n=20_000, touchpoints=(6.9, 7.0, 7.0, 7.0), unused=0.0))
    assert told(card)[0]["ends within margin"].text.endswith("than is declared to matter")
    # a smaller margin decides otherwise, without another fit
    assert "ends" in told(card, margins={"mean": 0.01})[0]


def test_a_touchpoint_that_fell_is_the_so_what(tmp_path):
    found, _ = told(card_of(seeded(tmp_path, n=400, change=-1.0)))
    fallen = found["touchpoints changed"]
    assert fallen.text.startswith("Point A fell by ")
    assert (fallen.kind, fallen.certainty, fallen.direction) == ("so what", "clear", "bad")


def test_a_change_within_the_margin_is_not_told(tmp_path):
    card = card_of(seeded(tmp_path, n=20_000, change=-0.12, unused=0.0))
    assert card.touchpoints["clear"].any()
    assert "touchpoints changed" not in told(card)[0]


@pytest.mark.parametrize(
    ("interval", "p", "rule", "start"),
    [((-12.0, -4.0), 0.001, "headline changed", "NPS fell by 8 points since 2025 (4 to 12)"),
     ((-0.9, 1.5), 0.9, "headline steady", "NPS has not changed by as much as matters since 2025"),
     ((-2.9, -0.1), 0.03, "headline steady", "NPS has not changed by as much as matters since 2025"),
     ((-12.0, 4.0), 0.3, "no change shown", "No headline measure is shown to have changed since 2025; a true")],
)  # fmt: skip
def test_headline_changes_are_clear_small_or_not_shown(base, interval, p, rule, start):
    low, high = interval
    one = base.changes[base.changes["metric"] == "nps"].assign(
        estimate=(low + high) / 2, decided_low=low, decided_high=high, p_adjusted=p
    )
    found, _ = told(replace(base, changes=one))
    assert found[rule].text.startswith(start)
    assert found[rule].certainty == ("not settled" if rule == "no change shown" else "clear")


def moved(table, *rows, p="p_adjusted"):
    """The table with (low, high, p) of its first tested rows, and the estimate between them."""
    table = table.copy()
    for place, (low, high, value) in zip(table.index[table[p].notna()], rows, strict=False):
        table.loc[place, ["decided_low", "decided_high", p]] = low, high, value
        table.loc[place, "estimate"] = (low + high) / 2
    return table


SMALL, STEADY, OPEN = (-2.9, -0.1, 0.03), (-0.9, 1.5, 0.9), (-12.0, 4.0, 0.3)


def test_a_shown_change_inside_its_margin_is_not_called_not_shown(base):
    found, _ = told(replace(base, changes=moved(base.changes, SMALL, OPEN)))
    said = found["no larger change shown"]
    assert said.text.startswith(
        "No change as large as its margin is shown since 2025; a true change of "
    )
    assert said.certainty == "not settled"


def test_a_shown_difference_inside_its_margin_is_not_called_not_shown(base):
    table = moved(base.differences, SMALL, OPEN, OPEN, OPEN, p="p_headline")
    found, _ = told(replace(base, differences=table))
    assert found["no larger difference shown"].text == (
        "No difference of a customer group as large as its margin is shown: of 4 comparisons over "
        "the 2 groups large enough, none is clear"
    )


def test_only_measures_that_were_tested_are_said_to_be_steady(base):
    found, _ = told(replace(base, changes=moved(base.changes, STEADY, STEADY)))
    assert found["headline steady"].text == (
        "No headline measure has changed by as much as matters since 2025"
    )
    one = moved(base.changes, STEADY, (np.nan, np.nan, np.nan))
    found, _ = told(replace(base, changes=one))
    assert found["headline steady"].text == "NPS has not changed by as much as matters since 2025"


def test_changes_that_go_both_ways_are_neither_good_nor_bad(base):
    table = moved(base.changes, (-12.0, -4.0, 0.001), (4.0, 12.0, 0.002))
    found, _ = told(replace(base, changes=table))
    assert found["headline changed"].direction == ""
    points = base.touchpoints.assign(
        clear=True, change_p=[0.001, 0.002, 0.003, 0.004], change=[-1.0, -1.0, -1.0, 1.0],
        change_low=[-1.5, -1.5, -1.5, 0.5], change_high=[-0.5, -0.5, -0.5, 1.5],
    )  # fmt: skip
    said = told(replace(base, touchpoints=points))[0]["touchpoints changed"]
    assert said.text.endswith("; one more changed")
    assert said.direction == ""
    assert said.text.startswith("Point A fell by 1.0 since 2025 (0.5 to 1.5); ")


def test_the_limits_of_a_tile_that_is_shown_do_not_touch_zero(base):
    card = replace(base, changes=moved(base.changes, (-22.0, -0.04, 0.04)))
    assert _tile_note(card, card.headline[0]) == "Against 2025 −11.02 (−22.00 to −0.04)."


def test_the_limits_of_a_missed_target_do_not_touch_it(base):
    _, answer = told(aimed(base, nps=(20.3, 29.7, 30), top_box=(50, 60, 75)))
    assert "NPS 20.3 to 29.7, n" in answer.detail


def test_without_a_score_nothing_is_rated_lowest(base):
    hidden = base.touchpoints.assign(estimate=np.nan, rank=pd.NA)
    assert "reach" not in told(replace(base, touchpoints=hidden))[0]


def test_without_a_finite_margin_nothing_is_too_small_to_matter(base):
    assert "ends" in told(base, margins={"mean": np.inf})[0]
    table = moved(base.changes, STEADY, STEADY)
    found, _ = told(replace(base, changes=table), margins={"nps": np.inf, "top box": np.inf})
    assert "no change shown" in found


def test_groups_that_differ_are_counted_and_the_surest_named(tmp_path):
    found, _ = told(card_of(seeded(tmp_path, n=400, kind_gap=2.0)))
    text = found["groups changed"].text
    assert text.startswith("Kind a: NPS is ")
    assert "above the rest (" in text
    assert "of 4 comparisons over the 2 groups large enough, 2 clear" in text


def test_groups_alike_are_not_shown_to_differ(base):
    found, _ = told(base)
    assert (
        "of 4 comparisons over the 2 groups large enough, none is clear"
        in found["no group shown"].text
    )
    assert "would be shown four times in five" in found["no group shown"].detail


def test_of_many_answers_the_margin_decides(tmp_path):
    targets = {"recommend": "{ nps = 31 }"}
    study = seeded(
        tmp_path, n=60_000, targets=targets, touchpoints=(6.0, 7.5), nps=8.0, kind_gap=0.0
    )
    found, answer = told(card_of(study))
    assert answer.rule in ("targets met", "targets missed", "targets missed by less than matters")
    assert "headline steady" in found
    assert found["groups alike"].text.startswith("No customer group differs by as much as matters")


def test_sixty_answers_stand_at_the_head(tmp_path):
    _, answer = told(card_of(seeded(tmp_path, n=60)))
    assert answer.text.startswith("60 answers: NPS is ")


def test_a_group_is_named_with_its_size(tmp_path):
    _, answer = told(card_of(seeded(tmp_path), where={"kind": "a"}))
    assert answer.text.startswith("Kind = a, n = 100: NPS is ")


def test_one_period_has_no_changes(tmp_path):
    card = card_of(seeded(tmp_path, periods=("2026",)))
    found, _ = told(card)
    assert not {
        "headline changed",
        "headline steady",
        "no change shown",
        "touchpoints changed",
    } & set(found)
    assert card.touchpoints["change"].isna().all()
    assert card.tiles["period"].tolist() == ["2026"] * 2


def test_all_periods_together_have_no_changes(tmp_path):
    study = seeded(tmp_path)
    card = study_scorecard(study.read(), study)
    assert card.changes.empty
    assert card.tiles["estimate"].notna().all()


def test_forty_touchpoints_are_placed_and_twelve_shown(tmp_path):
    card = card_of(seeded(tmp_path, touchpoints=tuple(np.linspace(5.0, 8.0, 40))))
    assert (len(card.touchpoints), card.touchpoints["rank"].notna().sum()) == (40, 40)
    assert card.touchpoints.attrs["display"].top == 12
    told(card)


def test_five_points_have_their_scale(tmp_path):
    found, _ = told(card_of(seeded(tmp_path, points=5, overall=3.5, touchpoints=(2.5, 4.0, 4.0))))
    assert found["ends"].text.endswith(", of 5")


def test_everything_hidden_is_one_sentence(tmp_path):
    found, answer = told(card_of(seeded(tmp_path, n=8, targets=BOTH)))
    assert answer.text == "NPS is not shown: fewer than 10 answers"
    assert list(found) == ["hidden"]


def test_a_study_without_outcomes_says_so(tmp_path):
    study = seeded(tmp_path)
    study.path.write_text(study.path.read_text().replace('role = "outcome"', 'role = "rating"'))
    found, answer = told(card_of(load_study(tmp_path)))
    assert answer.text == "No outcome was asked: there is no score of the whole"
    assert "ends" in found


def test_tiles_have_the_run_the_target_and_the_change(base):
    tiles = base.tiles
    assert tiles["period"].tolist() == ["2025", "2026"] * 2
    assert tiles["title"].tolist() == ["NPS"] * 2 + ["Satisfied (8 to 10)"] * 2
    assert tiles["target"].tolist() == [30.0] * 2 + [75.0] * 2
    assert tiles["note"].str.startswith("Against 2025 ").all()
    now = base.table.query("metric == 'nps'").iloc[0]
    assert tiles.iloc[1][["estimate", "ci_low", "n"]].tolist() == pytest.approx(
        now[["estimate", "ci_low", "n"]].tolist()
    )


def test_reach_is_of_the_lowest_that_can_be_left_out(base):
    found, _ = told(base)
    row = base.touchpoints.set_index("column").loc["t0"]
    assert found["reach"].estimate == pytest.approx(row["reach"])
    assert 60 < row["reach"] < 80


def test_places_use_that_the_same_people_rate_both(tmp_path):
    # differences within persons are sure although both intervals overlap
    rng = np.random.default_rng(3)
    person = rng.normal(6, 2.0, 150)
    frame = pd.DataFrame(
        {"period": "2026", "kind": "a", "recommend": 8, "overall": 7}, index=range(150)
    )
    for number, more in enumerate((0.0, 0.6)):
        frame[f"t{number}"] = np.clip(
            np.round(person + more + rng.normal(0, 0.7, 150)), 0, 10
        ).astype(int)
    study = seeded(tmp_path, touchpoints=(6.0, 6.0))
    frame.to_csv(tmp_path / "answers.csv", index=False)
    table = card_of(study).touchpoints.set_index("column")
    assert table.loc["t0", "ci_high"] > table.loc["t1", "ci_low"]
    assert table["rank_low"].to_dict() == table["rank_high"].to_dict() == {"t0": 2, "t1": 1}
