"""From customers to paired answers: how many were left at each step."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cxlab.stats.comparison.collected import Asked, Collected
from cxlab.stats.comparison.contract import Answers, ProgrammeData
from cxlab.stats.comparison.paired import Pairs

STAGES = (
    "customers", "eligible", "suppressed by contact rules", "not sampled", "invited",
    "delivered", "answered", "valid score", "paired",
)  # fmt: skip


def flow_table(
    data: ProgrammeData, t: Answers, r: Answers, collected: Collected | None, pairs: Pairs
) -> pd.DataFrame:
    """Rows and customers of each survey at each stage.

    Returns
    -------
    DataFrame
        ``survey, stage, n`` (episodes, waves or answers), ``customers, share`` of the
        eligible rows. Stages that the files don't tell are missing, not zero.
    """
    sides = {
        "transactional": (t, collected.episodes if collected else None, pairs.transactional),
        "relationship": (r, collected.waves if collected else None, pairs.relationship),
    }
    rows = []
    for survey, (answers, asked, paired) in sides.items():
        counts = _asked_stages(asked, answers) if asked is not None else {}
        counts |= {
            "answered": _count(answers.customer),
            "valid score": _count(answers.customer[answers.valid]),
            "paired": (len(np.unique(paired)), len(np.unique(pairs.customer))),
        }
        if data.has_frame:
            counts["customers"] = (len(data.customer_ids), len(data.customer_ids))
        eligible = counts.get("eligible", (0, 0))[0]
        rows += [
            (survey, stage, *counts[stage], counts[stage][0] / eligible if eligible else np.nan)
            for stage in STAGES
            if stage in counts
        ]
    table = pd.DataFrame(rows, columns=["survey", "stage", "n", "customers", "share"])
    table.loc[table["stage"] == "customers", "share"] = np.nan
    return table


def _asked_stages(asked: Asked, answers: Answers) -> dict[str, tuple[int, int]]:
    stages = {
        "eligible": np.ones(len(asked.customer), dtype=bool),
        "suppressed by contact rules": ~asked.free,
        "not sampled": asked.free & ~asked.invited,
        "invited": asked.invited,
        "delivered": asked.delivered,
    }
    return {name: _count(asked.customer[rows]) for name, rows in stages.items()}


def _count(customer: np.ndarray) -> tuple[int, int]:
    return len(customer), int(np.count_nonzero(np.bincount(customer)))
