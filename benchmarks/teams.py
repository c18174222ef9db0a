"""False links of employees and customers, coverage of their slopes, and agents flagged on a funnel.

    python -m benchmarks teams --studies 2000

Unit means are drawn directly, with pooled variances as chi-square draws: the estimators see nothing
else of the rows. Seeds are fixed; each rate has its Monte-Carlo standard error (MC se).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import stdtr

from cxlab.stats.inference import normal_quantile
from cxlab.stats.teams.link import BETWEEN, CORRECTED, WITHIN, _slopes, _within
from cxlab.stats.teams.signs import funnel

#: Fixed before the first run.
SEED = 20261129
LEVEL = 0.95
#: Standard deviations: employees' true means, customers beyond them, of a customer's answer.
TRUE, QUALITY, CUSTOMER = 0.8, 0.45, 2.0


def unit_study(rng, units, slope, staff, noise, buyers):
    """Means of one study's units, and the variances within that it would estimate."""
    true = rng.normal(7, TRUE, units)
    quality = slope * true + rng.normal(0, QUALITY, units)
    n_x, n_y = rng.integers(*staff, units), rng.integers(*buyers, units)
    table = pd.DataFrame(
        {
            "employee_mean": true + rng.normal(0, noise, units) / np.sqrt(n_x), "n_employees": n_x,
            "customer_mean": quality + rng.normal(0, CUSTOMER, units) / np.sqrt(n_y), "n": n_y,
        }
    )  # fmt: skip
    spreads = (
        sd**2 * rng.chisquare(df) / df
        for sd, df in ((noise, (n_x - 1).sum()), (CUSTOMER, (n_y - 1).sum()))
    )
    return table, *spreads


def of_rows(rng, table, variance):
    """Whether least squares of customers' rows on their unit's employee score rejects."""
    x, y, n = table["employee_mean"], table["customer_mean"], table["n"]
    total = n.sum()
    centred = x - (n * x).sum() / total
    slope = (n * centred * y).sum() / (n * centred**2).sum()
    left = (n * (y - (n * y).sum() / total - slope * centred) ** 2).sum() + variance * (n - 1).sum()
    se = np.sqrt(left / (total - 2) / (n * centred**2).sum())
    return 2 * stdtr(total - 2, -abs(slope) / se) < 1 - LEVEL


def rate(label, hits):
    """A row of the result: how often, and how surely that is known."""
    hits = np.asarray(hits, dtype=float)
    share = hits.mean() if len(hits) else np.nan
    se = np.sqrt(share * (1 - share) / max(len(hits), 1))
    return {"what": label, "rate": share, "MC se": se, "studies": len(hits)}


def links(studies):
    """A true null, coverage of both slopes, and slopes that are opposite."""
    rows = []
    for units in (10, 15, 40):
        rng = np.random.default_rng([SEED, units])
        null, naive = [], []
        for _ in range(studies):
            table, *spreads = unit_study(rng, units, 0.0, (8, 20), 1.8, (15, 80))
            null.append(_slopes(table, np.nan, spreads[1], LEVEL)[0][7] < 1 - LEVEL)
            naive.append(of_rows(rng, table, spreads[1]))
        rows.append(rate(f"null rejected, {units} units", null))
        rows.append(rate(f"null rejected, {units} units, rows of customers", naive))
    for units, staff in ((15, (8, 20)), (30, (8, 20)), (40, (5, 9)), (40, (20, 40))):
        rng = np.random.default_rng([SEED, 100 + units, staff[0]])
        held = {BETWEEN: [], CORRECTED: []}
        for _ in range(studies // 2):
            for row in _slopes(*unit_study(rng, units, 0.6, staff, 1.8, (15, 80)), LEVEL):
                if np.isfinite(row[2]):
                    held[row[0]].append(row[4] <= 0.6 <= row[5])
        for name, hits in held.items():
            rows.append(rate(f"{name} holds the truth, {units} units, staff {staff}", hits))
    for units in (10, 24, 40):
        rng = np.random.default_rng([SEED, 200 + units])
        null = [within_study(rng, units, 0.0)[7] < 1 - LEVEL for _ in range(studies)]
        rows.append(rate(f"{WITHIN}: null rejected, {units} units", null))
    return pd.DataFrame([*rows, *opposite(studies // 2)])


def within_study(rng, units, slope):
    """Two surveys of employees in each unit."""
    n_x, n_y = rng.integers(8, 20, 2 * units), rng.integers(20, 80, 2 * units)
    change = rng.normal(0, 0.6, 2 * units)
    index = pd.MultiIndex.from_product([[str(i) for i in range(units)], ["1", "2"]])
    cells = pd.DataFrame(
        {
            "mean_x": change + rng.normal(0, 1.8, 2 * units) / np.sqrt(n_x), "size_x": n_x,
            "mean_y": slope * change + rng.normal(0, CUSTOMER, 2 * units) / np.sqrt(n_y),
            "size_y": n_y,
        },
        index=index,
    )  # fmt: skip
    return _within(cells, 1.8**2, LEVEL)


def opposite(studies):
    """Between .55, within −.3: how often each is shown with its sign."""
    rng = np.random.default_rng([SEED, 300])
    both = []
    for _ in range(studies):
        between = _slopes(*unit_study(rng, 60, 0.55, (20, 40), 1.8, (40, 120)), LEVEL)[0]
        within = within_study(rng, 60, -0.6)
        both.append((between[4] > 0, within[5] < 0))
    return [
        rate(f"opposite slopes: {name} shown", hits)
        for name, hits in zip((BETWEEN, WITHIN), zip(*both, strict=True), strict=True)
    ]


def agents(studies):
    """Studies in which 60 honest agents are flagged; steered agents found; agents beyond binomial limits."""
    rows = []
    beyond = normal_quantile(0.998)
    for share, spread, n in (
        (0.4, 0.0, 50),
        (0.4, 0.05, 80),
        (0.4, 0.1, 80),
        (0.1, 0.02, 50),
        (0.04, 0.0, 40),
    ):
        rng = np.random.default_rng([SEED, int(1000 * share), int(1000 * spread)])
        honest, found, binomial, either = [], [], [], []
        size = np.full(60, float(n))
        for _ in range(studies):
            true = np.clip(rng.normal(share, spread, 60), 0.001, 0.999)
            drawn = rng.binomial(n, true) / n
            z = funnel(drawn, size)["z"]
            honest.append((z > beyond).any())
            either.append((z.abs() > beyond).any())
            half = normal_quantile(0.95) * np.sqrt(drawn.mean() * (1 - drawn.mean()) / n)
            binomial.append((np.abs(drawn - drawn.mean()) > half).sum())
            if share == 0.4:
                drawn[:2] = rng.binomial(n, 0.75, 2) / n
                found += [*(funnel(drawn, size)["z"][:2] > beyond)]
        label = f"share {share:g} ± {spread:g}, n = {n}"
        rows.append(rate(f"honest, above: {label}", honest))
        rows.append(rate(f"honest, either side: {label}", either))
        if found:
            rows.append(rate(f"two steered to .75 found: {label}", found))
        mean = {"what": f"agents beyond binomial 95 %: {label}", "rate": np.mean(binomial)}
        rows.append(mean | {"studies": studies})
    return pd.DataFrame(rows)


def main(studies: int = 2_000) -> None:
    """Print both tables."""
    for table in (links(studies), agents(studies)):
        print(table.round(3).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
