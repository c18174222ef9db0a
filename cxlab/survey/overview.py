"""What a study holds, one row per table."""

from __future__ import annotations

import pandas as pd

from cxlab.survey.definition import RATING_ROLES
from cxlab.survey.study import Study


def study_overview(study: Study) -> pd.DataFrame:
    """Rows, periods and columns of each table.

    Parameters
    ----------
    study : Study

    Returns
    -------
    DataFrame
        One row per table: ``table``, ``label``, ``rows``, ``periods`` (number), ``first``
        and ``last`` period, ``ratings`` (rating columns), ``segments`` (segment columns).

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> study_overview(load_study("demo"))["table"].tolist()
    ['relationship', 'transactional', 'invitations', 'customers']
    """
    rows = []
    for name, table in study.definition.tables.items():
        answers = study.read(name)
        periods = sorted(answers["period"].unique())
        rows.append(
            {
                "table": name,
                "label": table.label,
                "rows": len(answers),
                "periods": len(periods),
                "first": periods[0],
                "last": periods[-1],
                "ratings": len(table.with_role(*RATING_ROLES)),
                "segments": len(table.with_role("segment")),
            }
        )
    return pd.DataFrame(rows)
