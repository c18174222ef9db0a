"""A metric: one measure of one column of scores; the Net Promoter Score is one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cxlab.core.messages import got, unknown

#: Kinds of metric, and the unit that each is in.
KINDS = {"net": "points", "box": "%", "mean": "score"}
#: The smallest difference that matters where none is declared: points and per cent, and the
#: share of a scale's length.
MARGIN, MARGIN_OF_SCALE = 3.0, 0.02


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
        Name in words, such as ``"nps"`` or ``"top box"``; its kind where none is given.
    target : float or None
        What the study wants, in the metric's unit.
    margin : float
        The smallest difference that matters, in the metric's unit. None becomes 3 points, 3
        percentage points, or 2 % of the scale's length; infinite for a mean without a scale.
    words : str
        What the share is of: "Satisfied", "Easy less hard".
    """

    column: str
    kind: str
    top: tuple[float, float] | None = None
    bottom: tuple[float, float] | None = None
    scale: tuple[float, float] | None = None
    name: str = ""
    target: float | None = None
    margin: float = None  # type: ignore[assignment]
    words: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(unknown("kind", self.kind, KINDS))
        object.__setattr__(self, "name", self.name or self.kind)
        if self.margin is None:
            object.__setattr__(self, "margin", self._usual_margin())

    def _usual_margin(self) -> float:
        if self.kind != "mean":
            return MARGIN
        return MARGIN_OF_SCALE * (self.scale[1] - self.scale[0]) if self.scale else math.inf

    @property
    def factor(self) -> float:
        """100 for points and per cent, 1 for means."""
        return 1.0 if self.kind == "mean" else 100.0

    @property
    def unit(self) -> str:
        """``points``, ``%`` or ``score``."""
        return KINDS[self.kind]

    @property
    def title(self) -> str:
        """What readers call it: NPS, Satisfied (8 to 10), Mean, of 10."""
        if self.kind == "box":
            scores = _scores(self.top)
            return f"{self.words} ({scores})" if self.words else f"Scores {scores}"
        if self.kind == "net":
            nps = "NPS" if self.name == "nps" else ""
            return self.words or nps or f"{_scores(self.top)} less {_scores(self.bottom)}"
        return self.words or (f"Mean, of {self.scale[1]:g}" if self.scale else "Mean")


def _scores(bin_: tuple[float, float] | None) -> str:
    low, high = bin_ or (math.nan, math.nan)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def nps_metric(column: str) -> Metric:
    """The Net Promoter Score of a column: per cent 9–10 less per cent 0–6, of 0 to 10."""
    return Metric(column, "net", top=(9, 10), bottom=(0, 6), scale=(0, 10), name="nps")


def metric_list(metrics: Metric | Sequence[Metric] | str) -> list[Metric]:
    """One metric, several, or the Net Promoter Score of a column, as a list."""
    if isinstance(metrics, str):
        return [nps_metric(metrics)]
    found = [metrics] if isinstance(metrics, Metric) else list(metrics)
    if odd := [one for one in found if not isinstance(one, Metric)]:
        raise TypeError(
            f"`metrics` must be a Metric, several, or the name of one column of likelihood to "
            f"recommend; got {got(odd)} in a list. Give study.metrics(), which says how each "
            "column is scored."
        )
    return found
