"""The glossary says how a study counts, from its study file."""

from __future__ import annotations

from cxlab import glossary, load_study
from cxlab.report.factory.runs import write_glossaries
from cxlab.report.index import GLOSSARY, link_reports


class _Job:
    def __init__(self, folder, study):
        self.output, self.parameters = folder, {"study": study}


def test_measures_say_formula_bins_codes_weight_and_source():
    table = glossary(load_study("demo")).set_index("term")
    satisfied = table.loc["Satisfied (8 to 10)"]
    assert satisfied["formula"] == "100 × answers from 8 to 10 / valid answers"
    assert satisfied["bins"] == "0 to 5 low, 6 to 7 middle, 8 to 10 top"
    assert satisfied["missing_codes"] == "98: never used, 99: don't know, blank: no answer"
    assert satisfied["weight"] == "Weight to the customer base (weight)"
    assert satisfied["source"].startswith("Relationship survey of the customer base: Overall")
    assert table.loc["Mean, of 7", "formula"] == "sum of scores / valid answers"
    assert table.loc["Easy less hard", "definition"].startswith("Share of top less the share of")
    # two surveys ask it, with weights of their own
    assert table.loc["NPS", "weight"].tolist() == [
        "Weight to the customer base (weight)", "Weight to the episodes (weight)",
    ]  # fmt: skip


def test_the_words_of_every_report_follow(sfo):
    table = glossary(load_study("demo")).set_index("term")
    assert table.loc["Clear", "formula"] == ""
    assert "answers of fewer than 10 customers are hidden" in table.loc["Hidden", "definition"]
    # its rows are passengers whom nothing names
    own = glossary(sfo).set_index("term").loc["Hidden", "definition"]
    assert own.endswith("Here fewer than 10 answers are hidden.")


def test_each_code_stands_once(sfo):
    codes = glossary(sfo).set_index("term").loc["Good (4 to 5)", "missing_codes"]
    assert codes == "0: no answer, 6: never used, blank: no answer"


def test_a_set_of_reports_has_its_glossary(tmp_path):
    reports, empty = tmp_path / "demo" / "2025-Q4", tmp_path / "demo" / "2025-Q3"
    (reports / "2-scorecard").mkdir(parents=True)
    (reports / "2-scorecard" / "manifest.json").write_text("{}")
    jobs = [_Job(reports / "2-scorecard", "demo"), _Job(reports / "own", None)]
    write_glossaries([*jobs, _Job(empty / "2-scorecard", "demo")], tmp_path)
    page = (reports / GLOSSARY).read_text(encoding="utf-8")
    assert "<h1>What the words of these reports mean</h1>" in page
    assert 'href="../../index.html"' in page
    assert "100 × (answers from 9 to 10 − answers from 0 to 6) / valid answers" in page
    assert not (empty / GLOSSARY).exists()
    link_reports(tmp_path)
