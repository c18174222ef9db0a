"""Where a study's files are, and reading one as text, header and all."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

#: Names a folder that holds data files which are not in the project.
MIRROR_VARIABLE = "CXLAB_DATA"


def find_file(file: str, folder: Path) -> Path:
    """A study's data file: beside the study file, else in the mirror folder.

    Raises
    ------
    FileNotFoundError
        Naming the file, the places looked at, and the mirror variable.
    """
    beside = folder / file
    if beside.is_file():
        return beside
    mirror = os.environ.get(MIRROR_VARIABLE)
    if mirror:
        for candidate in (Path(mirror) / file, Path(mirror) / folder.name / file):
            if candidate.is_file():
                return candidate
        raise FileNotFoundError(
            f"{file} must be beside the study file or in the folder that {MIRROR_VARIABLE} names; "
            f"it is in neither. Check {MIRROR_VARIABLE}, which is now '{mirror}'."
        )
    raise FileNotFoundError(
        f"{file} must be beside the study file; it isn't there. Put it there, or set "
        f"{MIRROR_VARIABLE} to a folder that holds it."
    )


def read_as_text(path: Path, encoding: str = "utf-8") -> pd.DataFrame:
    """A CSV, TSV or Parquet file with every cell as text and the headers as they stand.

    Parameters
    ----------
    path : Path
        ``.csv``, ``.tsv`` (either may end in ``.gz``) or ``.parquet``.
    encoding : str
        Of the text file. A byte-order mark is dropped.

    Returns
    -------
    DataFrame
        Text; a blank cell is ``""``.

    Raises
    ------
    ValueError
        For an empty file, a wrong encoding, a line with too many cells, or a header that
        stands twice.
    """
    frame = _read_parquet(path) if path.suffix == ".parquet" else _read_delimited(path, encoding)
    headers = [str(header) for header in frame.columns]
    twice = sorted({header for header in headers if headers.count(header) > 1})
    if twice:
        raise ValueError(
            f"{path.name}: headers must be unique; got '{twice[0]}' twice. Rename one in the file."
        )
    if not len(frame):
        raise ValueError(f"{path.name} must hold at least one answer below its header; got none.")
    return frame


def _read_delimited(path: Path, encoding: str) -> pd.DataFrame:
    separator = "\t" if ".tsv" in path.suffixes else ","
    try:
        # header=None: pandas would rename a repeated header without a word
        cells = pd.read_csv(
            path,
            sep=separator,
            header=None,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding,
        )
    except pd.errors.EmptyDataError as error:
        raise ValueError(f"{path.name} must hold a header and answers; it is empty.") from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path.name} must be {encoding} text; got byte 0x{error.object[error.start]:02x} at "
            f"position {error.start:,}. Declare the table's encoding in the study file, such as "
            'encoding = "cp1252".'
        ) from error
    except pd.errors.ParserError as error:
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        raise ValueError(
            f"{path.name} must have as many cells in each line as its header; {reason}. "
            "Check quotes and separators there."
        ) from error
    frame = cells.iloc[1:].reset_index(drop=True)
    frame.columns = pd.Index(cells.iloc[0].tolist())
    # pandas fills a line that is too short with NaN
    return frame.fillna("")


def _read_parquet(path: Path) -> pd.DataFrame:
    frame = pd.read_parquet(path)
    return frame.apply(lambda column: column.astype("object").map(_cell_text))


def _cell_text(value: object) -> str:
    if value is None or value is pd.NaT or value != value:
        return ""
    return str(value)
