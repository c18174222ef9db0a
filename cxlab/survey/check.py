"""What a table of answers holds: answered, missing and why, floors and ceilings."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from cxlab.survey.definition import RATING_ROLES, Column
from cxlab.survey.scales import REASONS
from cxlab.survey.study import Study


def check_answers(answers: Any, study: Study, table: str | None = None) -> pd.DataFrame:
    """Counts per rating column: answered, each missing reason, floor and ceiling.

    Parameters
    ----------
    answers
        As `Study.read` returns them, of any engine, whole or filtered.
    study : Study
    table : str, optional
        Which of the study's tables the answers are; default: the main one.

    Returns
    -------
    DataFrame
        One row per rating in declared order: ``column``, ``label``, ``role``, ``n`` (rows),
        ``answered``, ``never used``, ``no answer``, ``don't know``, ``not asked``,
        ``invalid`` (rows; they add up to ``n``), ``out_of_range`` (answers off the scale:
        0 unless the frame was changed after reading), ``mean``, ``floor`` and ``ceiling``
        (share of answers at the lowest and highest score, 0 to 1). These three are NaN
        where fewer than the study's ``min_group_size`` have answered.

    Raises
    ------
    ValueError
        When a declared column is not in the frame.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> study = load_study("demo")
    >>> table = check_answers(study.read(period="2025-Q4"), study)
    >>> bool((table[["answered", *REASONS]].sum(axis=1) == table["n"]).all())
    True
    """
    columns = study.table(table or study.definition.main).with_role(*RATING_ROLES)
    lazy = not isinstance(answers, pd.DataFrame)
    names = _lazy_names(answers) if lazy else list(answers.columns)
    for column in columns:
        for name in (column.name, f"{column.name}_missing"):
            if name not in names:
                raise ValueError(
                    f"`answers` must have the column '{name}', as study.read() gives them; "
                    "it isn't there. Pass the frame that was read."
                )
    if lazy:
        from cxlab.survey.lazy import count_answers

        counts = count_answers(answers, columns)
    else:
        counts = [_counts(answers, column) for column in columns]
    smallest = max(study.definition.min_group_size, 1)
    rows = []
    for column, found in zip(columns, counts, strict=True):
        answered = found["answered"]
        shown = answered >= smallest
        share = {key: found.pop(key) / answered if shown else math.nan for key in SHARES}
        labels = {"column": column.name, "label": column.label, "role": column.role}
        rows.append({**labels, **found, **share})
    return pd.DataFrame(rows, columns=COLUMNS)


#: Sums that are shown as means of the answers.
SHARES = ("mean", "floor", "ceiling")
COLUMNS = ["column", "label", "role", "n", "answered", *REASONS, "out_of_range", *SHARES]


def _lazy_names(answers: Any) -> list[str]:
    from cxlab.core.engines import as_lazy

    return list(as_lazy(answers).collect_schema().names())


def _counts(answers: pd.DataFrame, column: Column) -> dict[str, Any]:
    """Rows, answers, reasons, and sums behind the shares."""
    scores, reasons = answers[column.name], answers[f"{column.name}_missing"]
    low, high = column.scale.range if column.scale else (None, None)
    answered = scores.dropna()
    return {
        "n": len(answers),
        "answered": len(answered),
        **{reason: int((reasons == reason).sum()) for reason in REASONS},
        "out_of_range": int((~answered.between(low, high)).sum()),
        "mean": float(answered.sum()),
        "floor": int((answered == low).sum()),
        "ceiling": int((answered == high).sum()),
    }
