"""Rating scales: bins that partition, missing codes and their reasons, metrics."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from cxlab.core.characters import visible_text
from cxlab.core.messages import got, one_of, unknown
from cxlab.core.metric import Metric

#: Why an answer may be missing. A touchpoint never used is neither zero nor missing at
#: random, so the reasons are never merged.
REASONS = ("never used", "no answer", "don't know", "not asked", "invalid")

#: Names of metrics that a scale may declare, with the bins they need.
METRICS: dict[str, tuple[str, ...]] = {
    "nps": ("promoters", "passives", "detractors"),
    "net": ("top", "bottom"),
    "top box": ("top",),
    "bottom box": ("bottom",),
    "mean": (),
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

    Attributes
    ----------
    name : str
    low, high : int
        Ends of the scale.
    bins : mapping of str to (low, high)
        Closed ranges that cover every score once; empty if none are declared.
    missing : mapping of str to str
        Code (as text, see `normal_code`) to one of `REASONS`.
    labels : mapping of int to str
        Words of the questionnaire for a score.
    metrics : tuple of str
        Keys of `METRICS`.

    Raises
    ------
    ValueError
        When the bins overlap or leave a gap, a code has an unknown reason or lies on the
        scale, or a metric needs a bin that is not declared.

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
    bins: Mapping[str, Range] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[int, str] = field(default_factory=dict)
    metrics: tuple[str, ...] = ("mean",)

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError(
                f"`range` of scale '{self.name}' must be [low, high] with low below high; "
                f"got [{self.low}, {self.high}]."
            )
        if self.bins:
            self._check_bins()
        check_reasons(self.missing, f"scale '{self.name}'")
        self._check_codes()
        self._check_metrics()

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

    def metric(self, column: str, name: str, target: float | None = None) -> Metric:
        """The named metric of a column that is on this scale."""
        bins = self.bins
        if name == "mean":
            return Metric(column, "mean", scale=self.range, name=name, target=target)
        if name == "nps":
            return Metric(
                column,
                "net",
                top=bins["promoters"],
                bottom=bins["detractors"],
                scale=self.range,
                name=name,
                target=target,
            )
        if name == "net":
            return Metric(
                column,
                "net",
                top=bins["top"],
                bottom=bins["bottom"],
                scale=self.range,
                name=name,
                target=target,
            )
        box = bins["top" if name == "top box" else "bottom"]
        return Metric(column, "box", top=box, scale=self.range, name=name, target=target)

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

    def _check_codes(self) -> None:
        clash = [code for code in self.missing if is_whole(code, self.low, self.high)]
        if clash:
            raise ValueError(
                f"`missing` of scale '{self.name}' must be codes off the scale {self.low} to "
                f"{self.high}; got {got(clash)}. A code cannot be both a score and missing."
            )

    def _check_metrics(self) -> None:
        for name in self.metrics:
            if name not in METRICS:
                raise ValueError(unknown("metrics", name, METRICS, of=f"scale {self.name}"))
            lacking = [bin_name for bin_name in METRICS[name] if bin_name not in self.bins]
            if lacking:
                raise ValueError(
                    f"`metrics` of scale '{self.name}': '{name}' needs the bins "
                    f"{', '.join(METRICS[name])}; got no '{lacking[0]}'. Declare it in `bins`."
                )


def check_reasons(missing: Mapping[str, str], owner: str) -> None:
    """Refuse a missing code whose reason is not one of `REASONS`."""
    for code, reason in missing.items():
        if reason not in REASONS:
            raise ValueError(
                f"`missing` of {owner} must give each code one of {one_of(REASONS)}; "
                f"got '{reason}' for {code}."
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
