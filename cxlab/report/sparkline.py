"""A run of numbers as a line no larger than a word: inline SVG, no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, MARGIN = 96, 24, 3


Interval = tuple[float | None, float | None]


def sparkline(values: Sequence[float], intervals: Sequence[Interval], words: str) -> str:
    """An SVG element in the colour of the text, with words for those who don't see it.

    The height spans the intervals and not the values alone, so that noise looks like noise.

    Parameters
    ----------
    values : sequence of float
        Two or more, evenly spaced.
    intervals : sequence of (low, high)
        Drawn as a band; None where there is none.
    words : str
        Read out in its place.

    Returns
    -------
    str
        Safe to place in a page.

    Examples
    --------
    >>> drawn = sparkline([1, 3], [(0, 2), (2, 4)], "NPS <b>")
    >>> drawn.startswith('<svg role="img" aria-label="NPS &lt;b&gt;"')
    True
    """
    lows = [
        value if low is None else low for value, (low, _) in zip(values, intervals, strict=True)
    ]
    highs = [value if up is None else up for value, (_, up) in zip(values, intervals, strict=True)]
    bottom, span = min(lows), (max(highs) - min(lows)) or 1.0
    line, low, high = (_points(numbers, bottom, span) for numbers in (values, lows, highs))
    x, y = line[-1]
    return (
        f'<svg role="img" aria-label="{escape(words)}" class="run" width="{WIDTH}" '
        f'height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<polygon points="{_path([*high, *reversed(low)])}" fill="currentColor" opacity="0.25"/>'
        f'<polyline points="{_path(line)}" fill="none" stroke="currentColor" stroke-width="1.5"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="currentColor"/></svg>'
    )


def _points(numbers: Sequence[float], bottom: float, span: float) -> list[tuple[float, float]]:
    step = (WIDTH - 2 * MARGIN) / (len(numbers) - 1)
    room = HEIGHT - 2 * MARGIN
    return [
        (MARGIN + i * step, HEIGHT - MARGIN - (number - bottom) / span * room)
        for i, number in enumerate(numbers)
    ]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
