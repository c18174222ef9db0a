"""What each term of the decomposition is: its own formula in the quantities."""

from __future__ import annotations

import numpy as np

#: In the fixed order in which they are taken; they telescope to B0 − A0.
TERMS: dict[str, dict[str, float]] = {
    "mix": {"B0": 1, "B1": -1},
    "transactional response": {"B1": 1, "B2": -1},
    "residual": {"B2": 0.5, "C2": -0.5, "B3": 0.5, "C1": -0.5},
    "unit weighting": {"C2": 0.5, "C1": -0.5, "B2": 0.5, "B3": -0.5},
    "coverage": {"C1": 1, "C0": -1},
    "relationship response and contact rules": {"C0": 1, "A0": -1},
}
FORMULAS = {
    "mix": "B0 − B1",
    "transactional response": "B1 − B2",
    "residual": "½[(B2 − C2) + (B3 − C1)]",
    "unit weighting": "½[(C2 − C1) + (B2 − B3)]",
    "coverage": "C1 − C0",
    "relationship response and contact rules": "C0 − A0",
    "gap": "B0 − A0",
    "response selection": "(B1 − B2) + (C0 − A0)",
    "selection": "response selection + coverage + unit weighting",
    "standardised gap": "B3 − C1",
}
ABOUT = {
    "mix": "how we count",
    "transactional response": "who",
    "residual": "what remains",
    "unit weighting": "how we count",
    "coverage": "who",
    "relationship response and contact rules": "who",
}
TOTALS: dict[str, dict[str, float]] = {
    "response selection": {"B1": 1, "B2": -1, "C0": 1, "A0": -1},
    "selection": {"B1": 1, "B2": -0.5, "B3": -0.5, "C2": 0.5, "C1": 0.5, "A0": -1},
    "gap": {"B0": 1, "A0": -1},
    "standardised gap": {"B3": 1, "C1": -1},
}
#: Both orders in which unit weighting and residual can be taken.
ONE_WAY: dict[str, dict[str, float]] = {
    "residual, each episode counted once (B2 − C2)": {"B2": 1, "C2": -1},
    "residual, each customer counted once (B3 − C1)": {"B3": 1, "C1": -1},
    "unit weighting in the relationship score (C2 − C1)": {"C2": 1, "C1": -1},
    "unit weighting in the transactional score (B2 − B3)": {"B2": 1, "B3": -1},
}
QUANTITIES = ("A0", "C0", "C1", "C2", "B0", "B1", "B2", "B3")
#: What of the raw gap is not in the standardised one.
GAP_LESS = "gap less standardised gap"
QUANTITY_COEFFICIENTS: dict[str, dict[str, float]] = {
    **{name: {name: 1.0} for name in QUANTITIES},
    **TERMS,
    **TOTALS,
    **ONE_WAY,
    GAP_LESS: {"B0": 1, "A0": -1, "B3": -1, "C1": 1},
}

#: The terms must add to the gap this closely, whatever was estimated.
SUM_TOLERANCE = 1e-9


def combine(values: dict[str, np.ndarray], coefficients: dict[str, float]) -> np.ndarray:
    """Linear combination of the quantities.

    Examples
    --------
    >>> combine({"B0": np.array([20.0]), "A0": np.array([5.0])}, TOTALS["gap"]).tolist()
    [15.0]
    """
    return sum((c * values[name] for name, c in coefficients.items()), start=np.zeros(1))


def check_sum(values: dict[str, np.ndarray]) -> None:
    """Refuse terms that do not add to the gap.

    Raises
    ------
    ArithmeticError
    """
    total = sum((combine(values, TERMS[name]) for name in TERMS), start=np.zeros(1))
    off = np.abs(total - combine(values, TOTALS["gap"]))
    if np.nanmax(off, initial=0.0) > SUM_TOLERANCE:
        raise ArithmeticError(
            f"The terms must add to the gap; they miss it by {np.nanmax(off):.3g} points."
        )
