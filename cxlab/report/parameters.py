"""A notebook's declared parameters, and values checked against them before anything runs."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import nbformat

from cxlab.core.messages import one_of, unknown

_PLAIN = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "list": list,
    "dict": dict,
    "Any": object,
}
#: Words in the name of a parameter that holds a secret; the short ones only as whole words.
_SECRET = re.compile(
    r"secret|passw(or)?d|passphrase|token|credential|api_?key|(private|access)_?key"
    r"|connection_?string|(^|_)(pwd|dsn|auth)($|_)"
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's parameters cell: ``name: type = default  # help``.

    Attributes
    ----------
    name : str
    annotation : str
        The declared type as written, such as ``str | None``; of a line without one, its
        default's type, and ``Any`` where that is None.
    default : object
    """

    name: str
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
        return _accepts(value, ast.parse(self.annotation, mode="eval").body)

    def from_text(self, text: str) -> Any:
        """The value that a text on the command line stands for, by the declared type only.

        Raises
        ------
        ValueError
            When the text is not of the declared type: nothing is guessed.

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
    """Parameters that a notebook declares in its cell tagged ``parameters``; none without one.

    Raises
    ------
    ValueError
        When there are several such cells, or a line has another form.
    """
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
    """Every given value, when all are declared and of the declared type.

    Raises
    ------
    ValueError
        For a name that is not declared, or a secret that does not name an environment variable.
    TypeError
        For a value of another type.

    Examples
    --------
    >>> declared = {"period": Parameter("period", "str | None", None)}
    >>> check_parameters(declared, {"perod": "2017"}, "2-scorecard")
    Traceback (most recent call last):
    ...
    ValueError: `parameters` of '2-scorecard' must be 'period'; got 'perod'. Did you mean 'period'?
    """
    for name, value in given.items():
        if name not in declared:
            raise ValueError(unknown("parameters", name, declared, of=notebook))
        if not declared[name].accepts(value):
            raise TypeError(declared[name].refusal(value))
    check_secrets(declared, given)
    return dict(given)


def check_secrets(declared: Mapping[str, Parameter], values: Mapping[str, Any]) -> None:
    """Parameters are written into the notebook, so a secret must not be among them.

    Raises
    ------
    ValueError
        For a secret, given or a default, that does not name an environment variable.
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
    if target is None or not (annotation or inferred in _PLAIN):
        raise ValueError(_form(notebook, line))
    return Parameter(target, annotation or inferred, default)


def _declared(statement: ast.stmt) -> tuple[str | None, str]:
    """Name and type of a line, as written; no name: it is another kind of line."""
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return statement.target.id, ast.unparse(statement.annotation)
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    names = [one.id for one in targets if isinstance(one, ast.Name)]
    return (names[0] if len(names) == len(targets) == 1 else None), ""


def _accepts(value: Any, annotation: ast.expr) -> bool:
    if isinstance(annotation, ast.BinOp):
        return _accepts(value, annotation.left) or _accepts(value, annotation.right)
    if isinstance(annotation, ast.Constant):
        return annotation.value is None and value is None
    if isinstance(annotation, ast.Subscript):
        return _accepts_members(value, annotation)
    kind = _PLAIN.get(annotation.id) if isinstance(annotation, ast.Name) else None
    if kind is None:
        raise ValueError(
            f"a parameter's type must be made of {one_of([*_PLAIN, 'None', 'Literal'])}; "
            f"got {ast.unparse(annotation)}."
        )
    if isinstance(value, bool):
        return kind in (bool, object)
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


def _accepts_members(value: Any, annotation: ast.Subscript) -> bool:
    outer = ast.unparse(annotation.value)
    inner = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    if outer == "Literal":
        return value in [ast.literal_eval(choice) for choice in inner]
    if outer.removeprefix("typing.") == "Optional":
        return value is None or _accepts(value, inner[0])
    if outer == "list":
        return isinstance(value, list) and all(_accepts(item, inner[0]) for item in value)
    if outer == "dict":
        return isinstance(value, dict) and all(
            _accepts(key, inner[0]) and _accepts(item, inner[1]) for key, item in value.items()
        )
    return _accepts(value, annotation.value)
