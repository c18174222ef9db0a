"""The contract of the files: a study's tables, their columns and types, contact rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cxlab.core.frames import column_names, scan
from cxlab.core.messages import got, nearest, one_of, refuse
from cxlab.core.metric import MARGIN
from cxlab.survey.definition import Table
from cxlab.survey.study import Study

SURVEY_TYPES = ("transactional", "relationship")
#: In this order, so that a code of INVITED or more is an invitation that went out.
STATUSES = ("not_sampled", "suppressed", "invited", "bounced", "answered")
NOT_SAMPLED, SUPPRESSED, INVITED, BOUNCED, ANSWERED = range(5)
#: Text that repeats is held as codes: a tenth of the memory, and compared as numbers.
LABELS = ("survey_type", "customer", "period", "touchpoint", "contact_channel", "status", "rule")
IDS = ("response_id", "episode_id")
#: Begins the names of columns by which the gap is standardised.
SEGMENT = "segment "
#: Names of a study's tables that make up the contract; the first two are needed.
TABLES = (*SURVEY_TYPES, "invitations", "customers")
#: What a customer is called, unless the caller says otherwise.
CUSTOMER = "customer_id"
SCORE = "recommend"
_TEXT = pd.StringDtype(na_value=np.nan)


@dataclass(frozen=True)
class ContactRule:
    """No invitation for ``days`` after a transactional one; None: how it works is not known.

    ``exempt`` is the share of customers whom the rule passes over at random.
    """

    name: str
    days: float | None = None
    exempt: float = 0.0

    def __post_init__(self) -> None:
        if self.days is not None and not 0 <= float(self.days) < float("inf"):
            raise ValueError(f"`days` of rule '{self.name}' must be 0 or more; got {self.days}.")
        if not 0 <= self.exempt < 1:
            raise ValueError(
                f"`exempt` of rule '{self.name}' must be from 0 to below 1; got {self.exempt}."
            )

    def __str__(self) -> str:
        if self.days is None:
            return f"{self.name}: how it works is not known"
        unit = "day" if self.days == 1 else "days"
        return f"{self.name}: {self.days:g} {unit}, {100 * self.exempt:.3g} % exempt"


Rules = Mapping[str, float | Sequence[float] | None] | None


def declared_rules(rules: Rules, found: Sequence[str]) -> dict[str, ContactRule]:
    """Declared rules by name, with an unknown rule for every name that was not declared."""
    declared = _declared(rules)
    stray = [name for name in declared if name not in found]
    if stray:
        near = nearest(stray[0], found)
        hint = f"Did you mean '{near}'?" if near else f"The invitations have {one_of(found)}."
        raise ValueError(
            f"`contact_rules` must be rules of the invitations; got {got(stray)}. {hint}"
        )
    return {name: declared.get(name, ContactRule(name)) for name in found}


def rules_in_words(rules: Rules) -> str:
    """Contact rules in a reader's words; ``none`` without any.

    >>> rules_in_words({"quarantine": (90, 0.1), "opted out": None})
    'quarantine: 90 days, 10 % exempt; opted out: how it works is not known'
    """
    return "; ".join(str(rule) for rule in _declared(rules).values()) or "none"


def _declared(rules: Rules) -> dict[str, ContactRule]:
    return {str(name): _rule(str(name), value) for name, value in (rules or {}).items()}


def _rule(name: str, value: float | Sequence[float] | None) -> ContactRule:
    if value is None or isinstance(value, int | float):
        return ContactRule(name, value)
    if isinstance(value, str) or len(value) != 2:
        raise TypeError(
            f"`contact_rules` must give days, (days, exempt share) or None; got {value} for "
            f"'{name}'. Write {{'{name}': 90}} or {{'{name}': (90, 0.1)}}."
        )
    return ContactRule(name, value[0], float(value[1]))


def read_frame(data: Any, names: Mapping[str, str], optional: Sequence[str] = ()) -> pd.DataFrame:
    """Columns of a file under their names in the contract: the one place that reads it.

    Labels (`LABELS`) become categorical, ids (`IDS`) text; ``optional`` columns that the file
    does not have are missing on every row. A whole number that serves as an id is the same text
    in every file.
    """
    there = column_names(data)
    wanted = {**names, **{name: name for name in optional if name in there}}
    table = scan(data, list(wanted.values())).collect("pyarrow").to_native()
    read = {}
    for name, column in wanted.items():
        values = table.column(column)
        if name in LABELS or name.startswith(SEGMENT):
            read[name] = _categorical(values)
        elif name in IDS:
            read[name] = pd.Series(as_text(values).to_pandas(types_mapper=lambda _: _TEXT))
        else:
            read[name] = values.to_pandas()
    frame = pd.DataFrame(read)
    for name in optional:
        if name not in frame:
            frame[name] = _absent(name, frame.index)
    return frame


def _absent(name: str, rows: pd.Index) -> Any:
    """A column that the file does not have."""
    if name in LABELS:
        return pd.Categorical.from_codes(np.full(len(rows), -1), pd.Index([], dtype="str"))
    return pd.Series(None, rows, "str") if name in IDS else np.nan


def as_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text of a column: whole numbers without a point, whatever their type."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_floating(values.type) and pc.all(pc.equal(values, pc.floor(values))).as_py():
        values = values.cast(pa.int64())
    return values.cast(pa.string())


def _categorical(values: pa.ChunkedArray) -> pd.Categorical:
    encoded = as_text(values).combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return pd.Categorical.from_codes(codes, pd.Index(encoded.dictionary.to_pandas(), dtype="str"))


def labelled(values: pd.Series, wanted: Mapping[str, Any], otherwise: Any) -> np.ndarray:
    """What a mapping says of each row's label."""
    found = [wanted.get(str(label), otherwise) for label in values.cat.categories]
    return np.array([*found, otherwise])[values.cat.codes.to_numpy()]


