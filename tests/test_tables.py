"""Tables as readers see them: few columns in words, one cell for an interval, the rest folded."""

import base64
import re

import lxml.html
import pandas as pd
import pytest

from cxlab import load_study, show
from cxlab.core.display import display_of, metric_titles, with_display
from cxlab.core.headers import HEADERS, header
from cxlab.core.metric import Metric
from cxlab.core.result import table_html, table_text
from cxlab.core.tables import described

MEANS = pd.DataFrame(
    {
        "touchpoint": ["wifi", "staff", "parking"],
        "metric": "mean",
        "n": [269, 399, 166],
        "estimate": [6.47, 7.84, 6.23],
        "se": [0.1, 0.08, 0.12],
        "ci_low": [6.27, 7.68, 6.0],
        "ci_high": [6.67, 8.0, 6.47],
        "p_value": [0.2, 1e-9, 0.03],
        "unit": "score",
    }
)
LABELS = {"wifi": "WiFi", "staff": "Staff", "parking": "Parking"}


def cells(table, **display):
    page = lxml.html.fromstring(f"<main>{table_html(with_display(table, **display))}</main>")
    rows = page.xpath("./div//tr")
    return [[cell.text_content().strip() for cell in row.xpath("th | td")] for row in rows]


def html(table, **display):
    return lxml.html.fromstring(f"<main>{table_html(with_display(table, **display))}</main>")


def test_an_estimate_and_its_interval_are_one_cell_that_does_not_break():
    rows = cells(MEANS, bar=())
    assert rows[0] == ["Touchpoint", "n", "Estimate"]
    assert rows[1] == ["wifi", "269", "6.5 (6.3\u00a0to\u00a06.7)"]


def test_labels_stand_in_place_of_column_names():
    assert [row[0] for row in cells(MEANS, labels=LABELS)[1:]] == ["WiFi", "Staff", "Parking"]


def test_code_names_without_a_label_lose_their_underscores():
    table = pd.DataFrame({"touchpoint": ["check_in", "Wi-Fi"], "n": [1, 2]})
    assert [row[0] for row in cells(table)[1:]] == ["Check in", "Wi-Fi"]


def test_largest_first_where_the_order_asks_for_it():
    rows = cells(MEANS, sort=("-estimate",))
    assert [row[0] for row in rows[1:]] == ["staff", "wifi", "parking"]
    rows = cells(MEANS, sort=("touchpoint",))
    assert [row[0] for row in rows[1:]] == ["parking", "staff", "wifi"]


def test_one_value_of_all_rows_goes_to_the_caption():
    page = html(MEANS.assign(n=400), caption="Ratings", about="Among users")
    assert page.xpath("//caption/strong/text()") == ["Ratings"]
    assert page.xpath("//caption/span/text()") == [
        "Among users; Measure: Mean; n = 400; 95\u00a0% intervals in brackets."
    ]


def test_sizes_that_are_not_shown_are_in_the_caption():
    assert "n = 166 to 399" in table_text(with_display(MEANS, columns=("touchpoint", "estimate")))


def test_the_rest_is_folded_below_with_every_row_and_column():
    page = html(MEANS, top=2)
    (details,) = page.xpath("./details")
    assert "open" not in details.attrib
    assert details.find("summary").text == "All numbers: standard error, p (3 rows × 9 columns)"
    assert len(details.xpath(".//tbody/tr")) == 3
    assert [cell.text for cell in details.xpath(".//thead//th")][-2:] == ["p", "Unit"]
    assert "<0.001" in details.text_content()
    assert "<0.001" not in "".join(page.xpath("./div")[0].itertext())
    assert "2 of 3 rows" in page.xpath("./p/text()")[0]


def test_nothing_is_folded_where_all_is_open_to_view():
    assert not html(pd.DataFrame({"group": ["a", "b"], "n": [1, 2]})).xpath("./details")


def test_a_long_table_is_cut_below_too():
    long = pd.DataFrame({"group": [f"g{i}" for i in range(5000)], "n": range(5000)})
    page = html(long)
    assert len(page.xpath("./details//tbody/tr")) == 2000
    assert "the first 2,000 shown" in page.xpath("./details/summary/text()")[0]


def test_a_shared_note_stands_once_and_own_ones_are_footnotes():
    table = MEANS.assign(note=["few; weighted", "weighted", "weighted; few"])
    page = html(table)
    assert page.xpath("./p/sup/text()") == ["1"]
    assert [p.text_content() for p in page.xpath("./p")] == [
        "1 few.", "Note to every row: weighted."
    ]  # fmt: skip
    assert page.xpath("./div//th/sup/text()") == ["1", "1"]


