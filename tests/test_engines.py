"""The same study through pandas, Polars, DuckDB, Ibis, PostgreSQL and PySpark: one result."""

from __future__ import annotations

import contextlib
import decimal
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cxlab
from cxlab import load_study
from cxlab.core import frames
from cxlab.core.metric import Metric
from cxlab.survey import files

pl = pytest.importorskip("polars", reason="Polars is not installed")

pytestmark = [
    # Ibis asks DuckDB for Arrow tables by an old name
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),
    # PySpark and pandas 3: it says that it was not tested with it
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:UserWarning"),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
    # PySpark's own start-up
    pytest.mark.filterwarnings("ignore:.*distutils.*:DeprecationWarning"),
]

#: Sums of floating-point numbers in another order.
ANY_ORDER = {"rtol": 1e-9, "atol": 1e-12}
TABLE = "relationship"
#: Engines that keep the declared order of a segment's labels.
ORDERED = ("polars", "duckdb")


# servers and sessions ---------------------------------------------------------------------


def server_program(name):
    """A PostgreSQL program: on the path, or where Debian's package puts it."""
    config = shutil.which("pg_config")
    if config:
        told = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True)
        if (Path(told.stdout.strip()) / name).is_file():
            return str(Path(told.stdout.strip()) / name)
    there = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(there[-1]) if there else shutil.which(name)


