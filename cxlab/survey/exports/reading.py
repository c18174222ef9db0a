"""From any supported file to its answers: what kind it is, which platform wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cxlab.core.messages import one_of, unknown
from cxlab.survey.definition import FORMATS, KINDS_OF_RESPONSE, LEFT_OUT
from cxlab.survey.exports import limesurvey, plain, qualtrics, surveymonkey
from cxlab.survey.exports.delimited import read_text_grid
from cxlab.survey.exports.excel import read_workbook_grid
from cxlab.survey.exports.export import Export
from cxlab.survey.exports.grid import Content, Grid, Layout
from cxlab.survey.exports.packages import read_spss, read_stata
from cxlab.survey.files import read_as_text

if TYPE_CHECKING:
    from cxlab.survey.definition import Table

#: Platform to its layout; the first that recognises a file reads it, those of none last.
LAYOUTS: dict[str, Layout] = {
    "qualtrics": qualtrics.LAYOUT,
    "surveymonkey": surveymonkey.LAYOUT,
    "limesurvey": limesurvey.LAYOUT,
    "plain": plain.LAYOUT,
    "excel": plain.SHEET_LAYOUT,
}
#: Formats that only a workbook, or only a text file, can have.
_OF_WORKBOOKS, _OF_TEXTS = ("excel",), ("plain",)
TEXT_ENDINGS = (".csv", ".tsv", ".txt")
WORKBOOK_ENDINGS = (".xlsx", ".xlsm")
#: Ending to the file format that has its own reader.
PACKAGES = {".sav": "spss", ".zsav": "spss", ".dta": "stata"}
ENDINGS = (*TEXT_ENDINGS, ".csv.gz", ".tsv.gz", *WORKBOOK_ENDINGS, *PACKAGES, ".parquet")


def read_export(
    path: str | Path,
    *,
    format: str | None = None,
    leave_out: Sequence[str] = LEFT_OUT,
    encoding: str | None = None,
    separator: str | None = None,
    sheet: str | None = None,
) -> Export:
    """Read a survey platform's export file; says which platform wrote it.

    Parameters
    ----------
    path : str or Path
        ``.csv``, ``.tsv``, ``.txt`` (also ``.gz``), ``.xlsx``, ``.sav``, ``.zsav``, ``.dta`` or
        ``.parquet``.
    format : str, optional
        ``plain`` (one header row), ``qualtrics``, ``surveymonkey``, ``limesurvey``, ``excel``,
        ``spss`` or ``stata``; default: recognised, by what the platform writes into its header
        rows and never by their number.
    leave_out : sequence of {"preview", "unfinished", "spam"}
        Kinds of responses that are not wanted, where the platform tells them (Qualtrics;
        LimeSurvey tells the unfinished). Default: previews and tests, which no respondent
        gave. Unfinished ones stay: what somebody answered before leaving is an answer.
    encoding : str, optional
        Of a text file; default: found (UTF-8, UTF-16, else Windows-1252).
    separator : str, optional
        One character between the cells of a text file; default: found.
    sheet : str, optional
        Of a workbook; needed where several hold something.

    Returns
    -------
    Export
        ``.answers`` (text or raw codes; nothing is recoded), ``.questions``, ``.left_out``,
        ``.notes``, ``.codebook``, and ``.draft``: a draft study.

    Raises
    ------
    FileNotFoundError
        When the file isn't there.
    ValueError
        For a file that is cut, of another kind, without answers, with other header rows than
        its platform's, or with scores that Excel has turned into dates. The message names the
        file, the place and what to do.

    Notes
    -----
    Missing codes keep their reasons. SPSS: every declared missing value, told apart by its
    label. Stata: ``.a`` to ``.z``. Qualtrics: a code such as -99 for "seen but unanswered" is
    ``no answer``, and a blank beside it ``not asked``; without such a code a blank may be
    either and is read as ``no answer``. LimeSurvey: ``N/A`` is ``not asked``.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "films.csv"
    >>> _ = path.write_text(
    ...     "Respondent ID,How was it?,,Your age\\n,Sound,Picture,Response\\n1001,Good,Poor,30\\n"
    ... )
    >>> export = read_export(path)
    >>> export.platform, list(export.answers)
    ('surveymonkey', ['Respondent ID', 'How was it? - Sound', 'How was it? - Picture', 'Your age'])
    """
    file = Path(path)
    ending = _checked_ending(file)
    _check_options(format, leave_out)
    wanted = tuple(leave_out)
    if ending in PACKAGES:
        platform = _package(file, ending, format)
        reader = read_spss if platform == "spss" else read_stata
        return _export(file, platform, reader(file, wanted, encoding))
    if ending == ".parquet":
        _check_format(file, format, ("plain",))
        return _export(file, "plain", plain.read_frame(read_as_text(file), file.name))
    if ending in WORKBOOK_ENDINGS:
        _check_format(file, format, [name for name in LAYOUTS if name not in _OF_TEXTS])
        grid = read_workbook_grid(file, sheet)
    else:
        _check_format(file, format, [name for name in LAYOUTS if name not in _OF_WORKBOOKS])
        grid = read_text_grid(file, encoding, separator)
    platform = format or recognise(grid)
    return _export(file, platform, LAYOUTS[platform].read(grid, wanted), grid)


def recognise(grid: Grid) -> str:
    """Platform whose layout a grid has; ``plain`` or ``excel`` where it has none."""
    return next(name for name, layout in LAYOUTS.items() if layout.recognise(grid))


def read_answers(path: Path, table: Table) -> pd.DataFrame:
    """Answers of a study's file as text, read as the study declares.

    Parameters
    ----------
    path : Path
    table : Table
        Its ``format``, ``encoding``, ``separator``, ``leave_out`` and ``sheet``. Without a
        format the file's ending says what it is: nothing is guessed on reading.
    """
    ending = _ending(path)
    declared = table.format or PACKAGES.get(ending)
    if declared is None and ending in WORKBOOK_ENDINGS:
        declared = "excel"
    if declared in (None, "plain"):
        return read_as_text(path, table.encoding, table.separator)
    text = ending in TEXT_ENDINGS
    export = read_export(
        path,
        format=declared,
        leave_out=LEFT_OUT if table.leave_out is None else table.leave_out,
        encoding=table.encoding if text or table.encoding != "utf-8" else None,
        separator=table.separator or ("\t" if ending == ".tsv" else ",") if text else None,
        sheet=table.sheet,
    )
    return export.answers


def is_plain(path: Path, table: Table) -> bool:
    """Whether a study's file is one plain table that any engine can read by itself."""
    return table.format in (None, "plain") and _ending(path) not in (*PACKAGES, *WORKBOOK_ENDINGS)


