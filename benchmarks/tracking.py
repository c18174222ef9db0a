"""False changes and alarms where nothing happens, and coverage of the intervals of mix and performance.

    python -m benchmarks tracking --studies 400

Simulated programmes whose truth is known; seeds are fixed and each rate has its Monte-Carlo
standard error (MC se).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from cxlab.core.metric import Metric, nps_metric
from cxlab.stats.inference import t_quantile
from cxlab.stats.resampling import sampling_design
from cxlab.stats.tracking import control_chart, period_changes
from cxlab.stats.tracking.charts import SIGMAS, individuals_limits
from cxlab.stats.tracking.decomposition import CellSums, decompose, estimates
from cxlab.stats.tracking.families import CLEAR, HEADLINE, OTHERS, SMALL

#: Fixed before the first run.
SEED = 20261121
LEVEL = 0.95
SHARES = np.array([0.45, 0.33, 0.22])
#: Periods after the baseline, on which alarms are counted.
NEW = 12
#: Answers per period.
SIZES = {
    "even (400)": lambda k: np.full(k, 400),
    "1,000 and 40 in turn": lambda k: np.where(np.arange(k) % 2, 40, 1000),
    "40, after runs of five of 1,000": lambda k: np.where(np.arange(k) % 6 == 5, 40, 1000),
    "growing 50 to 800": lambda k: np.geomspace(50, 800, k).astype(int),
}
#: What makes periods vary beyond sampling: standard deviation of the true NPS, points.
DRIFTS = {"stable": 0.0, "periods vary by 5 points": 0.05}
CLUSTER_SIZE, CLUSTER_SPREAD = 8, 0.25
#: Of each bootstrap.
REPLICATES = 500
#: Whole reports take half a second each.
MOST_STUDIES = 200


@dataclass(frozen=True)
class Sample:
    """How the two periods of a simulated study are sampled.

    ``shares``: of the groups in each period; ``net``: their true net scores. ``answers`` per
    period come in ``clusters`` per period (None: each row its own), which lie in ``strata``;
    ``panel``: the same clusters answer in both periods. ``spread`` of a cluster's own net
    score, ``cv`` of the weights.
    """

    label: str
    shares: np.ndarray
    net: np.ndarray
    answers: int = 300
    clusters: int | None = None
    strata: int = 1
    panel: bool = False
    spread: float = 0.0
    cv: float = 0.0
    second: int = 1


THREE = {
    "shares": np.array([[0.5, 0.3, 0.2], [0.35, 0.3, 0.35]]),
    "net": np.array([[0.4, 0.1, -0.2], [0.3, 0.1, -0.1]]),
}
NOTHING = {
    "shares": np.array([[0.5, 0.3, 0.2]] * 2),
    "net": np.array([[0.4, 0.1, -0.2]] * 2),
}
RARE = {
    "shares": np.array([[0.6, 0.3, 0.07, 0.03], [0.5, 0.35, 0.12, 0.03]]),
    "net": np.array([[0.3, 0.1, -0.2, -0.4], [0.3, 0.0, -0.2, -0.5]]),
}
CROSSED = {
    "shares": np.array([[0.30, 0.2, 0.1, 0.2, 0.1, 0.1], [0.2, 0.25, 0.15, 0.1, 0.15, 0.15]]),
    "net": np.array([[0.4, 0.2, 0.1, 0.0, -0.1, -0.3], [0.3, 0.2, 0.0, 0.0, -0.2, -0.2]]),
    "second": 2,
}
SAMPLES = (
    Sample("simple, 300 a period", **THREE),
    Sample("simple, 60 a period", **THREE, answers=60),
    Sample("nothing changes", **NOTHING),
    Sample("rare groups, 100 a period", **RARE, answers=100),
    Sample("two segments", **CROSSED, answers=400),
    Sample("same 150 customers in both periods", **THREE, clusters=150, panel=True, spread=0.6),
    Sample("40 clusters a period, weights", **THREE, clusters=40, spread=0.3, cv=0.5),
    Sample("4 strata of 10 clusters, weights", **THREE, clusters=40, strata=4, spread=0.3, cv=0.5),
    Sample("10 clusters a period", **THREE, clusters=10, spread=0.3),
    Sample("6 clusters a period", **THREE, clusters=6, spread=0.3),
    Sample("40 clusters a period, ignored", **THREE, clusters=40, spread=0.5),
)


def chart_tables(
    sizes: np.ndarray, drift: float, clustered: bool, studies: int, rng: np.random.Generator
) -> list[pd.DataFrame]:
    """Tables as nps(..., by="period") gives them, of programmes where nothing happens."""
    k = len(sizes)
    shift = drift * rng.standard_normal((studies, k))
    p, d = SHARES[0] + shift / 2, SHARES[2] - shift / 2
    if clustered:
        tops, bottoms, deff = clustered_counts(sizes, studies, rng)
    else:
        tops = rng.binomial(sizes, p)
        bottoms = rng.binomial(sizes - tops, d / (1 - p))
        deff = np.ones((studies, k))
    frames = []
    for i in range(studies):
        p_hat, d_hat = tops[i] / sizes, bottoms[i] / sizes
        frames.append(pd.DataFrame({
            "period": [f"{2000 + j // 12}-{j % 12 + 1:02d}" for j in range(k)], "n": sizes,
            "estimate": 100 * (p_hat - d_hat), "promoter_share": p_hat, "detractor_share": d_hat,
            "deff": deff[i], "df": sizes // CLUSTER_SIZE - 1 if clustered else sizes - 1,
        }))  # fmt: skip
    return frames


def clustered_counts(
    sizes: np.ndarray, studies: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts and estimated design effects where answers come in clusters of eight."""
    tops, bottoms, deff = (np.empty((studies, len(sizes))) for _ in range(3))
    for j, n in enumerate(sizes):
        clusters = n // CLUSTER_SIZE
        shift = CLUSTER_SPREAD * rng.uniform(-1, 1, (studies, clusters, 1)) / 2
        draw = rng.random((studies, clusters, CLUSTER_SIZE))
        value = (draw < SHARES[0] + shift).astype(float) - (draw > 1 - SHARES[2] + shift)
        tops[:, j], bottoms[:, j] = (value > 0).sum((1, 2)), (value < 0).sum((1, 2))
        mean = value.mean((1, 2))
        between = (value - mean[:, None, None]).sum(2)
        variance = clusters / (clusters - 1) * (between**2).sum(1) / n**2
        deff[:, j] = variance / (value.var((1, 2)) / n)
    return tops, bottoms, deff


