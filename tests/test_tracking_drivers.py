"""Did the drivers' shares move between periods?"""

from __future__ import annotations

from types import SimpleNamespace

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from cxlab import comparable_answers, driver_changes, drivers
from cxlab.core import frames

NAMES = ["food", "wifi", "staff"]
#: The same sums in another order.
ROUNDING = 1e-9


def rated(seed=0, rows=1000, change=0.0) -> pd.DataFrame:
    """Wi-Fi counts as much as food, and from the later period on more by ``change``."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(rows, 1))
    data = pd.DataFrame(0.6 * common + rng.normal(size=(rows, 3)), columns=NAMES)
    later = np.arange(rows) % 2
    slope = 0.5 + change * later
    data["overall"] = (1 - slope) * data["food"] + slope * data["wifi"] + rng.normal(size=rows)
    return data.assign(period=np.array(["2025-Q3", "2025-Q4"])[later],
                       customer=np.repeat(np.arange(rows // 2), 2))  # fmt: skip


def analysis(data, **options):
    defaults = {"by": "period", "replicates": 400, "compare": "pairs"}
    return drivers(data, "overall", NAMES, **(defaults | options))


def by_hand(df=199.0):
    """Shares .6 and .4 with errors .03 and .04 and no covariance: −20 points, se 5."""
    spread = np.array([-1.0, 1.0] * 50)

    def two(share: float, error: float, spread: np.ndarray) -> np.ndarray:
        return np.column_stack([share + error * spread, 1 - share - error * spread])

    later = two(0.4, 0.04, np.sort(spread))
    return SimpleNamespace(
        outcome="overall",
        fits=pd.DataFrame({"group": ["2025-Q3", "2025-Q4"], "n": [200, 300]}),
        replicates={
            "2025-Q3": SimpleNamespace(kind="bootstrap", df=df, share=two(0.6, 0.03, spread)),
            "2025-Q4": SimpleNamespace(kind="bootstrap", df=299.0, share=later),
        },
        part=lambda group: pd.DataFrame({
            "label": ["Food", "Wi-Fi"], "share": [0.6, 0.4] if group == "2025-Q3" else [0.4, 0.6]}),
    )  # fmt: skip


def since_last(changes) -> pd.DataFrame:
    return changes.since_last.set_index("label")


@pytest.mark.parametrize(("df", "note"), [(0.0, "one cluster"), (5.0, "only 5.0 degrees")])
def test_a_period_of_few_clusters_is_said(df, note):
    row = since_last(driver_changes(by_hand(df))).loc["Food"]
    assert note in row["note"]
    assert np.isnan(row["p_value"]) == (df < 1)
    assert np.isnan(row["ci_low"]) == (df < 1)


def test_a_difference_by_hand():
    changes = driver_changes(by_hand())
    row = since_last(changes).loc["Food"]
    assert row["estimate"] == pytest.approx(-20)
    assert row["se"] == pytest.approx(100 * np.hypot(0.03, 0.04) * np.sqrt(100 / 99))
    assert (row["n"], row["n_before"], row["df"]) == (300, 200, 199)
    assert row["p_value"] < 0.001
    # the difference of the draws is −.07, −.01, .01 or .07 away
    assert row["ci_low"] == pytest.approx(-27, abs=0.1)
    assert row["ci_high"] == pytest.approx(-13, abs=0.1)
    assert changes.sentences[0].startswith(
        "Share of R² of Food fell by 20.0 percentage points (95 %"
    )


def test_a_planted_change_is_found_and_none_where_there_is_none():
    changes = driver_changes(analysis(rated(change=0.4)))
    found = since_last(changes)
    assert found.loc["wifi", "estimate"] > 30
    assert found.loc["food", "estimate"] < -30
    assert any(line.startswith("Share of R² of wifi rose by") for line in changes.sentences)
    assert driver_changes(analysis(rated())).sentences == (
        "3 comparisons of shares; none is shown to differ at a false-discovery rate of 5 %.",
    )


@pytest.mark.parametrize(
    "options", [{}, {"design": {"cluster": "customer"}}, {"interval": "jackknife"}], ids=str
)
def test_differences_agree_with_those_of_the_analysis(options):
    one = analysis(rated(), **options)
    table = since_last(driver_changes(one))
    known = one.differences.set_index("driver")
    np.testing.assert_allclose(table["estimate"], -100 * known["estimate"], rtol=ROUNDING)
    np.testing.assert_allclose(table["se"], 100 * known["se"], rtol=ROUNDING)
    # other replicates of the same difference: its tails are known to about a tenth of an se
    np.testing.assert_allclose(
        table["ci_low"], -100 * known["ci_high"], atol=0.5 * table["se"].max()
    )
    np.testing.assert_allclose(table["p_value"], known["p_value"], atol=0.06)


def test_a_period_that_was_not_analysed_is_said():
    data = rated()
    table = since_last(driver_changes(analysis(data[data["period"] == "2025-Q4"])))
    assert table["estimate"].isna().all()
    assert table["note"].str.endswith("no drivers of 2025-Q3 are known").all()


def test_without_an_analysis_the_reason_is_said():
    changes = driver_changes(None, why="a period has fewer than 100 answers")
    assert changes.table.empty
    assert changes.sentences == (
        "0 comparisons of shares: the drivers are left out, because a period has fewer than "
        "100 answers.",
    )
    assert list(changes.table) == list(driver_changes(by_hand()).table)


def test_an_analysis_of_all_answers_together_is_refused():
    with pytest.raises(ValueError, match=r"`analysis` must be by period; got one of all answers"):
        driver_changes(analysis(rated(), by=None, replicates=20))


class TestComparableAnswers:
    @pytest.mark.parametrize(
        "engine", [lambda d: d, pl.from_pandas, lambda d: pl.from_pandas(d).lazy(), duckdb.from_df]
    )
    def test_periods_asked_for_are_taken_in_any_engine(self, engine):
        data = pd.concat([rated(), rated(1).assign(period="2025-Q2")], ignore_index=True)
        data.loc[data.index[:30], "overall"] = np.nan
        periods = ["2025-Q4", "2025-Q3", "2024-Q4"]
        found = comparable_answers(engine(data), "overall", NAMES, periods=periods)
        assert found.note == ""
        kept = {
            "DataFrame": lambda f: f if isinstance(f, pd.DataFrame) else f.to_pandas(),
            "LazyFrame": lambda f: f.collect().to_pandas(),
            "DuckDBPyRelation": lambda f: f.df(),
        }[type(found.data).__name__](found.data)
        assert kept["period"].value_counts().to_dict() == {"2025-Q3": 500, "2025-Q4": 500}

    @pytest.mark.parametrize("engine", [lambda d: d, duckdb.from_df])
    def test_blanks_are_no_answers(self, engine):
        data = rated()
        late = data.index[data["period"] == "2025-Q4"]
        data.loc[late[99:], "overall"] = np.nan
        found = comparable_answers(engine(data), "overall", NAMES, periods=["2025-Q3", "2025-Q4"])
        assert found.data is None
        assert found.note == "a period has fewer than 100 answers"

    def test_more_rows_than_fit_are_left_out_and_it_is_said(self, monkeypatch):
        monkeypatch.setattr(frames, "MOST_CELLS", 1000)
        periods = ["2025-Q3", "2025-Q4"]
        found = comparable_answers(duckdb.from_df(rated()), "overall", NAMES, periods=periods)
        assert found.data is None
        assert found.note == "1,000 rows are too many to be resampled one by one"
        # a pandas frame is in memory already
        assert comparable_answers(rated(), "overall", NAMES, periods=periods).note == ""

    def test_what_cannot_be_compared_is_said(self):
        one = comparable_answers(rated(), "overall", NAMES, periods=["2025-Q4", "2024-Q4"])
        none = comparable_answers(rated(), "overall", [], periods=["2025-Q4", "2025-Q3"])
        assert (one.note, none.note) == (
            "there is one period only", "the study declares no touchpoints",
        )  # fmt: skip
        with pytest.raises(ValueError, match="`outcome` must be a column of the data"):
            comparable_answers(rated(), "overal", NAMES, periods=["2025-Q4"])