def match_ids(values: pd.Series, among: pd.Series) -> np.ndarray:
    """Position of each id among others; −1 where it isn't there."""
    found = pc.index_in(pa.array(values), value_set=pa.array(among))
    return found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)


def check_survey_type(values: pd.Series, allowed: Sequence[str], where: str) -> None:
    """Refuse answers whose survey is not declared."""
    bad = values[~values.isin(list(allowed))]
    if len(bad):
        first = "nothing" if pd.isna(bad.iloc[0]) else f"'{bad.iloc[0]}'"
        more = f" (and {len(bad) - 1:,} more)" if len(bad) > 1 else ""
        raise ValueError(
            f"`survey_type` of the {where} must be {one_of(allowed)} in every row; got {first}{more}. "
            "Declare which survey each answer belongs to; it is never guessed."
        )


def check_unique(ids: pd.Series, column: str, where: str) -> None:
    """Refuse missing and repeated ids."""
    if missing := int(ids.isna().sum()):
        raise ValueError(
            f"`{column}` of the {where} must be given in every row; {missing:,} have none. "
            "Fill them in."
        )
    rest = " more than once. Remove the repeated rows."
    refuse(ids[ids.duplicated()], f"`{column}` of the {where} must be unique", rest)


def days(values: pd.Series, column: str, where: str) -> np.ndarray:
    """Moments as days since 1970; NaN where there is none."""
    if values.isna().all():
        return np.full(len(values), np.nan)
    if pd.api.types.is_numeric_dtype(values):
        raise TypeError(
            f"`{column}` of the {where} must be dates; got {values.dropna().iloc[0]}. "
            "Give ISO dates such as 2025-03-31 or 2025-03-31T14:05."
        )
    parsed = pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")
    bad, rest = values[parsed.isna() & values.notna()], ". Write 2025-03-31 or 2025-03-31T14:05."
    refuse(bad, f"`{column}` of the {where} must be ISO dates", rest)
    nanoseconds = parsed.dt.as_unit("ns").astype("int64").to_numpy(dtype=float)
    return np.where(parsed.isna(), np.nan, nanoseconds / (86_400 * 1e9))


def numbers(values: pd.Series, column: str, where: str) -> np.ndarray:
    """Numbers as floats; NaN where there is none."""
    if values.isna().all():
        return np.full(len(values), np.nan)
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        first = got([str(values.dropna().iloc[0])])
        raise TypeError(f"`{column}` of the {where} must be numbers; got {first}.")
    return values.to_numpy(dtype=float, na_value=np.nan)


def positions(values: pd.Series, ids: pd.Index, column: str, where: str) -> np.ndarray:
    """Position of each row's customer in the frame."""
    codes = values.cat.codes.to_numpy()
    if missing := int((codes < 0).sum()):
        raise ValueError(
            f"`{column}` of the {where} must be given in every row; {missing:,} have none. "
            "Without a customer an answer cannot be compared."
        )
    if not len(codes):
        return np.empty(0, dtype=np.int64)
    found = ids.get_indexer(values.cat.categories)[codes]
    rest = " that are not. Give the frame of all customers who could be asked."
    refuse(values[found < 0], f"`{column}` of the {where} must be among the customers", rest)
    return found