def alarms(table: pd.DataFrame, baseline: int) -> dict[str, np.ndarray]:
    """Per method: which new periods lie beyond the limits."""
    chart = control_chart(table, baseline=baseline)
    values, inside = table["estimate"].to_numpy(), np.arange(len(table)) < baseline
    xmr = individuals_limits(values, inside)
    return {
        "chart": (np.abs(chart.table["z"]) > SIGMAS).to_numpy()[baseline:],
        "XmR": (np.abs(values - xmr.centre) > SIGMAS * xmr.sigma)[baseline:],
        "run of eight": chart.table["signal"].str.contains("run").to_numpy()[baseline:],
    }


def false_alarms(studies: int) -> pd.DataFrame:
    """Share of new periods beyond limits from earlier ones, where nothing has happened."""
    rows = []
    for i, (label, sizes) in enumerate(SIZES.items()):
        for j, (drift_label, drift) in enumerate(DRIFTS.items()):
            rows.append(alarm_row(label, sizes, drift_label, drift, False, 24, studies, [i, j]))
    for clustered, label in ((True, "clusters of 8"),):
        for i, (size_label, sizes) in enumerate(list(SIZES.items())[:2]):
            rows.append(alarm_row(f"{size_label}, {label}", sizes, "stable", 0.0, clustered, 24,
                                  studies, [90, i]))  # fmt: skip
    return pd.DataFrame(rows)


def short_baselines(studies: int) -> pd.DataFrame:
    """The same with few baseline periods: what provisional means."""
    sizes = SIZES["1,000 and 40 in turn"]
    return pd.DataFrame([
        alarm_row("1,000 and 40 in turn", sizes, "stable", 0.0, False, k, studies, [70, k])
        for k in (5, 6, 8, 12, 16, 24, 48)
    ])  # fmt: skip


