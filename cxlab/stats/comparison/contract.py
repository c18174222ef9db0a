"""The contract of the files: names and types of their columns, and contact rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cxlab.core.frames import column_names, scan
from cxlab.core.messages import got, nearest, one_of

SURVEY_TYPES = ("transactional", "relationship")
#: In this order, so that a code of INVITED or more is an invitation that went out.
STATUSES = ("not_sampled", "suppressed", "invited", "bounced", "answered")
NOT_SAMPLED, SUPPRESSED, INVITED, BOUNCED, ANSWERED = range(5)
#: Text that repeats is held as codes: a tenth of the memory, and compared as numbers.
LABELS = ("survey_type", "customer", "period", "touchpoint", "contact_channel", "status", "rule")
IDS = ("response", "episode")
#: Begins the names of columns by which the gap is standardised.
SEGMENT = "segment "
_TEXT = pd.StringDtype(na_value=np.nan)


@dataclass(frozen=True)
class Columns:
    """What each column of the contract is called in the files.

    Parameters
    ----------
    customer : str or None
        Customer; None: the answers do not name one.
    score : str
        Likelihood to recommend, 0 to 10, in both surveys.
    response, survey_type, period, episode, touchpoint, contact_channel : str
        Identifiers and labels; a missing ``survey_type`` column is allowed, because the
        argument that a file comes in declares it.
    triggered_at, invited_at, responded_at : str
        When the episode ended (in the invitations: when the customer became eligible),
        when the invitation went out, when the answer came.
    weights : str, mapping of str to str, or None
        The surveys' own weights: one column, or survey to column.
    status, rule, probability : str
        Of the invitations.
    """

    customer: str | None = "customer_id"
    score: str = "recommend"
    weights: str | Mapping[str, str] | None = None
    response: str = "response_id"
    survey_type: str = "survey_type"
    period: str = "period"
    episode: str = "episode_id"
    touchpoint: str = "touchpoint"
    contact_channel: str = "contact_channel"
    triggered_at: str = "triggered_at"
    invited_at: str = "invited_at"
    responded_at: str = "responded_at"
    status: str = "status"
    rule: str = "rule"
    probability: str = "probability"

    def weights_of(self, survey: str) -> str | None:
        """Column of a survey's weights; None if it has none."""
        if self.weights is None or isinstance(self.weights, str):
            return self.weights
        return self.weights.get(survey)

    def renamed(self, names: Mapping[str, str]) -> Columns:
        """The same with some names changed.

        Raises
        ------
        ValueError
            For a name that the contract does not have.
        """
        known = [field.name for field in fields(self)]
        for name in names:
            if name not in known:
                near = nearest(name, known)
                hint = f" Did you mean '{near}'?" if near else ""
                raise ValueError(f"`columns` must name {one_of(known)}; got '{name}'.{hint}")
        return replace(self, **names)


@dataclass(frozen=True)
class ContactRule:
    """A contact rule: no invitation within some days after a transactional invitation.

    Parameters
    ----------
    name : str
        As it stands in the ``rule`` column of the invitations.
    days : float or None
        Days after a transactional invitation. None: how the rule works is not known, so
        nothing can be corrected for it.
    exempt : float
        Share of customers, 0 to below 1, whom the rule passes over at random.
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
    """Declared rules by name, with an unknown rule for every name that was not declared.

    Parameters
    ----------
    rules : mapping, optional
        Name to days, to (days, exempt), or to None.
    found : sequence of str
        Names of the rules in the invitations.

    Raises
    ------
    ValueError
        For a rule that the invitations do not have.

    Examples
    --------
    >>> rules = declared_rules({"quarantine": (90, 0.1)}, ["quarantine", "opted out"])
    >>> rules["quarantine"].exempt, rules["opted out"].days
    (0.1, None)
    """
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

    Examples
    --------
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


def read_frame(
    data: Any, names: Mapping[str, str], optional: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Columns of a file under their names in the contract: the one place that reads it.

    Labels (`LABELS`) become categorical, ids (`IDS`) text; ``optional`` columns that the file
    does not have are missing on every row. A whole number that serves as an id is the same text
    in every file.
    """
    there = column_names(data)
    known = {name: column for name, column in (optional or {}).items() if column in there}
    table = scan(data, [*names.values(), *known.values()]).collect("pyarrow").to_native()
    read = {}
    for name, column in {**names, **known}.items():
        values = table.column(column)
        if name in LABELS or name.startswith(SEGMENT):
            read[name] = _categorical(values)
        elif name in IDS:
            read[name] = pd.Series(as_text(values).to_pandas(types_mapper=lambda _: _TEXT))
        else:
            read[name] = values.to_pandas()
    frame = pd.DataFrame(read)
    for name in optional or {}:
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


def check_survey_type(values: pd.Series, column: str, allowed: Sequence[str], where: str) -> None:
    """Refuse answers whose survey is not declared."""
    bad = values[~values.isin(list(allowed))]
    if len(bad):
        first = "nothing" if pd.isna(bad.iloc[0]) else f"'{bad.iloc[0]}'"
        more = f" (and {len(bad) - 1:,} more)" if len(bad) > 1 else ""
        raise ValueError(
            f"`{column}` of the {where} must be {one_of(allowed)} in every row; got {first}{more}. "
            "Declare which survey each answer belongs to; it is never guessed."
        )


def check_unique(ids: pd.Series, column: str, where: str) -> None:
    """Refuse missing and repeated ids."""
    missing = int(ids.isna().sum())
    if missing:
        raise ValueError(
            f"`{column}` of the {where} must be given in every row; {missing:,} have none. "
            "Fill them in."
        )
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise ValueError(
            f"`{column}` of the {where} must be unique; got {got([str(v) for v in repeated])} more "
            "than once. Remove the repeated rows."
        )


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
    bad = values[parsed.isna() & values.notna()]
    if len(bad):
        raise ValueError(
            f"`{column}` of the {where} must be ISO dates; got {got([str(v) for v in bad])}. "
            "Write 2025-03-31 or 2025-03-31T14:05."
        )
    nanoseconds = parsed.dt.as_unit("ns").astype("int64").to_numpy(dtype=float)
    return np.where(parsed.isna(), np.nan, nanoseconds / (86_400 * 1e9))


def numbers(values: pd.Series, column: str, where: str) -> np.ndarray:
    """Numbers as floats; NaN where there is none."""
    if values.isna().all():
        return np.full(len(values), np.nan)
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        raise TypeError(
            f"`{column}` of the {where} must be numbers; got {got([str(values.dropna().iloc[0])])}."
        )
    return values.to_numpy(dtype=float, na_value=np.nan)


def positions(values: pd.Series, ids: pd.Index, column: str, where: str) -> np.ndarray:
    """Position of each row's customer in the frame."""
    codes = values.cat.codes.to_numpy()
    missing = int((codes < 0).sum())
    if missing:
        raise ValueError(
            f"`{column}` of the {where} must be given in every row; {missing:,} have none. "
            "Without a customer an answer cannot be compared."
        )
    if not len(codes):
        return np.empty(0, dtype=np.int64)
    found = ids.get_indexer(values.cat.categories)[codes]
    lost = [str(value) for value in values[found < 0]]
    if lost:
        raise ValueError(
            f"`{column}` of the {where} must be among the customers; got {got(lost)} that are not. "
            "Give the frame of all customers who could be asked."
        )
    return found
