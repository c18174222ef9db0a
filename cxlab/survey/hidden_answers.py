"""Answers that a report must not show are not there when its notebook reads them."""

from __future__ import annotations

from typing import Any

import narwhals as nw

from cxlab.core.disclosure.rule import HiddenFigure, hidden_by_run
from cxlab.survey.definition import RATING_ROLES, Table

#: Reason of a missing score: few gave one, or the score would give few back.
HIDDEN = "hidden"


def without_hidden(answers: Any, table: Table) -> Any:
    """The main table's answers without what the run of reports hides altogether.

    Parameters
    ----------
    answers
        Cleaned answers, frame of any engine.
    table : Table

    Returns
    -------
    frame of the same engine
        Without the rows of hidden periods; hidden scores are missing, for the reason
        ``hidden``. The same frame outside of a run of reports.
    """
    wholes = [one for one in hidden_by_run() if not one.segment]
    if not wholes:
        return answers
    frame = nw.from_native(answers)
    for one in wholes:
        if not one.column:
            frame = frame.filter(~_of(one))
    for column in table.with_role(*RATING_ROLES):
        for one in wholes:
            if one.column == column.name:
                reason = f"{one.column}_missing"
                score = nw.when(~_of(one)).then(nw.col(one.column)).alias(one.column)
                told = nw.when(~_of(one)).then(nw.col(reason)).otherwise(nw.lit(HIDDEN))
                frame = frame.with_columns(score, told.alias(reason))
    return frame.to_native()


def _of(one: HiddenFigure) -> nw.Expr:
    return nw.col("period") == one.period if one.period else nw.lit(True)
