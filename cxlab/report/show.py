"""How a table or a figure leaves a notebook."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from IPython.display import display

from cxlab.core.characters import quote_formula
from cxlab.core.messages import got

if TYPE_CHECKING:
    import pandas as pd

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
#: Columns of probabilities, which take three decimals whatever the others have.
_P_VALUE = re.compile(r"p_adjusted|(\w+_)?p(_value)?")

#: Class of the tables that `show` displays, and what stands in place of an empty one.
MARK = "cxlab"
#: Class of what `cxlab.show_answer` displays.
ANSWER = "cxlab-answer"
NO_ROWS = "<p>No rows.</p>"
#: Columns of result tables whose cells are names of the answers' columns.
NAMED = (
    "touchpoint", "other", "driver", "outcome", "other_outcome", "operational", "experience"
)  # fmt: skip
#: Names a folder in which `cxlab.show` also writes every table at full precision.
RECORD_VARIABLE = "CXLAB_RECORD"


def show(result: Any, *, name: str, alt: str | None = None, digits: int = 2) -> None:
    """Display a table, rounded, or a figure, with its alt text.

    Parameters
    ----------
    result : DataFrame, result with ``.table``, matplotlib Axes or Figure
        What to display.
    name : str
        Lower-case words joined by hyphens; the file name where tables are recorded.
    alt : str, optional
        What the figure shows, for people who don't see it. Required for figures.
    digits : int
        Decimals of a displayed table; p values have three, or read <0.001. Recorded tables
        keep full precision.

    Raises
    ------
    ValueError
        For a name that cannot be a file name or was used already, or a figure
        without ``alt``.
    TypeError
        For a result that is neither table nor figure.

    Notes
    -----
    Where the environment variable ``CXLAB_RECORD`` names a folder, a table is also
    written there as ``name.csv`` and ``name.json``, unrounded. What is displayed does
    not depend on it, so JupyterLab, nbval and a report see the same outputs. A figure
    is displayed with a digest of the numbers drawn, because tests pass over images.

    Examples
    --------
    >>> show(pd.DataFrame({"group": ["a"], "estimate": [1 / 3]}), name="thirds")
    group estimate
        a     0.33
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"`name` must be lower-case words joined by hyphens; got '{name}'. "
            "Write it like nps-by-segment."
        )
    # a frame may have a column called "table"
    table = result if isinstance(result, pd.DataFrame) else getattr(result, "table", result)
    if isinstance(table, pd.DataFrame):
        _show_table(table, name, digits)
    elif hasattr(result, "get_figure") or hasattr(result, "savefig"):
        show_figure(result, name, alt)
    else:
        raise TypeError(
            "`result` must be a table (DataFrame or a result with .table) or a figure; "
            f"got {type(result).__name__}. Call show() on what a cxlab function returned."
        )


def was_shown(output: Mapping[str, Any]) -> bool:
    """Whether `show` or `show_answer` has made an output of an executed notebook."""
    html = output["data"].get("text/html", "")
    figure = output["metadata"].get("image/png", {})
    marked = f'class="dataframe {MARK}"' in html or f'class="{ANSWER}"' in html
    return marked or html.startswith(NO_ROWS) or "alt" in figure


@dataclass(frozen=True)
class Shown:
    """A display with its plain text, which is also what a terminal prints."""

    text: str
    rich: dict[str, str]
    metadata: dict[str, Any]

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        return {"text/plain": self.text, **self.rich}, self.metadata


def _show_table(table: pd.DataFrame, name: str, digits: int) -> None:
    record_table(table, name)
    own, shared = _split_notes(table)
    rounded = _rounded(own, digits)
    html = rounded.to_html(index=False, border=0, escape=True, classes=MARK)
    # columns of numbers are read out with their header, and aligned by the style sheet
    html = html.replace("<th>", '<th scope="col">')
    text = rounded.to_string(index=False) if len(rounded) else "no rows"
    if not len(rounded):
        html = NO_ROWS
    if shared:
        html += f"<p>Note to every row: {escape(shared)}.</p>"
        text += f"\nNote to every row: {shared}."
    display(Shown(text, {"text/html": html}, {}))


