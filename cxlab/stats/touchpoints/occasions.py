"""When the touchpoint and the outcome were measured, and what may be said of them."""

from __future__ import annotations

from dataclasses import dataclass

from cxlab.core.messages import unknown


@dataclass(frozen=True)
class Occasion:
    """How a touchpoint's score and the outcome were measured.

    Attributes
    ----------
    code : {"A", "B", "C", "D"}
    name : str
        A few words, for tables and axes.
    caution : str
        One sentence on how to read a correlation of this kind.
    """

    code: str
    name: str
    caution: str

    def __str__(self) -> str:
        return f"{self.code} ({self.name})"


OCCASIONS = {
    "A": Occasion(
        "A",
        "same survey",
        "Touchpoints and outcome were rated in one sitting, so mood and habits of answering "
        "(halo) are part of every coefficient: a touchpoint that does nothing can still show "
        "a clear one.",
    ),
    "B": Occasion(
        "B",
        "same survey, overall asked first",
        "Outcome and touchpoints were rated in one sitting and the outcome first, so it may "
        "have coloured the ratings that follow: halo is part of every coefficient.",
    ),
    "C": Occasion(
        "C",
        "separate occasions",
        "Touchpoint and outcome were rated on separate occasions and linked by customer, so "
        "the mood of one sitting is not shared; lasting differences between customers are.",
    ),
    "D": Occasion(
        "D",
        "operational figure against survey",
        "The touchpoint's figure was recorded, not rated, so habits of answering are not "
        "shared; who got which service was still not decided by lot.",
    ),
}


def find_occasion(code: str) -> Occasion:
    """The declared occasion.

    Raises
    ------
    ValueError
        For anything but A to D, with their meanings.

    Examples
    --------
    >>> str(find_occasion("C"))
    'C (separate occasions)'
    """
    if code not in OCCASIONS:
        meanings = ", ".join(str(occasion) for occasion in OCCASIONS.values())
        message = unknown("occasion", code, OCCASIONS)
        raise ValueError(f"{message} Declare when the two were measured: {meanings}.")
    return OCCASIONS[code]
