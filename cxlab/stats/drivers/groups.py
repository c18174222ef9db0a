"""Differences of driver shares between segments and between waves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from cxlab.stats.drivers.answers import Answers
from cxlab.stats.drivers.replicates import Resample
from cxlab.stats.drivers.uncertainty import replicate_test, spread
from cxlab.stats.drivers.users import Options, Users, among_users
from cxlab.stats.inference import adjust_p_values

Array = np.ndarray

COMPLEMENT = "all others"
COMPARISONS = ("complement", "pairs")


def group_values(answers: Answers) -> list[object]:
    """Groups in declared order (categories) or sorted."""
    group = answers.group
    if group is None:
        return []
    if isinstance(group.dtype, pd.CategoricalDtype):
        present = set(group.unique())
        return [value for value in group.cat.categories if value in present]
    return sorted(group.unique(), key=lambda value: (str(type(value)), value))


def in_group(answers: Answers, value: object) -> Array:
    """Rows of one group."""
    if answers.group is None:
        raise ValueError("`by` must be given.")
    return (answers.group == value).to_numpy(dtype=bool)


def share_differences(
    answers: Answers,
    fits: dict[object, Users],
    unit: Array,
    resample: Resample,
    options: Options,
    compare: str,
) -> pd.DataFrame:
    """Difference of each driver's share between two groups, with its test.

    Replicates are common to both groups, so clusters that they share are counted once.
    """
    parts = [
        _difference(group, other, one, two, resample.kind, options.level)
        for group, other, one, two in _pairs(answers, fits, unit, resample, options, compare)
    ]
    if not parts:
        return pd.DataFrame()
    table = pd.concat(parts, ignore_index=True)
    table["p_adjusted"] = adjust_p_values(
        table["p_value"].to_numpy(), method="bh" if compare == "complement" else "by"
    )
    return table


def _pairs(
    answers: Answers,
    fits: dict[object, Users],
    unit: Array,
    resample: Resample,
    options: Options,
    compare: str,
) -> Sequence[tuple[object, object, Users, Users]]:
    values = list(fits)
    if compare == "pairs" or len(values) == 2:
        return [(one, two, fits[one], fits[two]) for one, two in combinations(values, 2)]
    pairs = []
    for value in values:
        rest = ~in_group(answers, value)
        others = among_users(answers.rows(rest), unit[rest], resample, options)
        pairs.append((value, COMPLEMENT, fits[value], others))
    return pairs


def _difference(
    group: object, other: object, one: Users, two: Users, kind: str, level: float
) -> pd.DataFrame:
    estimate = one.importance.shares - two.importance.shares
    replicates = one.importance.share_replicates - two.importance.share_replicates
    df = min(one.df, two.df)
    around = spread(estimate, replicates, kind, df=df, level=level)
    names = one.answers.names
    return pd.DataFrame(
        {
            "group": group,
            "against": other,
            "driver": names,
            "label": [one.answers.labels[name] for name in names],
            "n": one.answers.n,
            "n_against": two.answers.n,
            "estimate": estimate,
            "se": around.se,
            "ci_low": around.low,
            "ci_high": around.high,
            "p_value": replicate_test(estimate, around.se, replicates, kind, df=df),
        }
    )
