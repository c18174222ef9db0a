"""Does a conclusion hold under other metrics, weights and counting?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cxlab.stats.comparison.bootstrap import Replicates
from cxlab.stats.comparison.contract import Answers
from cxlab.stats.comparison.decomposition import Identification, combination, interval
from cxlab.stats.comparison.gaps import Gap, raw_gap
from cxlab.stats.comparison.small import too_few
from cxlab.stats.comparison.support import Support
from cxlab.stats.comparison.terms import QUANTITY_COEFFICIENTS

_S = np.arange(11.0)
#: Points of each score 0 to 10. Bottom box counts against, so that up is better everywhere.
METRICS: dict[str, np.ndarray] = {
    "NPS (9–10 less 0–6)": 100.0 * ((_S >= 9).astype(float) - (_S <= 6)),
    "mean score": _S,
    "top two (9–10)": 100.0 * (_S >= 9),
    "bottom box (0–6), reversed": -100.0 * (_S <= 6),
    "10 less 0–6": 100.0 * ((_S >= 10).astype(float) - (_S <= 6)),
    "9–10 less 0–5": 100.0 * ((_S >= 9).astype(float) - (_S <= 5)),
    "8–10 less 0–5": 100.0 * ((_S >= 8).astype(float) - (_S <= 5)),
    "promoter +1, detractor −2": 100.0 * ((_S >= 9).astype(float) - 2.0 * (_S <= 6)),
    "promoter +2, detractor −1": 100.0 * (2.0 * (_S >= 9) - (_S <= 6)),
}
HEADLINE = "NPS (9–10 less 0–6)"
COLUMNS = ["quantity", "variant", "estimate", "se", "ci_low", "ci_high", "conclusion"]
CONCLUSIONS = ("tNPS higher", "rNPS higher", "undecided")


def robustness_table(
    t: Answers,
    r: Answers,
    unit: np.ndarray,
    result: Replicates | None,
    known: Identification,
    behind: Support,
    *,
    level: float,
    weighted: bool,
) -> pd.DataFrame:
    """Raw gap, standardised gap and residual under every variant.

    Returns
    -------
    DataFrame
        ``quantity, variant, estimate, se, ci_low, ci_high, conclusion, same``: ``same`` is
        whether the conclusion is that of the headline variant. A quantity with any other
        conclusion is not robust. Units: points; score points for the mean. A quantity that
        is not identified, or stands on too few customers, is left out; so is one answer per
        customer where too few have several.
    """
    rows = []
    if not behind.few("gap"):
        rows = [
            _raw_row("NPS: " + k, v, level) for k, v in _raw_variants(t, r, unit, weighted, behind)
        ]
        rows += [_raw_row(name, raw_gap(t, r, unit, v), level) for name, v in METRICS.items()]
    for quantity in ("standardised gap", "residual"):
        told = not known.reason(QUANTITY_COEFFICIENTS[quantity]) and not behind.few(quantity)
        if result is not None and told and result.n > 1:
            rows += [_standard_row(result, quantity, n, v, level) for n, v in METRICS.items()]
    table = pd.DataFrame(rows, columns=COLUMNS)
    headline = table[table["variant"] == HEADLINE].set_index("quantity")["conclusion"]
    table["same"] = table["conclusion"] == table["quantity"].map(headline)
    order = {name: i for i, name in enumerate(("raw gap", "standardised gap", "residual"))}
    return table.sort_values(
        "quantity", key=lambda names: names.map(order), kind="stable", ignore_index=True
    )


def _raw_variants(
    t: Answers, r: Answers, unit: np.ndarray, weighted: bool, behind: Support
) -> list[tuple[str, Gap]]:
    found = []
    if not too_few([_repeated(t), _repeated(r)], behind.smallest).any():
        # else its difference from the headline would be about them
        last = raw_gap(_last_of_each(t), _last_of_each(r), unit)
        found.append(("one answer per customer, the last", last))
    if weighted:
        found.append(("with the surveys' own weights", raw_gap(t, r, unit, weighted=True)))
    return found


def _repeated(answers: Answers) -> int:
    """Customers with more than one valid answer."""
    return int((np.bincount(answers.customer[answers.valid]) > 1).sum())


def _last_of_each(answers: Answers) -> Answers:
    rows = np.flatnonzero(answers.valid)
    order = rows[np.lexsort((answers.responded[rows], answers.customer[rows]))]
    customer = answers.customer[order]
    last = np.r_[customer[1:] != customer[:-1], True] if len(order) else np.empty(0, dtype=bool)
    return answers.take(order[last])


def _raw_row(variant: str, gap: Gap, level: float) -> dict[str, object]:
    return _row("raw gap", variant, gap.estimate, gap.se, *gap.limits(level))


def _standard_row(
    result: Replicates, quantity: str, variant: str, values: np.ndarray, level: float
) -> dict[str, object]:
    estimate, replicates = combination(result, quantity, values)
    return _row(quantity, variant, estimate, *interval(replicates, level))


def _row(
    quantity: str, variant: str, estimate: float, se: float, low: float, high: float
) -> dict[str, object]:
    conclusion = CONCLUSIONS[0] if low > 0 else CONCLUSIONS[1] if high < 0 else CONCLUSIONS[2]
    return {
        "quantity": quantity,
        "variant": variant,
        "estimate": estimate,
        "se": se,
        "ci_low": low,
        "ci_high": high,
        "conclusion": conclusion,
    }


def not_robust(table: pd.DataFrame) -> dict[str, list[str]]:
    """Quantity to the variants under which its conclusion flips; absent where none does."""
    flipped = table[~table["same"]]
    return {name: list(part["variant"]) for name, part in flipped.groupby("quantity", sort=False)}