def test_a_table_hidden_in_every_row_is_one_sentence():
    hidden = MEANS.assign(
        n=pd.NA, estimate=None, se=None, ci_low=None, ci_high=None, p_value=None, note="hidden: few"
    ).astype({"n": "Int64", "estimate": float, "se": float, "p_value": float})
    hidden = hidden.astype({"ci_low": float, "ci_high": float})
    shown = with_display(hidden, caption="Ratings")
    assert table_html(shown) == '<p class="cxlab">Ratings: hidden in every row. Hidden: few.</p>'
    assert table_text(shown) == "Ratings: hidden in every row. Hidden: few."


def test_suppressed_rows_say_so():
    table = MEANS.assign(suppressed=["", "small", ""], estimate=[6.47, None, 6.23])
    assert [row[2] for row in cells(table, bar=())[1:]][1] == "hidden"
    every = table.assign(suppressed="small")
    assert "hidden in every row" in table_html(with_display(every, caption="Ratings"))


def test_three_rows_at_most_are_marked():
    table = pd.concat([MEANS, MEANS.assign(touchpoint=["a", "b", "c"])], ignore_index=True)
    page = html(table, highlight=("wifi", "staff", "parking", "a"))
    assert len(page.xpath('//tr[@class="marked"]')) == 3
    page = html(table.assign(first=[False, True] * 3), highlight=("first",))
    assert [th.text_content() for th in page.xpath('//tr[@class="marked"]/th')] == [
        "staff", "a", "c"
    ]  # fmt: skip


def test_dots_lie_on_one_scale_with_the_line_at_the_average():
    page = html(MEANS, reference={"estimate": "mean"})
    images = page.xpath("./div//td[@class='bar']/img")
    assert [image.get("alt") for image in images] == [""] * 3
    drawn = [base64.b64decode(i.get("src").partition(",")[2]).decode() for i in images]
    dots = [float(re.search(r'cx="([\d.]+)"', one)[1]) for one in drawn]
    assert page.xpath("./div//th[@class='bar']/text()") == ["6 to 8"]
    # 6 to 8 over 108 pixels from the sixth on
    assert dots == pytest.approx([6 + (v - 6) / 2 * 108 for v in MEANS["estimate"]], abs=0.06)
    lines = {re.search(r'd="M([\d.]+) 0v', one)[1] for one in drawn}
    assert lines == {f"{6 + (MEANS['estimate'].mean() - 6) / 2 * 108:.1f}"}
    assert "grey line: the average" in page.text_content()


def test_differences_have_their_sign_and_a_line_at_zero():
    table = MEANS.assign(other="the rest", estimate=[0.3, -0.2, 0.02], ci_low=[0.1, -0.3, 0.001],
                         ci_high=[0.5, -0.1, 0.04])  # fmt: skip
    shown = [row[3] for row in cells(table)[1:]]
    # an interval that excludes zero does not seem to end there
    assert shown == [
        "+0.3 (0.1\u00a0to\u00a00.5)", "−0.2 (−0.3\u00a0to\u00a0−0.1)", "+0.02 (0.00\u00a0to\u00a00.04)"
    ]  # fmt: skip
    assert "grey line: 0" in table_text(table)


@pytest.mark.parametrize("value", [0.0, 50.0, -2.0])
def test_estimates_that_are_all_the_same_are_drawn_in_the_middle(value):
    table = pd.DataFrame({"period": ["a", "b"], "estimate": value, "ci_low": value})
    images = html(table.assign(ci_high=value), bar=("estimate",)).xpath("./div//img/@src")
    drawn = [base64.b64decode(one.partition(",")[2]).decode() for one in images]
    assert ['<circle cx="60"' in one for one in drawn] == [True, True]


def test_units_of_rows_are_followed():
    table = MEANS.assign(unit=["score", "%", "points"], metric=["mean", "top box", "nps"],
                         estimate=[7.35, 50.4, -4.5], ci_low=[7.2, 45.5, -12.2],
                         ci_high=[7.5, 55.2, 3.3])  # fmt: skip
    rows = cells(table)
    assert [row[1] for row in rows[1:]] == ["Mean", "Highest scores", "NPS"]
    assert [row[-1].split(" (")[0] for row in rows[1:]] == ["7.4", "50\u00a0%", "−5"]
    assert "bar" not in table_html(table)