def any_signal(studies: int) -> pd.DataFrame:
    """Share of charts of 24 periods with a signal somewhere, where nothing has happened."""
    rows = []
    for i, (label, sizes) in enumerate(SIZES.items()):
        for baseline in (24, 12):
            rng = np.random.default_rng([SEED, 80, i, baseline])
            tables = chart_tables(sizes(24), 0.0, False, studies, rng)
            found = [len(control_chart(table, baseline=baseline).signals) > 0 for table in tables]
            share = np.mean(found)
            rows.append({"answers": label, "baseline": baseline, "any signal": 100 * share,
                         "MC se": 100 * np.sqrt(share * (1 - share) / studies)})  # fmt: skip
    return pd.DataFrame(rows)


def alarm_row(
    label: str, sizes, drift_label: str, drift: float, clustered: bool, baseline: int,
    studies: int, seed: list[int],
) -> dict[str, object]:  # fmt: skip
    """One line of either table: rates in per cent of new periods."""
    rng = np.random.default_rng([SEED, *seed])
    tables = chart_tables(sizes(baseline + NEW), drift, clustered, studies, rng)
    found = [alarms(table, baseline) for table in tables]
    row: dict[str, object] = {"answers": label, "truth": drift_label, "baseline": baseline}
    for method in found[0]:
        rates = np.array([one[method].mean() for one in found])
        row[method] = 100 * rates.mean()
        if method == "chart":
            row["MC se"] = 100 * rates.std(ddof=1) / np.sqrt(studies)
    return row


def simulated(sample: Sample, ignore: bool, rng: np.random.Generator) -> CellSums:
    """Sums of one simulated study."""
    size, cells = sample.answers, sample.shares.shape[1]
    clusters = sample.clusters or size
    own = rng.uniform(-1, 1, (2, clusters)) * sample.spread
    own[1] = own[0] if sample.panel else own[1]
    period = np.repeat([0, 1], size)
    number = np.concatenate([rng.permutation(np.arange(size) % clusters) for _ in range(2)])
    cell = np.concatenate([rng.choice(cells, size, p=share) for share in sample.shares])
    net = np.clip(sample.net[period, cell] + own[period, number], -0.999, 0.999)
    # a third are passive, where the net score leaves them room
    active = np.maximum(0.67, np.abs(net))
    draw = rng.random(2 * size)
    value = np.where(draw < (active + net) / 2, 1.0, np.where(draw < active, -1.0, 0.0))
    weight = rng.gamma(1 / sample.cv**2, sample.cv**2, 2 * size) if sample.cv else np.ones(2 * size)
    unit = number if sample.panel else number + clusters * period
    unit = np.arange(2 * size) if ignore or not sample.clusters else unit
    return sums_of(period * cells + cell, value, weight, unit, cells, sample)


