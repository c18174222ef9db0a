"""A metric: one measure of one column of scores."""

from __future__ import annotations

from dataclasses import dataclass


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

    @property
    def factor(self) -> float:
        """100 for points and per cent, 1 for means."""
        return 1.0 if self.kind == "mean" else 100.0

    @property
    def unit(self) -> str:
        """``points``, ``%`` or ``score``."""
        return {"net": "points", "box": "%", "mean": "score"}[self.kind]
