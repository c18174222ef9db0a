"""No small group follows from several reports of one run that each of them hides."""

import json

import numpy as np
import pandas as pd
import pytest

from cxlab import load_study
from cxlab.report.answer import read_findings
from cxlab.report.factory.requests import Request, plan_reports, read_plan
from cxlab.report.factory.runs import hide_together, run_requests
from cxlab.report.parameters import HIDDEN_PARAMETER
from cxlab.report.verify import verify_report
from tests.hostile_reader import (
    CUSTOMERS,
    Reader,
    audit,
    every_run,
    jobs_of,
    kernel_of,
    tables_of,
    write_programme,
)
from tests.unfounded import unfounded

pytestmark = pytest.mark.usefixtures("warm_reports")

SIZES = {("North", "Gold"): 60, ("North", "Basic"): 70, ("South", "Gold"): 55,
         ("South", "Basic"): 4, ("East", "Gold"): 3, ("East", "Basic"): 48}  # fmt: skip
BOTH = ["region", "tier"]
PERIOD = "2025-Q1"
#: Runs of random programmes that are read here; the benchmark `hiding` reads them all.
RUNS = 6
#: What every manifest holds beside parameters.
TEXTS = "study study_title about period selection title started ended python"
RECORD = dict.fromkeys(TEXTS.split(), "x") | {
    "notebook": {"name": "x", "sha256": "x"}, "simulated": False, "inputs": [], "packages": {},
    "git": {"commit": None, "clean": None}, "warnings": [], "tables": [], "formats": [],
}  # fmt: skip


@pytest.fixture
def study(tmp_path):
    """Two small parts, and a large one that they could be told from."""
    path = write_programme(tmp_path, np.random.default_rng(0))
    rng = np.random.default_rng(24)
    rows = [(region, tier) for (region, tier), n in SIZES.items() for _ in range(n)]
    answers = pd.DataFrame(rows, columns=BOTH).assign(period=PERIOD)
    for name in ("overall", "lounge"):
        answers[name] = rng.integers(0, 11, len(answers))
    answers.to_csv(tmp_path / "answers.csv", index=False)
    return path


@pytest.mark.parametrize("asked", [[[], BOTH], [["region"], BOTH], [[], ["tier"], BOTH]])
def test_parts_are_not_what_is_left_of_a_larger_report(asked, study, tmp_path):
    _, apart = audit(study, asked, [PERIOD], tmp_path / "out", together=False, quick=True)
    found = "; ".join(apart)
    assert f"overall of ('{PERIOD}', 'South', 'Basic'): n = 4" in found
    made, together = audit(study, asked, [PERIOD], tmp_path / "out")
    assert together == []
    assert made >= 3


def test_reports_that_are_made_keep_it_and_are_verified_and_left_as_they_are(study, tmp_path):
    (tmp_path / "plan.toml").write_text(
        '[[reports]]\nstudy = "study.toml"\nnotebooks = ["scorecard"]\nperiods = "2025-Q1"\n'
        '[[reports]]\nstudy = "study.toml"\nnotebooks = ["scorecard"]\nperiods = "2025-Q1"\n'
        'each = ["region"]\n'
        '[[reports]]\nstudy = "study.toml"\nnotebooks = ["scorecard"]\nperiods = "2025-Q1"\n'
        'each = ["region", "tier"]\n'
    )
    requests = read_plan(tmp_path / "plan.toml")
    run = run_requests(requests, output=tmp_path / "out", n_jobs=2, progress=False)
    assert not run.failures, run.failures
    assert any("would give a smaller group back" in line for line in run.left_out)
    tables = []
    for page in run.pages:
        table = pd.read_csv(page.parent / "tables" / "outcomes-by-segment.csv").dropna(subset="n")
        everyone = pd.read_csv(page.parent / "tables" / "outcomes.csv")
        both = pd.concat([table, everyone.assign(segment="everyone", group="everyone")])
        given = json.loads((page.parent / "manifest.json").read_text())["parameters"]
        where = {name: (given["where"] or {}).get(name, "") for name in BOTH}
        tables.append(
            both[both["metric"] == "mean"].assign(period=PERIOD, column="overall", **where)
        )
        check_sentences(page.parent, table_of_groups(page.parent))
    assert Reader(study, pd.concat(tables, ignore_index=True)).recovered() == []
    again = run_requests(requests, output=tmp_path / "out", n_jobs=2, progress=False)
    assert {outcome.state for outcome in again.outcomes} == {"unchanged"}
    hiding = [one for one in run.outcomes if HIDDEN_PARAMETER in one.job.parameters]
    assert hiding
    assert run.hidden
    assert verify_report(hiding[0].job.output).same


