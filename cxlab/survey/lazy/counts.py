"""Counts of lazy answers that `cxlab.check_answers` shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw

from cxlab.core.engines import as_lazy, collect
from cxlab.survey.definition import Column
from cxlab.survey.lazy.text import count
from cxlab.survey.scales import REASONS


def count_answers(answers: Any, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Per rating column: rows, answers, reasons, and sums behind the shares; one query."""
    sums = [nw.len().alias("n")]
    for i, column in enumerate(columns):
        named = _sums(column)
        sums += [expression.alias(f"{i}|{name}") for name, expression in named.items()]
    found = collect(as_lazy(answers).select(*sums)).iloc[0].fillna(0)
    n = int(found["n"])
    return [
        {"n": n, **{name: int(found[f"{i}|{name}"]) for name in _sums(column)}}
        for i, column in enumerate(columns)
    ]


def _sums(column: Column) -> dict[str, nw.Expr]:
    score, reason = nw.col(column.name), nw.col(f"{column.name}_missing")
    low, high = column.scale.range if column.scale else (0, 0)
    answered = ~score.is_null()
    return {
        "answered": count(answered),
        **{name: count(reason == name) for name in REASONS},
        "out_of_range": count(answered & ~score.is_between(low, high)),
        "mean": score.cast(nw.Float64).sum(),
        "floor": count(score == low),
        "ceiling": count(score == high),
    }
