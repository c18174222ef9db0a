"""Whose answers each quantity is made of, and what is hidden because they are too few."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxlab.stats.comparison.contract import Answers
from cxlab.stats.comparison.quantities import Engine
from cxlab.stats.comparison.small import TOO_FEW, hide, too_few, why_hidden
from cxlab.stats.comparison.terms import QUANTITY_COEFFICIENTS


@dataclass(frozen=True, eq=False)
class Support:
    """The answers behind every quantity.

    Attributes
    ----------
    customers : dict of str to ndarray of int
        Quantity to the customer of each answer it is made of. Without a frame only A0 and
        B0 are there.
    no_episode : int
        Customers who answered the relationship survey and had no eligible episode.
    smallest : int
        ``min_group_size``.
    """

    customers: dict[str, np.ndarray]
    no_episode: int
    smallest: int

    def count(self, name: str) -> tuple[int, int]:
        """Answers and customers behind a quantity, or behind a difference of two."""
        parts = [self.customers[one] for one in QUANTITY_COEFFICIENTS[name]]
        both = np.concatenate(parts)
        return len(both), len(np.unique(both))

    def few(self, name: str) -> bool:
        """Whether a quantity that this one is made of stands on too few customers.

        A term is hidden with its quantity: the terms add up, so it would give it back.
        """
        known = [self.customers.get(one) for one in QUANTITY_COEFFICIENTS[name]]
        sizes = [len(np.unique(rows)) for rows in known if rows is not None]
        return bool(too_few(sizes, self.smallest).any())

    def hide(self, table: pd.DataFrame, column: str) -> pd.DataFrame:
        """Hide the rows whose quantity or term, named in ``column``, is `few`."""
        rows = np.array([self.few(name) for name in table[column]], dtype=bool)
        result = hide(table, rows, why_hidden(self.smallest))
        if "status" in result:
            result["status"] = result["status"].mask(rows, TOO_FEW)
        return result


def support(t: Answers, r: Answers, engine: Engine | None, smallest: int) -> Support:
    """Who is behind each quantity; ``engine`` None: the quantities as collected only."""
    behind = {"B0": t.customer[t.valid], "A0": r.customer[r.valid]}
    no_episode = 0
    if engine is not None:
        episodes, waves = engine.transactional, engine.relationship
        reached = episodes.asked.customer[episodes.answered]
        behind |= {"B1": behind["B0"], "B2": reached, "B3": reached}
        rows = waves.answered
        used = waves.asked.episodes[rows] > 0
        base = waves.asked.customer[rows]
        behind |= {"C0": base, "C1": base[used], "C2": base[used]}
        no_episode = len(np.unique(base[~used]))
    return Support(behind, no_episode, smallest)


def hide_terms(table: pd.DataFrame, known: Support, cells: pd.DataFrame) -> pd.DataFrame:
    """The decomposition with what stands on too few customers hidden, and thin parts named.

    Parameters
    ----------
    table : DataFrame
        From `decompose` or `no_decomposition`.
    known : Support
    cells : DataFrame
        Of the mix (`mix_table`), with ``customers``; empty without a frame.
    """
    result = known.hide(table, "term")
    if known.few("gap"):
        # the estimate divided by its share is the gap
        result["share"] = np.nan
    for term, words in _thin_parts(known, cells).items():
        rows = (result["term"] == term) & result["estimate"].notna()
        result["note"] = result["note"].mask(rows, words)
    return result


def _thin_parts(known: Support, cells: pd.DataFrame) -> dict[str, str]:
    """Terms of which a part stands on too few customers, and the words for it."""
    found = {}
    thin = int(too_few(cells["customers"], known.smallest).sum()) if len(cells) else 0
    if thin:
        found["mix"] = (
            f"{thin} of {len(cells)} cells have answers of fewer than {known.smallest} customers"
        )
    if too_few(known.no_episode, known.smallest):
        found["coverage"] = (
            f"fewer than {known.smallest} customers who answered had no eligible episode"
        )
    return found
