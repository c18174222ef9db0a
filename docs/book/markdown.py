"""Pieces of Markdown pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; bars and line breaks in its cells are kept from breaking it.

    Examples
    --------
    >>> print(table(["key", "holds"], [["engine", "pandas | duckdb"]]))
    | key | holds |
    |---|---|
    | engine | pandas \\| duckdb |
    """
    lines = [_row(header), "|" + "---|" * len(header), *map(_row, rows)]
    return "\n".join(lines)


def _row(cells: Sequence[object]) -> str:
    texts = [" ".join(str(cell).split()).replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(texts)} |"


def code(text: object) -> str:
    """Text as code, or nothing."""
    return f"`{text}`" if str(text) else ""


def as_markdown(text: str) -> str:
    """A docstring's text with the code marks of Markdown."""
    return text.replace("``", "`")


def contents(pages: Iterable[str], *, hidden: bool = True) -> str:
    """A table of contents."""
    options = ":hidden:\n" if hidden else ":maxdepth: 1\n"
    return f"```{{toctree}}\n{options}\n" + "\n".join(pages) + "\n```"


def page(title: str, *parts: str) -> str:
    """A whole page."""
    return "\n\n".join([f"# {title}", *parts]) + "\n"
