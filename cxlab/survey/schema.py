"""The keys of a study file and what each may hold; msgspec checks them, one sentence explains."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from cxlab.core.characters import INVISIBLE, JOINERS, SPACE
from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.messages import did_you_mean, one_of
from cxlab.survey.definition import Format, KindOfResponse, Role, Tone
from cxlab.survey.scales import Reason

# the descriptions are the words of the errors
Text = Annotated[str, Meta(description="text")]
Visible = Annotated[
    str, Meta(pattern=f"[^{SPACE}{INVISIBLE}{JOINERS}]", description="text that can be seen")
]
Character = Annotated[
    str, Meta(pattern='^[^"\r\n]$', description='one character, such as ";", and no quote')
]
Flag = Annotated[bool, Meta(description="true or false")]
Whole = Annotated[int, Meta(description="a whole number")]
Number = Annotated[float, Meta(description="a number")]
Day = Annotated[str, Meta(pattern=r"^\d{4}(-\d\d){2}$", description='a date such as "2025-12-31"')]
Days = Annotated[
    float, Meta(gt=0, lt=1e6, description="a number of days over 0 and below a million")
]
WholeDays = Annotated[int, Meta(ge=1, description="a whole number of days, 1 or more")]
Share = Annotated[float, Meta(ge=0, lt=1, description="a share from 0 to below 1")]
GroupSize = Annotated[int, Meta(ge=1, description="a whole number of 1 or more (1 hides no group)")]
Texts = Annotated[tuple[str, ...], Meta(description="a list of texts in brackets")]
Bounds = Annotated[tuple[int, int], Meta(description="two whole numbers [low, high]")]
Figure = Annotated[bool | int | float, Meta(description="a number")]
Words = Annotated[dict[str, Visible | Figure], Meta(description="a table { key = text or number }")]
Targets = Annotated[dict[str, Number], Meta(description="a table { metric = number }")]
Margin = Annotated[float, Meta(gt=0, description="a number over 0")]
Margins = Annotated[dict[str, Margin], Meta(description="a table { metric = number over 0 }")]
Codes = Annotated[
    dict[str, tuple[str | int, ...]], Meta(description="a table { period = [codes] }")
]
Reasons = Annotated[dict[str, Reason], Meta(description="a table { code = reason }")]
Headers = Annotated[
    dict[str, Visible], Meta(description="a table { period = header }", min_length=1)
]
Files = Annotated[
    dict[str, Visible], Meta(description="a table { period = file } of one at least", min_length=1)
]


class Keys(Struct, forbid_unknown_fields=True):
    """Keys of one part of a study file; ``place`` names the part in a sentence."""

    place: ClassVar[str] = "the study file"


class AboutKeys(Keys):
    """``[study]``.

    Attributes
    ----------
    name : text
        Short name, used for the folders of reports.
    title : text
        Name in reports.
    source : text
        Who collected the answers, and how; stands in every report.
    licence : text
        Under which the answers may be used; stands in every report.
    simulated : flag
        Whether no real customers stand behind the answers; every report then says so.
    main : text
        The table that notebooks read. Left out: the first.
    min_group_size : number
        Figures about fewer people are hidden; 1 hides nothing.
    engine : text
        What reads the answers. Left out: the size of the files decides.
    observed_until : date
        Last day on which a customer's leaving would have been seen.
    inactive_after : number
        Days without a purchase after which a customer has left, where leaving has no date.
    answers_are : text
        Confidential answers are not linked to what customers did, and nobody is listed.
    """

    place = "[study]"
    name: Visible
    title: Visible
    source: Text = ""
    licence: Text = ""
    simulated: Flag = False
    main: Text | None = None
    min_group_size: GroupSize = MIN_GROUP_SIZE
    engine: Literal["pandas", "duckdb", "polars"] | None = None
    observed_until: Day | None = None
    inactive_after: WholeDays | None = None
    answers_are: Literal["identified", "confidential"] = "identified"


class ContactKeys(Keys):
    """``[contact_rules.NAME]``.

    Attributes
    ----------
    days : number
        How long after a transactional invitation a customer is not asked the relationship survey.
    exempt : share
        Of customers, drawn at random, to whom the rule does not apply.
    """

    place = "contact_rules.{}"
    days: Days
    exempt: Share = 0.0


class ScaleKeys(Keys):
    """``[scales.NAME]``.

    Attributes
    ----------
    range : bounds
        Lowest and highest score.
    bins : table
        Names of ranges of scores, which together hold every score once. ``nps`` needs
        ``promoters``, ``passives`` and ``detractors``; ``top box`` and ``net`` need ``top``;
        ``bottom box`` and ``net`` need ``bottom``.
    missing : table
        Codes that are no scores, each with its reason.
    labels : table
        The questionnaire's words for a score, and how files write it in words.
    metrics : texts
        Metrics to report.
    names : table
        What readers call a metric: ``"top box" = "Satisfied"``.
    confirm : text
        What is to be checked about a guess; nothing is read while one is left.
    """

    place = "scale '{}'"
    range: Bounds
    bins: Annotated[dict[str, Bounds], Meta(description="a table { bin = [low, high] }")] = {}
    missing: Reasons = {}
    labels: Words = {}
    metrics: Texts = ("mean",)
    names: Words = {}
    confirm: Text = ""


class ThemeKeys(Keys):
    """``[codebook.THEME]``.

    Attributes
    ----------
    label : text
        Name in reports. Left out: the name of the theme.
    words : texts
        Words and phrases that give the theme away, ``*`` standing for any ending.
    tone : text
        What such comments mean for the firm.
    codes : table
        Period to the codes that people gave such comments in it; waves differ in their codes.
    """

    place = "codebook.{}"
    label: Visible | None = None
    words: Texts = ()
    tone: Tone = "neutral"
    codes: Codes = {}


class OperationalKeys(Keys):
    """``[tables.NAME.operational.TOUCHPOINT]``.

    Attributes
    ----------
    column : text
        Column of the figure, such as minutes waited.
    better : text
        Which figures are better.
    target : number
        The mean figure wanted; a share from 0 to 1 where ``success`` is given.
    experience : text
        Rating that stands beside it.
    experience_target : number
        The mean rating wanted.
    success : text
        Where the figure is text: the value that counts as 1.
    unit : text
        Of the figure.
    """

    place = "operational.{}"
    column: Text
    better: Literal["lower", "higher"]
    target: Number
    experience: Text
    experience_target: Number
    success: Text | None = None
    unit: Text = ""


class ColumnKeys(Keys):
    """``[tables.NAME.columns.COLUMN]``.

    Attributes
    ----------
    role : text
        What the column is.
    column : text
        Header in the file, or a header per period where it changed; a period without one did
        not ask. Left out: the name of the column. Case, blanks at the ends and leading
        asterisks of headers do not matter.
    label : text
        Name in reports. Left out: the name of the column, in words.
    short : text
        Label where there is little room.
    stage : text
        Stage of the journey, of touchpoints.
    owner : text
        Who acts on a touchpoint.
    scale : text
        Name of the scale; ratings need one.
    values : table
        Code to label, of segments; a value that is not here is refused. Left out: as in the file.
    missing : table
        Codes that are no answers, each with its reason, besides those of the scale.
    blank : text
        Why an empty cell has no answer.
    format : text
        Of dates: strftime, such as ``%d/%m/%Y %H:%M``. Left out: ISO.
    decimal_comma : flag
        Of numbers: whether 36,6 stands for 36.6.
    metrics : texts
        Metrics to report. Left out: those of the scale.
    targets : table
        Metric to the value wanted.
    margins : table
        Metric to the smallest difference that matters. Left out: 3 points, 2 % of a scale.
    headline : flag
        Whether an outcome leads the reports. Where none does: the NPS, else the first outcome.
    spans_periods : flag
        Whether the same id in two periods is the same cluster, as of customers.
    persons : flag
        Whether each unit is one person; such units are in no report.
    shift : number
        Code in the file + shift = score, where a file stores 1 to 11 for 0 to 10.
    reverse : flag
        Whether the lowest code is the best answer; scores are then turned round.
    confirm : text
        What is to be checked about a guess; nothing is read while one is left.
    by_hand : flag
        Whether ``--confirm-all`` leaves the guess alone, because the file gives no evidence.
    """

    place = "column '{}'"
    role: Role
    column: Visible | Headers | None = None
    label: Visible | None = None
    short: Visible | None = None
    stage: Text = ""
    scale: Text | None = None
    values: Words = {}
    missing: Reasons = {}
    blank: Reason = "no answer"
    format: Text | None = None
    decimal_comma: Flag = False
    metrics: Texts | None = None
    targets: Targets = {}
    margins: Margins = {}
    headline: Flag = False
    owner: Text = ""
    spans_periods: Flag = False
    persons: Flag = False
    shift: Whole = 0
    reverse: Flag = False
    confirm: Text = ""
    by_hand: Flag = False


class TableKeys(Keys):
    """``[tables.NAME]``.

    Attributes
    ----------
    columns : tables
        What each column means; a header that is neither here nor under ``ignore`` is refused.
    file : text
        File of answers, seen from the study file; a folder or a name with ``*``: all such files.
    files : table
        Period to file, where each period has its own; instead of ``file``.
    beside : text
        File with more columns of the same rows, matched by the column of role ``id``: comments
        or who served a customer, as another system keeps them. What it lacks is blank.
    ignore : texts
        Headers to pass over, ``*`` standing for any characters.
    encoding : text
        Of text files.
    separator : text
        Of text files. Left out: it is found.
    format : text
        Platform or program that wrote the file. Left out: one header row.
    leave_out : texts
        Responses to leave out. Left out: previews.
    sheet : text
        Of a workbook.
    label : text
        Name in reports.
    operational : tables
        Figures of the operation, beside the ratings of the same touchpoint.
    touchpoint_column : text
        Column that says which touchpoint a row is about.
    confirm : text
        What is to be checked about a guess; nothing is read while one is left.
    """

    place = "table '{}'"
    columns: Annotated[
        dict[str, ColumnKeys],
        Meta(description="one [tables.TABLE.columns.COLUMN] at least", min_length=1),
    ]
    file: Visible | None = None
    files: Files | None = None
    beside: Visible | None = None
    ignore: Texts = ()
    encoding: Text = "utf-8"
    separator: Character | None = None
    format: Format | None = None
    leave_out: tuple[KindOfResponse, ...] | None = None
    sheet: Text | None = None
    label: Visible | None = None
    operational: dict[str, OperationalKeys] = {}
    touchpoint_column: Text | None = None
    confirm: Text = ""


class StudyKeys(Keys):
    """The whole file.

    Attributes
    ----------
    study : table
        About the study as a whole.
    tables : tables
        Tables of answers, invitations, customers, follow-ups.
    contact_rules : tables
        Rules of a programme that keep invited customers from the next invitation.
    scales : tables
        Scales that columns name.
    codebook : tables
        Themes that comments may be about.
    """

    study: AboutKeys
    tables: Annotated[
        dict[str, TableKeys], Meta(description="one [tables.TABLE] at least", min_length=1)
    ]
    contact_rules: dict[str, ContactKeys] = {}
    scales: dict[str, ScaleKeys] = {}
    codebook: dict[str, ThemeKeys] = {}


def checked_keys(content: Mapping[str, Any]) -> StudyKeys:
    """The content of a study file as its keys, each of the right type and range.

    Examples
    --------
    >>> checked_keys({"study": {"name": "x", "titel": "X"}})
    Traceback (most recent call last):
    ...
    ValueError: [study] may have 'name', 'title', ...; got 'titel'. Did you mean 'title'?
    """
    try:
        return msgspec.convert(content, StudyKeys)
    except msgspec.ValidationError as error:
        raise ValueError(_wrong_part(StudyKeys, content, StudyKeys.place)) from error


def _wrong_part(keys: type[Keys], raw: Any, place: str) -> str:
    """What is wrong in one part: a key that is unknown, one that is lacking, or a value."""
    if not isinstance(raw, Mapping):
        return f"{place} must be a table of keys; got {raw!r}."
    fields = {field.name: field for field in msgspec.structs.fields(keys)}
    for key in raw:
        if key not in fields:
            return f"{place} may have {one_of(fields)}; got '{key}'.{did_you_mean(key, fields)}"
    for key, field in fields.items():
        if key in raw and not _fits(raw[key], field.type):
            return _wrong_value(key, raw[key], field.type, place)
    lacking = next(field for field in fields.values() if field.required and field.name not in raw)
    return f"`{lacking.name}` of {place} must be {_in_words(lacking.type)}; got none."


def _wrong_value(key: str, value: Any, kind: Any, place: str) -> str:
    """What is wrong about the value of a key, or about one of the values in it."""
    if isinstance(kind, type) and issubclass(kind, Keys):
        return _wrong_part(kind, value, kind.place.format(key.partition(".")[2]))
    for bare in _alternatives(kind):
        items = get_args(bare)
        if isinstance(value, Mapping) and get_origin(bare) is dict:
            for name, one in value.items():
                if not _fits(one, items[1]):
                    return _wrong_value(f"{key}.{name}", one, items[1], place)
        if isinstance(value, list) and get_origin(bare) is tuple and Ellipsis in items:
            value = next(one for one in value if not _fits(one, items[0]))
    near = did_you_mean(value, _choices(kind))
    return f"`{key}` of {place} must be {_in_words(kind)}; got {value!r}.{near}"


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _alternatives(kind: Any) -> Iterator[Any]:
    """The types of a union, without their descriptions."""
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if get_origin(bare) in (Union, types.UnionType):
        for one in get_args(bare):
            yield from _alternatives(one)
    else:
        yield bare


def _choices(kind: Any) -> list[str]:
    """The texts that a key, or each item of its list, must be one of; empty where it may be any."""
    found: list[str] = []
    for bare in _alternatives(kind):
        if get_origin(bare) is Literal:
            found += get_args(bare)
        elif get_origin(bare) is tuple:
            found += _choices(get_args(bare)[0])
    return found


def _in_words(kind: Any) -> str:
    """What a key may hold: the description of its type, or its choices."""
    if get_origin(kind) is Annotated:
        return str(get_args(kind)[1].description)
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(_in_words(one) for one in get_args(kind) if one is not type(None))
    if get_origin(kind) is tuple:
        return f"a list of {one_of(_choices(kind))}"
    return one_of(_choices(kind)) if _choices(kind) else "a table { key = value }"