def programme_tables(study: Study, *, where: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Arguments of `cxlab.compare_tnps_rnps` from a study's tables.

    Parameters
    ----------
    study : Study
        With tables named ``transactional`` and ``relationship``, and if there
        ``invitations`` and ``customers``; all with the columns of the contract. Answers may
        have other names where the study file tells by role which is which.
    where : mapping, optional
        Column of the customers table to the value(s) wanted: the comparison is then of
        these customers, in all tables.

    Returns
    -------
    dict
        ``transactional``, ``relationship``, ``invitations``, ``customers``, ``traits`` (the
        customers' segments), ``segments`` (those and the relationship survey's), ``weights``
        (of each survey that declares them), ``margin`` (of the relationship survey's NPS),
        ``labels`` (of its columns),
        ``contact_rules`` (as the study declares them;
        of chosen customers, those that stopped any of them) and ``customer`` (None where
        the answers to a survey don't name their customer; without it invitations and
        customers are no use, and left out).

    Raises
    ------
    ValueError
        When the study lacks one of the two surveys, or ``where`` is given without a table
        of customers.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> tables = programme_tables(load_study("demo"))
    >>> tables["traits"], tables["contact_rules"]
    (['segment', 'home_region'], {'relationship quarantine': (60.0, 0.1)})
    >>> tables["weights"]
    {'transactional': 'weight', 'relationship': 'weight'}
    """
    there = study.definition.tables
    lacking = [name for name in TABLES[:2] if name not in there]
    if lacking:
        raise ValueError(
            f"`study` must have tables named {one_of(TABLES[:2])}; got no '{lacking[0]}' in "
            f"'{study.name}'. tNPS and rNPS are compared from both surveys."
        )
    frames: dict[str, Any] = {
        name: study.read(name, engine="pandas") if name in there else None for name in TABLES
    }
    rules: dict[str, Any] | None = dict(study.definition.contact_rules)
    if where:
        everybody, frames = frames, _of_customers(study, frames, where)
        rules = _rules_met(rules or {}, everybody["invitations"], frames["invitations"])
    for name in TABLES[:2]:
        frames[name] = frames[name].rename(columns=_contract_names(there[name], frames[name]))
    named = all(CUSTOMER in frames[name] for name in TABLES[:2])
    if not named:
        frames |= dict.fromkeys(TABLES[2:])
    customers = there.get("customers") if named else None
    traits = [column.name for column in customers.with_role("segment")] if customers else None
    declared = {name: there[name].only("weight") for name in TABLES[:2]}
    weights = {name: column.name for name, column in declared.items() if column is not None}
    return {
        **frames,
        "customer": CUSTOMER if named else None,
        "traits": traits,
        "segments": _segments(there["relationship"], traits or []),
        "weights": weights or None,
        "margin": _margin(there["relationship"]),
        "labels": {**there["transactional"].labels, **there["relationship"].labels},
        "contact_rules": rules if named and rules else None,
    }


def _margin(relationship: Table) -> float:
    """The smallest difference of the relationship survey's NPS that matters."""
    metrics = [m for one in relationship.with_role("outcome") for m in one.all_metrics()]
    return next((metric.margin for metric in metrics if metric.name == "nps"), MARGIN)


def _segments(relationship: Table, traits: Sequence[str]) -> list[str]:
    """Segments by which the gap may be decomposed: not what belongs to an episode."""
    of_episodes = {"touchpoint", "contact_channel"}
    own = [column.name for column in relationship.with_role("segment")]
    return [name for name in dict.fromkeys([*traits, *own]) if name not in of_episodes]


def _contract_names(table: Table, frame: Any) -> dict[str, str]:
    """Columns whose role says what they are, to their names in the contract."""
    dates = table.with_role("date")
    advocacy = [
        column
        for column in table.with_role("outcome")
        if any(metric.name == "nps" for metric in column.all_metrics())
    ]
    by_role = {
        "response_id": [c for c in [table.only("id")] if c],
        CUSTOMER: [c for c in [table.customer] if c],
        "period": [c for c in [table.only("period")] if c],
        SCORE: advocacy,
        "responded_at": dates if len(dates) == 1 else [],
    }
    found = {
        columns[0].name: str(name)
        for name, columns in by_role.items()
        if columns and name not in frame and columns[0].name in frame
    }
    touchpoint = table.touchpoint_column
    if touchpoint and "touchpoint" not in frame:
        found[touchpoint] = "touchpoint"
    return found


def _of_customers(
    study: Study, frames: Mapping[str, Any], where: Mapping[str, Any]
) -> dict[str, Any]:
    table = study.definition.tables.get("customers")
    key = table.only("id") if table else None
    if key is None:
        raise ValueError(
            f"`where` must be left out for '{study.name}', which has no table of customers with "
            "an id. Choose customers there, so that both surveys are of the same ones."
        )
    chosen = study.read("customers", where=where, engine="pandas")
    theirs = {
        name: frame[frame[key.name].isin(chosen[key.name])].reset_index(drop=True)
        for name, frame in frames.items()
        if frame is not None
    }
    return {**frames, **theirs, "customers": chosen}


def _rules_met(rules: Mapping[str, Any], everybody: Any, chosen: Any) -> dict[str, Any]:
    """Rules without those that stopped somebody, but none of the chosen customers.

    A rule that stopped nobody at all stays: its name may be misspelt, and the comparison
    then says so.
    """
    if everybody is None or "rule" not in everybody:
        return dict(rules)
    of_all, of_chosen = (set(frame["rule"].dropna().astype("str")) for frame in (everybody, chosen))
    return {name: rule for name, rule in rules.items() if name in of_chosen or name not in of_all}