@pytest.fixture(scope="session")
def postgres_folder():
    """Folder of a PostgreSQL server's socket; the server is stopped at the end."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    initdb, postgres = server_program("initdb"), server_program("postgres")
    if not (initdb and postgres):
        pytest.skip("no PostgreSQL server is installed (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # a socket's path is at most 107 bytes
    person = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")  # the server refuses to run as root
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        person = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    data = str(folder / "data")
    made = ["-D", data, "-U", "cxlab", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    subprocess.run([initdb, *made], check=True, **quiet, **person)
    only_socket = ["-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off"]
    server = subprocess.Popen([postgres, "-D", data, *only_socket], **quiet, **person)
    try:
        wait_for(folder, server)
        yield folder
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(timeout=10)
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(folder, server):
    import psycopg

    deadline = time.monotonic() + 120
    while server.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(host=str(folder), user="cxlab", dbname="postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the PostgreSQL server did not start")


@pytest.fixture(scope="session")
def postgres(postgres_folder):
    """Ibis on that server, and a function that loads a frame into it."""
    ibis = pytest.importorskip("ibis", reason="Ibis is not installed")
    import psycopg

    backend = ibis.postgres.connect(host=str(postgres_folder), user="cxlab", database="postgres")
    kinds = {"i": "bigint", "f": "double precision", "b": "boolean"}

    def load(name, frame):
        types = ", ".join(f'"{c}" {kinds.get(frame[c].dtype.kind, "text")}' for c in frame)
        rows = frame.astype(object).where(frame.notna(), None)
        place = {"host": str(postgres_folder), "user": "cxlab", "dbname": "postgres"}
        with psycopg.connect(**place) as connection, connection.cursor() as cursor:
            cursor.execute(f'CREATE TABLE "{name}" ({types})')
            with cursor.copy(f'COPY "{name}" FROM STDIN') as copy:
                for row in rows.itertuples(index=False, name=None):
                    copy.write_row(row)
        return backend.table(name)

    yield load
    backend.disconnect()


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """A local cluster of two workers."""
    pyspark = pytest.importorskip("pyspark", reason="PySpark is not installed (the extra `spark`)")
    if not shutil.which("java"):
        pytest.skip("PySpark needs Java 17 (Debian: openjdk-17-jre-headless)")
    # workers write below SPARK_HOME: not into the installed package
    home = tmp_path_factory.mktemp("spark")
    for part in Path(pyspark.__file__).parent.iterdir():
        (home / part.name).symlink_to(part)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("SPARK_HOME", str(home))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        session = (
            pyspark.sql.SparkSession.builder.master("local-cluster[2,1,1024]")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.sql.shuffle.partitions", "2")
            # so few rows are sooner interpreted than compiled
            .config("spark.sql.codegen.wholeStage", "false")
            .config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
            .config("spark.sql.adaptive.enabled", "false")
            .config("spark.sql.warehouse.dir", str(home / "warehouse"))
            .getOrCreate()
        )
        session.sparkContext.setLogLevel("OFF")
        yield session
        session.stop()


# the demo through every engine ------------------------------------------------------------


@pytest.fixture(scope="session")
def demo():
    return load_study("demo")


@pytest.fixture(scope="session")
def raw_file(demo):
    return demo.path.parent / demo.table(TABLE).files[""]


@pytest.fixture(scope="session")
def raw_text(raw_file):
    return pd.read_csv(raw_file, dtype=str, keep_default_na=False)


@pytest.fixture(scope="session")
def raw_typed(raw_file):
    return pd.read_csv(raw_file)


@pytest.fixture(scope="session")
def parquet(raw_typed, tmp_path_factory):
    path = tmp_path_factory.mktemp("typed") / "relationship.parquet"
    raw_typed.to_parquet(path)
    return path


class Engines:
    """Answers of the demo by engine, read once each."""

    SOURCES = ("polars", "duckdb", "polars typed", "duckdb typed", "ibis", "postgres text",
               "postgres typed", "spark", "spark text")  # fmt: skip

    def __init__(self, demo, request):
        self.demo, self.request, self.read = demo, request, {}

    def answers(self, name):
        if name not in self.read:
            self.read[name] = self._read(name)
        return self.read[name]

    def _read(self, name):
        engine = name.partition(" ")[0]
        if name in ("pandas", *ORDERED):
            return self.demo.read(TABLE, engine=name)
        return self.demo.read(TABLE, source=getattr(self, f"_{engine}")(name))

    def _value(self, fixture):
        return self.request.getfixturevalue(fixture)

    def _polars(self, name):
        return pl.scan_parquet(self._value("parquet"))

    def _duckdb(self, name):
        return duckdb.connect().read_parquet(str(self._value("parquet")))

    def _ibis(self, name):
        ibis = pytest.importorskip("ibis", reason="Ibis is not installed")
        return ibis.duckdb.connect().read_parquet(self._value("parquet"))

    def _postgres(self, name):
        typed = name.endswith("typed")
        frame = self._value("raw_typed" if typed else "raw_text")
        return self._value("postgres")(name.replace(" ", "_"), frame)

    def _spark(self, name):
        session = self._value("spark")
        if name == "spark":
            return session.read.parquet(str(self._value("parquet")))
        return session.read.csv(str(self._value("raw_file")), header=True)


@pytest.fixture(scope="session")
def engines(demo, request):
    return Engines(demo, request)


@pytest.fixture(scope="session")
def expected(engines):
    """What pandas gives; where an engine knows no order, of segments as plain text."""
    answers = engines.answers("pandas")
    words = {name: answers[name].astype("str") for name in engines.demo.segments}
    found = {}

    def of(name, engine):
        ordered = engine.partition(" ")[0] in ORDERED
        if (name, ordered) not in found:
            found[name, ordered] = TABLES[name](
                answers if ordered else answers.assign(**words), engines.demo
            )
        return found[name, ordered]

    return of


def touchpoints(study):
    return study.touchpoints[:3]


def mix(answers, study):
    last = study.periods[-2:]
    options = {"by": "segment", "replicates": 40, "design": study.design}
    return cxlab.mix_and_performance(answers, "recommend", periods=tuple(last), **options).table


def control_chart(answers, study):
    run = cxlab.nps(answers, "recommend", by="period", design=study.design)
    return cxlab.control_chart(run.rename(columns={"group": "period"})).table


TABLES = {
    "check_answers": lambda a, s: cxlab.check_answers(a, s),
    "usage": lambda a, s: cxlab.usage(a, touchpoints(s)[:2], by="segment", design=s.design).table,
    "straight_lining": lambda a, s: cxlab.straight_lining(a, s.touchpoints),
    "repeated_answers": lambda a, s: cxlab.repeated_answers(a, s.touchpoints),
    "weight_summary": lambda a, s: cxlab.weight_summary(a, design=s.design),
    "nps": lambda a, s: cxlab.nps(a, "recommend", by=["segment", "period"], design=s.design),
    "top_box": lambda a, s: cxlab.top_box(a, "overall", top=(8, 10), by="home_region"),
    "scorecard": lambda a, s: cxlab.scorecard(a, s.metrics("outcome"), by=s.segments, design=s.design).table,
    "compare_groups": lambda a, s: cxlab.compare_groups(
        a, "recommend", by="segment", against="pairs", design=s.design),
    "compare_periods": lambda a, s: cxlab.compare_periods(
        a, "recommend", periods=tuple(s.periods[-2:]), design=s.design),
    "drivers": lambda a, s: cxlab.drivers(
        a, "overall", touchpoints(s), replicates=40, design=s.design).table,
    "drivers by segment": lambda a, s: cxlab.drivers(
        a, "overall", touchpoints(s), by="segment", replicates=20, design=s.design).table,
    "touchpoint_correlations": lambda a, s: cxlab.touchpoint_correlations(
        a, s.outcomes[:2], touchpoints(s), occasion="A", replicates=40, design=s.design).table,
    "period_changes": lambda a, s: cxlab.period_changes(
        a, s.metrics("outcome")[:1], design=s.design).table,
    "mix_and_performance": mix,
    "control_chart": control_chart,
    "masking": lambda a, s: cxlab.masking(a, "overall", touchpoints(s), design=s.design),
}  # fmt: skip


def plain(frame):
    """The frame in types that say nothing of the engine: floats, text, times."""
    frame = pd.DataFrame(frame).copy()
    for name in frame:
        values = frame[name]
        if isinstance(values.dtype, pd.CategoricalDtype):
            values = values.astype(object)
        if pd.api.types.is_numeric_dtype(values):
            frame[name] = values.to_numpy(dtype=float, na_value=np.nan)
        elif pd.api.types.is_datetime64_any_dtype(values):
            frame[name] = values.astype("datetime64[us]")
        else:
            frame[name] = values.astype(object).where(values.notna(), None)
    return frame


def in_memory(answers):
    """Every row of lazy answers."""
    lazy = frames.scan(answers, frames.column_names(answers))
    return frames.collect(lazy)


def assert_equal(got, expected):
    pd.testing.assert_frame_equal(plain(got), plain(expected), check_exact=True)


def assert_same(got, expected):
    pd.testing.assert_frame_equal(plain(got), plain(expected), check_exact=False, **ANY_ORDER)


#: One table per kind of query, for engines that take a second for each.
ONE_OF_A_KIND = (
    "check_answers", "usage", "nps", "scorecard", "compare_groups",
    "drivers", "touchpoint_correlations", "period_changes",
    "mix_and_performance",
)  # fmt: skip
CASES = [
    *((engine, name) for engine in ("polars", "duckdb", "ibis") for name in TABLES),
    *((engine, name) for engine in ("postgres typed", "spark") for name in ONE_OF_A_KIND),
]


@pytest.mark.parametrize(("engine", "name"), CASES)
def test_every_engine_gives_the_same_table(engine, name, engines, expected):
    got = TABLES[name](engines.answers(engine), engines.demo)
    assert_same(got, expected(name, engine))


@pytest.mark.parametrize("engine", Engines.SOURCES)
def test_every_engine_gives_the_same_answers(engine, engines):
    got = plain(in_memory(engines.answers(engine)))
    wanted = plain(engines.answers("pandas"))
    assert list(got) == list(wanted)
    key = "response_id"
    assert_equal(
        got.sort_values(key, ignore_index=True), wanted.sort_values(key, ignore_index=True)
    )


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
@pytest.mark.parametrize("table", ["transactional", "invitations", "customers"])
def test_every_table_of_the_demo_reads_alike(engine, table, demo):
    got = in_memory(demo.read(table, engine=engine))
    assert_equal(plain(got), plain(demo.read(table)))


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_what_comes_back_is_lazy(engine, demo):
    answers = demo.read(TABLE, engine=engine)
    kinds = {"duckdb": duckdb.DuckDBPyRelation, "polars": pl.LazyFrame}
    assert isinstance(answers, kinds[engine])


class TestAirport:
    """Four files with other headers each year, labels among codes, strata, lone rows."""

    @pytest.mark.parametrize("engine", ["duckdb", "polars"])
    def test_files_give_the_same_answers(self, sfo, engine):
        got = in_memory(sfo.read(engine=engine))
        assert_equal(plain(got), plain(sfo.read()))

    @pytest.mark.parametrize("engine", ["duckdb", "polars", "ibis", "postgres", "spark"])
    def test_known_figures(self, sfo, engine, request, tmp_path):
        answers = self.answers(sfo, engine, request, tmp_path)
        table = cxlab.nps(answers, "recommend", design=sfo.design)
        assert table["estimate"].item() == pytest.approx(40.398436, abs=5e-7)
        assert table["se"].item() == pytest.approx(1.524652, abs=5e-7)
        reference = sfo.read(period="2017")
        metrics = sfo.metrics("outcome")
        assert_same(
            cxlab.scorecard(answers, metrics, by="gender", design=sfo.design).table.sort_values(
                ["metric", "label", "group"], ignore_index=True),
            cxlab.scorecard(reference, metrics, by="gender", design=sfo.design).table.sort_values(
                ["metric", "label", "group"], ignore_index=True),
        )  # fmt: skip

    def answers(self, sfo, engine, request, tmp_path):
        if engine in ("duckdb", "polars"):
            return sfo.read(period="2017", engine=engine)
        (path,) = [p for p in sfo.files(period="2017") if "2017" in p.name]
        raw = pd.read_csv(path, dtype=str, keep_default_na=False)
        if engine == "postgres":
            source = request.getfixturevalue("postgres")("airport", raw)
        elif engine == "spark":
            source = request.getfixturevalue("spark").read.csv(str(path), header=True)
        else:
            ibis = pytest.importorskip("ibis", reason="Ibis is not installed")
            raw.to_parquet(tmp_path / "airport.parquet")
            source = ibis.duckdb.connect().read_parquet(tmp_path / "airport.parquet")
        return sfo.read(period="2017", source=source)


# raw columns of every type ----------------------------------------------------------------

SMALL = """
[study]
name = "small"
title = "Small"
[scales.rating]
range = [1, 5]
missing = { 0 = "no answer", 6 = "never used", "N/A" = "never used" }
labels = { 5 = "Excellent" }
[scales.low]
range = [0, 4]
[tables.a]
file = "FILE"
COLUMNS
"""


@pytest.fixture
def small(tmp_path):
    """Writes a study of the given columns and loads it."""

    def write(file="a.csv", **columns):
        declared = "".join(f"[tables.a.columns.{c}]\n{text}\n" for c, text in columns.items())
        text = SMALL.replace("FILE", file).replace("COLUMNS", declared)
        (tmp_path / "study.toml").write_text(text)
        return load_study(tmp_path)

    return write


def sources_of(frame, request):
    """The same raw frame in every engine that runs without a server."""
    yield "polars", pl.from_pandas(frame).lazy()
    yield "duckdb", duckdb.connect().from_df(frame)
    yield "arrow", pl.from_pandas(frame).to_arrow()
    with contextlib.suppress(ImportError):
        import ibis

        path = request.getfixturevalue("tmp_path") / "ibis.parquet"
        frame.to_parquet(path)
        yield "ibis", ibis.duckdb.connect().read_parquet(path)


ODD_TEXTS = [
    "plain", " both ends ", "two  spaces", "a\u00a0hard\u00a0space", "tab\there", "", "   ",
    "7", "7.0", "7.", "007", "+7", "-7", "-07", "-0", "0", "0.0", "+0", "00.0", "7.50", "1e3",
    "99", "099", "99.00", "+99", "-1", "-01", "-1.0", "1", "n/a", " N/A", "Ünïcode", "Blank",
]  # fmt: skip
TEXT = 'role = "text"\nmissing = { 99 = "no answer", -1 = "invalid", "N/A" = "never used" }'


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_oddly_written_text_reads_alike(small, tmp_path, engine):
    pd.DataFrame({"t": ODD_TEXTS, "n": range(len(ODD_TEXTS))}).to_csv(
        tmp_path / "a.csv", index=False
    )
    study = small(t=TEXT, n='role = "number"')
    got = plain(in_memory(study.read(engine=engine)))
    assert_equal(got, plain(study.read()))
    assert got["t"].isna().sum() == 11


def test_oddly_written_text_reads_alike_in_a_database(small, postgres, tmp_path):
    frame = pd.DataFrame({"t": ODD_TEXTS, "n": range(len(ODD_TEXTS))})
    frame.to_csv(tmp_path / "a.csv", index=False)
    study = small(t=TEXT, n='role = "number"')
    got = in_memory(study.read(source=postgres("odd", frame))).sort_values("n", ignore_index=True)
    assert_equal(plain(got), plain(study.read()))


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_oddly_written_scores_numbers_and_segments_read_alike(small, tmp_path, engine):
    frame = pd.DataFrame(
        {
            "q": ["5", "5.0", " 4", "excellent", "Excellent", "6", "n/a", "N/A", "", "0", "+3"],
            "s": ["0", "1", "1.0", "5", "", "4", "3", "2", "5.0", "2", "1"],
            "r": ["1", "5", "2", "", "3", "4", "1", "1", "1", "1", "1"],
            "x": ["1", "1.5", ".5", "-2e3", " 7 ", "999", "999.0", "", "1E2", "+4", "9.99e2"],
            "w": ["1", "0", "0.5", "1e-2", " 2", "3.", "1", "1", "1", "1", "1"],
            "g": ["a", " a", "b", "", "10", "9", "a", "b", "c", "c", "9.0"],
        }
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    rating = 'role = "touchpoint"\nscale = "rating"'
    study = small(
        q=rating, s='role = "touchpoint"\nscale = "low"\nshift = -1', r=rating + "\nreverse = true",
        x='role = "number"\nmissing = { 999 = "no answer" }', w='role = "weight"',
        g='role = "segment"',
    )  # fmt: skip
    frame["s"] = frame["s"].replace("0", "3")
    frame.to_csv(tmp_path / "a.csv", index=False)
    wanted, got = study.read(), in_memory(study.read(engine=engine))
    assert_equal(plain(got), plain(wanted))
    assert got["g"].cat.categories.tolist() == wanted["g"].cat.categories.tolist()


def test_typed_columns_read_as_their_text_would(small, tmp_path, request):
    frame = pd.DataFrame(
        {
            "id": np.array([1, 2, 3, 4], dtype="uint32"),
            "q": pd.array([5, None, 6, 1], dtype="Int8"),
            "f": [5.0, np.nan, 0.0, 1.0],
            "g": pd.array([1, 2, 1, None], dtype="Int16"),
            "x": np.array([0.1, np.nan, 999, 1e6], dtype="float32"),
            "d": [decimal.Decimal("0.50"), None, decimal.Decimal("999.00"), decimal.Decimal("2")],
            "b": [True, False, None, True],
            "c": [233.0, 12.0, np.nan, 1e6],
            "t": np.array(
                ["2025-01-02", "2025-03-04T05:06:07", "NaT", "2024-02-29"], dtype="M8[us]"
            ),
            "w": [1, 2, 3, 0],
            "s": pd.array([5, 0, 3, 1], dtype="UInt8"),
        }
    )
    missing = '\nmissing = { 999 = "no answer", -1 = "no answer" }'
    study = small(
        file="a.parquet", id='role = "id"', q='role = "outcome"\nscale = "rating"',
        f='role = "touchpoint"\nscale = "rating"', x='role = "number"' + missing,
        g='role = "segment"\nvalues = { 1 = "one", 2 = "two" }', d='role = "number"' + missing,
        b='role = "active"', c='role = "cluster"', t='role = "date"', w='role = "weight"',
        s='role = "touchpoint"\nscale = "rating"\nmissing = { -1 = "invalid", 300 = "invalid" }',
    )  # fmt: skip
    frame.to_parquet(tmp_path / "a.parquet")
    wanted = plain(study.read())
    assert_equal(plain(study.read(source=frame)), wanted)
    for engine in ORDERED:
        assert_equal(plain(in_memory(study.read(engine=engine))), wanted)
    for _, source in sources_of(frame, request):
        got = in_memory(study.read(source=source)).sort_values("id", ignore_index=True)
        assert_equal(got, wanted)


def nan_means(source):
    metrics = [Metric(name, "mean") for name in ("q", "overall")]
    return cxlab.scorecard(source, metrics, min_group_size=1).table[["n", "estimate", "se"]]


def test_nan_is_no_answer_in_every_engine(tmp_path):
    frame = pd.DataFrame({"q": [5.0, np.nan, 3.0, np.nan], "overall": [4.0, 3.0, np.nan, 5.0]})
    wanted = nan_means(frame)
    assert wanted["n"].tolist() == [2, 3]
    # Arrow keeps NaN apart from null, and so does a file of it
    arrow = pa.table({name: pa.array(frame[name].to_numpy()) for name in frame})
    assert arrow["q"].null_count == 0
    pq.write_table(arrow, tmp_path / "nan.parquet")
    held = pd.DataFrame({c: pd.arrays.ArrowExtensionArray(arrow[c]) for c in frame})
    nullable = frame.astype("Float64")
    sources = [held, nullable, pl.from_arrow(arrow).lazy(), duckdb.connect().from_arrow(arrow)]
    with contextlib.suppress(ImportError):
        import ibis

        sources.append(ibis.duckdb.connect().read_parquet(tmp_path / "nan.parquet"))
    for source in sources:
        assert_same(nan_means(source), wanted)


@pytest.mark.parametrize("engine", ["pandas", "duckdb", "polars"])
@pytest.mark.parametrize("last", [1.0, 5.0])
def test_nan_of_a_file_is_a_blank(small, tmp_path, engine, last):
    # DuckDB takes the file's lowest and highest value for granted, and no NaN beside them
    values = np.array([5.0, np.nan, last])
    pq.write_table(pa.table({"q": values, "x": values, "c": values}), tmp_path / "a.parquet")
    study = small("a.parquet", q='role = "outcome"\nscale = "rating"', x='role = "number"',
                  c='role = "cluster"')  # fmt: skip
    answers = study.read(engine=engine)
    answers = plain(answers if engine == "pandas" else in_memory(answers))
    assert answers["q"].isna().tolist() == [False, True, False]
    assert answers["q_missing"].tolist() == [None, "no answer", None]
    assert answers["x"].isna().tolist() == [False, True, False]
    assert answers["c"].tolist() == ["5", None, f"{last:g}"]


def read_in(study, engine, **options):
    """Answers of a study's files through an engine, in plain types."""
    answers = study.read(engine=engine, **options)
    return plain(answers if engine == "pandas" else in_memory(answers))


