"""What a study file has still to have confirmed: the key ``confirm``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: Keys whose value is the guess.
TOLD = (
    *("role", "scale", "shift", "reverse", "range", "missing", "blank", "values"),
    *("format", "leave_out", "sheet", "encoding", "separator", "ignore"),
)


@dataclass(frozen=True)
class OpenQuestion:
    """A guess that somebody has still to confirm.

    Attributes
    ----------
    place : str
        In words, such as ``column 'parking'``.
    guess : str
        What the study file says now.
    question : str
        What to check.
    column : str
        Name of the column, where it is a column that somebody has to decide about by hand:
        its role was guessed from a name or from values alone.
    role : str
        The role guessed for that column.
    """

    place: str
    guess: str
    question: str
    column: str = ""
    role: str = ""


def open_questions(content: Mapping[str, Any]) -> Iterator[OpenQuestion]:
    """Every ``confirm`` of a study file's content: of scales first, as columns lean on them.

    Examples
    --------
    >>> scales = {"stars": {"range": [1, 5], "confirm": "Is 5 the best?"}}
    >>> [(asked.place, asked.guess) for asked in open_questions({"scales": scales, "tables": {}})]
    [("scale 'stars'", 'range = [1, 5]')]
    """
    for name, raw in content.get("scales", {}).items():
        yield from _open_question(f"scale '{name}'", raw)
    several = len(content["tables"]) > 1
    for table, declared in content["tables"].items():
        yield from _open_question(f"table '{table}'", declared)
        for name, raw in declared["columns"].items():
            of = f" of table '{table}'" if several else ""
            by_hand = {"column": name, "role": raw["role"]} if raw.get("by_hand") else {}
            yield from _open_question(f"column '{name}'{of}", raw, **by_hand)


def _open_question(
    place: str, raw: Mapping[str, Any], column: str = "", role: str = ""
) -> Iterator[OpenQuestion]:
    if "confirm" in raw:
        guess = "; ".join(f"{key} = {_in_words(raw[key])}" for key in TOLD if key in raw)
        yield OpenQuestion(place, guess, str(raw["confirm"]), column, role)


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        if all(key == one for key, one in value.items()):
            return _in_words(list(value))
        return "{" + ", ".join(f"{key} = {_in_words(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_in_words(one) for one in value) + "]"
    return str(value)