def table_of_groups(folder):
    return pd.read_csv(folder / "tables" / "outcomes-by-segment.csv")


def check_sentences(folder, groups):
    """Findings say nothing that the tables of the report, which the run has gated, do not say."""
    findings = read_findings(folder)
    tables = {
        path.stem: pd.DataFrame(json.loads(path.read_text()))
        for path in (folder / "tables").glob("*.json")
        if path.stem != "findings"
    }
    assert unfounded(findings, tables, words=[PERIOD, "of 10"]) == []
    texts = " ".join(f"{one.text} {one.detail}" for one in findings)
    hidden = set(groups.loc[groups["n"].isna(), "group"]) - set(
        groups.loc[groups["n"].notna(), "group"]
    )
    assert not [group for group in hidden if group in texts]


def test_nothing_about_few_customers_is_recovered_from_random_programmes(tmp_path):
    rng = np.random.default_rng(2)
    runs, apart = every_run(), []
    for number in rng.choice(len(runs), RUNS // 2, replace=False):
        path = write_programme(tmp_path, rng, customers=True)
        assert audit(path, *runs[number], tmp_path / "out", quick=True)[1] == []
        apart += audit(path, *runs[number], tmp_path / "out", together=False, quick=True)[1]
    assert apart


def test_no_report_is_made_of_a_group_of_few_customers(study, tmp_path):
    """The South has 59 answers of four customers, and all others have one each."""
    data = pd.read_csv(study.parent / "answers.csv")
    south = data["region"] == "South"
    data["who"] = np.where(south, data.index % 4, 100 + data.index)
    data.to_csv(study.parent / "answers.csv", index=False)
    own = study.read_text()
    study.write_text(own + CUSTOMERS.replace("customer", "text"))
    asked = [
        Request(str(study), [PERIOD], each=one, notebooks=["scorecard"]) for one in ([], BOTH[:1])
    ]
    made = [str(job.parameters["where"]) for job in jobs_of(study, asked, tmp_path / "out")]
    assert any("South" in where for where in made)
    study.write_text(own + CUSTOMERS)
    plan = plan_reports(asked[1], tmp_path / "out")
    assert "region = South in 2025-Q1: fewer than 10 customers" in plan.left_out
    jobs = jobs_of(study, asked, tmp_path / "out")
    # the North or the East would give the South back, beside everybody
    assert len(jobs) == 2
    tables = [tables_of(job) for job in jobs]
    assert Reader(study, pd.concat(tables, ignore_index=True)).recovered() == []
    with pytest.raises(ValueError, match="`where` must leave at least 10 customers.*got 4"):
        plan_reports(Request(str(study), [PERIOD], where={"region": "South"}), tmp_path / "out")


@pytest.mark.parametrize("periods", [[PERIOD], [PERIOD, "2025-Q2", None]])
@pytest.mark.parametrize("rated", ["5", ""])
def test_a_scorecard_by_itself_tells_of_no_crossed_group(study, tmp_path, periods, rated):
    """Nobody in the South is Silver, so the South less what is left of Gold is Basic."""
    sizes = {("North", "Gold"): 60, ("North", "Silver"): 55, ("South", "Gold"): 60,
             ("South", "Basic"): 4, ("North", "Basic"): 0, ("East", "Basic"): 30}  # fmt: skip
    rows = [key for key, n in sizes.items() for _ in range(n)]
    one = pd.DataFrame(rows, columns=BOTH)
    four = (one["region"] == "South") & (one["tier"] == "Basic")
    # how many they are is told by rows without an answer too
    one = one.assign(overall=np.where(four, rated, "5"), lounge=np.where(four, rated, "5"))
    two = [one.assign(period=PERIOD), one.head(-30).assign(period="2025-Q2")]
    pd.concat(two).to_csv(study.parent / "answers.csv", index=False)
    requests = [Request(str(study), periods, notebooks=["scorecard"])]
    shown = [tables_of(job) for job in jobs_of(study, requests, tmp_path)]
    assert Reader(study, pd.concat(shown, ignore_index=True)).recovered() == []


def test_no_small_group_is_recovered_from_random_programmes(tmp_path):
    rng = np.random.default_rng(1)
    runs = every_run()
    for number in rng.choice(len(runs), RUNS, replace=False):
        path = write_programme(tmp_path, rng)
        assert audit(path, *runs[number], tmp_path / "out", quick=True)[1] == []


def test_two_small_groups_of_other_regions_and_tiers_are_not_recovered_together(study, tmp_path):
    """Everybody less the West, which is large, less the large parts is five and three answers."""
    sizes = [[40, 30, 5], [33, 4, 28], [3, 45, 50]]
    region, tier = np.repeat(np.indices((3, 3)).reshape(2, -1), np.ravel(sizes), axis=1)
    answers = pd.DataFrame({"period": PERIOD, "region": region, "tier": tier})
    answers = answers.assign(overall=answers.index % 11, lounge=answers.index % 7)
    answers.to_csv(study.parent / "answers.csv", index=False)
    made, found = audit(study, [[], BOTH], [PERIOD], tmp_path / "out")
    assert (made, found) == (6, [])


def test_reports_that_are_there_count_and_a_whole_one_that_is_replaced_does_not(study, tmp_path):
    scorecards = {"notebooks": ["scorecard"]}
    everyone = jobs_of(study, [Request(str(study), [PERIOD], **scorecards)], tmp_path)
    parts = Request(str(study), [PERIOD], each=BOTH, **scorecards)
    alone = jobs_of(study, [parts], tmp_path)
    for job in everyone:
        job.output.mkdir(parents=True)
        written = {"parameters": dict(job.parameters), "tables": ["outcomes-by-segment"]}
        (job.output / "manifest.json").write_text(json.dumps(RECORD | written))
    beside = jobs_of(study, [parts], tmp_path)
    # what everybody's report shows is not to be taken back
    assert len(beside) < len(alone)
    both = hide_together([*everyone, *alone], tmp_path)
    assert len(both.jobs) >= len(beside)


def test_what_other_reports_of_the_set_show_is_part_of_what_a_report_is_made_from(study, tmp_path):
    """A report is made again when it hides something else because of others, and only then."""
    regions, crossed = (
        Request(str(study), [PERIOD], each=one, notebooks=["scorecard"]) for one in (BOTH[:1], BOTH)
    )
    alone = {job.output: job for job in jobs_of(study, [regions], tmp_path)}
    beside = {job.output: job for job in jobs_of(study, [regions, crossed], tmp_path)}
    again = {job.output: job for job in jobs_of(study, [crossed, regions], tmp_path)}
    for place, job in alone.items():
        other = beside.get(place, job)
        hides_alike = HIDDEN_PARAMETER not in other.parameters
        assert (other.fingerprint == job.fingerprint) == hides_alike
    assert any(HIDDEN_PARAMETER in beside[place].parameters for place in set(alone) & set(beside))
    assert {p: j.fingerprint for p, j in beside.items()} == {
        p: j.fingerprint for p, j in again.items()
    }


def test_reports_that_have_nothing_in_common_are_left_alone(study, tmp_path):
    for asked in ([[]], [["region"]], [BOTH]):
        requests = [
            Request(str(study), [PERIOD], each=one, notebooks=["scorecard"]) for one in asked
        ]
        jobs = jobs_of(study, requests, tmp_path)
        assert jobs == jobs_of(study, requests, tmp_path, together=False)


@pytest.mark.parametrize("engine", ["pandas", "polars", "duckdb"])
def test_what_is_hidden_altogether_is_not_read(engine, study, tmp_path):
    (job,) = jobs_of(study, [Request(str(study), [PERIOD], notebooks=["scorecard"])], tmp_path)
    job.parameters[HIDDEN_PARAMETER] = {PERIOD: {"lounge": {}}}
    with kernel_of(job):
        answers = load_study(study).read(engine=engine)
    if engine != "pandas":
        answers = answers.collect().to_pandas() if engine == "polars" else answers.df()
    assert len(answers) == sum(SIZES.values())
    assert answers["lounge"].isna().all()
    assert answers["overall"].notna().all()
    assert set(answers["lounge_missing"]) == {"hidden"}
    job.parameters[HIDDEN_PARAMETER] = {PERIOD: {}}
    with kernel_of(job):
        assert len(load_study(study).read()) == 0


def test_a_selection_beside_everybody_does_not_tell_of_the_others(study, tmp_path):
    """Gold less the gold of the South and the North is the East's, of three."""
    answers = pd.read_csv(study.parent / "answers.csv")
    more = answers[answers["tier"] == "Basic"].head(30).assign(region="South")
    pd.concat([answers, more]).to_csv(study.parent / "answers.csv", index=False)
    scorecards = {"notebooks": ["scorecard"]}
    requests = [Request(str(study), [PERIOD], **scorecards)]
    requests += [
        Request(str(study), [PERIOD], where={"region": name}, **scorecards)
        for name in ("North", "South")
    ]
    apart = jobs_of(study, requests, tmp_path, together=False)
    shown = pd.concat([tables_of(job, quick=True) for job in apart])
    assert any("'East', 'Gold'" in one for one in Reader(study, shown).recovered())
    jobs = jobs_of(study, requests, tmp_path)
    shown = pd.concat([tables_of(job, quick=True) for job in jobs])
    assert Reader(study, shown).recovered() == []


def test_a_question_that_few_of_a_region_answered_is_not_in_its_report(study, tmp_path):
    answers = pd.read_csv(study.parent / "answers.csv").astype({"lounge": "object"})
    few = (answers["region"] == "South") & (answers.groupby("region").cumcount() >= 3)
    answers.loc[few, "lounge"] = ""
    answers.to_csv(study.parent / "answers.csv", index=False)
    requests = [
        Request(str(study), [PERIOD], each=one, notebooks=["scorecard"]) for one in ([], ["region"])
    ]
    jobs = {job.output.parent.name: job for job in jobs_of(study, requests, tmp_path)}
    record = jobs["region-South"].parameters[HIDDEN_PARAMETER][PERIOD]
    assert record["lounge"] == {}
    # another region's is hidden with it: everybody's less the others' would be the South's
    assert sum("lounge" in job.parameters.get(HIDDEN_PARAMETER, {}).get(PERIOD, {}) and
               job.parameters[HIDDEN_PARAMETER][PERIOD]["lounge"] == {} for job in jobs.values()) == 2  # fmt: skip
    table = tables_of(jobs["region-South"])
    assert "lounge" not in set(table["column"])


def test_tracking_does_not_read_a_period_that_would_give_another_group_back(tmp_path):
    path = write_programme(tmp_path, np.random.default_rng(0))
    rng = np.random.default_rng(3)
    sizes = {("2025-Q1", "r0"): 80, ("2025-Q1", "r1"): 40, ("2025-Q1", "r2"): 4,
             ("2025-Q2", "r0"): 80, ("2025-Q2", "r1"): 40, ("2025-Q2", "r2"): 60}  # fmt: skip
    rows = [key for key, n in sizes.items() for _ in range(n)]
    answers = pd.DataFrame(rows, columns=["period", "region"]).assign(tier="t0")
    for name in ("overall", "lounge"):
        answers[name] = rng.integers(0, 11, len(answers))
    answers.to_csv(tmp_path / "answers.csv", index=False)
    requests = [
        Request(str(path), ["2025-Q2"], each=one, notebooks=["tracking"])
        for one in ([], ["region"])
    ]
    jobs = {job.output.parent.name: job for job in jobs_of(path, requests, tmp_path)}
    assert set(jobs) == {"2025-Q2", "region-r0", "region-r1", "region-r2"}
    gone = {name for name, job in jobs.items()
            if job.parameters.get(HIDDEN_PARAMETER, {}).get("2025-Q1") == {}}  # fmt: skip
    assert gone == {"region-r1", "region-r2"}
    with kernel_of(jobs["region-r1"]):
        read = load_study(path).read(where={"region": "r1"})
    assert set(read["period"]) == {"2025-Q2"}


def test_reports_of_periods_that_the_study_no_longer_has_are_passed_over(study, tmp_path):
    folder = tmp_path / "made" / "2019" / "2-scorecard"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(RECORD | {"parameters": {"period": "2019"}}))
    requests = [
        Request(str(study), [PERIOD], each=one, notebooks=["scorecard"]) for one in ([], BOTH)
    ]
    assert len(jobs_of(study, requests, tmp_path)) >= 3