def _split_notes(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The table with each row's own notes, and the notes that all rows share."""
    if "note" not in table or not len(table):
        return table, ""
    parts = [str(note).split("; ") if note else [] for note in table["note"].fillna("")]
    shared = [part for part in parts[0] if all(part in other for other in parts)]
    own = ["; ".join(part for part in row if part not in shared) for row in parts]
    without = table.drop(columns="note")
    return (table.assign(note=own) if any(own) else without), "; ".join(shared)


def _rounded(table: pd.DataFrame, digits: int) -> pd.DataFrame:
    shown = pd.DataFrame(index=table.index)
    for column in table.columns:
        values = table[column]
        if pd.api.types.is_bool_dtype(values):
            shown[column] = values.map({True: "yes", False: "no"})
        elif pd.api.types.is_integer_dtype(values):
            shown[column] = ["–" if value is pd.NA else f"{value:,}" for value in values]
        elif _P_VALUE.fullmatch(str(column)):
            shown[column] = [_p_value(value) for value in values.astype(float)]
        elif pd.api.types.is_float_dtype(values):
            shown[column] = [_number(value, digits) for value in values]
        else:
            shown[column] = [
                "" if value is None or value != value else str(value) for value in values
            ]
    return shown


def _p_value(value: float) -> str:
    # 0.000 would read as impossible
    return "<0.001" if value < 0.001 else _number(value, 3)


def _number(value: float, digits: int) -> str:
    if math.isnan(value):
        return "–"
    text = f"{value:,.{digits}f}"
    # a rounded −0.00 would read as a sign
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text


def show_figure(result: Any, name: str, alt: str | None) -> None:
    """Display a figure with its alt text and a digest of what is drawn; closes it."""
    if not alt or not alt.strip():
        raise ValueError(
            f"`alt` must say in words what the figure '{name}' shows; got none. "
            "Name the kind of chart, what is compared, and what stands out."
        )
    import matplotlib.pyplot as plt

    from cxlab.report.plots.style import choose_fonts

    figure = result.get_figure() if hasattr(result, "get_figure") else result
    numbers = drawn_numbers(figure)
    lacking = choose_fonts(figure)
    image = io.BytesIO()
    with warnings.catch_warnings():
        # said below in a sentence that names the text
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(
            image, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None}
        )
    plt.close(figure)
    digest = hashlib.sha256("\n".join(numbers).encode()).hexdigest()[:16]
    text = f"Figure {name}: {alt}\nDrawn: {len(numbers)} numbers, digest {digest}"
    encoded = base64.b64encode(image.getvalue()).decode("ascii")
    display(Shown(text, {"image/png": encoded}, {"image/png": {"alt": alt}}))
    if lacking:
        characters = "".join(dict.fromkeys("".join(lacking.values())))
        print(
            f"The figure {name} cannot draw {got(list(lacking))}: no font on this machine has "
            f"{characters}. The tables hold the text; install a font that has it, such as Noto Sans CJK."
        )


def drawn_numbers(figure: Any) -> list[str]:
    """Data coordinates of lines, markers, bars, areas and images, in drawing order, to six digits."""
    numbers: list[float] = []
    for axes in figure.axes:
        for line in axes.get_lines():
            numbers.extend(_flat(line.get_xydata()))
        for collection in axes.collections:
            numbers.extend(_flat(collection.get_offsets()))
            for path in collection.get_paths():
                numbers.extend(_flat(path.vertices))
        for patch in axes.patches:
            numbers.extend(
                _flat(patch.get_path().transformed(patch.get_patch_transform()).vertices)
            )
        for image in axes.get_images():
            numbers.extend(_flat(image.get_array()))
    return [f"{number + 0.0:.6g}" for number in numbers]


def _flat(values: Any) -> list[float]:
    import numpy as np

    numbers: Any = np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)
    return [float(number) for number in np.ravel(numbers)]


def with_labels(table: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """A result table in which touchpoints and outcomes have the names that readers know.

    Parameters
    ----------
    table : DataFrame
        Of any cxlab function. Cells of ``touchpoint``, ``other``, ``driver``, ``outcome``,
        ``other_outcome``, ``operational`` and ``experience`` are looked up; a cell that is
        no key of ``labels`` stays as it is, and so does every other column.
    labels : mapping of str to str
        Column to label, such as ``survey.labels``.

    Returns
    -------
    DataFrame
        A copy. Name its rows last: what joins on column names needs the names.

    Examples
    --------
    >>> table = pd.DataFrame({"touchpoint": ["check_in", "wifi"], "n": [3, 2]})
    >>> print(with_labels(table, {"check_in": "Check-in"}).to_string(index=False))
    touchpoint  n
      Check-in  3
          wifi  2
    """
    named = {column: table[column].astype(object) for column in NAMED if column in table}
    return table.assign(
        **{
            column: cells.map(lambda name: labels.get(name, name))
            for column, cells in named.items()
        }
    )


def record_table(table: pd.DataFrame, name: str) -> None:
    """Write a table at full precision, where `RECORD_VARIABLE` names a folder; a name only once."""
    folder = os.environ.get(RECORD_VARIABLE)
    if not folder:
        return
    target = Path(folder) / f"{name}.csv"
    # the answer's findings are JSON only
    if target.exists() or target.with_suffix(".json").exists():
        raise ValueError(
            f"`name` must be used once in a report; got '{name}' again. Give each table a name of its own."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    _quoted(table).to_csv(target, index=False)
    known = table.astype(object).where(table.notna(), None)
    records = [
        {str(key): _json_value(value) for key, value in row.items()}
        for row in known.to_dict(orient="records")
    ]
    text = json.dumps(records, ensure_ascii=False, indent=1, allow_nan=False)
    target.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


def _quoted(table: pd.DataFrame) -> pd.DataFrame:
    """Spreadsheets open CSV files, and run what looks like a formula in them."""
    quoted = table.rename(columns=quote_formula)
    for number, kind in enumerate(table.dtypes):
        if getattr(kind, "kind", "O") not in "biufcmM":
            column = table.iloc[:, number]
            quoted.isetitem(number, column.astype(object).map(quote_formula))
    return quoted


def _json_value(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)
