"""Tables of a driver analysis, from its estimates."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cxlab.stats.drivers.answers import Answers
from cxlab.stats.drivers.reach import Reach
from cxlab.stats.drivers.shares import Importance
from cxlab.stats.drivers.uncertainty import ranks_within, spread, t_interval
from cxlab.stats.drivers.users import Users, dead_drivers
from cxlab.stats.inference import adjust_p_values
from cxlab.stats.resampling import ranks

Array = np.ndarray

AMONG_USERS = "among users"
REACH_ADJUSTED = "reach-adjusted"


def users_table(
    users: Users, performance: dict[str, tuple[Array, Array]], kind: str, level: float
) -> pd.DataFrame:
    """One row per driver, most important first."""
    answers = users.answers
    n = (~np.isnan(answers.ratings)).sum(axis=0)
    table = _importance_columns(answers, users.importance, n, kind, users.df, level)
    table.insert(0, "estimand", AMONG_USERS)
    for name in ("reach", "mean", "top_box"):
        table[name] = performance[name][0]
    table["correlation"] = users.correlations
    table["coefficient"] = users.coefficients
    low, high = t_interval(
        users.coefficients, users.coefficient_se, df=users.coefficient_df, level=level
    )
    table["coefficient_low"], table["coefficient_high"] = low, high
    table["p_value"] = users.p_values
    table["p_adjusted"] = adjust_p_values(users.p_values)
    table["suppressor"] = np.sign(users.coefficients) * np.sign(users.correlations) < 0
    table["vif"] = users.inflation
    table["note"] = _driver_notes(users)
    table["coefficient_se"] = users.coefficient_se
    return _most_important_first(table)


def reach_table(
    answers: Answers,
    reach: Reach,
    performance: dict[str, tuple[Array, Array]],
    kind: str,
    df: float,
    level: float,
) -> pd.DataFrame:
    """One row per driver with presence and quality, most important first."""
    told = (~np.isnan(answers.used)).sum(axis=0)
    table = _importance_columns(answers, reach.importance, told, kind, df, level)
    table.insert(0, "estimand", REACH_ADJUSTED)
    table["reach"] = performance["reach"][0]
    for name, part in (("presence", reach.presence), ("quality", reach.quality)):
        around = spread(part.values, part.replicates, kind, df=df, level=level)
        table[name] = part.values
        table[f"{name}_low"], table[f"{name}_high"] = around.low, around.high
    table["note"] = ["" if columns else "nobody who rated it used it" for columns in reach.columns]
    return _most_important_first(table)


def _importance_columns(
    answers: Answers, shared: Importance, n: Array, kind: str, df: float, level: float
) -> pd.DataFrame:
    around = spread(shared.values, shared.replicates, kind, df=df, level=level)
    share = shared.shares
    around_share = spread(share, shared.share_replicates, kind, df=df, level=level)
    best, worst = ranks_within(shared.values, shared.replicates, kind, df=df, level=level)
    return pd.DataFrame(
        {
            "driver": answers.names,
            "label": [answers.labels[name] for name in answers.names],
            "n": n,
            "estimate": shared.values,
            "se": around.se,
            "ci_low": around.low,
            "ci_high": around.high,
            "share": share,
            "share_low": around_share.low,
            "share_high": around_share.high,
            "rank": ranks(shared.values),
            "rank_best": _blank(best),
            "rank_worst": _blank(worst),
        }
    )


def _blank(numbers: Array) -> pd.Series:
    """Whole numbers in which −1 means that there is none."""
    return pd.Series(numbers, dtype="Int64").where(numbers >= 0)


def _driver_notes(users: Users) -> list[str]:
    aliased = np.isinf(users.inflation)
    dead = dead_drivers(users.answers.ratings)
    opposite = np.sign(users.coefficients) * np.sign(users.correlations) < 0
    narrow = np.isnan(users.coefficient_df)
    notes = []
    for is_dead, is_aliased, is_narrow, is_opposite in zip(
        dead, aliased, narrow, opposite, strict=True
    ):
        parts = []
        if is_dead:
            parts.append("no two different answers here: importance 0")
        elif is_aliased:
            parts.append("exact combination of other drivers: its coefficient cannot be tested")
        elif is_narrow:
            parts.append("its coefficient rests on one answer or cluster: not tested")
        if is_opposite:
            parts.append("suppressor: coefficient and correlation have opposite signs")
        notes.append("; ".join(parts))
    return notes


def _most_important_first(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values("estimate", ascending=False, kind="stable").reset_index(drop=True)
