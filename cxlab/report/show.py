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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from IPython.display import display

from cxlab.core.characters import quote_formula
from cxlab.core.display import display_of
from cxlab.core.messages import got, unknown
from cxlab.core.result import MARK, NO_ROWS, as_html, as_text
from cxlab.core.tables import MOST_COLUMNS, arrange, described

if TYPE_CHECKING:
    import pandas as pd

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
#: Class of what `cxlab.show_answer` displays, and what its figure begins with in plain text.
ANSWER = "cxlab-answer"
ANSWER_FIGURE = "Figure answer:"
#: Names a folder in which `cxlab.show` also writes every table at full precision.
RECORD_VARIABLE = "CXLAB_RECORD"
#: What the recorded tables are called, for workbook and slides, beside them.
CAPTIONS = "captions.json"
#: Dots per inch of figures.
DPI = 110


def show(
    result: Any,
    *,
    name: str,
    alt: str | None = None,
    caption: str | None = None,
    columns: Sequence[str] | None = None,
    sort: str | Sequence[str] | None = None,
    top: int | None = None,
    highlight: str | Sequence[str] | None = None,
    bar: str | Sequence[str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> None:
    """Display a table, in words and with all numbers folded below, or a figure with its alt text.

    Parameters
    ----------
    result : DataFrame, result with ``.table``, matplotlib Axes or Figure
        What to display. A table knows how it wants to be shown; what is given here comes
        before that.
    name : str
        Lower-case words joined by hyphens; the file name where tables are recorded.
    alt : str, optional
        What the figure shows, for people who don't see it. Required for figures.
    caption : str, optional
        What the table shows, as a title.
    columns : sequence of str, optional
        Columns to show, at most eight. An estimate brings its interval along.
    sort : str or sequence of str, optional
        Columns to sort by; a hyphen before the name puts the largest first.
    top : int, optional
        Most rows to show; 12.
    highlight : str or sequence of str, optional
        Names of up to three rows to mark, or a column of yes and no.
    bar : str or sequence of str, optional
        Columns drawn as dots with their intervals; an empty sequence for none.
    labels : mapping of str to str, optional
        Names of the answers' columns to the words that readers know.

    Raises
    ------
    ValueError
        For a name that cannot be a file name or was used already, a figure without
        ``alt``, columns that the table lacks, or more than eight.
    TypeError
        For a result that is neither table nor figure.

    Notes
    -----
    Where the environment variable ``CXLAB_RECORD`` names a folder, a table is also
    written there as ``name.csv`` and ``name.json``: all rows and columns, unrounded. What
    is displayed does not depend on it, so JupyterLab, nbval and a report see the same
    outputs. A figure is displayed with a digest of the numbers drawn, because tests pass
    over images. A table without columns, of what a study does not declare, shows nothing.

    Examples
    --------
    >>> table = pd.DataFrame({"group": ["a"], "estimate": [1 / 3], "ci_low": [0.2], "ci_high": [0.5]})
    >>> show(table, name="thirds")
    Thirds
    95 % intervals in brackets.
    Group          Estimate
    a      0.3 (0.2 to 0.5)
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"`name` must be lower-case words joined by hyphens; got '{name}'. "
            "Write it like nps-by-segment."
        )
    # a frame may have a column called "table"
    table = result if isinstance(result, pd.DataFrame) else getattr(result, "table", result)
    if isinstance(table, pd.DataFrame):
        given = {"columns": columns, "sort": sort, "highlight": highlight, "bar": bar}
        told: dict[str, Any] = {key: _listed(v) for key, v in given.items() if v is not None}
        told |= {"caption": caption, "top": top, "labels": labels}
        _show_table(table, name, {key: value for key, value in told.items() if value is not None})
    elif hasattr(result, "get_figure") or hasattr(result, "savefig"):
        show_figure(result, name, alt)
    else:
        raise TypeError(
            "`result` must be a table (DataFrame or a result with .table) or a figure; "
            f"got {type(result).__name__}. Call show() on what a cxlab function returned."
        )


def _listed(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def was_shown(output: Mapping[str, Any]) -> bool:
    """Whether `show` or `show_answer` has made an output of an executed notebook."""
    html = output["data"].get("text/html", "")
    figure = output["metadata"].get("image/png", {})
    marked = f'class="{MARK}"' in html or html.startswith(NO_ROWS)
    return marked or "alt" in figure or is_answer(output)


def is_answer(output: Mapping[str, Any]) -> bool:
    """Whether `show_answer` has made an output: what it says, or the figure that shows it."""
    data = output.get("data", {})
    drawn = "image/png" in data and data.get("text/plain", "").startswith(ANSWER_FIGURE)
    return drawn or f'class="{ANSWER}"' in data.get("text/html", "")


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


def _show_table(table: pd.DataFrame, name: str, told: dict[str, Any]) -> None:
    if not len(table.columns):
        return
    for key in ("columns", "sort", "bar"):
        wanted = [column.lstrip("-") if key == "sort" else column for column in told.get(key, ())]
        if lacking := [column for column in wanted if column not in table]:
            raise ValueError(unknown(key, lacking[0], [str(column) for column in table]))
    if len(told.get("columns", ())) > MOST_COLUMNS:
        raise ValueError(
            f"`columns` must be at most {MOST_COLUMNS}; got {len(told['columns'])}. The others are "
            "shown under “All numbers”."
        )
    display_as = replace(display_of(table), **told)
    record_table(table, name)
    _record_caption(described(table, display_as, name))
    arranged = arrange(table, display_as, name)
    display(Shown(as_text(arranged), {"text/html": as_html(arranged)}, {}))


def show_figure(result: Any, name: str, alt: str | None) -> None:
    """Display a figure with its alt text and a digest of what is drawn; closes it."""
    if not alt or not alt.strip():
        raise ValueError(
            f"`alt` must say in words what the figure '{name}' shows; got none. "
            "Name the kind of chart, what is compared, and what stands out."
        )
    import matplotlib.pyplot as plt
    import numpy as np

    from cxlab.report.plots.style import choose_fonts

    figure = result.get_figure() if hasattr(result, "get_figure") else result
    # axes without a mark, as where nobody could leave out a touchpoint, look like a fault
    bare = (np.isinf(axes.dataLim.get_points()).all() and not axes.texts for axes in figure.axes)
    if all(bare) and not figure.texts:
        plt.close(figure)
        return
    numbers = drawn_numbers(figure)
    lacking = choose_fonts(figure)
    image = io.BytesIO()
    with warnings.catch_warnings():
        # said below in a sentence that names the text
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.set_dpi(DPI)
        box = "tight"
        if figure.get_layout_engine() is None:
            # nothing moves when it is drawn, which "tight" does once more to find this box
            box = figure.get_tightbbox().padded(plt.rcParams["savefig.pad_inches"])
        figure.savefig(image, format="png", dpi=DPI, bbox_inches=box, metadata={"Software": None})
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


def recorded_in() -> Path | None:
    """The folder that `RECORD_VARIABLE` names, made where it lacks; None: nothing is recorded."""
    if not (name := os.environ.get(RECORD_VARIABLE)):
        return None
    Path(name).mkdir(parents=True, exist_ok=True)
    return Path(name)


def record_table(table: pd.DataFrame, name: str) -> None:
    """Write a table at full precision, where tables are recorded; a name only once."""
    if (folder := recorded_in()) is None:
        return
    target = folder / f"{name}.csv"
    # the answer's findings are JSON only
    if target.exists() or target.with_suffix(".json").exists():
        raise ValueError(
            f"`name` must be used once in a report; got '{name}' again. Give each table a name of its own."
        )
    _quoted(table).to_csv(target, index=False)
    known = table.astype(object).where(table.notna(), None)
    records = [
        {str(key): _json_value(value) for key, value in row.items()}
        for row in known.to_dict(orient="records")
    ]
    text = json.dumps(records, ensure_ascii=False, indent=1, allow_nan=False)
    target.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


def _record_caption(caption: dict[str, Any]) -> None:
    """Add what a table is called, and its columns, to `CAPTIONS` beside the recorded tables."""
    if (folder := recorded_in()) is None:
        return
    known = [*read_captions(folder).values(), caption]
    text = json.dumps(known, ensure_ascii=False, indent=1)
    (folder / CAPTIONS).write_text(text + "\n", encoding="utf-8")


def read_captions(tables: Path) -> dict[str, dict[str, Any]]:
    """What each recorded table is called: as `described`; those of older reports are not known."""
    target = tables / CAPTIONS
    if not target.exists():
        return {}
    return {one["table"]: one for one in json.loads(target.read_text(encoding="utf-8"))}


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
