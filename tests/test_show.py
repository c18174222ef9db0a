import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from cxlab import (
    plot_control_chart,
    plot_driver_map,
    plot_ends,
    plot_grid,
    plot_intervals,
    plot_parts,
    plot_runs,
    plot_waterfall,
    show,
)
from cxlab.report.show import drawn_numbers

TABLE = pd.DataFrame(
    {
        "label": ["Wifi", "<script>alert(1)</script>"],
        "n": [1200, 3],
        "estimate": [1 / 3, np.nan],
        "ci_low": [0.1, np.nan],
        "ci_high": [0.6, np.nan],
    }
)


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("CXLAB_RECORD", str(tmp_path / "tables"))
    return tmp_path / "tables"


def test_display_is_rounded_and_record_is_not(recorded, capsys):
    show(TABLE, name="scores")
    assert "0.3 (0.1 to 0.6)" in capsys.readouterr().out
    again = pd.read_csv(recorded / "scores.csv")
    assert again.loc[0, "estimate"] == 1 / 3
    assert json.loads((recorded / "scores.json").read_text())[0]["estimate"] == 1 / 3


def test_missing_numbers_are_null_in_json_and_a_dash_on_display(recorded, capsys):
    show(TABLE, name="scores")
    assert "–" in capsys.readouterr().out
    assert json.loads((recorded / "scores.json").read_text())[1]["estimate"] is None


def test_nothing_is_written_without_a_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("CXLAB_RECORD", raising=False)
    monkeypatch.chdir(tmp_path)
    show(TABLE, name="scores")
    assert list(tmp_path.iterdir()) == []


def rich(result, monkeypatch, **keywords):
    shown = []
    monkeypatch.setattr("cxlab.report.show.display", shown.append)
    show(result, **keywords)
    return shown[0]._repr_mimebundle_()


def test_text_from_the_data_is_escaped(monkeypatch):
    data, _ = rich(TABLE, monkeypatch, name="scores")
    assert "<script>" not in data["text/html"]
    assert "&lt;script&gt;" in data["text/html"]


def test_headers_have_a_scope(monkeypatch):
    data, _ = rich(TABLE, monkeypatch, name="scores")
    opened = data["text/html"].split("<details")[0]
    assert [opened.count(f'scope="{kind}"') for kind in ("col", "row")] == [3, 2]


def test_a_note_that_all_rows_share_stands_once(monkeypatch):
    data, _ = rich(TABLE.assign(note="few <answers>"), monkeypatch, name="scores")
    assert data["text/html"].count("few &lt;answers&gt;") == 1
    assert "note" not in data["text/plain"].splitlines()[0]


def test_a_figure_carries_alt_text_and_a_digest(monkeypatch):
    data, metadata = rich(plot_intervals(TABLE), monkeypatch, name="chart", alt="Two dots.")
    assert metadata["image/png"]["alt"] == "Two dots."
    assert "Figure chart: Two dots." in data["text/plain"]
    assert "digest" in data["text/plain"]
    assert not plt.get_fignums()


def test_the_digest_follows_the_drawn_numbers(monkeypatch):
    first, _ = rich(plot_intervals(TABLE), monkeypatch, name="chart", alt="x")
    again, _ = rich(plot_intervals(TABLE), monkeypatch, name="chart", alt="x")
    moved = TABLE.assign(estimate=[0.34, np.nan])
    other, _ = rich(plot_intervals(moved), monkeypatch, name="chart", alt="x")
    assert first["text/plain"] == again["text/plain"] != other["text/plain"]


@pytest.mark.parametrize("name", ["Scores", "a b", "../x", "", "a--b", "x/y"])
def test_a_name_that_is_no_file_name_is_refused(name):
    with pytest.raises(ValueError, match="`name` must be lower-case words"):
        show(TABLE, name=name)


def test_axes_without_a_mark_are_not_shown(capsys):
    nothing = pd.DataFrame({"label": ["a", "b"]}).assign(
        estimate=np.nan, ci_low=np.nan, ci_high=np.nan
    )
    show(plot_intervals(nothing), name="none", alt="Dots with intervals")
    assert capsys.readouterr().out == ""
    assert plt.get_fignums() == []
    show(plot_intervals(nothing.fillna(1.0)), name="some", alt="Dots with intervals")
    assert "Figure some" in capsys.readouterr().out


def test_a_name_twice_is_refused_in_a_report(recorded, capsys):
    show(TABLE, name="scores")
    with pytest.raises(ValueError, match="used once in a report; got 'scores' again"):
        show(TABLE, name="scores")


