"""The survey design: which columns say how the answers were sampled, and from whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from cxlab.core.messages import unknown


@dataclass(frozen=True)
class Design:
    """Names of the columns that say how the answers were sampled, and from whom; each may be None.

    Attributes
    ----------
    weights : str or None
        Column of weights, 0 or more. A row of weight 0 is outside the population.
    strata : str or None
        Column of strata.
    cluster : str or None
        Column of clusters, nested in strata. A row without one is its own cluster.
    stratum_clusters : str or None
        Column with the number of clusters (rows, where there are no clusters) sampled in
        the row's stratum before any filter. Without it the number seen in the data
        counts, which understates a filtered frame's variance.
    customer : str or None
        Column of who answered. It changes no estimate: small groups are counted in customers
        where it is given, in answers where it isn't. A row without one is a customer of its own.
    """

    weights: str | None = None
    strata: str | None = None
    cluster: str | None = None
    stratum_clusters: str | None = None
    customer: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no name of a column."""
        for part, name in self.columns().items():
            if name is not None and not isinstance(name, str):
                kind = type(name).__name__
                raise TypeError(f"`{part}` must be the name of a column; got {kind}.")

    @property
    def simple(self) -> bool:
        """Whether the answers are taken as a simple random sample."""
        return not (self.weights or self.strata or self.cluster)

    def columns(self) -> dict[str, str | None]:
        """Argument names to column names."""
        return asdict(self)

    def used(self) -> list[str]:
        """Names of the columns that are given."""
        return [name for name in self.columns().values() if name]


#: What estimators take as ``design=``.
DesignLike = Design | Mapping[str, str | None] | None


def as_design(design: DesignLike) -> Design:
    """The design that was given: as it is, by names in a mapping, or simple for None."""
    if isinstance(design, Design):
        return design
    if design is None:
        return Design()
    if not isinstance(design, Mapping):
        raise TypeError(
            f"`design` must be a Design or a mapping; got {type(design).__name__}. Write "
            'design=study.design or design={"weights": "weight"}.'
        )
    parts = [field.name for field in fields(Design)]
    for name in design:
        if name not in parts:
            raise ValueError(unknown("design", name, parts))
    return Design(**design)
