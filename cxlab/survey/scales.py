"""Rating scales: bins that partition, missing codes and their reasons, metrics."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from cxlab.core.characters import visible_text
from cxlab.core.messages import did_you_mean, got, one_of
from cxlab.core.metric import Metric

#: Why an answer may be missing. A touchpoint never used is neither zero nor missing at
#: random, so the reasons are never merged.
Reason = Literal["never used", "no answer", "don't know", "not asked", "invalid"]
REASONS: tuple[str, ...] = get_args(Reason)

#: Names of metrics that a scale may declare, with the bins they need, the best first.
METRICS: dict[str, tuple[str, ...]] = {
    "nps": ("promoters", "passives", "detractors"),
    "net": ("top", "bottom"),
    "top box": ("top",),
    "bottom box": ("bottom",),
    "mean": (),
}

#: Their kinds: see `cxlab.core.metric.KINDS`.
KIND_OF = {
    "nps": "net",
    "net": "net",
    "top box": "box",
    "bottom box": "box",
    "mean": "mean",
}

#: Usual names of bins from the worst to the best.
HEIGHTS = {
    **dict.fromkeys(("detractors", "bottom", "low"), 0),
    **dict.fromkeys(("passives", "middle", "mid", "neutral"), 1),
    **dict.fromkeys(("promoters", "top", "high"), 2),
}

Range = tuple[int, int]

#: Read as text, so that a long id keeps all its digits.
_WHOLE_NUMBER = re.compile(r"(?P<sign>[+-]?)(?P<digits>\d+)(?:\.0*)?")


@dataclass(frozen=True)
class Scale:
    """A rating scale of whole numbers.

    Examples
    --------
    >>> Scale("rating", 1, 5, bins={"bottom": (1, 2), "top": (4, 5)})
    Traceback (most recent call last):
    ...
    ValueError: `bins` of scale 'rating' must cover 1 to 5 once each; got none for 3. ...
    """

    name: str
    low: int
    high: int
    #: Closed ranges that cover every score once; empty if none are declared.
    bins: Mapping[str, Range] = field(default_factory=dict)
    #: Code (as text, see `normal_code`) to one of `REASONS`.
    missing: Mapping[str, str] = field(default_factory=dict)
    #: Words of the questionnaire for a score.
    labels: Mapping[int, str] = field(default_factory=dict)
    metrics: tuple[str, ...] = ("mean",)  # keys of `METRICS`
    #: Metric to what readers call it: ``{"top box": "Satisfied"}``.
    names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError(
                f"`range` of scale '{self.name}' must be [low, high] with low below high; "
                f"got [{self.low}, {self.high}]."
            )
        if self.bins:
            self._check_bins()
        check_off_scale(self.missing, self, f"scale '{self.name}'")
        check_metrics(self.metrics, self, f"scale '{self.name}'")

    @property
    def range(self) -> Range:
        """Lowest and highest score."""
        return (self.low, self.high)

    @property
    def top_box(self) -> Range | None:
        """Scores that count as good: the bin ``top``, or ``promoters``."""
        return self.bins.get("top", self.bins.get("promoters"))

    @property
    def cuts(self) -> tuple[float, float]:
        """Highest score of the lowest bin and lowest of the highest bin.

        With fewer than three bins, the thirds of the scale.

        Examples
        --------
        >>> Scale("rating", 1, 5, bins={"low": (1, 2), "middle": (3, 3), "top": (4, 5)}).cuts
        (2.0, 4.0)
        >>> Scale("ten", 0, 10).cuts
        (3.0, 7.0)
        """
        if len(self.bins) > 2:
            ordered = sorted(self.bins.values())
            return float(ordered[0][1]), float(ordered[-1][0])
        third = (self.high - self.low) // 3
        return float(self.low + third), float(self.high - third)

    def metric(
        self, column: str, name: str, target: float | None = None, margin: float | None = None
    ) -> Metric:
        """The named metric of a column that is on this scale."""
        boxes = [self.bins[bin_name] for bin_name in METRICS[name]]
        kind = KIND_OF[name]
        return Metric(
            column,
            kind,
            top=boxes[0] if boxes else None,
            bottom=boxes[-1] if kind == "net" else None,
            scale=self.range,
            name=name,
            target=target,
            margin=margin,  # type: ignore[arg-type]
            words=self.names.get(name, ""),
        )

    def _check_bins(self) -> None:
        for name, (low, high) in self.bins.items():
            if low > high or low < self.low or high > self.high:
                raise ValueError(
                    f"`bins` of scale '{self.name}' must lie within {self.low} to {self.high}; "
                    f"got {name} = [{low}, {high}]."
                )
        following = self.low
        # one beyond the scale, to find a gap at its top
        for low, high in [*sorted(self.bins.values()), (self.high + 1, self.high + 1)]:
            if low != following:
                self._refuse_cover(min(low, following))
            following = high + 1
        self._check_order()

    def _refuse_cover(self, score: int) -> None:
        holders = [name for name, (low, high) in self.bins.items() if low <= score <= high]
        where = " and ".join(f"'{name}'" for name in holders) or "none"
        raise ValueError(
            f"`bins` of scale '{self.name}' must cover {self.low} to {self.high} once "
            f"each; got {where} for {score}. Give every score exactly one bin."
        )

    def _check_order(self) -> None:
        ordered = sorted(self.bins, key=lambda name: self.bins[name])
        known = [name for name in ordered if name in HEIGHTS]
        for lower, higher in itertools.pairwise(known):
            if HEIGHTS[lower] > HEIGHTS[higher]:
                raise ValueError(
                    f"`bins` of scale '{self.name}' must rise with the scores; got {lower} = "
                    f"{list(self.bins[lower])} below {higher} = {list(self.bins[higher])}. Where "
                    "the lowest code is the best answer, set reverse = true in the column."
                )


def check_off_scale(missing: Iterable[str], scale: Scale, place: str, shift: int = 0) -> None:
    """Refuse missing codes that are scores; a stored code + ``shift`` is a score."""
    low, high = scale.low - shift, scale.high - shift
    clash = [code for code in missing if is_whole(code, low, high)]
    if clash:
        raise ValueError(
            f"`missing` of {place} must be codes that are not scores, which are stored as {low} to "
            f"{high} on scale '{scale.name}'{f' with shift = {shift}' if shift else ''}; "
            f"got {got(clash)}. A code cannot be both a score and missing."
        )


def check_metrics(metrics: Iterable[str], scale: Scale | None, place: str) -> None:
    """Refuse metrics that are unknown, and those whose bins the scale lacks."""
    for name in metrics:
        if name not in METRICS:
            raise ValueError(
                f"`metrics` of {place} must be {one_of(METRICS)}; got '{name}'."
                + did_you_mean(name, METRICS)
            )
        if scale is None:
            raise ValueError(f"`metrics` of {place} must be left out, because it has no `scale`.")
        lacking = [box for box in METRICS[name] if box not in scale.bins]
        if lacking:
            raise ValueError(
                f"`metrics` of {place}: '{name}' needs the bins {', '.join(METRICS[name])}; scale "
                f"'{scale.name}' has no '{lacking[0]}'. Declare it in `bins`."
            )


def is_whole(code: str, low: int, high: int) -> bool:
    """Whether a code (see `normal_code`) is a whole number of a range, however long that is."""
    return bool(re.fullmatch(r"-?[0-9]+", code)) and low <= int(code) <= high


def normal_code(text: object) -> str:
    """One spelling of a code: as it is seen, case folded, whole numbers without decimals.

    Examples
    --------
    >>> normal_code(" 4.0 "), normal_code("BLANK"), normal_code(-99), normal_code("6.5")
    ('4', 'blank', '-99', '6.5')
    """
    trimmed = visible_text(str(text)).casefold()
    whole = _WHOLE_NUMBER.fullmatch(trimmed)
    if not whole:
        return trimmed
    digits = whole["digits"].lstrip("0") or "0"
    return digits if digits == "0" or whole["sign"] != "-" else f"-{digits}"
