"""Raw cells of any type as the text that a study file speaks of, and the dates in them."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterator

import numpy as np
import pandas as pd
import pyarrow as pa

from cxlab.core.characters import visible_text

#: A number as most of Europe writes it: 36,6 or 1.234,5.
DECIMAL_COMMA = re.compile(
    r"(?P<sign>-?)(?P<whole>[0-9]{1,3}(?:[. '’][0-9]{3})+|[0-9]+)(?:,(?P<part>[0-9]+))?"
)
_DIGITS_APART = re.compile(r"[0-9][.,][0-9]")
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]"
#: Whole days, with or without a time: 2025 or 2025-07 alone is none.
ISO_DATE = (
    f"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}([ T]{_TIME}(:[0-5][0-9](\\.[0-9]{{1,9}})?)?"
    "( ?(Z|[+-][0-9]{2}(:?[0-9]{2})?))?)?"
)
#: Where a day of the month and a month may be exchanged, American dates come first.
_DAYS = (
    *("%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%Y", "%d.%m.%y", "%d-%m-%Y"),
    *("%m-%d-%Y", "%d-%m-%y", "%m-%d-%y", "%Y/%m/%d", "%Y.%m.%d", "%Y-%m-%d", "%d %b %Y"),
    *("%d-%b-%Y", "%d-%b-%y", "%d %b %y", "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%d. %B %Y"),
    *("%B %d, %Y", "%B %d %Y", "%a, %d %b %Y", "%a %b %d %Y", "%a, %b %d, %Y", "%A, %B %d, %Y"),
)
_TIMES = (
    *("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I:%M:%S%p"),
)
_CLOCK = re.compile(r"(?P<joint>,? at |, | |T)(?P<time>\d{1,2}:\d\d\b.*)$")
#: Hours ahead of UTC of zones that are known by one meaning (those of the United States as in
#: RFC 2822); IST, say, may be India, Israel or Ireland.
_ZONES = {
    **dict.fromkeys(("Z", "UTC", "GMT", "WET", "WEZ"), 0), "BST": 1, "WEST": 1, "CET": 1, "MEZ": 1,
    "CEST": 2, "MESZ": 2, "EET": 2, "OEZ": 2, "EEST": 3, "OESZ": 3, "MSK": 3, "SGT": 8, "HKT": 8,
    "JST": 9, "KST": 9, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13, "EST": -5, "EDT": -4,
    "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8,
    "HST": -10,
}  # fmt: skip
_OFFSET = r"(?:UTC|GMT)?\s?(?P<sign>[+-])(?P<hours>\d{1,2}):?(?P<minutes>\d\d)?"
#: AM and PM, also written a.m. and p. m., and as forms in German, Korean, Japanese and Chinese do.
_HALF_OF_DAY = re.compile(
    r"\b(?:(?P<am>a\.?\s?m|vorm|오전|午前|上午)|(?:p\.?\s?m|nachm|오후|午後|下午))\b\.?",
    re.IGNORECASE,
)
_ZONE = re.compile(
    rf"(?<=[\d\smM.])\(?(?:{_OFFSET}|(?P<name>{'|'.join(_ZONES)}))\)?(?: \([\w ]+\))?$"
)


def text_cells(frame: pd.DataFrame) -> pa.Table:
    """A typed frame as a text file of it would read: every cell text, ``""`` for nothing."""
    columns = []
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        if column.dtype.kind == "O":  # of any mixture
            columns.append(pa.array([cell_text(value) for value in column], pa.string()))
        else:
            columns.append(pa.chunked_array([pa.array(column)]))
    return as_text(pa.table(columns, names=[str(name) for name in frame.columns]))


def as_text(cells: pa.Table) -> pa.Table:
    """Cells of any types as the text of a file."""
    columns = []
    for column in cells.columns:
        numbers, texts = distinct_texts(column)
        columns.append(texts.take(pa.array(numbers)))
    return pa.table(columns, names=cells.column_names)


def distinct_texts(cells: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """Which of a column's distinct texts each row has, and those texts; ``""`` for nothing."""
    if pa.types.is_null(cells.type):
        return np.zeros(len(cells), dtype="int32"), pa.array([""])
    if pa.types.is_nested(cells.type):
        return np.arange(len(cells)), pa.array([cell_text(str(one)) for one in cells.to_pylist()])
    encoded = _encodable(cells).dictionary_encode()
    distinct = encoded.dictionary
    if pa.types.is_string(distinct.type):
        texts = distinct
    else:
        texts = pa.array(_texts(distinct), pa.string())
    if not encoded.null_count:
        return encoded.indices.to_numpy(), texts
    numbers = encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    return numbers, pa.concat_arrays([texts, pa.array([""])])


