"""Each period against the one before it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import narwhals as nw
import pandas as pd

from cxlab.core.frames import check_choice, check_columns, groups_in_order, label, label_text
from cxlab.core.metric import Metric
from cxlab.stats.inference import adjust_p_values
from cxlab.stats.metrics.differences.groups import compare_groups


def compare_periods(
    data: Any,
    metrics: Metric | Sequence[Metric] | str,
    *,
    periods: tuple[str, str] | None = None,
    period: str = "period",
    **options: Any,
) -> pd.DataFrame:
    """Change of each metric from one period to the next.

    Parameters
    ----------
    data
        Dataframe of any engine that holds both periods.
    metrics
        As for `compare_groups`.
    periods : (earlier, later), optional
        Default: each period against the one before it, in declared or sorted order.
    period : str
        Column of the periods.
    **options
        As for `compare_groups`: design, level, method, labels and so on.

    Returns
    -------
    DataFrame
        As for `compare_groups`, with ``period`` and ``before`` in place of ``group`` and
        ``other``; ``estimate`` is the later less the earlier.

    Notes
    -----
    Waves that share customers are compared rightly when the customer is the cluster.

    Examples
    --------
    >>> answers = pd.DataFrame({"recommend": [10, 9, 2, 10, 9, 9] * 10,
    ...                         "period": ["2024"] * 30 + ["2025"] * 30})
    >>> compare_periods(answers, "recommend")[["period", "before", "estimate"]]
      period before  estimate
    0   2025   2024       0.0
    """
    check_columns(data, {"period": period})
    found = groups_in_order(data, period)
    if periods is None:
        wanted = [(later, earlier) for earlier, later in pairwise(found)]
    else:
        wanted = [(str(label(periods[1])), str(label(periods[0])))]
    if not wanted:
        raise ValueError(f"`{period}` must hold two periods at least; got one. Read both periods.")
    for name in (name for pair in wanted for name in pair):
        check_choice("periods", name, found)
    # each pair of periods is read as its own two groups, so that others change nothing
    tables = [
        compare_groups(
            _only(data, period, {name: found[name] for name in pair}),
            metrics,
            by=period,
            against=pair[1],
            **options,
        )
        for pair in wanted
    ]
    table = pd.concat(tables, ignore_index=True)
    table["p_adjusted"] = adjust_p_values(table["p_value"])
    table["family"] = f"{int(table['p_value'].notna().sum())} tests: changes between periods"
    return table.rename(columns={"group": "period", "other": "before"})


def _only(data: Any, column: str, values: dict[str, list[Any]]) -> Any:
    if isinstance(data, pd.DataFrame):
        return data[data[column].isin([value for same in values.values() for value in same])]
    names = label_text(data, column)
    return nw.from_native(data).filter(names.is_in(list(values))).to_native()
