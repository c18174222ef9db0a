"""Retention and churn: who stayed."""

from __future__ import annotations

from typing import Any

import pandas as pd

from cxlab.core.design import DesignLike
from cxlab.core.disclosure.gate import suppress_small_groups
from cxlab.core.messages import got
from cxlab.stats.inference import wilson_interval
from cxlab.stats.metrics.estimates import By
from cxlab.stats.metrics.scorecard import EVERYONE
from cxlab.stats.metrics.scores import top_box
from cxlab.survey.study import Study

RETENTION_COLUMNS = (
    "segment", "group", "n", "estimate", "se", "ci_low", "ci_high", "churn", "n_missing", "note",
)  # fmt: skip

#: What a column may say of a customer who stayed, and of one who left.
STAYED = {"yes": 1.0, "true": 1.0, "1": 1.0, "no": 0.0, "false": 0.0, "0": 0.0}


def retention(
    customers: pd.DataFrame,
    active: str,
    *,
    by: By = None,
    design: DesignLike = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Share of customers who stayed, per group; churn is the rest.

    Parameters
    ----------
    customers : DataFrame
        One row per customer who was there at the start.
    active : str
        Column that says whether the customer is there at the end: yes/no, true/false or
        1/0. Null: not known, counted in ``n_missing``.
    by, design, level
        As for `cxlab.nps`.

    Returns
    -------
    DataFrame
        One row per group: ``group`` (with ``by``), ``n``, ``estimate`` (per cent retained),
        ``se``, ``ci_low``, ``ci_high``, ``churn`` (100 less the estimate), ``n_missing``,
        ``note``.

    Raises
    ------
    ValueError
        For anything else in ``active``.

    Examples
    --------
    >>> customers = pd.DataFrame({"active": ["yes", "no", "yes", "yes"]})
    >>> retention(customers, "active")[["n", "estimate", "churn"]]
       n  estimate  churn
    0  4      75.0   25.0
    """
    text = customers[active].map(_as_text, na_action="ignore")
    strange = text[text.notna() & ~text.isin(list(STAYED))]
    if len(strange):
        raise ValueError(
            f"`active` must be yes/no, true/false or 1/0; got {got(list(strange))} in '{active}'. "
            "Declare the column's values in the study file."
        )
    stayed = text.map(STAYED).astype(float)
    table = top_box(
        customers.assign(**{active: stayed}), active, top=(1, 1), by=by, design=design,
        level=level,
    )  # fmt: skip
    table.insert(table.columns.get_loc("ci_high") + 1, "churn", 100 - table["estimate"])
    return table.drop(columns=["tops", "deff", "n_eff", "df"])


def study_retention(study: Study, *, level: float = 0.95) -> pd.DataFrame:
    """Retention of everyone and of each segment, where the study has a table of customers.

    Parameters
    ----------
    study : Study
        A table of it may declare a column with ``role = "active"``.
    level : float

    Returns
    -------
    DataFrame
        As `retention`, with ``segment`` and ``group`` first and small groups hidden; empty
        where no table declares such a column.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> int(study_retention(load_study("demo")).loc[0, "n"])
    2500
    """
    for name, table in study.definition.tables.items():
        active = table.with_role("active")
        if not active:
            continue
        customers, design = study.read(name), study.table_design(name)
        whole = retention(customers, active[0].name, level=level, design=design)
        parts = [whole.assign(segment=EVERYONE, group=EVERYONE)]
        for column in table.with_role("segment"):
            part = retention(customers, active[0].name, by=column.name, level=level, design=design)
            parts.append(part.assign(segment=column.label, group=part["group"].astype(str)))
        together = pd.concat(parts, ignore_index=True)
        together["ungrouped"] = whole["n"].item() - together.groupby("segment")["n"].transform(
            "sum"
        )
        shown = suppress_small_groups(
            together, within=["segment"], min_group_size=study.definition.min_group_size,
            ungrouped="ungrouped",
        )  # fmt: skip
        return shown[list(RETENTION_COLUMNS)]
    return pd.DataFrame(columns=list(RETENTION_COLUMNS))


def retention_rate(at_start: int, at_end: int, new: int, *, level: float = 0.95) -> pd.DataFrame:
    """Customer retention rate from three counts.

    Parameters
    ----------
    at_start, at_end, new : int
        Customers at the start, at the end, and those won in between.
    level : float
        Of Wilson's interval, which takes the period as one of many alike.

    Returns
    -------
    DataFrame
        One row: ``n`` (at the start), ``estimate`` (per cent retained), ``ci_low``,
        ``ci_high``, ``churn``.

    Raises
    ------
    ValueError
        When more stayed than were there, or fewer than none.

    Notes
    -----
    ``(at_end − new)/at_start``.

    Examples
    --------
    >>> retention_rate(200, 210, 40)[["n", "estimate", "churn"]]
         n  estimate  churn
    0  200      85.0   15.0
    """
    stayed = at_end - new
    if at_start < 1 or not 0 <= stayed <= at_start:
        raise ValueError(
            "`at_end` less `new` must be from 0 to `at_start`; "
            f"got {at_end} − {new} of {at_start}. Count as new only those won in between."
        )
    low, high = wilson_interval(stayed / at_start, at_start, level=level)
    kept = 100 * stayed / at_start
    return pd.DataFrame({
        "n": [at_start], "estimate": [kept], "ci_low": [100 * float(low)],
        "ci_high": [100 * float(high)], "churn": [100 - kept],
    })  # fmt: skip


def _as_text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().casefold()
