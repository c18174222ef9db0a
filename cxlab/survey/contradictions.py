"""What a study file may say but cannot mean: each refused in one sentence."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from cxlab.core.characters import visible_text
from cxlab.core.messages import got, one_of, unknown
from cxlab.core.metric import Metric
from cxlab.survey.dates import read_dates
from cxlab.survey.scales import METRICS, Scale, is_whole, normal_code


def check_visible(key: str, place: str, text: Any) -> None:
    """Refuse a label in which there is nothing to see."""
    if not visible_text(str(text)):
        raise ValueError(
            f"`{key}` of {place} must be text that can be seen; got '{text}'. Write one, or leave "
            "it out."
        )


def check_told_apart(key: str, place: str, texts: Iterable[str]) -> None:
    """Refuse names of groups or columns that nobody could tell apart."""
    seen: dict[str, str] = {}
    for text in map(str, texts):
        other = seen.setdefault(unicodedata.normalize("NFC", visible_text(text)), text)
        if other != text:
            raise ValueError(
                f"`{key}` of {place} must differ by what can be seen; got {other!a} and "
                f"{text!a}, which look alike. Write them the same, or differently."
            )


def codes_by_spelling(key: str, place: str, raw: Mapping[str, Any]) -> dict[str, str]:
    """Codes in one spelling, each with its meaning.

    Raises
    ------
    ValueError
        For two spellings of one code with different meanings.
    """
    found: dict[str, str] = {}
    for code, meaning in raw.items():
        spelt = normal_code(code)
        if found.setdefault(spelt, str(meaning)) != str(meaning):
            raise ValueError(
                f"`{key}` of {place} must give each code one meaning; got '{found[spelt]}' and "
                f"'{meaning}' for {spelt}, as {code!a} reads like it."
            )
    return found


def check_targets(place: str, targets: Mapping[str, Any], metrics: Iterable[Metric]) -> None:
    """Refuse targets that the metric can never be."""
    for metric in metrics:
        if metric.name in targets:
            ends = {"net": (-100.0, 100.0), "box": (0.0, 100.0)}.get(metric.kind, metric.scale)
            check_within(f"targets.{metric.name}", place, targets[metric.name], ends)


def check_within(key: str, place: str, value: Any, ends: tuple[float, float] | None = None) -> None:
    """Refuse what is no finite number, or one that lies off a range."""
    low, high = ends or (-math.inf, math.inf)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:
        within = f"a number from {low:g} to {high:g}" if ends else "a finite number"
        raise ValueError(f"`{key}` of {place} must be {within}; got {got([value])}.")


def check_format(place: str, form: str, role: str) -> None:
    """Refuse a format that reads no date, and one of a column that holds none."""
    if role != "date":
        raise ValueError(f"`format` of {place} must be left out: it is for dates, not {role}.")
    try:
        known = "%" in form and read_dates(pd.Series(["2025"], dtype="str"), form) is not None
    except (ValueError, re.error):
        known = False
    if not known:
        raise ValueError(
            f'`format` of {place} must be a strftime format, such as "%d/%m/%Y %H:%M"; '
            f"got '{form}'."
        )


def check_codes_off_scale(name: str, missing: Mapping[str, str], scale: Scale, shift: int) -> None:
    """Refuse missing codes that are scores."""
    ends = scale.low - shift, scale.high - shift
    clash = [code for code in missing if is_whole(code, *ends)]
    if clash:
        stored = f"{ends[0]} to {ends[1]}"
        raise ValueError(
            f"`missing` of '{name}' must be codes that are not scores, which are stored as "
            f"{stored} on scale '{scale.name}'{f' with shift = {shift}' if shift else ''}; "
            f"got {got(clash)}. A code cannot be both a score and missing."
        )


def check_metrics(
    name: str,
    metrics: tuple[str, ...],
    targets: Mapping[str, float],
    scale: Scale | None,
) -> None:
    """Refuse metrics that the scale cannot give, and targets of others."""
    for metric in metrics:
        if metric not in METRICS:
            raise ValueError(unknown("metrics", metric, METRICS, of=name))
        lacking = [bin_name for bin_name in METRICS[metric] if scale and bin_name not in scale.bins]
        if scale is None or lacking:
            raise ValueError(
                f"`metrics` of '{name}': '{metric}' needs a scale with the bins "
                f"{one_of(METRICS[metric])}; got {scale.name if scale else 'no scale'}."
            )
    for metric in targets:
        if metric not in metrics:
            raise ValueError(unknown("targets", metric, metrics, what="a metric of it: ", of=name))


def check_texts(place: str, raw: Mapping[str, Any], role: str) -> None:
    """Labels must be seen and told apart, and a format must be one."""
    values = raw.get("values", {})
    for key, texts in (("label", [raw.get("label", role)]), ("values", values.values())):
        for text in texts:
            check_visible(key, place, text)
    headers = raw.get("column", role)
    for header in headers.values() if isinstance(headers, Mapping) else [headers]:
        check_visible("column", place, header)
    check_told_apart("values", place, values.values())
    if "format" in raw:
        check_format(place, raw["format"], role)
