"""Drivers of millions of rows: narrow numbers, some rows at a time, give the same digits."""

import sys
from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd
import pytest

from cxlab import compare_journeys, drivers
from cxlab.core.engines import narrow
from cxlab.core.frames import open_frame
from cxlab.stats.drivers.answers import read_answers

NAMES = ["food", "wifi", "seat", "crew"]
#: Sums of some thousand numbers in another order.
ROUNDING = 1e-9


def survey(n: int) -> pd.DataFrame:
    """Ratings with blanks and touchpoints never used, weights, strata and clusters."""
    generator = np.random.default_rng(4)
    shared = generator.normal(size=n)
    frame = pd.DataFrame({"stratum": np.arange(n) % 3, "flight": np.arange(n) // 8 * 3})
    frame["flight"] += frame["stratum"]
    frame["weight"] = generator.uniform(0.5, 2.0, n)
    for name in NAMES:
        rating = np.clip(np.round(7 + 1.5 * shared + 1.5 * generator.normal(size=n)), 0, 10)
        told = generator.random(n)
        never = (told < 0.15) & (name in ("food", "wifi"))
        frame[name] = np.where(told < 0.3, np.nan, rating)
        frame[f"{name}_missing"] = np.where(never, "never used", None)
        frame.loc[(told >= 0.15) & (told < 0.3), f"{name}_missing"] = "no answer"
    frame["overall"] = np.clip(np.round(7 + shared + generator.normal(size=n)), 0, 10)
    frame.loc[frame.index % 50 == 0, "overall"] = np.nan
    return frame


@pytest.fixture
def small_parts(monkeypatch):
    """As if 300 rows were a great many."""
    for name, module in list(sys.modules.items()):
        if name.startswith("cxlab.") and "PART_ROWS" in vars(module):
            monkeypatch.setattr(module, "PART_ROWS", 300)


WEIGHTED = {"weights": "weight"}
CLUSTERS = {"weights": "weight", "strata": "stratum", "cluster": "flight"}
CASES = [
    ("duckdb", "em", None),
    ("duckdb", "em", CLUSTERS),
    ("duckdb", "pairwise", WEIGHTED),
    ("duckdb", "pairwise", CLUSTERS),
    ("duckdb", "complete", None),
    ("pandas", "pairwise", None),
    ("polars", "pairwise", CLUSTERS),
]


@pytest.mark.parametrize(("engine", "missing", "design"), CASES)
def test_some_rows_at_a_time_give_the_same_tables(engine, missing, design, request):
    given = {"missing": missing, "replicates": 40, "design": design}
    data = survey(2_400)
    wide = drivers(data, "overall", NAMES, **given)
    request.getfixturevalue("small_parts")
    if engine == "duckdb":
        data = duckdb.from_df(data)
    if engine == "polars":
        data = pytest.importorskip("polars").from_pandas(data)
    found = drivers(data, "overall", NAMES, **given)
    for table in ("table", "reach_adjusted", "fits", "rows_used", "n_missing"):
        pd.testing.assert_frame_equal(
            getattr(found, table), getattr(wide, table), rtol=ROUNDING, atol=ROUNDING
        )


def test_ratings_are_not_copied_beside_their_outcome():
    answers = read_answers(survey(500), "overall", NAMES)
    joined = answers.with_outcome(answers.ratings)
    assert np.shares_memory(joined, answers.ratings)
    np.testing.assert_array_equal(joined[:, -1], answers.outcome)
    others = [
        replace(answers, outcome=np.where(answers.outcome > 8, 100.0, 0.0)),
        answers.rows(slice(10, 90)),
        answers.rows(answers.outcome > 5),
        answers.with_drivers([0, 2]),
    ]
    for other in others:
        joined = other.with_outcome(other.ratings)
        np.testing.assert_array_equal(joined[:, :-1], other.ratings)
        np.testing.assert_array_equal(joined[:, -1], other.outcome)


def test_jackknife_of_whole_clusters_agrees_with_the_bootstrap(monkeypatch):
    given = {"missing": "pairwise", "design": CLUSTERS}
    wide = drivers(survey(4_000), "overall", NAMES, replicates=2_000, **given)
    monkeypatch.setattr("cxlab.stats.drivers.replicates.MULTIPLIER_LIMIT", 0)
    found = drivers(survey(4_000), "overall", NAMES, replicates=2_000, **given)
    assert (wide.interval, found.interval) == ("bootstrap", "jackknife")
    ratio = (found.part()["se"] / wide.part()["se"]).to_numpy()
    # 99 degrees of freedom: each ratio is known to ± 7 %, the mean of four to half of that
    assert ratio.mean() == pytest.approx(1, abs=0.08)
    np.testing.assert_allclose(found.part()["estimate"], wide.part()["estimate"], rtol=ROUNDING)


@pytest.mark.parametrize("design", [None, WEIGHTED, CLUSTERS])
def test_more_answers_than_memory_holds_are_drawn_at_random(design, small_parts, monkeypatch):
    data = survey(6_000)
    given = {"missing": "pairwise", "design": design, "replicates": 200}
    whole = drivers(data, "overall", NAMES, **given)
    columns = len({"overall", *NAMES, *(f"{name}_missing" for name in NAMES), *(design or {})})
    monkeypatch.setattr("cxlab.core.frames.MOST_CELLS", 3_000 * columns)
    part = drivers(data, "overall", NAMES, **given)
    assert 0.8 < part.n_total / 3_000 < 1.2
    said = f"From {part.n_total:,} of 6,000 answers, drawn at random."
    assert any(note.startswith(said) for note in part.notes)
    assert not any("drawn at random" in note for note in whole.notes)
    # half the answers: both differ by as much as the whole is sure of, and the part says so
    apart = part.part()["estimate"] - whole.part()["estimate"]
    assert (apart.abs() < 4 * part.part()["se"]).all()
    ratio = (part.part()["se"] / whole.part()["se"]).mean()
    assert ratio == pytest.approx(np.sqrt(2), rel=0.2)
    pd.testing.assert_frame_equal(drivers(data, "overall", NAMES, **given).table, part.table)


def test_of_few_clusters_each_is_drawn_from(small_parts, monkeypatch):
    # whole ones were drawn: of three stores none, and the report failed
    data = survey(6_000).assign(store=[f"store {i % 3}" for i in range(6_000)])
    monkeypatch.setattr("cxlab.core.frames.MOST_CELLS", 2_000 * 2)
    opened = open_frame(data, numbers={"outcome": "overall"}, design={"cluster": "store"})
    drawn, _ = opened.narrow_rows(["overall"])
    share = drawn["store"].value_counts() / data["store"].value_counts()
    # a third of 2,000 each: within four standard errors
    assert (abs(share - 1 / 3) < 0.045).all()
    found = drivers(data, "overall", NAMES, design={"cluster": "store"}, replicates=40)
    assert any("2 degrees of freedom" in note for note in found.notes)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 10, np.nan], np.float16),
        ([2049, 1], np.float32),
        ([70_000, -np.inf], np.float32),
        ([7.1], np.float64),
        ([1e300], np.float64),
    ],
)
def test_narrow_numbers_are_the_same_numbers(values, kind):
    found = narrow(np.array(values, dtype=float))
    assert found.dtype == kind
    np.testing.assert_array_equal(found.astype(float), values)


def test_journeys_of_many_answers_are_read_by_chance(small_parts, monkeypatch):
    data = survey(6_000)
    monkeypatch.setattr("cxlab.stats.touchpoints.journeys.MOST_RATINGS", 3_000 * 5)
    table = compare_journeys(data, NAMES, "overall")
    rows = data[NAMES].notna().any(axis=1) & data["overall"].notna()
    assert table["n"].iloc[0] == pytest.approx(rows.sum() / 2, rel=0.1)
    monkeypatch.undo()
    whole = compare_journeys(data, NAMES, "overall").set_index("composite")
    found = table.set_index("composite").reindex(whole.index)
    assert ((found["estimate"] - whole["estimate"]).abs() < 4 * found["se"]).all()
