"""SPSS and Stata files: raw codes, value labels, and every missing code with its reason."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.characters import letters
from cxlab.survey.exports.excel import cell_text
from cxlab.survey.exports.export import Question, declared_reason
from cxlab.survey.exports.grid import Content, kinds_of_responses, without
from cxlab.survey.exports.qualtrics import OWN

Codes = Callable[[str, set[str]], Iterable[str]]


def read_spss(path: Path, leave_out: tuple[str, ...], encoding: str | None = None) -> Content:
    """An SPSS file (``.sav``, ``.zsav``), declared missing codes as they stand."""
    import pyreadstat

    frame, about = _read(pyreadstat.read_sav, path, "SPSS", encoding)
    labels = {
        name: {_code(code): str(text) for code, text in codes.items()}
        for name, codes in about.variable_value_labels.items()
    }
    texts = pd.DataFrame({name: _texts(frame[name]) for name in frame.columns})
    missing = {
        name: _declared(ranges, set(texts[name]) | set(labels.get(name, ())))
        for name, ranges in about.missing_ranges.items()
    }
    return _content(path, texts, about.column_names_to_labels, labels, missing, leave_out)


def read_stata(path: Path, leave_out: tuple[str, ...], encoding: str | None = None) -> Content:
    """A Stata file (``.dta``), extended missing values (``.a`` to ``.z``) as they stand."""
    import pyreadstat

    _check_whole_stata(path)
    frame, about = _read(pyreadstat.read_dta, path, "Stata", encoding)
    numeric = {name for name, kind in about.readstat_variable_types.items() if kind != "string"}
    labels = {
        name: {_extended(code) or _code(code): str(text) for code, text in codes.items()}
        for name, codes in about.variable_value_labels.items()
    }
    tagged = [name for name in about.missing_user_values if name in numeric]
    frame = frame.assign(**_with_tags(path, frame, tagged))
    texts = pd.DataFrame({name: _texts(frame[name]) for name in frame.columns})
    missing = {
        name: sorted(
            code
            for code in set(texts[name]) | set(labels.get(name, ()))
            if len(code) == 2 and _extended(code[1:]) == code
        )
        for name in numeric
    }
    return _content(path, texts, about.column_names_to_labels, labels, missing, leave_out)


def _read(
    reader: Callable[..., Any], path: Path, kind: str, encoding: str | None
) -> tuple[pd.DataFrame, Any]:
    import pyreadstat

    problem: Exception | None = None
    for tried in dict.fromkeys((encoding, "WINDOWS-1252")):
        try:
            # user_missing: else "never used" and "don't know" would be one blank
            frame, about = reader(str(path), user_missing=True, encoding=tried)
        except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, ValueError) as error:
            problem = problem or error
            if "encoding" in str(error) or "byte sequence" in str(error):
                continue
            break
        if not len(frame):
            raise ValueError(
                f"{path.name} must hold at least one answer; got none. Export it again once there "
                "are answers."
            )
        return frame, about
    reason = str(problem).strip(" .")
    raise ValueError(
        f"{path.name} must be a whole {kind} file; it is cut or of another kind ({reason}). "
        "Get it again."
    ) from problem


def _with_tags(path: Path, frame: pd.DataFrame, tagged: list[str]) -> dict[str, pd.Series]:
    """Columns that hold ``.a`` to ``.z``, those written so.

    pyreadstat 1.3.7 gives 0 for a plain ``.`` in whole-number columns that hold such values; a
    second reading, which merges all that is missing, tells which zeros these are.
    """
    import pyreadstat

    if not tagged:
        return {}
    merged, _ = pyreadstat.read_dta(str(path), usecols=tagged)
    columns = {}
    for name in tagged:
        tags = frame[name].map(_extended)
        plain = merged[name].isna() & (tags == "")
        columns[name] = frame[name].astype(object).where(tags == "", tags).mask(plain, np.nan)
    return columns


def _check_whole_stata(path: Path) -> None:
    with path.open("rb") as stream:
        beginning = stream.read(11)
        stream.seek(0, 2)
        stream.seek(max(0, stream.tell() - 40))
        end = stream.read()
    if beginning == b"<stata_dta>" and not end.rstrip(b"\x00\r\n").endswith(b"</stata_dta>"):
        raise ValueError(
            f"{path.name} must be a whole Stata file; it is cut, as its end is missing. "
            "Get it again."
        )


def _extended(value: Any) -> str:
    """``.a`` for the letter that stands for Stata's extended missing value; else ``""``."""
    letter = isinstance(value, str) and len(value) == 1 and "a" <= value <= "z"
    return f".{value}" if letter else ""


def _code(value: Any) -> str:
    return cell_text(float(value)) if isinstance(value, int | float) else str(value).strip()


def _texts(values: pd.Series) -> pd.Series:
    """Every distinct value as text, once; blank where it is missing."""
    distinct = values.dropna().unique()
    texts = {value: _text(value) for value in distinct}
    return values.map(texts).where(values.notna(), "").fillna("").astype("str")


def _text(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return cell_text(value.to_pydatetime())
    if isinstance(value, datetime.date | datetime.time | str):
        return cell_text(value)
    return cell_text(float(value))


def _declared(ranges: Iterable[Mapping[str, Any]], codes: set[str]) -> list[str]:
    """Codes within the declared missing values and ranges, as far as they occur or have labels."""
    found: dict[str, None] = {}
    for one in ranges:
        low, high = one["lo"], one["hi"]
        if isinstance(low, str) or low == high:
            found[_code(low)] = None
            continue
        within = [code for code in codes if _is_number(code) and low <= float(code) <= high]
        found.update(dict.fromkeys(sorted(within, key=float)))
    return [code for code in found if code]


def _is_number(code: str) -> bool:
    try:
        float(code)
    except ValueError:
        return False
    return True


def _content(
    path: Path,
    texts: pd.DataFrame,
    wordings: Mapping[str, str | None],
    labels: Mapping[str, Mapping[str, str]],
    missing: Mapping[str, Iterable[str]],
    leave_out: tuple[str, ...],
) -> Content:
    columns = {letters(name): name for name in texts.columns}
    from_platform = {"status", "finished", "responseid"} <= set(columns)
    questions = []
    for name in texts.columns:
        values = labels.get(name, {})
        role, note = OWN.get(letters(name), ("", "")) if from_platform else ("", "")
        questions.append(
            Question(
                name, name, " ".join((wordings.get(name) or "").split()), values=values,
                missing={c: declared_reason(c, values.get(c, "")) for c in missing.get(name, ())},
                role=role, note=note,
            )
        )  # fmt: skip
    if not from_platform:
        return Content(texts, questions)
    kinds = kinds_of_responses(texts, columns)
    texts, left_out, notes = without(texts, kinds, leave_out, path.name)
    return Content(texts, questions, left_out, notes, leave_out)
