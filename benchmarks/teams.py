"""False links of employees and customers, coverage of their slopes, and agents flagged on a funnel.

    python -m benchmarks teams --studies 2000

Unit means are drawn directly, with variances within as chi-square draws: the estimators see nothing
else of the rows. Seeds are fixed; each rate has its Monte-Carlo standard error (MC se).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import ndtr, stdtr

from cxlab.stats.inference import normal_quantile
from cxlab.stats.teams.link import BETWEEN, CORRECTED, WITHIN, _slopes, _within
from cxlab.stats.teams.scores import funnel

#: Fixed before the first run.
SEED = 20261129
LEVEL = 0.95
#: Limit of a sign.
BEYOND = normal_quantile(0.998)
#: Standard deviations: employees' true means, customers beyond them, of a customer's answer.
TRUE, QUALITY, CUSTOMER = 0.8, 0.45, 2.0
#: Units, employees of each, and slopes whose intervals are judged. With few employees a corrected
#: slope is given where their means happened to differ: those studies only are counted.
COVERED = (
    (15, (8, 21), 0.6), (30, (8, 21), 0.6), (40, (20, 41), 0.6), (15, (5, 9), 0.6),
    (40, (5, 9), 0.6), (15, (5, 9), 1.2), (40, (5, 9), 1.2),
)  # fmt: skip


def unit_study(rng, units, slope, staff, noise, buyers):
    """Means of one study's units, and their variances within."""
    true = rng.normal(7, TRUE, units)
    quality = slope * true + rng.normal(0, QUALITY, units)
    sides = {}
    for side, mean, sd, sizes in (("x", true, noise, staff), ("y", quality, CUSTOMER, buyers)):
        n = rng.integers(*sizes, units)
        sides |= {
            f"mean_{side}": mean + rng.normal(0, sd, units) / np.sqrt(n), f"n_effective_{side}": n,
            f"variance_{side}": sd**2 * rng.chisquare(n - 1) / (n - 1),
        }  # fmt: skip
    return pd.DataFrame(sides)


def of_rows(table):
    """Whether least squares of customers' rows on their unit's employee score rejects."""
    x, y, n = table["mean_x"], table["mean_y"], table["n_effective_y"]
    total = n.sum()
    centred = x - (n * x).sum() / total
    slope = (n * centred * y).sum() / (n * centred**2).sum()
    left = (n * (y - (n * y).sum() / total - slope * centred) ** 2).sum()
    left += (table["variance_y"] * (n - 1)).sum()
    se = np.sqrt(left / (total - 2) / (n * centred**2).sum())
    return 2 * stdtr(total - 2, -abs(slope) / se) < 1 - LEVEL


def rate(label, hits):
    """A row of the result: how often, and how surely that is known."""
    hits = np.asarray(hits, dtype=float)
    share = hits.mean() if len(hits) else np.nan
    se = np.sqrt(share * (1 - share) / max(len(hits), 1))
    return {"what": label, "rate": share, "MC se": se, "studies": len(hits)}


def nulls(studies):
    """How often a true null is rejected."""
    rows = []
    for units in (10, 15, 40):
        rng = np.random.default_rng([SEED, units])
        null, naive = [], []
        for _ in range(studies):
            table = unit_study(rng, units, 0.0, (8, 20), 1.8, (15, 80))
            null.append(_slopes(table, LEVEL)[0]["p_value"] < 1 - LEVEL)
            naive.append(of_rows(table))
        rows.append(rate(f"null rejected, {units} units", null))
        rows.append(rate(f"null rejected, {units} units, rows of customers", naive))
    for units in (10, 24, 40):
        rng = np.random.default_rng([SEED, 200 + units])
        null = [within_study(rng, units, 0.0)["p_value"] < 1 - LEVEL for _ in range(studies)]
        rows.append(rate(f"{WITHIN}: null rejected, {units} units", null))
    return pd.DataFrame(rows)


def covered(studies):
    """How often intervals of both slopes hold the truth, where they are given."""
    rows = []
    for units, staff, slope in COVERED:
        rng = np.random.default_rng([SEED, 100 + units, staff[0], int(10 * slope)])
        held = {BETWEEN: [], CORRECTED: []}
        for _ in range(studies):
            for row in _slopes(unit_study(rng, units, slope, staff, 1.8, (15, 80)), LEVEL):
                if not row["note"]:
                    held[row["slope"]].append(row["ci_low"] <= slope <= row["ci_high"])
        label = f"{units} units, {staff[0]} to {staff[1] - 1} employees, slope {slope:g}"
        rows += [rate(f"{name} holds the truth, {label}", hits) for name, hits in held.items()]
    return pd.DataFrame(rows)


