"""Public names by question, a page each; the questions are those of `0-start-here`."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import nbformat

import cxlab
from docs.book.markdown import as_markdown, code, contents, page, table

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
#: Heading of the functions in `0-start-here`, and of what they return here.
HEADING = "## All functions, by question"
RESULTS = "What functions return"


class Question(NamedTuple):
    """A question of the map, and the functions that answer it."""

    words: str
    names: list[str]


@cache
def notebooks() -> dict[str, nbformat.NotebookNode]:
    """Every notebook by its name, in their order."""
    paths = sorted(NOTEBOOKS.glob("*.ipynb"), key=lambda path: int(path.stem.partition("-")[0]))
    return {path.stem: nbformat.read(path, as_version=4) for path in paths}


@cache
def questions() -> tuple[Question, ...]:
    """The public functions by question, then the classes that they return.

    A function that no question names is under what its package is about.
    """
    found = [Question(words, _names_in(cells)) for words, cells in _rows_of_the_map()]
    named = {name for question in found for name in question.names}
    rest = [name for name in functions() if name not in named]
    found[-1].names.extend(name for name in rest if name.startswith("plot_"))
    others: dict[str, list[str]] = {}
    for name in rest:
        if not name.startswith("plot_"):
            others.setdefault(_about(name), []).append(name)
    found += [Question(words, names) for words, names in others.items()]
    return (*found, Question(RESULTS, classes()))


def _about(name: str) -> str:
    """What the package of a function is about."""
    package = ".".join(getattr(cxlab, name).__module__.split(".")[:3])
    return (sys.modules[package].__doc__ or "").splitlines()[0].rstrip(".")


def functions() -> list[str]:
    """Public functions."""
    return [name for name in cxlab.__all__ if not inspect.isclass(getattr(cxlab, name))]


def classes() -> list[str]:
    """Public classes."""
    return [name for name in cxlab.__all__ if inspect.isclass(getattr(cxlab, name))]


def _rows_of_the_map() -> Iterator[tuple[str, str]]:
    cells = [cell.source for cell in notebooks()["0-start-here"].cells]
    (text,) = [source for source in cells if source.startswith(HEADING)]
    for line in text.splitlines():
        if line.startswith("|") and "`" in line:
            words, names = line.strip("| ").split("|", 1)
            yield words.strip(), names


def _names_in(cells: str) -> list[str]:
    found = [name for name in re.findall(r"`(\w+)`", cells) if not name.endswith("_")]
    unknown = [name for name in found if name not in cxlab.__all__]
    if unknown:
        raise ValueError(f"0-start-here must name public functions; got '{unknown[0]}'.")
    return found


def public() -> list[str]:
    """Every public name."""
    return [*functions(), *classes()]


def place(name: str) -> str:
    """Page of a public name; on some machines files differ by more than case only."""
    folder = "classes" if inspect.isclass(getattr(cxlab, name)) else "functions"
    return f"reference/{folder}/{name}"


def summary(name: str) -> str:
    """First sentence of the docstring."""
    text = inspect.getdoc(getattr(cxlab, name)) or ""
    return as_markdown(" ".join(text.partition("\n\n")[0].split()))


def used_in(name: str) -> list[str]:
    """Notebooks whose code calls a name."""
    word = re.compile(rf"\b{name}\(")
    return [
        stem
        for stem, notebook in notebooks().items()
        if any(word.search(cell.source) for cell in notebook.cells if cell.cell_type == "code")
    ]


def name_page(name: str) -> str:
    """The page of a name, in reStructuredText: its docstring, and where to see it used."""
    kind = "class" if inspect.isclass(getattr(cxlab, name)) else "function"
    lines = [name, "=" * len(name), "", ".. currentmodule:: cxlab", "", f".. auto{kind}:: {name}"]
    if kind == "class":
        lines += ["   :members:", "   :inherited-members: Protocol"]
    seen = [f":doc:`{stem} </notebooks/{stem}>`" for stem in used_in(name)]
    if seen:
        lines += ["", f"Used in the notebook{'s' if len(seen) > 1 else ''} {', '.join(seen)}."]
    return "\n".join(lines) + "\n"


def index_page() -> str:
    """All names by question, each with what it does."""
    parts = [
        "Functions take a frame first and column names as keywords. They take frames of pandas, "
        "Polars, DuckDB, Ibis and PySpark alike, unless their page says otherwise."
    ]
    listed: dict[str, None] = {}
    for question in questions():
        listed.update(dict.fromkeys(question.names))
        rows = [(f"[{code(name)}](/{place(name)})", summary(name)) for name in question.names]
        parts += [f"## {question.words}", table(["name", "what it does"], rows)]
    parts.append(contents(f"/{place(name)}" for name in listed))
    return page("Functions, by question", *parts)


def notebooks_page() -> str:
    """Every notebook with its question and the first sentence on it."""
    rows = [(f"[{stem}](/notebooks/{stem})", *_opening(one)) for stem, one in notebooks().items()]
    return page(
        "The notebooks",
        "As they are in the clone, with their outputs on the demo: simulated, no real customers. "
        "`make lab` opens them; `cxlab report` makes pages of them.",
        table(["notebook", "question", "what it does"], rows),
        contents(f"/notebooks/{stem}" for stem in notebooks()),
    )


def _opening(notebook: nbformat.NotebookNode) -> tuple[str, str]:
    title, _, text = notebook.cells[0].source.partition("\n")
    first = re.split(r"(?<=[.?!]) ", " ".join(text.split()))[0]
    return title.removeprefix("# "), first