def _export(file: Path, platform: str, content: Content, grid: Grid | None = None) -> Export:
    answers = content.answers.reset_index(drop=True)
    return Export(
        path=file,
        platform=platform,
        answers=answers,
        questions={one.column: one for one in content.questions},
        left_out=content.left_out,
        notes=tuple(content.notes),
        encoding=grid.encoding if grid else "utf-8",
        separator=grid.separator if grid else None,
        sheet=grid.sheet if grid else None,
        leave_out=content.leave_out,
    )


def _ending(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")


def _checked_ending(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"FILE must be a file of answers; there is no '{path}'.")
    ending = _ending(path)
    whole = path.suffix.lower() != ".gz" or ending in TEXT_ENDINGS
    if ending not in (*TEXT_ENDINGS, *WORKBOOK_ENDINGS, *PACKAGES, ".parquet") or not whole:
        unpack = "Unpack it and name the file in it." if ending == ".zip" else (
            "Save it as .xlsx, or as CSV in UTF-8."
        )  # fmt: skip
        raise ValueError(f"FILE must be {one_of(ENDINGS)}; got '{path.name}'. {unpack}")
    return ending


def _check_options(format: str | None, leave_out: Sequence[str]) -> None:
    if format not in (None, *FORMATS):
        raise ValueError(unknown("format", format, FORMATS))
    if isinstance(leave_out, str):
        raise TypeError(f'`leave_out` must be a list, such as ["{leave_out}"]; got a text.')
    for kind in leave_out:
        if kind not in KINDS_OF_RESPONSE:
            raise ValueError(unknown("leave_out", kind, KINDS_OF_RESPONSE))


def _package(path: Path, ending: str, format: str | None) -> str:
    _check_format(path, format, (PACKAGES[ending],))
    return PACKAGES[ending]


def _check_format(path: Path, format: str | None, fitting: Iterable[str]) -> None:
    if format is not None and format not in fitting:
        raise ValueError(
            f"`format` of {path.name} must be {one_of(fitting)}, by its ending; got '{format}'."
        )
