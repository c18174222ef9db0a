"""How many people answered: in one group, and in several groups together.

Answers add up over groups, people don't: a customer may have answered in two of them. Where
customers are known, they are counted by name where they are few; groups of many are never
small, so that their number suffices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import scipy  # its parts are loaded where they are used
from numpy.typing import ArrayLike, NDArray

from cxlab.core.frames import collect, group_sums

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class People:
    """People in each of several groups, so that those of any set of groups can be counted.

    Attributes
    ----------
    alone : ndarray, shape (groups,)
        People who are in no other group: answers whose customer is not known, each taken as one
        person's, and all people of groups that are large enough whatever is said of them.
    named : sparse array of 0 and 1, shape (groups, customers), optional
        Who is in each group, of those who are counted by name.

    Examples
    --------
    Two groups of two customers each, one of whom is in both:

    >>> from scipy.sparse import csr_array
    >>> both = People(np.zeros(2), csr_array([[1, 1, 0], [0, 1, 1]]))
    >>> both.sizes.tolist(), both.together([0, 1])
    ([2.0, 2.0], 3.0)
    """

    alone: Array
    named: Any = None

    @classmethod
    def counted(cls, n: ArrayLike) -> People:
        """As many people as answers."""
        return cls(np.asarray(n, dtype=float))

    @classmethod
    def at_least(cls, n: ArrayLike, enough: int) -> People:
        """People of groups of which the numbers alone are known: in each other as far as may be."""
        many = np.asarray(n, dtype=float)
        small = np.where(many < enough, many, 0).astype(int)
        nested = np.arange(enough) < small[:, None]
        return cls(np.where(many < enough, 0.0, many), scipy.sparse.csr_array(nested.astype(float)))

    @property
    def sizes(self) -> Array:
        """People in each group."""
        if self.named is None:
            return self.alone
        return self.alone + np.diff(self.named.indptr)

    @property
    def least_sizes(self) -> Array:
        """A share of people for each group that adds up, to no more people than there are."""
        if self.named is None:
            return self.alone
        groups_of = np.maximum(np.bincount(self.named.indices, minlength=self.named.shape[1]), 1)
        return self.alone + self.named @ (1.0 / groups_of)

    def together(self, groups: Sequence[int]) -> float:
        """People in several groups."""
        known = float(self.alone[list(groups)].sum())
        if self.named is None:
            return known
        starts, who = self.named.indptr, self.named.indices
        there = [who[starts[group] : starts[group + 1]] for group in groups]
        return known + (len(np.unique(np.concatenate(there))) if there else 0)

    def of(self, sets: Any) -> People:
        """People of sets of groups, one a row of 0 and 1."""
        alone = np.asarray(sets @ self.alone, dtype=float)
        if self.named is None:
            return People(alone)
        found = scipy.sparse.csr_array(scipy.sparse.csr_array(sets) @ self.named)
        # of differences, zeros that are kept as numbers
        found.eliminate_zeros()
        found.data[:] = 1
        return People(alone, found)

    def by_code(self, codes: NDArray[np.intp], many: int) -> People:
        """People of each of ``many`` sets, where every group is in one of them."""
        ones, shape = np.ones(len(codes)), (many, len(codes))
        return self.of(scipy.sparse.csr_array((ones, (codes, np.arange(len(codes)))), shape=shape))

    def take(self, groups: Any) -> People:
        """Some of the groups, by number or as flags."""
        chosen = np.asarray(groups)
        rows = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.intp)
        return People(self.alone[rows], None if self.named is None else self.named[rows])

    def beside(self, other: People) -> People:
        """These groups, then others, of the same customers."""
        alone = np.append(self.alone, other.alone)
        if self.named is None:
            return People(alone)
        return People(alone, scipy.sparse.csr_array(scipy.sparse.vstack([self.named, other.named])))

    def with_unknown(self, n: float) -> People:
        """One more group, of answers whose customers are not known."""
        none = None if self.named is None else scipy.sparse.csr_array((1, self.named.shape[1]))
        return self.beside(People(np.array([float(n)]), none))


def named_people(
    rows: nw.LazyFrame, table: pd.DataFrame, keys: list[str], counted: list[str], least: int
) -> dict[str, People]:
    """Who answered in each cell of a table, per column of counts.

    Parameters
    ----------
    rows : LazyFrame
        One row per answer: ``keys`` of its cell, the columns ``counted`` with 1 for an answer and 0
        for none, and ``customer``.
    table : DataFrame
        The sums of ``counted`` in each cell of ``keys``.
    keys, counted : list of str
    least : int
        Customers are counted by name in cells that hold fewer.
    """
    if not keys:
        rows, table, keys = rows.with_columns(whole=nw.lit(0)), table.assign(whole=0), ["whole"]
    found = collect(_of_few_customers(rows, keys, counted, least))
    found = found.merge(table[keys].assign(cell=np.arange(len(table))), on=keys)
    return {name: _people(table[name], found[found[name] > 0], name) for name in counted}


def _of_few_customers(
    rows: nw.LazyFrame, keys: list[str], counted: list[str], least: int
) -> nw.LazyFrame:
    """Answers of each customer in each cell; 0 for counts of which the cell has many customers."""
    sums = [nw.col(name).sum() for name in counted]
    each = group_sums(rows, [*keys, "customer"], sums)
    unknown = nw.col("customer").is_null()
    kept = {}
    for name in counted:
        n = nw.col(name)
        people = nw.when(unknown | (n == 0)).then(n).otherwise(nw.lit(1)).sum().over(*keys)
        kept[name] = nw.when(people < least).then(n).otherwise(nw.lit(0))
    some = reduce(or_, (nw.col(name) > 0 for name in counted))
    return each.with_columns(**kept).filter(some)


def _people(answers: pd.Series, found: pd.DataFrame, name: str) -> People:
    """People of one count: by name in cells of few of them, else as many as there are answers."""
    unknown = found["customer"].isna()
    alone = answers.to_numpy(float).copy()
    alone[found["cell"]] = 0
    np.add.at(alone, found.loc[unknown, "cell"], found.loc[unknown, name])
    known = found[~unknown]
    who, customers = pd.factorize(known["customer"])
    ones, shape = np.ones(len(who)), (len(answers), len(customers))
    named = scipy.sparse.coo_array((ones, (known["cell"].to_numpy(), who)), shape=shape)
    return People(alone, scipy.sparse.csr_array(named))
