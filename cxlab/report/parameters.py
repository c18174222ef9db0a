"""A notebook's declared parameters, and values checked against them before anything runs."""

from __future__ import annotations

import ast
import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, Optional

import msgspec
import nbformat

from cxlab.core.messages import one_of, unknown

#: What a parameter's type may be made of, besides None, and how that is written.
TYPES: dict[str, Any] = {
    "str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict, "Any": Any,
    "Literal": Literal, "Optional": Optional,
}  # fmt: skip
_PIECES = (
    ast.Expression, ast.Name, ast.Load, ast.Constant, ast.Subscript, ast.Tuple, ast.BinOp, ast.BitOr
)  # fmt: skip
#: Parameter with what a run hides in this report (`cxlab.report.factory.runs`): it is
#: recorded, so that the same is hidden when the report is made again; no notebook can declare it.
HIDDEN_PARAMETER = "hidden by the run"
#: Seconds that a cell may run, unless the caller says otherwise.
CELL_SECONDS = 1800
#: Words in the name of a parameter that holds a secret; the short ones only as whole words.
_SECRET = re.compile(
    r"secret|passw(or)?d|passphrase|token|credential|api_?key|(private|access)_?key"
    r"|connection_?string|(^|_)(pwd|dsn|auth)($|_)"
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's parameters cell: ``name: type = default  # help``."""

    name: str
    #: As written, such as ``str | None``; without one, the default's, and ``Any`` for None.
    annotation: str
    default: Any

    @property
    def secret(self) -> bool:
        """Whether its name says so: it takes the name of an environment variable.

        Examples
        --------
        >>> Parameter("database_password", "str", "").secret, Parameter("period", "str", "").secret
        (True, False)
        """
        return _SECRET.search(self.name.casefold()) is not None

    def accepts(self, value: Any) -> bool:
        """Whether a value is of the declared type.

        Examples
        --------
        >>> Parameter("period", "str | None", None).accepts(None)
        True
        >>> Parameter("replicates", "int", 100).accepts(True)
        False
        """
        try:
            taken = msgspec.convert(value, _type(self.annotation))
            # it takes a tuple or a set for a list
            return taken is value or bool(taken == value)
        except msgspec.ValidationError:
            return False

    def from_text(self, text: str) -> Any:
        """The value that a text stands for, by the declared type only: nothing is guessed.

        Examples
        --------
        >>> Parameter("code", "str", "").from_text("0123")
        '0123'
        >>> Parameter("code", "int", 0).from_text("NO")
        Traceback (most recent call last):
        ...
        ValueError: `code` must be int; got 'NO'. ...
        """
        if self.accepts(text):
            return text
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = text
        # literal_eval("0123") fails and "1_000" passes: only plain forms are taken
        if isinstance(value, str) or "_" in text or not self.accepts(value):
            raise ValueError(self.refusal(text))
        return value

    def refusal(self, value: Any) -> str:
        """Sentence for a value of another type; a secret is not repeated."""
        shown = "another value" if self.secret else repr(value)
        return (
            f"`{self.name}` must be {self.annotation}; got {shown}. "
            f"Its default is {self.default!r}."
        )


def read_parameters(notebook: Path) -> dict[str, Parameter]:
    """Parameters that a notebook declares in its cell tagged ``parameters``; none without one."""
    state = notebook.stat()
    return dict(_read(notebook, state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=64)
def _read(notebook: Path, modified: int, size: int) -> Mapping[str, Parameter]:
    """A run asks once a report, and a notebook with its outputs is long."""
    cells = [
        cell
        for cell in _open_notebook(notebook).cells
        if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", [])
    ]
    if not cells:
        return {}
    if len(cells) > 1:
        raise ValueError(
            f"{notebook.name} must have one code cell tagged 'parameters' or none; "
            f"got {len(cells)}. Remove the tag from the others (in JupyterLab: property inspector)."
        )
    lines = cells[0].source.splitlines()
    found = {}
    for statement in _statements(cells[0].source, notebook.name):
        parameter = _parameter(statement, lines, notebook.name)
        found[parameter.name] = parameter
    return found


def _open_notebook(path: Path) -> nbformat.NotebookNode:
    try:
        return nbformat.read(path, as_version=4)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path.name} must be a complete Jupyter notebook; it cannot be read as one. "
            "Open it in JupyterLab, or get it again."
        ) from error


def _statements(source: str, notebook: str) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except SyntaxError as error:
        raise ValueError(_form(notebook, (error.text or source).strip())) from error


def _form(notebook: str, line: str) -> str:
    return (
        f"{notebook}: every line of the parameters cell must be name = default or "
        f"name: type = default  # help, the default a plain value; got '{line}'."
    )


def check_parameters(
    declared: Mapping[str, Parameter], given: Mapping[str, Any], notebook: str
) -> dict[str, Any]:
    """Every given value, when all are declared and of the declared type; else refused."""
    for name, value in given.items():
        if name not in declared:
            raise ValueError(unknown("parameters", name, declared, of=notebook))
        if not declared[name].accepts(value):
            raise TypeError(declared[name].refusal(value))
    check_secrets(declared, given)
    return dict(given)


def check_secrets(declared: Mapping[str, Parameter], values: Mapping[str, Any]) -> None:
    """Refuse a secret, given or a default, that does not name an environment variable.

    Parameters are written into the notebook.
    """
    for name, value in values.items():
        if not declared[name].secret or value is None or value == "":
            continue
        if not isinstance(value, str) or not _VARIABLE.fullmatch(value) or value not in os.environ:
            raise ValueError(
                f"`{name}` must be the name of an environment variable that is set, because "
                "parameters are stored in the report; got something else. Set a variable and "
                "name it."
            )


def _parameter(statement: ast.stmt, lines: list[str], notebook: str) -> Parameter:
    line = lines[statement.lineno - 1]
    target, annotation = _declared(statement)
    try:
        default = ast.literal_eval(statement.value)  # type: ignore[attr-defined]
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(_form(notebook, line)) from error
    inferred = "Any" if default is None else type(default).__name__
    if target is None or not (annotation or inferred in TYPES):
        raise ValueError(_form(notebook, line))
    return Parameter(target, annotation or inferred, default)


def _declared(statement: ast.stmt) -> tuple[str | None, str]:
    """Name and type of a line, as written; no name: it is another kind of line."""
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return statement.target.id, ast.unparse(statement.annotation)
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    names = [one.id for one in targets if isinstance(one, ast.Name)]
    return (names[0] if len(names) == len(targets) == 1 else None), ""


@cache
def _type(annotation: str) -> Any:
    """The type of an annotation, made of `TYPES` and nothing else."""
    tree = ast.parse(annotation.replace("typing.", ""), mode="eval")
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if names <= set(TYPES) and all(isinstance(node, _PIECES) for node in ast.walk(tree)):
        with contextlib.suppress(TypeError):
            kind = eval(compile(tree, "<annotation>", "eval"), {"__builtins__": {}}, TYPES)
            msgspec.json.Decoder(kind)
            return kind
    raise ValueError(
        f"a parameter's type must be made of {one_of([*TYPES, 'None'])}; got {annotation}."
    )


def check_timeout(seconds: Any, place: str = "") -> int:
    """The seconds that a cell may run, when they are a whole number from 1; else refused."""
    if isinstance(seconds, int) and not isinstance(seconds, bool) and seconds >= 1:
        return seconds
    raise ValueError(
        f"{place}`timeout` must be a whole number of seconds from 1, for each cell; "
        f"got {seconds!r}."
    )
