"""Who can use what: segments that never use a touchpoint.

What those who never use a touchpoint would say of it cannot be learnt from anyone else, so
"as if everyone used everything" is an estimand of the segments that do.
"""

from __future__ import annotations

import numpy as np

from cxlab.stats.drivers.answers import Answers
from cxlab.stats.inference import wilson_interval

Array = np.ndarray

#: Reach in a segment that counts as none: a slip of the pen here and there.
NEAR_ZERO = 0.02
#: And surely so: its upper limit lies below this part of the reach among all others.
PART = 0.25


def never_users(answers: Answers) -> list[tuple[Array, str]]:
    """Every segment whose reach of a touchpoint is near 0 where that of others is not.

    Returns
    -------
    list of (ndarray of bool, str)
        Its rows, and segment and touchpoint in words.
    """
    if answers.segments is None:
        return []
    told = ~np.isnan(answers.used)
    used = np.where(told, answers.used, 0.0)
    found = []
    for segment, column in answers.segments.items():
        for value in column.dropna().unique():
            inside = column.eq(value).fillna(False).to_numpy(dtype=bool)
            asked, users = told[inside].sum(axis=0), used[inside].sum(axis=0)
            reach = users / np.maximum(asked, 1)
            rest = used[~inside].sum(axis=0) / np.maximum(told[~inside].sum(axis=0), 1)
            upper = np.asarray(wilson_interval(reach, np.maximum(asked, 1))[1])
            never = (reach <= NEAR_ZERO) & (upper < PART * rest)
            label = answers.labels.get(str(segment), str(segment))
            for place in np.flatnonzero(never):
                words = (
                    f"'{answers.labels[answers.names[place]]}' is used by {reach[place]:.0%} of "
                    f"{asked[place]:,} with '{label}' = {value} ({rest[place]:.0%} of the others)"
                )
                found.append((inside, words))
    return found


def those_who_can(answers: Answers, fewest: int) -> tuple[Array, tuple[str, ...]]:
    """Rows of segments that use every touchpoint, and what is to be said.

    All rows, with a warning, where fewer than ``fewest`` would be left.
    """
    found = never_users(answers)
    able = np.ones(answers.n, dtype=bool)
    if not found:
        return able, ()
    for rows, _ in found:
        able &= ~rows
    who = "; ".join(words for _, words in found[:5])
    more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
    if able.sum() < fewest:
        return np.ones(answers.n, dtype=bool), (
            f"Not identified among users: {who}{more}. Too few answers are of segments that "
            "use every touchpoint; what the others would say of it is taken from the ratings "
            "they share. Leave the touchpoint out, or analyse the segments apart.",
        )
    return able, (
        f"{who}{more}. Importance among users is therefore that among those who can use "
        f"everything: {int(able.sum()):,} of {answers.n:,} answers. Reach-adjusted importance "
        "is that among all.",
    )
