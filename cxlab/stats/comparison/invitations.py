"""The invitations file → checked columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.frames import check_columns, column_names
from cxlab.core.messages import got, one_of
from cxlab.stats.comparison.columns import STATUSES, SURVEY_TYPES, Columns
from cxlab.stats.comparison.fields import (
    check_survey_type,
    check_unique,
    days,
    labelled,
    no_label,
    numbers,
    positions,
    read_frame,
)


def read_invitations(
    invitations: Any, ids: pd.Index, columns: Columns, *, framed: bool
) -> pd.DataFrame:
    """Invitations as `ProgrammeData.invitations` describes them.

    Without a frame only customers who answered are kept.
    """
    there = column_names(invitations)
    needed = ("survey_type", "customer", "status", "triggered_at")
    optional = ("period", "episode", "touchpoint", "contact_channel", "rule", "probability")
    names = {name: getattr(columns, name) for name in (*needed, *optional)}
    check_columns(invitations, {name: names[name] for name in needed})
    used = {name: column for name, column in names.items() if column in there}
    asked = read_frame(invitations, used)
    n = len(asked)
    missing = {"probability": np.full(n, np.nan), "episode": pd.Series(None, asked.index, "str")}
    for name in optional:
        if name not in asked:
            asked[name] = missing.get(name, no_label(n))
    where = "invitations"
    check_survey_type(asked["survey_type"], columns.survey_type, SURVEY_TYPES, where)
    asked["probability"] = numbers(asked["probability"], columns.probability, where)
    _check_status(asked, columns)
    asked["time"] = days(asked.pop("triggered_at"), columns.triggered_at, where)
    if not framed:
        asked = asked[asked["customer"].isin(ids)].reset_index(drop=True)
    asked["customer"] = positions(asked["customer"], ids, str(columns.customer), where)
    codes = {name: code for code, name in enumerate(STATUSES)}
    asked["status"] = labelled(asked["status"], codes, -1).astype(np.int8)
    asked["transactional"] = (asked.pop("survey_type") == "transactional").to_numpy(dtype=bool)
    return asked


def _check_status(asked: pd.DataFrame, columns: Columns) -> None:
    bad = asked.loc[~asked["status"].isin(STATUSES), "status"]
    if len(bad):
        raise ValueError(
            f"`{columns.status}` of the invitations must be {one_of(STATUSES)}; "
            f"got {got([str(v) for v in bad])}."
        )
    chance = asked["probability"].to_numpy()
    off = chance[~np.isnan(chance) & ~((chance > 0) & (chance <= 1))]
    if len(off):
        raise ValueError(
            f"`{columns.probability}` of the invitations must be above 0 and at most 1; "
            f"got {got([f'{v:g}' for v in off])}. Leave it empty where it is not known."
        )
    nameless = (asked["status"] == "suppressed") & asked["rule"].isna()
    if nameless.any():
        raise ValueError(
            f"`{columns.rule}` of the invitations must name the rule of every suppressed row; "
            f"{int(nameless.sum()):,} have none."
        )
    episodes = asked.loc[asked["survey_type"] == "transactional", "episode"]
    check_unique(episodes, columns.episode, "transactional invitations")
    waves = asked.loc[asked["survey_type"] == "relationship", ["customer", "period"]]
    twice = waves[waves.duplicated()]
    if len(twice):
        shown = [f"{c} in {p}" for c, p in zip(twice["customer"], twice["period"], strict=True)]
        raise ValueError(
            f"Relationship invitations must be one per `{columns.customer}` and "
            f"`{columns.period}`; got {got(shown)} more than once. Name the waves apart."
        )
