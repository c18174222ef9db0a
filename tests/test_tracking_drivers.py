"""Did the drivers' shares move between periods?"""

from __future__ import annotations

from types import SimpleNamespace

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from cxlab import driver_changes, drivers
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
    defaults = {"by": "period", "replicates": 400}
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


PERIODS = ("2025-Q4", "2025-Q3")


def changes_of(data, analyse=drivers, *, periods=PERIODS, **options):
    defaults = {"replicates": 400} if analyse is drivers else {}
    return driver_changes(
        data, "overall", NAMES, analyse=analyse, periods=periods, **(defaults | options)
    )


def made_by_hand(df=199.0):
    return changes_of(rated(), lambda *_, **__: by_hand(df))


def since_last(changes) -> pd.DataFrame:
    table = changes.table
    return table[table["against"] == "last period"].set_index("label")


@pytest.mark.parametrize(("df", "note"), [(0.0, "one cluster"), (5.0, "only 5.0 degrees")])
def test_a_period_of_few_clusters_is_said(df, note):
    row = since_last(made_by_hand(df)).loc["Food"]
    assert note in row["note"]
    assert np.isnan(row["p_value"]) == (df < 1)
    assert np.isnan(row["ci_low"]) == (df < 1)


def test_a_difference_by_hand():
    row = since_last(made_by_hand()).loc["Food"]
    assert row["estimate"] == pytest.approx(-20)
    assert row["se"] == pytest.approx(100 * np.hypot(0.03, 0.04) * np.sqrt(100 / 99))
    assert (row["n"], row["n_before"], row["df"]) == (300, 200, 199)
    assert row["p_value"] < 0.001
    # the difference of the draws is −.07, −.01, .01 or .07 away
    assert row["ci_low"] == pytest.approx(-27, abs=0.1)
    assert row["ci_high"] == pytest.approx(-13, abs=0.1)


def test_a_planted_change_is_found_and_none_where_there_is_none():
    changes = changes_of(rated(change=0.4))
    found = since_last(changes)
    assert found.loc["wifi", "estimate"] > 30
    assert found.loc["food", "estimate"] < -30
    assert changes.sentence == (
        "3 comparisons of shares; shown to differ at a false-discovery rate of 5 %: "
        "food (last period) and wifi (last period)."
    )
    assert changes_of(rated()).sentence.endswith("rate of 5 %: none.")


def test_a_period_that_was_not_analysed_is_said():
    data = rated()
    one = analysis(data[data["period"] == "2025-Q4"])
    table = since_last(changes_of(data, lambda *_, **__: one))
    assert table["estimate"].isna().all()
    assert table["note"].str.endswith("no drivers of 2025-Q3 are known").all()
    other = analysis(data[data["period"] == "2025-Q3"])
    changes = changes_of(data, lambda *_, **__: other)
    assert changes.table.empty
    assert changes.sentence == "No drivers of 2025-Q4 are known."


def test_an_analysis_of_all_answers_together_is_refused():
    one = analysis(rated(), by=None, replicates=20)
    with pytest.raises(ValueError, match=r"`analysis` must be by period; got one of all answers"):
        changes_of(rated(), lambda *_, **__: one)


class TestComparableAnswers:
    @pytest.mark.parametrize(
        "engine", [lambda d: d, pl.from_pandas, lambda d: pl.from_pandas(d).lazy(), duckdb.from_df]
    )
    def test_periods_asked_for_are_taken_in_any_engine(self, engine):
        data = pd.concat([rated(), rated(1).assign(period="2025-Q2")], ignore_index=True)
        data.loc[data.index[:30], "overall"] = np.nan
        taken = []

        def analyse(chosen, *_, **__):
            taken.append(chosen)
            return by_hand()

        changes_of(engine(data), analyse, periods=["2025-Q4", "2025-Q3", "2024-Q4"])
        kept = {
            "DataFrame": lambda f: f if isinstance(f, pd.DataFrame) else f.to_pandas(),
            "LazyFrame": lambda f: f.collect().to_pandas(),
            "DuckDBPyRelation": lambda f: f.df(),
        }[type(taken[0]).__name__](taken[0])
        assert kept["period"].value_counts().to_dict() == {"2025-Q3": 500, "2025-Q4": 500}

    @pytest.mark.parametrize("engine", [lambda d: d, duckdb.from_df])
    def test_blanks_are_no_answers(self, engine):
        data = rated()
        late = data.index[data["period"] == "2025-Q4"]
        data.loc[late[99:], "overall"] = np.nan
        changes = changes_of(engine(data))
        assert changes.table.empty
        assert changes.sentence == (
            "The drivers are left out, because a period has fewer than 100 answers."
        )
        assert list(changes.table) == list(made_by_hand().table)

    def test_more_rows_than_fit_are_left_out_and_it_is_said(self, monkeypatch):
        monkeypatch.setattr(frames, "MOST_CELLS", 1000)
        found = changes_of(duckdb.from_df(rated()), lambda *_, **__: by_hand())
        assert "because 1,000 rows are too many to be resampled one by one" in found.sentence
        # a pandas frame is in memory already
        assert not made_by_hand().table.empty

    def test_what_cannot_be_compared_is_said(self):
        one = changes_of(rated(), periods=["2025-Q4", "2024-Q4"])
        assert "because there is one period only" in one.sentence
        none = driver_changes(rated(), "overall", [], analyse=drivers, periods=PERIODS)
        assert "because the study declares no touchpoints" in none.sentence
        with pytest.raises(ValueError, match="`outcome` must be a column of the data"):
            driver_changes(rated(), "overal", NAMES, analyse=drivers, periods=PERIODS)
