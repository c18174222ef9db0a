"""The book's generated pages hold everything; nothing is said in two places by hand."""

import ast
import inspect
import json
import re
from pathlib import Path
from typing import get_args

import click
import msgspec
import nbformat
import pytest

import cxlab
from cxlab.cli import DROP, MOST_FAILURES, TROUBLE, main
from cxlab.core.headers import HEADERS
from cxlab.survey import schema
from cxlab.survey.definition import ROLES, Role
from docs.book import checks, command_line, measured, names, recorded, shared, study_file

ROOT = Path(__file__).resolve().parents[1]
NO_SPHINX = "the extra `docs` is not installed"
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def test_every_key_of_a_study_file_is_on_its_page():
    pytest.importorskip("numpydoc", reason=NO_SPHINX)
    page = study_file.study_file_page()
    kinds = [schema.AboutKeys, schema.ContactKeys, schema.ScaleKeys, schema.OperationalKeys,
             schema.ColumnKeys, schema.TableKeys, schema.ThemeKeys]  # fmt: skip
    assert set(kinds) == set(study_file.parts())
    for keys in kinds:
        for field in msgspec.structs.fields(keys):
            assert re.search(rf"^\| `{field.name}` \| .+ \| .+ \| \w.+ \|$", page, re.M), field.name
    assert tuple(ROLES) == get_args(Role)
    for role in ROLES:
        assert f"| `{role}` |" in page


def test_a_key_without_a_meaning_is_refused():
    pytest.importorskip("numpydoc", reason=NO_SPHINX)

    class NewKeys(schema.Keys):
        """``[new]``.

        Attributes
        ----------
        told : text
            What it means.
        """

        told: str
        forgotten: str

    with pytest.raises(ValueError, match=r"NewKeys .* must say what 'forgotten' means"):
        study_file.meanings(NewKeys)


def test_every_public_name_has_a_question_a_page_and_a_sentence():
    asked = [name for question in names.questions() for name in question.names]
    assert set(asked) == set(cxlab.__all__) == set(names.public())
    index = names.index_page()
    for name in cxlab.__all__:
        assert f"[`{name}`](/{names.place(name)})" in index
        assert names.summary(name).endswith((".", "?", ":")), name
        assert f":: {name}\n" in names.name_page(name)
    # Moments and moments would be one file on macOS and Windows
    assert len({names.place(name).casefold() for name in cxlab.__all__}) == len(cxlab.__all__)


def test_a_function_that_no_question_names_is_under_what_its_package_is_about(monkeypatch):
    names.questions.cache_clear()
    monkeypatch.setattr(names, "_rows_of_the_map", lambda: iter([("How do we stand?", "`nps`")]))
    found = {question.words: question.names for question in names.questions()}
    assert "retention_by_score" in found["What customers did after they answered"]
    names.questions.cache_clear()


def every_command(group, before="cxlab"):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from every_command(command, f"{before} {name}")
        else:
            yield f"{before} {name}", command


def test_every_command_and_option_is_on_its_page():
    page = command_line.command_line_page()
    seen = 0
    for whole, command in every_command(main):
        section = page.partition(f"\n## {whole}\n")[2].partition("\n## ")[0]
        assert section, whole
        for parameter in command.params:
            seen += 1
            for name in parameter.opts if isinstance(parameter, click.Option) else ():
                assert re.search(rf"`[^`]*{name}[^`]*` \| \w", section), f"{whole} {name}"
            if isinstance(parameter, click.Argument):
                assert parameter.make_metavar(click.Context(command)) in section
    assert seen > 30


def test_every_exit_code_is_on_the_page_and_in_the_help():
    told = command_line.exit_codes()
    help_text = main.commands["report"].get_help(click.Context(main.commands["report"]))
    for code in (0, f"1 to {MOST_FAILURES}", 2, DROP, *TROUBLE.values()):
        assert f"| {code} |" in told
        assert f"Exit code {code}:" in help_text


