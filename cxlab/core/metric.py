"""A metric: one measure of one column of scores; the Net Promoter Score is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cxlab.core.messages import unknown

#: Kinds of metric, and the unit that each is in.
KINDS = {"net": "points", "box": "%", "mean": "score"}


@dataclass(frozen=True)
class Metric:
    """One measure of one column of scores.

    Attributes
    ----------
    column : str
        Column of the scores.
    kind : {"net", "box", "mean"}
        Share of the top less share of the bottom; share in the box; mean.
    top, bottom : (low, high) or None
        Closed ranges of scores that count as top (or as the box) and as bottom.
    scale : (low, high) or None
        Whole numbers that a score may be; None: any number.
    name : str
        Name in words, such as ``"nps"`` or ``"top box"``.
    target : float or None
        What the study wants, in the metric's unit.
    """

    column: str
    kind: str
    top: tuple[float, float] | None = None
    bottom: tuple[float, float] | None = None
    scale: tuple[float, float] | None = None
    name: str = ""
    target: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(unknown("kind", self.kind, KINDS))

    @property
    def factor(self) -> float:
        """100 for points and per cent, 1 for means."""
        return 1.0 if self.kind == "mean" else 100.0

    @property
    def unit(self) -> str:
        """``points``, ``%`` or ``score``."""
        return KINDS[self.kind]


def nps_metric(column: str) -> Metric:
    """The Net Promoter Score of a column: per cent 9–10 less per cent 0–6, of 0 to 10.

    Examples
    --------
    >>> nps_metric("recommend").unit
    'points'
    """
    return Metric(column, "net", top=(9, 10), bottom=(0, 6), scale=(0, 10), name="nps")


def metric_list(metrics: Metric | Sequence[Metric] | str) -> list[Metric]:
    """One metric, several, or the Net Promoter Score of a column, as a list."""
    if isinstance(metrics, str):
        return [nps_metric(metrics)]
    return [metrics] if isinstance(metrics, Metric) else list(metrics)
