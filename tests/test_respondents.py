"""Quick finishers and respondents who answered twice are counted from the files themselves."""

from __future__ import annotations

import pandas as pd
import pytest

from cxlab import check_respondents, load_study
from cxlab.survey.drafting import accept_guesses, draft_study


def counted(folder, content, name="answers.csv", **options):
    (folder / name).write_text(content, encoding="utf-8")
    path = draft_study(folder / name).path
    accept_guesses(path, by_hand=True)
    table = check_respondents(load_study(path), **options)
    assert list(table) == ["check", "column", "n", "rows", "share"]
    return {
        (check, column): (n, rows) for check, column, n, rows, _ in table.itertuples(index=False)
    }


HASTY, TWICE = "took under a third of the median time", "answered more than once"


def qualtrics(seconds, addresses, marks):
    names = ["StartDate", "Duration (in seconds)", "ResponseId", "IPAddress",
             "RecipientEmail", "Q_DuplicateRespondent", "Q1"]  # fmt: skip
    imports = ",".join(f'"{{""ImportId"":""{n}""}}"' for n in [*names[:-1], "QID1"])
    rows = [
        f"2025-01-01 10:00:00,{s},R_{i:08}Abc,{a},p{i}@x.org,{m},{i % 5 + 1}"
        for i, (s, a, m) in enumerate(zip(seconds, addresses, marks, strict=True))
    ]
    return "\n".join([",".join(names), ",".join([*names[:-1], "How was it?"]), imports, *rows, ""])


def test_a_qualtrics_export_tells_haste_and_repeats(tmp_path):
    # median 300: 99 is under a third of it, 100 is not
    seconds = [300] * 36 + [99, 99, 100, 100]
    addresses = [f"10.0.0.{i}" for i in range(38)] + ["10.0.0.1", "10.0.0.1"]
    found = counted(tmp_path, qualtrics(seconds, addresses, ["false"] * 39 + ["true"]))
    assert found == {
        (HASTY, "Duration (in seconds)"): (40, 2),
        (TWICE, "RecipientEmail"): (40, 0),
        (TWICE, "IPAddress"): (40, 2),
        ("marked as a duplicate by the platform", "Q_DuplicateRespondent"): (40, 1),
    }


@pytest.mark.parametrize(
    ("began", "done"),
    [("Start Date (UTC)", "Submit Date (UTC)"), ("Start time", "Completion time")],
)
def test_times_of_start_and_end_tell_haste(tmp_path, began, done):
    first = pd.date_range("2025-01-01 10:00", periods=40, freq="h")
    last = first + pd.to_timedelta([600] * 38 + [199, 201], unit="s")
    lines = "".join(
        f"{a},{b},{i % 5 + 1}\n" for i, (a, b) in enumerate(zip(first, last, strict=True))
    )
    found = counted(tmp_path, f"{began},{done},overall\n{lines}")
    assert found == {(HASTY, f"{began}, {done}"): (40, 1)}


def test_spans_and_blanks_and_capitals_are_read(tmp_path):
    spans = ["0:05:00"] * 37 + ["0:01:00", "", ""]
    people = [f"a{i}@x.org" for i in range(38)] + ["A1@X.ORG ", ""]
    lines = "".join(
        f"{s},{p},{i % 5 + 1}\n" for i, (s, p) in enumerate(zip(spans, people, strict=True))
    )
    found = counted(tmp_path, f"Time taken,Email,overall\n{lines}")
    assert found == {(HASTY, "Time taken"): (38, 1), (TWICE, "Email"): (39, 1)}


def test_a_customer_counts_once_a_period(tmp_path):
    lines = "".join(f"2025-Q{i % 2 + 1},c{i // 2},{i % 5 + 1}\n" for i in range(60))
    found = counted(tmp_path, f"quarter,customer_id,overall\n{lines}2025-Q1,c0,5\n")
    assert found == {(TWICE, "customer_id"): (61, 1)}
    only = counted(
        tmp_path / "", f"quarter,customer_id,overall\n{lines}", "b.csv", period="2025-Q2"
    )
    assert only == {(TWICE, "customer_id"): (30, 0)}


def test_without_such_columns_the_table_is_empty(tmp_path):
    lines = "".join(f"{i},{i % 5 + 1}\n" for i in range(40))
    assert counted(tmp_path, f"id,overall\n{lines}") == {}