def test_every_column_of_a_recorded_table_is_on_its_page(tmp_path):
    report = tmp_path / "2-scorecard"
    (report / "tables").mkdir(parents=True)
    (report / "tables" / "scores.csv").write_text("label,n,estimate,made_up\na,1,2,3\n")
    captions = [{"table": "scores", "caption": "Scores", "headers": {"made_up": "Made up by hand"},
                 "units": {"made_up": ["%"], "estimate": "+share"}}]  # fmt: skip
    (report / "tables" / "captions.json").write_text(json.dumps(captions))
    page = recorded.recorded_page([report])
    assert "### scores\n\nScores.\n" in page
    assert "| `made_up` | Made up by hand | the unit of the row |" in page
    assert "| `estimate` | Estimate | share of 1, a difference |" in page
    for column, header in HEADERS.items():
        assert f"| `{column}` | {header.words} |" in page


def test_every_benchmark_has_its_command():
    page = measured.measured_page()
    for path in (ROOT / "benchmarks").glob("[a-z]*.py"):
        assert f"$ python -m benchmarks {path.stem}" in page


def test_every_notebook_is_in_the_book():
    page = names.notebooks_page()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert f"| [{path.stem}](/notebooks/{path.stem}) |" in page


def test_calls_in_the_pages_have_arguments_that_functions_take():
    seen = 0
    for page in PAGES:
        for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
            for call in ast.walk(ast.parse(block)):
                name = getattr(getattr(call, "func", None), "id", None)
                if isinstance(call, ast.Call) and name in cxlab.__all__:
                    seen += 1
                    words = {one.arg: None for one in call.keywords}
                    inspect.signature(getattr(cxlab, name)).bind(*call.args, **words)
    assert seen > 8


# ---------------------------------------------------------------- said once


def test_pages_include_parts_that_the_readme_has():
    wanted = {
        name
        for page in PAGES
        for name in re.findall(
            r"\{include\} /_parts/([a-z-]+)\.md", page.read_text(encoding="utf-8")
        )
    }
    assert wanted == set(shared.parts())


def sentences(text):
    """Sentences long enough that two hands would not write the same."""
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    parts = re.split(r"(?<=[.:?!;])\s+|\n\s*\n|\n[-*|#] ?|\|", text)
    return {" ".join(part.split()) for part in parts if len(part.split()) > 8}


def test_no_sentence_is_written_twice():
    written = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "data/demo/README.md",
               ROOT / "data/sfo/README.md", *PAGES]  # fmt: skip
    texts = {path: path.read_text(encoding="utf-8") for path in written}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        texts[path] = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    docstrings = {getattr(cxlab, name): getattr(cxlab, name).__doc__ for name in cxlab.__all__}
    places = {}
    for path, text in texts.items():
        for sentence in sentences(text):
            places.setdefault(sentence, set()).add(path.name)
    pages = {path.name for path in PAGES} | {"README.md"}
    twice = {s: p for s, p in places.items() if len(p) > 1 and p & pages}
    assert twice == {}
    told = " ".join(" ".join(text.split()) for text in docstrings.values())
    assert [s for s, p in places.items() if p & pages and s in told] == []


# ---------------------------------------------------------------- the checks of a built site


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="there.html#place">x</a> <a href="#top">x</a> <a href="https://a.b">x</a>', None),
        ('<a href="nowhere.html">x</a>', "no such file: nowhere.html"),
        ('<a href="there.html#nowhere">x</a>', "no such place: there.html#nowhere"),
        ('<img src="gone.png">', "no such file: gone.png"),
        ('<script src="https://a.b/c.js"></script>', "fetches https://a.b/c.js"),
        ('<link rel="stylesheet" href="//a.b/c.css">', "fetches //a.b/c.css"),
    ],
)
def test_a_broken_link_or_a_request_to_elsewhere_is_found(body, fault, tmp_path):
    (tmp_path / "index.html").write_text(f"<!doctype html><body>{body}</body>")
    (tmp_path / "there.html").write_text('<!doctype html><p id="place">here</p>')
    assert checks.faults(tmp_path) == ([f"index.html: {fault}"] if fault else [])