EVERY = pytest.mark.parametrize("engine", ["pandas", *ORDERED])
#: Both ways from a file to clean cells: into memory, and into Parquet, which every engine scans.
FILES = pytest.mark.parametrize("engine", ["pandas", "duckdb"])
DECIMALS = (
    'role = "number"\nmissing = { "-99.9" = "no answer", "9.990" = "no answer", -1 = "invalid" }'
)


@FILES
@pytest.mark.parametrize(
    "values",
    [np.array([1.5, -99.9, 9.99, -1.0, np.nan]),
     np.array([1.5, -99.9, 9.99, -1.0, np.nan], dtype="float32"),
     [*map(decimal.Decimal, ["1.50", "-99.90", "9.99", "-1"]), None],
     ["1.5", "-99.90", " 9.99", "-1.0", ""]],
    ids=["64 bits", "32 bits", "decimals", "text"],
)  # fmt: skip
def test_missing_codes_with_decimals_are_missing(small, tmp_path, engine, values):
    pd.DataFrame({"x": values, "n": range(5)}).to_parquet(tmp_path / "a.parquet")
    answers = read_in(small("a.parquet", x=DECIMALS, n='role = "number"'), engine)
    assert answers["x"].fillna(0).tolist() == [1.5, 0, 0, 0, 0]