def within_study(rng, units, slope):
    """Two surveys of employees in each unit."""
    n_x, n_y = rng.integers(8, 20, 2 * units), rng.integers(20, 80, 2 * units)
    change = rng.normal(0, 0.6, 2 * units)
    index = pd.MultiIndex.from_product([[str(i) for i in range(units)], ["1", "2"]])
    cells = pd.DataFrame(
        {
            "mean_x": change + rng.normal(0, 1.8, 2 * units) / np.sqrt(n_x), "n_effective_x": n_x,
            "mean_y": slope * change + rng.normal(0, CUSTOMER, 2 * units) / np.sqrt(n_y),
            "n_effective_y": n_y, "variance_x": 1.8**2,
        },
        index=index,
    )  # fmt: skip
    return _within(cells, LEVEL)


def opposite(studies):
    """Between .55, within −.3: how often each is shown with its sign."""
    rng = np.random.default_rng([SEED, 300])
    both = []
    for _ in range(studies):
        between = _slopes(unit_study(rng, 60, 0.55, (20, 40), 1.8, (40, 120)), LEVEL)[0]
        within = within_study(rng, 60, -0.6)
        both.append((between["ci_low"] > 0, within["ci_high"] < 0))
    rows = [
        rate(f"opposite slopes: {name} shown", hits)
        for name, hits in zip((BETWEEN, WITHIN), zip(*both, strict=True), strict=True)
    ]
    return pd.DataFrame(rows)


def agents(studies):
    """Studies in which 60 honest agents are flagged, with one sign and with three; steered ones found.

    A judge who knows centre and spread says what no funnel can better by much.
    """
    rows = []
    for share, spread, n in (
        (0.4, 0.0, 50), (0.4, 0.05, 80), (0.4, 0.1, 80), (0.4, 0.1, 200), (0.1, 0.02, 50),
        (0.04, 0.0, 40),
    ):  # fmt: skip
        rng = np.random.default_rng([SEED, int(1000 * share), int(1000 * spread), n])
        rates: dict[str, list[float]] = {}
        size, sign = np.full(60, float(n)), (share, spread, n)
        for _ in range(studies):
            drawn = shares(rng, *sign)
            hits = {"honest, top scores flagged": above(drawn, size, BEYOND).any()}
            response, quick = shares(rng, 0.5, spread, 2 * n), shares(rng, 0.05, 0.2 * spread, n)
            third = normal_quantile(1 - 0.002 / 3)
            low = funnel(response, 2 * size, level=1 - 0.002 / 3)["z"].abs() > third
            tops = (above(one, size, third).any() for one in (drawn, quick))
            hits["honest, any of three signs"] = low.any() or any(tops)
            half = normal_quantile(0.95) * np.sqrt(drawn.mean() * (1 - drawn.mean()) / n)
            hits["agents beyond binomial 95 %"] = (np.abs(drawn - drawn.mean()) > half).sum()
            if share == 0.4:
                drawn[:2] = rng.binomial(n, 0.75, 2) / n
                hits["two steered to .75 found"] = above(drawn, size, BEYOND)[:2].mean()
                hits["the same, all else known"] = (known(drawn, *sign)[:2] > BEYOND).mean()
            for name, hit in hits.items():
                rates.setdefault(name, []).append(hit)
        for name, hits in rates.items():
            se = np.std(hits) / np.sqrt(studies)
            label = f"{name}: share {share:g} ± {spread:g}, n = {n}"
            rows.append({"what": label, "rate": np.mean(hits), "MC se": se, "studies": studies})
    return pd.DataFrame(rows)


def shares(rng, share, spread, n):
    """Shares of 60 agents whose true shares differ."""
    return rng.binomial(n, np.clip(rng.normal(share, spread, 60), 0.001, 0.999)) / n


def above(share, n, beyond):
    """Agents above the limit."""
    return funnel(share, n, level=2 * ndtr(beyond) - 1)["z"].to_numpy() > beyond


def known(share, centre, spread, n):
    """z of a judge who knows the true centre and spread."""
    value = np.arcsin(np.sqrt((share * n + 0.375) / (n + 0.75))) - np.arcsin(np.sqrt(centre))
    return value / np.sqrt(1 / (4 * n + 2) + spread**2 / (4 * centre * (1 - centre)))


def main(studies: int = 2_000) -> None:
    """Print all tables."""
    for made in (nulls, covered, opposite, agents):
        print(made(studies).round(3).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