def sums_of(
    place: np.ndarray, value: np.ndarray, weight: np.ndarray, unit: np.ndarray, cells: int,
    sample: Sample,
) -> CellSums:  # fmt: skip
    """Rows as `cell_sums` would sum them."""
    units = int(unit.max()) + 1
    shape = (units, 2 * cells)
    stratum = np.arange(units) % sample.strata
    # a cluster's stratum is told by its number, so that strata hold equally many
    names = [[str(i) for i in range(cells // sample.second)]]
    names += [[str(i) for i in range(sample.second)]] if sample.second > 1 else []
    return CellSums(
        groups=names,
        n=np.bincount(place, minlength=2 * cells).reshape(2, cells),
        weight=sparse.csr_array((weight, (unit, place)), shape=shape),
        total=sparse.csr_array((weight * value, (unit, place)), shape=shape),
        copies=np.ones(units, dtype=np.int64),
        design=sampling_design(units, strata=stratum if sample.strata > 1 else None),
        n_missing=0,
        n_not_given=0,
        n_alone=0,
        df=units - (sample.strata if sample.strata > 1 else 1),
    )


def mix_coverage(studies: int) -> pd.DataFrame:
    """Share of nominal 95 % intervals of each part that hold its planted value."""
    return pd.DataFrame([coverage_row(sample, i, studies) for i, sample in enumerate(SAMPLES)])


def coverage_row(sample: Sample, number: int, studies: int) -> dict[str, object]:
    """One line of the coverage table: per cent, and the mean error of the estimates."""
    grid = (-1, sample.second)
    true = decompose(
        *(part.reshape(grid) for part in (*sample.shares, *(100 * sample.net))),
        crossed=sample.second > 1,
    )
    parts = {"mix": true.mix.sum(), "performance": true.performance.sum(), "change": true.change}
    held: dict[str, list] = {name: [] for name in parts}
    error: dict[str, list] = {name: [] for name in parts}
    for study in range(studies):
        sums = simulated(
            sample, "ignored" in sample.label, np.random.default_rng([SEED, 500, number, study])
        )
        found = estimates(sums, 100.0, replicates=REPLICATES, seed=study)
        mix, *_, performance, change = found.errors
        spread = {"mix": mix, "performance": performance, "change": change}
        for name, truth in parts.items():
            off = float(np.sum(getattr(found.observed, name)) - truth)
            held[name].append(abs(off) <= t_quantile(LEVEL, sums.df) * spread[name])
            error[name].append(off)
    row: dict[str, object] = {"sample": sample.label}
    row |= {name: 100 * np.mean(held[name]) for name in parts}
    row["MC se"] = 100 * np.sqrt(LEVEL * (1 - LEVEL) / studies)
    return row | {f"bias of {name}": np.mean(error[name]) for name in ("mix", "performance")}


def false_changes(studies: int) -> pd.DataFrame:
    """Share of studies without any change in which 6-tracking calls something clear."""
    rows = [
        false_changes_row(label, panel, min(studies, MOST_STUDIES), [600, i])
        for i, (label, panel) in enumerate({"new customers": False, "a panel": True}.items())
    ]
    return pd.DataFrame(rows)


def false_changes_row(label: str, panel: bool, studies: int, seed: list[int]) -> dict[str, object]:
    """One line: three headline measures and nine touchpoints in eight quarters, 250 answers each."""
    headline = [nps_metric("recommend"), *(Metric(f"o{i}", "box", (8, 10)) for i in range(2))]
    others = [Metric(f"t{i}", "mean", scale=(0, 10), name="mean") for i in range(9)]
    false = {HEADLINE: 0, OTHERS: 0}
    discovered = 0.0
    for study in range(studies):
        data = unchanged_study(panel, np.random.default_rng([SEED, *seed, study]))
        design = {"cluster": "customer"} if panel else None
        table = period_changes(data, [*headline, *others], headline=headline, design=design).table
        called = table[table["verdict"].isin([CLEAR, SMALL])]
        for family in false:
            false[family] += bool((called["family"] == family).any())
        # without any true change every discovery is false
        discovered += bool((called["family"] == OTHERS).any())
    return {
        "answers": label, "studies": studies,
        "nothing clear in (a)": 100 * (1 - false[HEADLINE] / studies),
        "false discoveries in (b)": 100 * discovered / studies,
        "MC se": 100 * np.sqrt(0.05 * 0.95 / studies),
    }  # fmt: skip


def unchanged_study(panel: bool, rng: np.random.Generator) -> pd.DataFrame:
    """Eight quarters of 250 answers from one distribution; in a panel half of them come again."""
    customers = np.concatenate([
        rng.choice(500, 250, replace=False) if panel else np.arange(250) + 250 * i for i in range(8)
    ])  # fmt: skip
    own = rng.standard_normal(customers.max() + 1)[customers]
    latent = own[:, None] + rng.standard_normal((len(customers), 12))
    scores = np.clip(np.rint(7 + 1.5 * latent), 0, 10)
    names = ["recommend", "o0", "o1", *(f"t{i}" for i in range(9))]
    quarters = [f"{year}-Q{quarter}" for year in (2024, 2025) for quarter in (1, 2, 3, 4)]
    data = pd.DataFrame(scores, columns=names)
    return data.assign(period=np.repeat(quarters, 250), customer=customers.astype(str))


def main(studies: int = 1000) -> None:
    """Print the tables."""
    for make in (false_changes, any_signal, false_alarms, short_baselines, mix_coverage):
        print(f"\n{make.__doc__} {studies:,} studies a line; per cent.")
        print(make(studies).to_string(index=False, float_format="%.2f"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    main(parser.parse_args().studies)