def test_a_number_that_32_bits_would_round_to_a_code_is_a_number(small, tmp_path):
    pd.DataFrame({"x": [1e10, 9_999_999_999.0]}).to_parquet(tmp_path / "a.parquet")
    study = small("a.parquet", x='role = "number"\nmissing = { 9999999999 = "no answer" }')
    for engine in ("pandas", *ORDERED):
        assert read_in(study, engine)["x"].fillna(0).tolist() == [1e10, 0]


@FILES
def test_codes_with_decimals_mean_what_they_do_in_ratings_and_segments(small, tmp_path, engine):
    frame = pd.DataFrame({"q": [1.0, 2.5, 3.0], "g": [9.5, 1.0, np.nan]})
    frame.to_parquet(tmp_path / "a.parquet")
    study = small(
        "a.parquet", q='role = "outcome"\nscale = "rating"\nmissing = { "2.5" = "invalid" }',
        g='role = "segment"\nvalues = { 1 = "one", "9.5" = "half" }',
    )  # fmt: skip
    answers = read_in(study, engine)
    assert answers["q"].fillna(0).tolist() == [1, 0, 3]
    assert answers["q_missing"].tolist() == [None, "invalid", None]
    assert answers["g"].tolist() == ["half", "one", None]


@FILES
@pytest.mark.parametrize("values", [[1, 2], [1.0, 2.5]], ids=["whole", "decimals"])
def test_a_number_may_have_words_alone_as_missing_codes(small, tmp_path, engine, values):
    pd.DataFrame({"x": values}).to_parquet(tmp_path / "a.parquet")
    study = small("a.parquet", x='role = "number"\nmissing = { "N/A" = "no answer" }')
    assert read_in(study, engine)["x"].tolist() == values


ROLES = {
    "q": 'role = "outcome"\nscale = "rating"', "g": 'role = "segment"', "x": 'role = "number"',
    "d": 'role = "date"', "t": 'role = "text"',
}  # fmt: skip


