"""Ids of lazy answers: given on every row, and different."""

from __future__ import annotations

import math
from collections.abc import Iterator

import narwhals as nw

from cxlab.core.engines import collect
from cxlab.core.messages import got

#: Ids that are compared at a time: more would not fit a gigabyte.
AT_A_TIME = 4_000_000
#: Last characters of an id that part them where they are too many.
_ENDING = 2


def check_ids(ids: nw.LazyFrame, name: str, file: str, n: int) -> None:
    """Refuse rows without an id, and ids that stand more than once.

    Parameters
    ----------
    ids : narwhals.LazyFrame
        One column ``id``: whole numbers or text.
    name : str
        What the column is called.
    file : str
        For messages.
    n : int
        Rows.

    Raises
    ------
    ValueError
        Naming one repeated id and how many more rows repeat one.
    """
    distinct, first = 0, None
    for part in _parts(ids, n):
        counted = part.group_by("id").agg(nw.len().alias("n"))
        repeated = nw.when(nw.col("n") > 1).then(nw.col("id")).min()
        # not n_unique(): Ibis writes a cast there that PostgreSQL refuses
        found = collect(counted.select(nw.len().alias("distinct"), repeated.alias("first")))
        distinct += int(found["distinct"].iloc[0])
        first = first if first is not None else found["first"].dropna().tolist() or None
    nulls = int(collect(ids.filter(nw.col("id").is_null()).select(n=nw.len()))["n"].iloc[0])
    if nulls:
        raise ValueError(
            f"{file}: every row must have an id in '{name}'; {nulls:,} "
            "have none. Fill them in, or declare the column as text."
        )
    if distinct < n and first:
        shown = str(int(first[0]) if isinstance(first[0], float) else first[0])
        raise ValueError(
            f"{file}: ids in '{name}' must be unique; got {got([shown], n - distinct)} "
            "more than once. Remove the repeated answers, or declare another column as the id."
        )


def _parts(ids: nw.LazyFrame, n: int) -> Iterator[nw.LazyFrame]:
    """The ids, in parts that share none."""
    number = math.ceil(n / AT_A_TIME)
    if number == 1:
        yield ids
    elif ids.collect_schema()["id"].is_integer():
        for rest in range(number):
            yield ids.filter((nw.col("id") % number).is_in([rest, rest - number]))
    else:
        ending = nw.col("id").str.tail(_ENDING)
        sizes = ids.select(ending=ending).group_by("ending").agg(nw.len().alias("n"))
        found = collect(sizes).dropna().sort_values("ending")
        pack = (found["n"].cumsum() // AT_A_TIME).to_numpy()
        for number in sorted(set(pack)):
            yield ids.filter(ending.is_in(found["ending"][pack == number].tolist()))
