"""Columns that belong together: rankings, "select all that apply", and rating batteries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cxlab.survey.drafting.names import shared_beginning, words_of
from cxlab.survey.drafting.profile import Profile
from cxlab.survey.exports.missing import missing_reason

#: Share of rows that must be ranks for the columns to be a ranking.
RANKED = 0.95
#: Fewest rows to believe it from.
FEWEST_RANKED = 5
LONGEST_RANKING = 20


def find_rankings(raw: pd.DataFrame, profiles: Sequence[Profile]) -> list[list[int]]:
    """Runs of columns whose rows are permutations of 1..k, as positions.

    Rows with every column filled decide; where there are none, rows with three ranks or
    more whose ranks are 1..m do ("rank your top three").
    """
    whole = [_could_be_ranks(profile) for profile in profiles]
    ranks = np.full(raw.shape, np.nan)
    for place in np.flatnonzero(whole):
        ranks[:, place] = pd.to_numeric(raw.iloc[:, place], errors="coerce")
    runs, start = [], 0
    while start < len(profiles):
        run = _ranking_from(ranks, profiles, whole, start)
        if run:
            runs.append(run)
        start += len(run) or 1
    return runs


def _could_be_ranks(profile: Profile) -> bool:
    return bool(profile.whole) and not profile.fractions and not profile.words


def _ranking_from(
    ranks: np.ndarray, profiles: Sequence[Profile], whole: Sequence[bool], start: int
) -> list[int]:
    end = start
    while end < len(profiles) and whole[end] and end - start < LONGEST_RANKING:
        end += 1
    for stop in range(end, start + 2, -1):
        run = list(range(start, stop))
        codes = {code for place in run for code in profiles[place].whole}
        whole_ranks = 3 <= len(codes) <= len(run) and codes == set(range(1, len(codes) + 1))
        if whole_ranks and _ranked(ranks[:, start:stop]):
            return run
    return []


def _ranked(ranks: np.ndarray) -> bool:
    filled = (~np.isnan(ranks)).sum(axis=1)
    deciding = filled == ranks.shape[1]
    if deciding.sum() < FEWEST_RANKED:
        deciding = filled >= min(3, ranks.shape[1])
    if deciding.sum() < FEWEST_RANKED:
        return False
    # adding up is much faster than sorting
    adds_up = np.nansum(ranks[deciding], axis=1) == (filled * (filled + 1) / 2)[deciding]
    if adds_up.mean() < RANKED:
        return False
    in_order = np.sort(ranks[deciding], axis=1)  # NaN last
    expected = np.arange(1, ranks.shape[1] + 1)
    permutations = (np.isnan(in_order) | (in_order == expected)).all(axis=1)
    return bool(permutations.mean() >= RANKED)


def find_choices(profiles: Sequence[Profile]) -> list[list[int]]:
    """Runs of columns that are filled with one text or blank: "select all that apply"."""
    runs: list[list[int]] = [[]]
    for place, profile in enumerate(profiles):
        if _one_choice(profile):
            runs[-1].append(place)
        else:
            runs.append([])
    return [run for run in runs if len(run) > 1]


def _one_choice(profile: Profile) -> bool:
    chosen = [code for code in profile.counts if code not in profile.declared]
    if len(chosen) != 1 or not profile.blank + len(profile.counts) - len(chosen):
        return False
    if profile.coded and chosen == ["1"] and "0" not in profile.labels:
        choice = profile.question is not None and bool(profile.question.choice)
        return choice or set(profile.labels) == {"1"}
    return chosen[0] in profile.words and missing_reason(chosen[0]) is None


def rating_batteries(profiles: Sequence[Profile]) -> list[list[Profile]]:
    """Ratings grouped by the question that their headers share, alone where they share none."""
    together: list[list[Profile]] = []
    for profile in profiles:
        last = together[-1][-1] if together else None
        if last is not None and _same_question(last, profile):
            together[-1].append(profile)
        else:
            together.append([profile])
    return together


def _same_question(before: Profile, after: Profile) -> bool:
    """Neighbours in the file, of one question by a joint ("Q7 - …") or by number ("Q7…")."""
    if after.place != before.place + 1:
        return False
    if shared_beginning([before.asked, after.asked]):
        return True
    first, second = words_of(before.header).split(), words_of(after.header).split()
    shared = next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
        min(len(first), len(second)),
    )
    numbered = shared >= 2 and any(word.isdigit() for word in first[:shared])
    named = shared >= 1 and "_" in before.header and len(first[0]) > 1 and shared < len(first)
    return numbered or named