@EVERY
def test_a_blank_column_without_a_type_is_missing_everywhere(small, tmp_path, engine):
    # as pandas writes a column of None
    pd.DataFrame({"n": [1, 2], **dict.fromkeys(ROLES)}).to_parquet(tmp_path / "a.parquet")
    assert pq.read_schema(tmp_path / "a.parquet").field("q").type == pa.null()
    answers = read_in(small("a.parquet", n='role = "number"', **ROLES), engine)
    assert answers[list(ROLES)].isna().all(axis=None)
    assert answers["q_missing"].tolist() == ["no answer", "no answer"]


def test_a_blank_column_without_a_type_may_be_given(small):
    study = small(n='role = "number"', g='role = "segment"')
    nothing = pa.table({"n": [1, 2], "g": pa.nulls(2)})
    for source in (pl.from_arrow(nothing), nothing, duckdb.connect().from_arrow(nothing)):
        assert plain(in_memory(study.read(source=source)))["g"].isna().all()


@EVERY
def test_a_float_of_zero_is_the_group_0(small, tmp_path, engine):
    frame = pd.DataFrame({"g": [0.0, 1.0, np.nan], "t": ["0.0", "007", "0."]})
    frame.to_parquet(tmp_path / "a.parquet")
    answers = read_in(small("a.parquet", g='role = "segment"', t='role = "text"'), engine)
    assert answers["g"].tolist() == ["0", "1", None]
    assert answers["t"].tolist() == ["0", "007", "0"]


# dates ------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
@pytest.mark.parametrize(
    ("form", "texts"),
    [("", ["2025-01-02", "", "2024-02-29"]),
     ("", ["2025-01-02", "2025-01-02 03:04", "2025-01-02T23:59:59", "N/A"]),
     ("", ["2025-01-02 03:04:05.25", "2025-01-02", ""]),
     ('\nformat = "%d/%m/%Y"', ["02/01/2025", "", "31/12/2024"]),
     ('\nformat = "%d.%m.%Y %H:%M"', ["02.01.2025 23:05", "", "31.12.2024 00:00"]),
     ('\nformat = "%d/%m/%Y"', ["2/1/2025", "31/12/2024", "", "N/A"]),
     ('\nformat = "on %m-%d-%Y at %H:%M"', ["on 1-2-2025 at 9:05", "on 12-31-2024 at 23:5"]),
     ('\nformat = "%Y%m%d"', ["20250102", "20241231"])],
)  # fmt: skip
def test_dates_read_alike(small, tmp_path, engine, form, texts):
    pd.DataFrame({"d": texts, "n": range(len(texts))}).to_csv(tmp_path / "a.csv", index=False)
    study = small(d='role = "date"\nmissing = { "N/A" = "no answer" }' + form, n='role = "number"')
    got = plain(in_memory(study.read(engine=engine)))
    assert_equal(got, plain(study.read()))


@pytest.mark.parametrize("engine", ["pandas", "duckdb", "polars"])
@pytest.mark.parametrize(
    "text", ["2025-02-30", "03/04/2025", "2025-13-01", "soon", "2025", "2025-07", "2025-7-1"]
)
def test_a_day_that_is_none_is_refused(small, tmp_path, engine, text):
    (tmp_path / "a.csv").write_text(f"d,n\n2025-01-01,1\n{text},2\n")
    with pytest.raises(ValueError, match=f"must be ISO dates .*got '{text}'"):
        small(d='role = "date"', n='role = "number"').read(engine=engine)


@EVERY
@pytest.mark.parametrize(
    ("form", "text"), [("%b %d %Y", "Jan 2 2025"), ("%d/%m/%y", "2/1/25"), ("%d%b%Y", "02Jan2025")]
)
def test_dates_of_any_format_read_alike(small, tmp_path, engine, form, text):
    (tmp_path / "a.csv").write_text(f"d,n\n{text},1\n")
    study = small(d=f'role = "date"\nformat = "{form}"', n='role = "number"')
    assert read_in(study, engine)["d"].tolist() == [pd.Timestamp("2025-01-02")]
    (tmp_path / "a.csv").write_text(f"d,n\n{text},1\nx,2\nx,3\n")
    with pytest.raises(ValueError, match=rf"dates of the form '{form}'; got 'x' \(and 1 more\)"):
        study.read(engine=engine)


@EVERY
@pytest.mark.parametrize("time", ["10:00:00Z", "10:00+02:00", "10:00:00.123456789"])
def test_times_with_a_zone_or_nine_digits_read_alike(small, tmp_path, engine, time):
    (tmp_path / "a.csv").write_text(f"d,n\n2025-01-01T{time},1\n2025-01-02T{time},2\n")
    study = small(d='role = "date"', n='role = "number"')
    dates = study.read(engine=engine)
    dates = dates if engine == "pandas" else in_memory(dates)
    wanted = pd.Series(pd.to_datetime([f"2025-01-0{day}T{time}" for day in (1, 2)]))
    assert dates["d"].tolist() == wanted.dt.floor("us").tolist()


@pytest.mark.parametrize("engine", ["postgres", "spark"])
def test_short_dates_and_codes_with_decimals_read_alike_elsewhere(small, request, engine):
    form = 'role = "date"\nformat = "%d/%m/%Y"'
    study = small(d=form, x=DECIMALS, y=DECIMALS, n='role = "number"')
    frame = pd.DataFrame({"d": ["2/1/2025", "31/12/2024", ""], "x": ["1.5", "-99.90", "9.99"],
                          "y": [1.5, -99.9, 9.99], "n": [1, 2, 3]})  # fmt: skip
    if engine == "postgres":
        source = request.getfixturevalue("postgres")("short", frame)
    else:
        rows = frame.to_dict("records")
        source = request.getfixturevalue("spark").createDataFrame(rows)
    got = plain(in_memory(study.read(source=source))).sort_values("n", ignore_index=True)
    assert_equal(got, plain(study.read(source=frame)))
    assert got["x"].isna().tolist() == got["y"].isna().tolist() == [False, True, True]


@EVERY
def test_dates_of_two_time_zones_are_refused_as_such(small, tmp_path, engine, monkeypatch):
    lines = "2025-03-01T10:00+01:00,1\n2025-04-01T10:00+02:00,2\n"
    (tmp_path / "a.csv").write_text(f"d,n\n{lines}")
    study = small(d='role = "date"', n='role = "number"')
    for rows in (files.CHUNK_ROWS, 1):  # in one chunk, and in one each
        monkeypatch.setattr(files, "BLOCK_BYTES", 40 if rows == 1 else files.BLOCK_BYTES)
        with pytest.raises(ValueError, match="must all be of one time zone, or all without; got d"):
            study.read(engine=engine)