def test_a_metric_has_its_title():
    titles = metric_titles([Metric("wifi", "box", top=(8, 10), name="top box", words="Satisfied")])
    table = MEANS.rename(columns={"touchpoint": "label"}).assign(metric=["top box", "mean", "net"])
    shown = cells(table, titles=titles, columns=("label", "metric"))
    assert [row[1] for row in shown[1:]] == [
        "Satisfied (8 to 10)", "Mean", "Highest less lowest scores"
    ]  # fmt: skip


def test_shares_are_per_cent_and_ranges_one_cell():
    table = pd.DataFrame({"label": ["a", "b"], "share": [0.17, 0.05], "share_low": [0.13, 0.04],
                          "share_high": [0.2, 0.08], "bound_low": [-1.0, 0.0],
                          "bound_high": [2.0, 3.0]})  # fmt: skip
    rows = cells(table, columns=("label", "share", "bound_low"))
    assert rows[0] == ["Name", "Share", "Bounds"]
    assert rows[1] == ["a", "17\u00a0% (13\u00a0to\u00a020)", "−1\u00a0to\u00a02"]


@pytest.mark.parametrize(
    "column", ["ci_low", "made_up_column", "overall_share", "x_ci_high", "z_low"]
)
def test_no_header_holds_an_underscore(column):
    words = header(column, display_of(with_display(MEANS, labels={"overall": "Overall"})))
    assert "_" not in words
    assert not [known for known in HEADERS.values() if "_" in known.words]


def test_tables_can_be_read_in_order_by_keyboard_and_screen_reader():
    page = html(MEANS, caption="Ratings")
    boxes = page.xpath("//div[@role='region']")
    assert [box.get("aria-label") for box in boxes] == ["Ratings", "Ratings, all numbers"]
    assert {box.get("tabindex") for box in boxes} == {"0"}
    for grid in page.xpath("//table"):
        assert {th.get("scope") for th in grid.xpath("./thead//th")} == {"col"}
        assert [row.xpath("./*")[0].get("scope") for row in grid.xpath("./tbody/tr")] == ["row"] * 3


def test_a_blank_name_is_no_header():
    told = html(pd.DataFrame({"label": ["", "b"], "estimate": [1.0, 2.0]}))
    assert [one.text_content() for one in told.xpath("./div[1]//tbody//th")] == ["b"]


def test_what_a_table_says_of_itself_survives_selection_and_can_be_overruled(capsys):
    known = with_display(MEANS, caption="Ratings", labels=LABELS)
    show(known[known["n"] > 200].sort_values("n"), name="a")
    assert capsys.readouterr().out.splitlines()[0] == "Ratings"
    show(known, name="b", caption="Others", columns=["touchpoint", "p_value"], top=1)
    printed = capsys.readouterr().out.splitlines()
    assert (printed[0], printed[3].split()) == ("Others", ["WiFi", "0.200"])
    assert display_of(known).caption == "Ratings"
    assert display_of(MEANS).caption == ""


@pytest.mark.parametrize("key", ["columns", "sort", "bar"])
def test_a_column_that_is_not_there_is_refused(key):
    with pytest.raises(
        ValueError, match=rf"`{key}` must be .*; got 'estimat'. Did you mean 'estim"
    ):
        show(MEANS, name="a", **{key: ["estimat"]})


def test_more_than_eight_columns_are_refused():
    with pytest.raises(ValueError, match="`columns` must be at most 8; got 9"):
        show(MEANS, name="a", columns=list(MEANS))


def test_workbook_and_slides_are_told_headers_units_words_and_order():
    table = with_display(MEANS, labels=LABELS, sort=("-estimate",))
    told = described(table, display_of(table), "means")
    assert told["caption"] == "Means"
    assert told["headers"]["ci_low"] == "Interval from"
    assert (told["units"]["estimate"], told["units"]["p_value"]) == ("score", "p")
    assert told["words"] == {"touchpoint": ["WiFi", "Staff", "Parking"], "metric": ["Mean"] * 3}
    assert told["order"] == [1, 0, 2]
    assert (told["names"], told["chart"]) == (["touchpoint"], ["estimate", "ci_low", "ci_high"])


@pytest.mark.parametrize("name", ["demo", "sfo"])
def test_a_study_shows_itself_in_few_lines(name):
    study = load_study(name)
    lines = repr(study).splitlines()
    assert len(lines) <= 25
    assert study.title in lines[0]
    assert max(map(len, lines)) < 200
    assert study._repr_html_().count("<br>") == len(lines) - 1