def _encodable(cells: pa.ChunkedArray) -> pa.Array:
    """The cells in one piece, of a type whose distinct values Arrow finds."""
    kind = cells.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    text = pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    kind = pa.string() if text else pa.float32() if pa.types.is_float16(kind) else kind
    cells = cells if kind == cells.type else cells.cast(kind)
    return cells.combine_chunks() if cells.num_chunks != 1 else cells.chunk(0)


def _texts(distinct: pa.Array) -> list[str]:
    if not pa.types.is_timestamp(distinct.type):
        return [cell_text(value) for value in distinct.to_pylist()]
    values = list(distinct.to_pandas())
    # in summer and winter a zone's offsets differ, which text could not tell from two zones
    if distinct.type.tz and len({value.utcoffset() for value in values}) > 1:
        values = [value.tz_convert("UTC") for value in values]
    return [cell_text(value) for value in values]


def cell_text(value: object) -> str:
    """One raw value as the text of a file; ``""`` for nothing."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    return str(value)


def with_point(text: str) -> str:
    """A number written with a decimal comma as one with a point; any other text as it is.

    Examples
    --------
    >>> with_point("36,6"), with_point("-1.234,5"), with_point("8,0"), with_point("1 200")
    ('36.6', '-1234.5', '8.0', '1200')
    >>> with_point("k. A."), with_point("1,2,3")
    ('k. A.', '1,2,3')
    """
    found = DECIMAL_COMMA.fullmatch(visible_text(text))
    if found is None:
        return text
    whole = "".join(filter(str.isdigit, found["whole"]))
    return f"{found['sign']}{whole}" + (f".{found['part']}" if found["part"] else "")


def has_decimal_commas(texts: Collection[str]) -> bool:
    """Whether the numbers of a column are written with a decimal comma, and none otherwise.

    A comma before three digits may stand for thousands, and cells such as ``1,3`` for two
    choices.

    Examples
    --------
    >>> has_decimal_commas(["36,6", "7", "k. A."]), has_decimal_commas(["1,200", "3,400"])
    (True, False)
    >>> has_decimal_commas(["1,3", "2", "2,4"]), has_decimal_commas(["36,6", "12.5"])
    (False, False)
    """
    found = [DECIMAL_COMMA.fullmatch(visible_text(text)) for text in texts]
    with_comma = [one for one in found if one and one["part"]]
    rest = [text for text, one in zip(texts, found, strict=True) if one is None]
    if any(_DIGITS_APART.search(text) for text in rest):
        return False
    told = any(len(one["part"]) != 3 or not one["whole"].isdigit() for one in with_comma)
    choices = all(
        one["whole"].isdigit() and 0 < int(one["whole"]) < int(one["part"]) for one in with_comma
    )
    return told and not choices


def read_dates(texts: pd.Series, form: str | None = None) -> pd.Series:
    """Texts as times, NaT where they are not of the form; without one, of ISO's whole days.

    ``%y`` reads years of four digits, too. ``%Z`` at the end stands for a zone such as ``UTC``,
    ``EST``, ``GMT+1`` or ``+01:00``; times of several offsets, as in summer and winter, are in UTC.

    Examples
    --------
    >>> read_dates(pd.Series(["2025-07-31", "2025-07"])).notna().tolist()
    [True, False]
    >>> read_dates(pd.Series(["1/9/21", "25/12/2021"]), "%d/%m/%y").dt.month.tolist()
    [9, 12]
    >>> print(read_dates(pd.Series(["2025/10/01 1:00 PM GMT+1"]), "%Y/%m/%d %I:%M %p %Z")[0])
    2025-10-01 13:00:00+01:00
    """
    if form is None:
        texts = texts.where(texts.str.fullmatch(ISO_DATE).eq(True))
        return pd.to_datetime(texts, format="ISO8601", errors="coerce")
    if form.endswith("%Z"):
        return _read_zoned(texts, form.removesuffix("%Z").rstrip())
    return _read_plain(texts, form)


def _read_plain(texts: pd.Series, form: str) -> pd.Series:
    if "%p" in form:
        texts = texts.str.replace(_HALF_OF_DAY, _am_or_pm, regex=True)
    dates = pd.to_datetime(texts, format=form, errors="coerce")
    if "%y" not in form:
        return dates
    return dates.fillna(pd.to_datetime(texts, format=form.replace("%y", "%Y"), errors="coerce"))


def _am_or_pm(half: re.Match[str]) -> str:
    return "AM" if half["am"] else "PM"


def _read_zoned(texts: pd.Series, form: str) -> pd.Series:
    parts = [_split_zone(text) if isinstance(text, str) else ("", None) for text in texts]
    ahead = pd.Series([minutes for _, minutes in parts], index=texts.index, dtype="float64")
    there = pd.Series([text for text, _ in parts], index=texts.index, dtype="str")
    times = _read_plain(there, form).where(ahead.notna()) - pd.to_timedelta(ahead, unit="min")
    offsets = ahead.dropna().unique()
    zone = datetime.timezone(datetime.timedelta(minutes=offsets[0] if len(offsets) == 1 else 0))
    return times.dt.tz_localize("UTC").dt.tz_convert(zone)


def _split_zone(text: str) -> tuple[str, float | None]:
    """A text without its zone, and the zone's minutes ahead of UTC.

    Examples
    --------
    >>> _split_zone("1:00 PM GMT+1"), _split_zone("13:00 EST"), _split_zone("1:00 PM")
    (('1:00 PM', 60.0), ('13:00', -300.0), ('1:00 PM', None))
    """
    zone = _ZONE.search(text)
    if zone is None or ":" not in text[: zone.start()]:  # 12-25-2025 has none
        return text, None
    if zone["name"]:
        ahead = _ZONES[zone["name"]] * 60.0
    else:
        ahead = float(f"{zone['sign']}1") * (int(zone["hours"]) * 60 + int(zone["minutes"] or 0))
    return text[: zone.start()].rstrip(), ahead


def is_date(text: str) -> bool:
    """Whether one text is a date in some form.

    Examples
    --------
    >>> is_date("2025-10-01T13:00:05Z"), is_date("Oct 1, 2025"), is_date("1 to 5")
    (True, True, False)
    """
    return bool(re.fullmatch(ISO_DATE, text)) or any(True for _ in _forms_of(_split_zone(text)[0]))


def possible_forms(texts: pd.Series) -> list[str]:
    """Formats that read every one of some texts; more than one where day and month may change.

    Examples
    --------
    >>> possible_forms(pd.Series(["Oct 1, 2025 1:00 PM"]))
    ['%b %d, %Y %I:%M %p']
    >>> possible_forms(pd.Series(["1/9/21", "3/4/21"]))
    ['%m/%d/%y', '%d/%m/%y']
    >>> possible_forms(pd.Series(["1/9/21", "25/12/2021"]))
    ['%d/%m/%y']
    """
    first, zone = _split_zone(str(texts.iloc[0]))
    found: list[str] = []
    for form in _forms_of(first):
        whole = form if zone is None else f"{form} %Z"
        as_found = any(whole.replace(*pair) in found for pair in (("%y", "%Y"), ("%B", "%b")))
        if not as_found and read_dates(texts, whole).notna().all():
            found.append(whole)
    return found


def _forms_of(text: str) -> Iterator[str]:
    """Formats of one text: of its day, and of the time behind it."""
    clock = _CLOCK.search(text)
    days = [form for form in _DAYS if _fits(text[: clock.start()] if clock else text, form)]
    times = [form for form in _TIMES if _fits(clock["time"], form)] if clock else [""]
    joint = clock["joint"] if clock else ""
    yield from (f"{day}{joint}{time}" for day in days for time in times)


def _fits(text: str, form: str) -> bool:
    """Whether one text is of a form."""
    try:
        datetime.datetime.strptime(_HALF_OF_DAY.sub(_am_or_pm, text), form)
    except ValueError:
        return "%y" in form and _fits(text, form.replace("%y", "%Y"))
    return True


def no_date(form: str | None) -> str:
    """Why a text is refused as a date: what is allowed, ``|``, and what to do."""
    wanted = f"dates of the form '{form}'" if form else "ISO dates (2025-12-31)"
    return f"values must be {wanted}|Declare the column's `format` (strftime) in the study file."