@EVERY
def test_whole_numbers_may_be_dates_of_a_declared_format(small, tmp_path, engine):
    pd.DataFrame({"d": [20250102, 20241231]}).to_parquet(tmp_path / "a.parquet")
    study = small("a.parquet", d='role = "date"\nformat = "%Y%m%d"')
    assert read_in(study, engine)["d"].dt.month.tolist() == [1, 12]


# files, folders, sources ------------------------------------------------------------------


def write_folder(tmp_path, kind):
    parts = [pd.DataFrame({"q": [5, 4], "n": [1, 2]}), pd.DataFrame({"n": [3], "q": [6]})]
    (tmp_path / "many").mkdir()
    for number, part in enumerate(parts):
        path = tmp_path / "many" / f"part{number}.{kind}"
        part.to_parquet(path) if kind == "parquet" else part.to_csv(path, index=False)


@pytest.mark.parametrize("engine", ["pandas", "duckdb", "polars"])
@pytest.mark.parametrize("file", ["many", "many/part*.{kind}"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_folder_and_a_pattern_are_one_table(small, tmp_path, engine, file, kind):
    write_folder(tmp_path, kind)
    study = small(
        file.format(kind=kind), q='role = "outcome"\nscale = "rating"', n='role = "number"'
    )
    answers = study.read(engine=engine)
    answers = answers if engine == "pandas" else in_memory(answers)
    assert answers["n"].tolist() == [1, 2, 3]
    assert plain(answers)["q"].fillna(0).tolist() == [5, 4, 0]
    assert len(study.files()) == 3


@pytest.mark.parametrize("engine", ["pandas", "duckdb", "polars"])
def test_files_of_a_folder_must_have_the_same_headers(small, tmp_path, engine):
    write_folder(tmp_path, "csv")
    (tmp_path / "many" / "part2.csv").write_text("q,m\n5,1\n")
    study = small("many", q='role = "outcome"\nscale = "rating"', n='role = "number"')
    with pytest.raises(ValueError, match=r"part2.csv must have the columns of part0.csv; 'm'"):
        study.read(engine=engine)


def test_an_empty_folder_is_refused(small, tmp_path):
    (tmp_path / "many").mkdir()
    study = small("many", n='role = "number"')
    with pytest.raises(FileNotFoundError, match="many must hold files of answers"):
        study.read()


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
@pytest.mark.parametrize(
    ("content", "message"),
    [("id,g,q\n1,x,5\n2,y\n3,z,4\n", "3 cells in each line, as its header; got 2 in line 3"),
     ("id,g,q\n1,x,5\n2,y,4,7\n", "3 cells in each line, as its header; got 4 in line 3"),
     ('id,g,q\n1,"x,5\n2,y,4\n', "must close every quote"),
     ("id,g,q\n1,x,9\n", "scores must be whole numbers from 1 to 5; got '9'")],
)  # fmt: skip
def test_a_broken_file_gets_one_sentence(small, tmp_path, engine, content, message):
    (tmp_path / "a.csv").write_text(content)
    study = small(id='role = "id"', g='role = "text"', q='role = "outcome"\nscale = "rating"')
    with pytest.raises(ValueError, match=message):
        study.read(engine=engine)


@FILES
@pytest.mark.parametrize(
    ("encoding", "blank"),
    [*(("utf-8", blank) for blank in (",", '"",""', " , ", "\u00a0,\t", "", "  ")),
     ("cp1252", "\u00a0,\t")],
)  # fmt: skip
@pytest.mark.parametrize("lines", ["{}\n5,a\n,b\n", "5,a\n{}\n{}\n,b\n", "5,a\n,b\n{}\n{}\n"])
def test_rows_of_blank_cells_are_nobody_wherever_they_stand(
    small, tmp_path, engine, encoding, blank, lines
):
    (tmp_path / "a.csv").write_text("q,g\n" + lines.format(blank, blank), encoding=encoding)
    small(q='role = "outcome"\nscale = "rating"', g='role = "segment"')
    declared = (tmp_path / "study.toml").read_text()
    declared = declared.replace('"a.csv"', f'"a.csv"\nencoding = "{encoding}"')
    (tmp_path / "study.toml").write_text(declared)
    answers = read_in(load_study(tmp_path), engine)
    assert answers["q_missing"].tolist() == [None, "no answer"]
    assert answers["g"].tolist() == ["a", "b"]


@FILES
def test_a_blank_line_of_one_column_is_somebody(small, tmp_path, engine):
    (tmp_path / "a.csv").write_text("q\n5\n\n4\n")
    answers = read_in(small(q='role = "outcome"\nscale = "rating"'), engine)
    assert answers["q_missing"].tolist() == [None, "no answer", None]


AWKWARD = {
    "appended": b"q,g\r\n5,a\r\n4,b\r\n3,a\n2,b\n",
    "appended the other way": b"q,g\n5,a\n4,b\n3,a\r\n2,b\r\n",
    "old Mac": b"q,g\r5,a\r4,b\r3,a\r2,b\r",
    "first line of an old Mac": b"q,g\r5,a\n4,b\n3,a\n2,b\n",
    "blank before a quote": b'q,g\n5, "a"\n4,"b"\n3,  "a"\n2,b\n',
    "blank before and in a quote": b'q, "g"\n "5", "a"\n4,"b" \n3,a\n 2,b\n',
    "blank lines above": b"\n\nq,g\n5,a\n4,b\n3,a\n2,b\n",
}


@FILES
@pytest.mark.parametrize("kind", AWKWARD)
def test_files_that_need_care_read_alike(small, tmp_path, engine, kind):
    (tmp_path / "a.csv").write_bytes(AWKWARD[kind])
    answers = read_in(small(q='role = "outcome"\nscale = "rating"', g='role = "segment"'), engine)
    assert answers["q"].tolist() == [5, 4, 3, 2]
    assert answers["g"].tolist() == ["a", "b", "a", "b"]


@FILES
def test_a_quote_after_a_blank_may_hold_a_separator(small, tmp_path, engine):
    (tmp_path / "a.csv").write_text('q,g\n5, "a, b"\n4,  "c, d"\n')
    answers = read_in(small(q='role = "outcome"\nscale = "rating"', g='role = "text"'), engine)
    assert answers["g"].tolist() == ["a, b", "c, d"]


@FILES
def test_a_quote_that_ends_within_a_cell_is_no_mixed_line_end(small, tmp_path, engine):
    (tmp_path / "a.csv").write_text('q,g\n5,a\n4,"b\n')
    with pytest.raises(ValueError, match=r"a\.csv must close every quote"):
        small(q='role = "outcome"\nscale = "rating"', g='role = "segment"').read(engine=engine)


@FILES
@pytest.mark.parametrize("other", ["tsv", "parquet"])
def test_files_of_a_folder_may_be_of_two_kinds(small, tmp_path, engine, other):
    write_folder(tmp_path, "csv")
    more = pd.DataFrame({"n": [4], "q": [3]})
    path = tmp_path / "many" / f"part2.{other}"
    more.to_parquet(path) if other == "parquet" else more.to_csv(path, sep="\t", index=False)
    study = small("many", q='role = "outcome"\nscale = "rating"', n='role = "number"')
    answers = read_in(study, engine).sort_values("n")
    assert answers["n"].tolist() == [1, 2, 3, 4]
    assert answers["q"].fillna(0).tolist() == [5, 4, 0, 3]


@FILES
@pytest.mark.parametrize("file", ["many", "many/*.csv"])
def test_hidden_files_of_a_folder_are_left_out(small, tmp_path, engine, file):
    write_folder(tmp_path, "csv")
    for name in ("._part0.csv", ".old.csv"):
        (tmp_path / "many" / name).write_bytes(b"\x00\x05\x16\x07")
    study = small(file, q='role = "outcome"\nscale = "rating"', n='role = "number"')
    assert read_in(study, engine)["n"].tolist() == [1, 2, 3]


def test_a_pattern_may_ask_for_hidden_files(small, tmp_path):
    (tmp_path / ".old.csv").write_text("n,g\n1,a\n")
    assert small(".*.csv", n='role = "number"', g='role = "text"').read()["n"].tolist() == [1]


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_other_encodings_and_compressed_files_are_read(small, tmp_path, engine):
    (tmp_path / "a.csv").write_bytes("id,g\n1,caf\u00e9\n".encode("cp1252"))
    study = small(id='role = "id"', g='role = "text"')
    text = (tmp_path / "study.toml").read_text()
    (tmp_path / "study.toml").write_text(
        text.replace('file = "a.csv"', 'file = "a.csv"\nencoding = "cp1252"')
    )
    study = load_study(tmp_path)
    assert in_memory(study.read(engine=engine))["g"].tolist() == ["caf\u00e9"]


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_tabs_and_declared_separators_are_read(small, tmp_path, engine):
    columns = {"id": 'role = "id"', "g": 'role = "text"'}
    (tmp_path / "a.tsv").write_text("id\tg\n1\ta,b\n")
    assert in_memory(small("a.tsv", **columns).read(engine=engine))["g"].tolist() == ["a,b"]
    (tmp_path / "a.csv").write_text("id;g\n1;a,b\n")
    small(**columns)
    text = (tmp_path / "study.toml").read_text()
    text = text.replace('file = "a.csv"', 'file = "a.csv"\nseparator = ";"')
    (tmp_path / "study.toml").write_text(text)
    assert in_memory(load_study(tmp_path).read(engine=engine))["g"].tolist() == ["a,b"]


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_files_of_a_folder_may_have_other_types(small, tmp_path, engine):
    (tmp_path / "many").mkdir()
    pd.DataFrame({"q": [5]}).to_parquet(tmp_path / "many" / "a.parquet")
    pd.DataFrame({"q": ["4"]}).to_parquet(tmp_path / "many" / "b.parquet")
    study = small("many", q='role = "outcome"\nscale = "rating"')
    assert in_memory(study.read(engine=engine))["q"].tolist() == [5, 4]


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_a_column_of_lists_is_refused(small, tmp_path, engine):
    (tmp_path / "many").mkdir()
    pd.DataFrame({"q": [[5, 4]]}).to_parquet(tmp_path / "many" / "a.parquet")
    study = small("many", q='role = "outcome"\nscale = "rating"')
    with pytest.raises(
        ValueError, match="the column of role 'outcome' must hold text, numbers, flags or days"
    ):
        study.read(engine=engine)


@EVERY
@pytest.mark.parametrize("kind", ["text", "number"])
def test_repeated_ids_are_counted(small, tmp_path, engine, kind):
    made = [-5, *range(400)] if kind == "number" else [f"r{number:04d}" for number in range(401)]
    study = small("a.parquet", i='role = "id"')
    pd.DataFrame({"i": made}).to_parquet(tmp_path / "a.parquet")
    assert len(read_in(study, engine)) == 401
    pd.DataFrame({"i": [*made, made[0], made[0]]}).to_parquet(tmp_path / "a.parquet")
    shown = f"ids in 'i' must be unique; got '{made[0]}' \\(and 1 more\\)"
    with pytest.raises(ValueError, match=shown):
        study.read(engine=engine)


@EVERY
def test_ids_repeated_in_another_period_stop_only_who_reads_both(small, tmp_path, engine):
    (tmp_path / "a.csv").write_text("p,i\n1,a\n2,a\n2,b\n")
    study = small(p='role = "period"', i='role = "id"')
    assert read_in(study, engine, period="2")["i"].tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="ids in 'i' must be unique; got 'a' more than once"):
        study.read(engine=engine)


@EVERY
def test_what_another_period_holds_stops_nobody(small, tmp_path, engine):
    (tmp_path / "a.csv").write_text("p,q,w\n1,5,0\n2,7,1\n2,8,1\n3,4,1\n")
    study = small(p='role = "period"', q='role = "outcome"\nscale = "rating"', w='role = "weight"')
    assert read_in(study, engine, period="3")["q"].tolist() == [4]
    with pytest.raises(ValueError, match=r"from 1 to 5; got '7' \(and 1 more\)"):
        study.read(engine=engine, period=["2", "3"])
    with pytest.raises(ValueError, match="weights must not all be 0"):
        study.read(engine=engine, period="1")


def test_a_segment_without_a_declared_order_is_sorted_over_all_periods(tmp_path):
    (tmp_path / "study.toml").write_text(
        TestPeriods.STUDY.replace('role = "segment"', 'role = "segment"\ncolumn = { 2025 = "c" }')
    )
    TestPeriods.OLD.drop(columns="city").to_csv(tmp_path / "old.csv", index=False)
    TestPeriods.NEW.rename(columns={"city": "c"}).to_csv(tmp_path / "new.csv", index=False)
    study = load_study(tmp_path)
    for engine in ("pandas", *ORDERED):
        answers = study.read(engine=engine)
        answers = answers if engine == "pandas" else in_memory(answers)
        assert answers["city"].cat.categories.tolist() == ["a", "c"]
        assert answers["city"].isna().sum() == 4


def test_a_group_of_no_rows_is_no_group():
    lazy = frames.scan(pd.DataFrame({"q": [1.0], "all": [0]}), ["q", "all"])
    none = lazy.filter(nw.col("q") > 5)
    sums = [nw.col("q").sum().alias("sum")]
    assert len(frames.collect(frames.group_sums(none, ["all"], sums, ["all"]))) == 0
    assert frames.collect(frames.group_sums(lazy, ["all"], sums, ["all"])).values.tolist() == [
        [0, 1]
    ]


def test_the_engine_is_one_that_is_known(demo):
    with pytest.raises(
        ValueError, match="`engine` must be 'pandas', 'duckdb', 'polars', 'ibis' or"
    ):
        demo.read(engine="pola")


@pytest.mark.parametrize("engine", ["pandas", "polars"])
def test_a_source_may_be_read_with_another_engine(demo, raw_typed, engine):
    kind = {"pandas": pd.DataFrame, "polars": pl.LazyFrame}[engine]
    answers = demo.read(TABLE, engine=engine, source=duckdb.connect().from_df(raw_typed))
    assert isinstance(answers, kind)
    answers = answers if engine == "pandas" else in_memory(answers)
    assert_equal(plain(answers), plain(demo.read(TABLE)))


def test_a_source_that_is_no_frame_is_refused(demo):
    with pytest.raises(TypeError, match="`source` must be a pandas, Polars, DuckDB, Ibis or"):
        demo.read(TABLE, source=[1, 2])


class TestPeriods:
    """One raw table per period, as a warehouse may keep them."""

    STUDY = """
[study]
name = "waves"
title = "Waves"
[scales.rating]
range = [1, 5]
[tables.a]
files = { 2024 = "old.csv", 2025 = "new.csv" }
[tables.a.columns.q]
column = { 2024 = "Q1", 2025 = "Q2" }
role = "outcome"
scale = "rating"
[tables.a.columns.wifi]
column = { 2025 = "wifi" }
role = "touchpoint"
scale = "rating"
[tables.a.columns.city]
role = "segment"
[tables.a.columns.stratum]
role = "strata"
[tables.a.columns.site]
role = "cluster"
"""
    OLD = pd.DataFrame({"Q1": [5, 4, 1, 4], "city": ["b", "a", "b", "b"],
                        "stratum": ["x", "x", "y", "y"], "site": ["s1", "s2", None, None]})  # fmt: skip
    NEW = pd.DataFrame({"Q2": [3, 5], "wifi": [1, None], "city": ["c", "a"], "stratum": ["x", "y"],
                        "site": ["s1", "s1"]})  # fmt: skip

    @pytest.fixture
    def study(self, tmp_path):
        (tmp_path / "study.toml").write_text(self.STUDY)
        self.OLD.to_csv(tmp_path / "old.csv", index=False)
        self.NEW.to_csv(tmp_path / "new.csv", index=False)
        return load_study(tmp_path)

    @pytest.mark.parametrize("engine", ["duckdb", "polars"])
    @pytest.mark.parametrize(
        "options", [{}, {"period": "2024"}, {"where": {"city": "a"}}, {"where": {"q": [5, 3]}}]
    )
    def test_files_join_with_strata_of_their_own(self, study, engine, options):
        wanted, got = study.read(**options), in_memory(study.read(engine=engine, **options))
        assert_equal(plain(got), plain(wanted))
        assert got["city"].cat.categories.tolist() == wanted["city"].cat.categories.tolist()

    def test_a_mapping_gives_each_period_its_table(self, study):
        connection = duckdb.connect()
        source = {2024: connection.from_df(self.OLD), 2025: connection.from_df(self.NEW)}
        got = in_memory(study.read(source=source))
        assert_equal(plain(got), plain(study.read()))
        part = study.read(period="2025", source=self.NEW)
        assert_equal(part, study.read(period="2025"))

    def test_one_table_of_several_periods_must_be_named(self, study):
        with pytest.raises(ValueError, match="`source` must be a mapping of period to raw table"):
            study.read(source=self.OLD)

    @pytest.mark.parametrize("engine", ["pandas", "duckdb", "polars"])
    @pytest.mark.parametrize(
        ("where", "message"),
        [({"citty": "a"}, "got 'citty'. Did you mean 'city'"),
         ({"city": "d"}, "`where` of 'city' must be 'a', 'b' or 'c'; got 'd'"),
         ({"q": 2}, "`where` of 'q' must be '1', '3', '4' or '5'; got '2'"),
         ({"city": []}, "`where` of 'city' must name one value at least; got none"),
         ({"city": "c", "q": 5}, "must leave at least one answer")],
    )  # fmt: skip
    def test_bad_where_is_refused(self, study, engine, where, message):
        with pytest.raises(ValueError, match=message):
            study.read(engine=engine, where=where)

    @EVERY
    def test_a_row_without_a_period_makes_no_second_one(self, tmp_path, engine):
        columns = "".join(
            f'[tables.a.columns.{name}]\nrole = "{role}"\n'
            for name, role in {"wave": "period", "stratum": "strata"}.items()
        )
        head = '[study]\nname = "w"\ntitle = "W"\n[tables.a]\nfile = "a.csv"\n'
        (tmp_path / "study.toml").write_text(head + columns)
        (tmp_path / "a.csv").write_text("wave,stratum\n2024,x\n,x\n")
        assert read_in(load_study(tmp_path), engine)["stratum"].tolist() == ["x", "x"]

    @pytest.mark.parametrize("engine", ["pandas", "duckdb", "polars"])
    def test_a_row_without_a_stratum_is_refused(self, study, tmp_path, engine):
        self.NEW.assign(stratum=["x", None]).to_csv(tmp_path / "new.csv", index=False)
        with pytest.raises(ValueError, match="every row must have a stratum in 'stratum'; 1 have"):
            study.read(engine=engine, period="2025")


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_many_strata_are_counted_too(small, tmp_path, engine):
    rows = 400
    frame = pd.DataFrame({"s": np.arange(rows) % 150, "c": np.arange(rows) % 300, "n": range(rows)})
    frame.to_csv(tmp_path / "a.csv", index=False)
    study = small(s='role = "strata"', c='role = "cluster"', n='role = "number"')
    got = plain(in_memory(study.read(engine=engine))).sort_values("n", ignore_index=True)
    assert_equal(got, plain(study.read()))


# size -------------------------------------------------------------------------------------


def test_more_rows_than_fit_are_refused_where_rows_are_needed(engines, monkeypatch):
    monkeypatch.setattr(frames, "MOST_CELLS", 10_000)
    with pytest.raises(ValueError, match="`data` must have at most .* rows here, because rows are"):
        cxlab.drivers(engines.answers("duckdb"), "overall", ["booking", "staff"])
    assert len(cxlab.nps(engines.answers("duckdb"), "recommend")) == 1
