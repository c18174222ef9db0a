"""What a study declares of its touchpoints: operational figures, repeated ratings."""

from __future__ import annotations

import pandas as pd

from cxlab.stats.touchpoints.operational import OperationalMetric, operational_beside_experience
from cxlab.stats.touchpoints.repeated import repeated_ratings
from cxlab.survey.definition import Table
from cxlab.survey.study import Study

#: Columns of `operational_table` when a study declares nothing.
OPERATIONAL_COLUMNS = (
    "touchpoint", "operational", "experience", "unit", "n", "estimate", "operational_mean",
    "operational_low", "operational_high", "target", "experience_mean", "experience_low",
    "experience_high", "quadrant", "note",
)  # fmt: skip
REPEATED_COLUMNS = ("table", "group", "part", "n", "estimate", "ci_low", "ci_high", "note")


def operational_table(
    study: Study, *, period: str | None = None, level: float = 0.95
) -> pd.DataFrame:
    """Operational figure beside experience score of every touchpoint that declares one.

    Parameters
    ----------
    study : Study
        Its tables may declare ``[tables.NAME.operational.TOUCHPOINT]``.
    period : str, optional
        Default: all together.
    level : float

    Returns
    -------
    DataFrame
        As `cxlab.operational_beside_experience`, with the labels of the table that declares
        it in place of ``operational`` and ``experience``; empty where nothing is declared.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> operational_table(load_study("demo"), period="2025-Q4")["touchpoint"].tolist()[:2]
    ['check_in', 'security_screening']
    """
    tables = []
    for name, table in study.definition.tables.items():
        if not table.operational:
            continue
        metrics = [
            OperationalMetric(
                touchpoint=one.touchpoint, operational=one.column, better=one.better,
                target=one.target, experience=one.experience,
                experience_target=one.experience_target, success=one.success, unit=one.unit,
            )
            for one in table.operational.values()
        ]  # fmt: skip
        found = operational_beside_experience(
            study.read(name, period=period), metrics, touchpoint=table.touchpoint_column,
            level=level, design=study.table_design(name),
        )  # fmt: skip
        # another table may have columns of the same names
        named = {c: found[c].replace(table.labels) for c in ("operational", "experience")}
        tables.append(found.assign(**named))
    if not tables:
        return pd.DataFrame(columns=list(OPERATIONAL_COLUMNS))
    return pd.concat(tables, ignore_index=True)


def repeated_table(
    study: Study, *, replicates: int = 1000, seed: int = 0, level: float = 0.95
) -> pd.DataFrame:
    """Within-customer and between-customer correlation of the first two outcomes, per table.

    Parameters
    ----------
    study : Study
        Tables with a customer column (role ``customer``, or a cluster that spans periods)
        and two outcomes are used; the touchpoint column, if declared, makes groups.
    replicates, seed, level
        As for `cxlab.repeated_ratings`.

    Returns
    -------
    DataFrame
        ``table``, then as `cxlab.repeated_ratings`; empty where no table will do.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> table = repeated_table(load_study("demo"), replicates=50)
    >>> sorted(table["part"].unique())
    ['between customers', 'within customers']
    """
    tables = []
    for name, table in study.definition.tables.items():
        outcomes = [column.name for column in table.with_role("outcome")][:2]
        customer = customer_column(table)
        if customer is None or len(outcomes) < 2:
            continue
        answers = study.read(name).dropna(subset=customer)
        if not answers[customer].duplicated().any():
            continue
        found = repeated_ratings(
            answers, outcomes[0], outcomes[1], customer=customer, occasion="A",
            by=table.touchpoint_column, replicates=replicates, seed=seed, level=level,
        ).table  # fmt: skip
        if "group" not in found:
            found.insert(0, "group", "all")
        found.insert(0, "table", table.label)
        tables.append(found)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(
        columns=list(REPEATED_COLUMNS))  # fmt: skip


def customer_column(table: Table) -> str | None:
    """Column that says who answered, the same in every period; None if there is none."""
    declared = table.only("customer")
    cluster = table.only("cluster")
    if declared:
        return declared.name
    return cluster.name if cluster and cluster.spans_periods else None
