"""A run of numbers as a line no larger than a word: inline SVG, no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, MARGIN = 96, 24, 3


def sparkline(values: Sequence[float], words: str) -> str:
    """An SVG element in the colour of the text, with words for those who don't see it.

    Parameters
    ----------
    values : sequence of float
        Two or more, evenly spaced.
    words : str
        Read out in its place.

    Returns
    -------
    str
        Safe to place in a page.

    Examples
    --------
    >>> sparkline([1, 3], "NPS <b>").startswith('<svg role="img" aria-label="NPS &lt;b&gt;"')
    True
    """
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    step = (WIDTH - 2 * MARGIN) / (len(values) - 1)
    points = [
        (MARGIN + i * step, HEIGHT - MARGIN - (value - low) / span * (HEIGHT - 2 * MARGIN))
        for i, value in enumerate(values)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    return (
        f'<svg role="img" aria-label="{escape(words)}" class="run" width="{WIDTH}" '
        f'height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"><polyline points="{path}" fill="none" '
        f'stroke="currentColor" stroke-width="1.5"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="currentColor"/></svg>'
    )