def test_a_figure_without_alt_text_is_refused():
    with pytest.raises(ValueError, match="`alt` must say in words"):
        show(plot_intervals(TABLE), name="chart")
    plt.close("all")


def test_something_else_is_refused():
    with pytest.raises(TypeError, match="must be a table .* got list"):
        show([1, 2], name="list")


class TestPlots:
    """The artists hold the table's numbers; nothing is computed."""

    def teardown_method(self):
        plt.close("all")

    def test_intervals_are_those_of_the_table(self):
        axes = plot_intervals(TABLE.iloc[:1], xlabel="share")
        (dot,) = axes.get_lines()
        assert dot.get_xdata().tolist() == [1 / 3]
        assert axes.collections[0].get_segments()[0][:, 0].tolist() == [0.1, 0.6]
        assert axes.get_xlabel() == "share"
        assert axes.get_title() == ""

    def test_second_estimate_is_told_apart_by_its_marker(self):
        axes = plot_intervals(TABLE.assign(plain=[0.2, 0.3]), compare="plain")
        assert [line.get_marker() for line in axes.get_lines()] == ["o", "D"]

    def test_parts_reach_one_hundred_per_cent(self):
        table = pd.DataFrame({"label": ["a", "b"], "x": [1, 3], "y": [3, 1], "z": [0, 0]})
        axes = plot_parts(table, ["x", "y", "z"])
        widths = np.array([patch.get_width() for patch in axes.patches]).reshape(2, 2)
        assert widths.tolist() == [[25, 75], [75, 25]]
        assert len({patch.get_hatch() for patch in axes.patches}) == 2

    def test_ends_and_runs_draw_on_the_axes_given(self):
        ends = pd.DataFrame({"label": ["a"], "floor": [0.1], "ceiling": [0.4]})
        axes = plt.subplots()[1]
        assert plot_ends(ends, ax=axes) is axes
        assert [line.get_xdata().tolist() for line in axes.get_lines()] == [[10], [40]]
        runs = plot_runs(TABLE.iloc[:1].assign(period="2025"))
        assert runs.get_lines()[0].get_ydata().tolist() == [1 / 3]

    def test_drawn_numbers_are_what_was_drawn(self):
        axes = plt.subplots()[1]
        axes.plot([1, 2], [3, 4])
        assert drawn_numbers(axes.figure) == ["1", "3", "2", "4"]

    def parts(self, start=10.0):
        """From 10 by +5, shown, and −2, not shown, to 13."""
        rows = [
            ("rNPS", "score", start, 8.0, 12.0, True),
            ("a", "part", 5.0, 4.0, 6.0, True),
            ("b", "part", -2.0, -90.0, 1.0, False),
            ("tNPS", "score", 13.0, 11.0, 15.0, True),
        ]
        columns = ["label", "kind", "estimate", "ci_low", "ci_high", "clear"]
        return pd.DataFrame(rows, columns=columns)

    def test_waterfall_starts_each_part_where_the_last_one_ended(self):
        axes = plot_waterfall(self.parts())
        assert [patch.get_x() for patch in axes.patches] == [10, 15]
        assert [patch.get_width() for patch in axes.patches] == [5, -2]
        segments = [line.get_segments()[0][:, 0].tolist() for line in axes.collections]
        assert segments == [[8, 12], [14, 16], [-75, 16], [11, 15]]

    def test_waterfall_is_strong_only_where_a_part_is_shown(self):
        axes = plot_waterfall(self.parts())
        assert [patch.get_facecolor()[3] for patch in axes.patches] == [1.0, 0.15]
        weights = {text.get_text(): text.get_weight() for text in axes.texts}
        assert (weights["+5"], weights["−2"], weights["13"]) == ("bold", "normal", "bold")
        assert {"(4 to 6)", "(−90 to 1)", "rNPS", "a", "b", "tNPS"} <= set(weights)

    def test_an_interval_that_leaves_the_waterfall_ends_in_an_arrow(self):
        axes = plot_waterfall(self.parts())
        (arrow,) = [line for line in axes.get_lines() if line.get_marker() == "<"]
        assert arrow.get_xdata()[0] == axes.get_xlim()[0] > -75

    def test_waterfall_without_parts_or_with_a_hidden_start(self):
        hidden = self.parts(start=np.nan).iloc[[0, 2]].assign(estimate=np.nan)
        axes = plot_waterfall(hidden)
        assert [text.get_text() for text in axes.texts if text.get_text().startswith("+")] == []
        assert len(plot_waterfall(self.parts().iloc[:0]).patches) == 0

    def test_grid_leaves_hidden_cells_empty(self):
        table = pd.DataFrame(
            {
                "label": ["a", "a", "b", "b"],
                "group": ["x", "y"] * 2,
                "estimate": [1.0, np.nan, 3.0, 4.0],
            }
        )
        axes = plot_grid(table)
        assert [text.get_text() for text in axes.texts] == ["1.0", "3.0", "4.0"]

    def test_control_chart_marks_signals(self):
        table = pd.DataFrame(
            {"period": ["1", "2"], "estimate": [0.0, 9.0], "centre": 1.0, "lower": -3.0, "upper": 5.0,
             "signal": ["", "beyond the limits"]}
        )  # fmt: skip
        axes = plot_control_chart(table)
        assert axes.get_lines()[-1].get_ydata().tolist() == [9.0]

    def test_driver_map_draws_the_points_the_cross_that_decides_and_the_cuts(self):
        axes = plot_driver_map(map_table(["look first", "not first"]))
        across, down = (axes.collections[i].get_segments()[0] for i in (0, 1))
        assert across == pytest.approx(np.array([[2.8, 40.0], [3.2, 40.0]]))
        assert down == pytest.approx(np.array([[3.0, 30.0], [3.0, 50.0]]))
        crosses = [
            len(one.get_segments()) for one in axes.collections if hasattr(one, "get_segments")
        ]
        assert sum(crosses) == 2
        lines = {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}
        assert lines["look first"] == [[3.0, 40.0]]
        assert lines["not first"] == [[4.0, 20.0]]
        assert axes.get_lines()[-1].get_xdata()[0] == 3.5

    def test_driver_map_names_and_shades_where_to_look_first(self):
        axes = plot_driver_map(map_table(["look first", "not first"]))
        texts = [text.get_text() for text in axes.texts]
        assert {"LOOK HERE FIRST", "KEEP UP", "LATER", "LEAVE", "t0", "t1"} <= set(texts)
        (shade,) = [
            one for one in axes.collections if one.get_facecolor().size and one.get_zorder() == 0
        ]
        corners = shade.get_paths()[0].vertices
        assert corners[:, 0].max() == 3.5
        assert corners[:, 1].min() == pytest.approx(30.0)

    def test_among_many_only_what_decides_and_the_extremes_are_named(self):
        verdicts = ["look first", "keep up", *["not first"] * 16]
        axes = plot_driver_map(map_table(verdicts))
        named = {text.get_text() for text in axes.texts if text.get_text().startswith("t")}
        # the last one is both the best rated and the least important
        assert named == {"t0", "t1", "t17"}

    def test_names_on_the_driver_map_do_not_cover_one_another(self):
        table = map_table(["look first", *["not settled"] * 13])
        # six points in one place
        table.loc[3:8, ["performance", "estimate"]] = [3.4, 0.3]
        axes = plot_driver_map(table)
        figure = axes.get_figure()
        figure.canvas.draw()
        boxes = [text.get_window_extent() for text in axes.texts if text.get_text().startswith("t")]
        shared = [
            one.intersection(one, other)
            for i, one in enumerate(boxes)
            for other in boxes[:i]
            if one.overlaps(other)
        ]
        assert all(box.width * box.height < 8 for box in shared if box is not None)

    def test_own_targets_are_drawn_as_distances_from_them(self):
        table = map_table(["look first", "keep up"]).assign(performance_cut=[3.5, 3.0])
        axes = plot_driver_map(table)
        lines = {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}
        assert lines["look first"][0][0] == -0.5
        assert lines["keep up"][0][0] == 1.0
        assert "target" in axes.get_xlabel()


def map_table(verdicts):
    """A driver map: each driver is rated better and counts less than the one before."""
    rows = np.arange(len(verdicts))
    performance, estimate = (
        3.0 + rows / max(len(rows) - 1, 1),
        0.4 - 0.2 * rows / max(len(rows) - 1, 1),
    )
    return pd.DataFrame(
        {"label": [f"t{row}" for row in rows], "estimate": estimate, "ci_low": estimate - 0.1,
         "ci_high": estimate + 0.1, "performance": performance, "performance_low": performance - 0.2,
         "performance_high": performance + 0.2, "importance_cut": 0.3, "performance_cut": 3.5,
         "verdict": verdicts}
    )  # fmt: skip


def test_a_p_value_is_never_shown_as_zero(capsys):
    table = pd.DataFrame(
        {"p_value": [0.0004, 0.0312], "williams_p": [1e-9, np.nan], "se": [0.0004, 1]}
    )
    show(table, name="p-values", columns=list(table))
    printed = capsys.readouterr().out
    assert printed.splitlines()[2].split() == ["<0.001", "<0.001", "0.00"]
    assert printed.splitlines()[3].split() == ["0.031", "–", "1.00"]
