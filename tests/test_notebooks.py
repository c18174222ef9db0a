"""House form of the notebooks: what nbval alone would not see."""

import re
from pathlib import Path

import nbformat
import pytest

from cxlab.report.parameters import read_parameters
from cxlab.report.refresh import normalised

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 3


def test_no_notebook_is_stripped(notebook):
    # a stripped notebook passes nbval while checking nothing
    for cell in code_cells(notebook):
        assert cell.execution_count, f"never run: {cell.source[:60]}"
        if "show(" in cell.source or "print(" in cell.source:
            assert cell.outputs, f"no output: {cell.source[:60]}"


def test_no_cell_failed_or_warned(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.get("text", "")[:200]


def test_numbers_drawn_in_figures_are_printed(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                assert re.search(
                    r"Drawn: \d+ numbers, digest [0-9a-f]{16}", output.data["text/plain"]
                )
                assert output.metadata["image/png"]["alt"]


def test_opens_with_question_and_parameters(notebook):
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")
    assert notebook.cells[1].metadata.get("tags") == ["parameters"]


def test_ends_with_limits_and_versions(notebook):
    assert any(cell.source.startswith("## Limits") for cell in notebook.cells)
    assert "version_line(" in code_cells(notebook)[-1].source


def test_leads_on_to_notebooks_that_are_there(notebook):
    last = notebook.cells[-1]
    assert last.metadata["tags"] == ["next"]
    names = re.findall(r"\]\(([^)]+)\)", last.source)
    assert names
    assert set(names) <= {path.name for path in NOTEBOOKS}


def test_cells_are_calls(notebook):
    for cell in code_cells(notebook):
        assert not re.search(r"^\s*(def|class|for|while|with) ", cell.source, re.M), cell.source
        assert len(cell.source.splitlines()) <= 8


def test_is_normalised(notebook):
    text = nbformat.writes(notebook)
    assert nbformat.writes(normalised(nbformat.reads(text, as_version=4))) == text
    assert "papermill" not in notebook.metadata
    assert notebook.metadata.kernelspec.name == "python3"


def test_holds_no_path_of_a_machine(notebook):
    assert not re.search(r"/(home|root|Users|work|tmp)/", nbformat.writes(notebook))


def test_holds_no_svg_or_script(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert "image/svg+xml" not in output.get("data", {})
            assert "<script" not in str(output.get("data", {}).get("text/html", ""))
            assert "text/latex" not in output.get("data", {})


@pytest.mark.parametrize("path", NOTEBOOKS[1:], ids=lambda path: path.stem)
def test_reports_take_study_period_and_where(path):
    assert {"study", "period", "where"} <= set(read_parameters(path))
