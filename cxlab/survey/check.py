"""What a table of answers holds: answered, missing and why, floors and ceilings."""

from __future__ import annotations

import pandas as pd

from cxlab.survey.definition import RATING_ROLES
from cxlab.survey.scales import REASONS
from cxlab.survey.study import Study


def check_answers(answers: pd.DataFrame, study: Study, table: str | None = None) -> pd.DataFrame:
    """Counts per rating column: answered, each missing reason, floor and ceiling.

    Parameters
    ----------
    answers : DataFrame
        As `Study.read` returns them, whole or filtered.
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
        (share of answers at the lowest and highest score, 0 to 1; NaN without answers).

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
    rows = []
    for column in study.table(table or study.definition.main).with_role(*RATING_ROLES):
        for name in (column.name, f"{column.name}_missing"):
            if name not in answers.columns:
                raise ValueError(
                    f"`answers` must have the column '{name}', as study.read() gives them; "
                    "it isn't there. Pass the frame that was read."
                )
        scores, reasons = answers[column.name], answers[f"{column.name}_missing"]
        low, high = column.scale.range if column.scale else (None, None)
        answered = scores.dropna()
        rows.append(
            {
                "column": column.name,
                "label": column.label,
                "role": column.role,
                "n": len(answers),
                "answered": len(answered),
                **{reason: int((reasons == reason).sum()) for reason in REASONS},
                "out_of_range": int((~answered.between(low, high)).sum()),
                "mean": answered.mean(),
                "floor": (answered == low).mean() if len(answered) else float("nan"),
                "ceiling": (answered == high).mean() if len(answered) else float("nan"),
            }
        )
    return pd.DataFrame(rows)
