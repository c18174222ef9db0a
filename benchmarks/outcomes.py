"""Do the intervals of outcomes and actions hold what is planted, and is nothing invented?

    python -m benchmarks outcomes --studies 2000

Leavers leave at constant or linear rates, some customers are not followed to the end, and what is
true is known. A line says how often an interval holds the truth (wanted: .95; tests of a true
null reject 1 less that), with its Monte-Carlo standard error. Last, a million answers.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.special import expit

from cxlab.stats.actions import calibration, call_list, loop_effect, next_scores
from cxlab.stats.outcomes import asymmetry, follow_up, retention_by_score, retention_differences
from cxlab.stats.outcomes.differences import category_cells, steps_between
from cxlab.stats.outcomes.follow_up import DAYS, LEFT, FollowUp
from cxlab.stats.outcomes.later import parts_at
from cxlab.stats.outcomes.retention import NPS_CATEGORIES, categories_of, opened_follow_up
from cxlab.stats.outcomes.survival import one_estimate

SEED, HORIZON = 20261129, 180
DAY = pd.Timestamp("2025-01-01")
#: Whether an interval holds the truth; None: no interval is given.
Study = Callable[[np.random.Generator], bool | None]


def km(n: int, stay: float, answers: int) -> Study:
    """Retention of n customers, each with several answers, a third of them censored early."""

    def one(rng: np.random.Generator) -> bool:
        days = np.ceil(rng.exponential(-HORIZON / np.log(stay), n))
        end = np.where(rng.random(n) < 0.3, rng.integers(60, 200, n), 400)
        rows = pd.DataFrame(
            {DAYS: np.minimum(days, end), LEFT: days <= end, "id": range(n)}
        ).astype({DAYS: float})
        rows = rows.loc[rows.index.repeat(rng.integers(1, answers + 1, n))]
        # days are whole: who leaves within the 180th is gone by its end
        _, _, _, _, low, high, _, note = one_estimate(rows, DAYS, LEFT, HORIZON, None, "id")
        return bool(note) or low <= 100 * stay <= high

    return one


def linked(scores: np.ndarray, days: np.ndarray, gone: np.ndarray, **more: np.ndarray) -> FollowUp:
    """Answers as `follow_up` links them, without its checks."""
    table = pd.DataFrame(
        {"id": range(len(scores)), "day": DAY, "recommend": scores, DAYS: days, LEFT: gone, **more}
    )
    until = DAY + pd.Timedelta(days=400)
    return FollowUp(table=table, customer="id", answered="day", until=until)


def leaving(rng: np.random.Generator, stay: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Days followed and whether they left, of customers who stay 180 days with these chances."""
    n = len(stay)
    days = np.where(rng.random(n) < stay, 1_000, rng.integers(1, HORIZON + 1, n))
    end = np.where(rng.random(n) < 0.2, rng.integers(30, 180, n), 400)
    return np.minimum(days, end).astype(float), days <= end


def adjusted(rng: np.random.Generator) -> bool:
    """Two points a score point, beside tenure that goes with both."""
    n = 600
    tenure = rng.normal(0, 1, n)
    scores = np.clip(np.round(6.5 + tenure + rng.normal(0, 2, n)), 0, 10)
    days, gone = leaving(rng, np.clip(0.6 + 0.02 * (scores - 5) + 0.04 * tenure, 0, 1))
    table = retention_differences(
        linked(scores, days, gone, tenure=tenure), "recommend", adjust=["tenure"]
    )
    row = table[(table["contrast"] == "per score point") & (table["adjusted"] == "adjusted")]
    return bool((row["ci_low"].item() <= 2) & (row["ci_high"].item() >= 2))


def null_slope(rng: np.random.Generator) -> bool:
    """Leaving has nothing to do with scores."""
    scores = rng.choice(11, 200, p=[0.05] * 7 + [0.15, 0.2, 0.15, 0.15])
    days, gone = leaving(rng, np.full(200, 0.75))
    row = retention_differences(linked(scores, days, gone), "recommend").iloc[0]
    return bool(row["ci_low"] <= 0 <= row["ci_high"])


def asymmetric(size: int, of: str) -> Study:
    """Detractors lose 20 points on passives, promoters gain 15: a ratio of 4/3.

    ``of``: Fieller's set as it is, bounded or not; what is said, "not identified" counting as
    right; or only the intervals that are given, which have bounds.
    """
    scores = np.repeat([3.0, 7.0, 9.0], size)
    stay = np.repeat([0.55, 0.75, 0.9], size)

    def one(rng: np.random.Generator) -> bool | None:
        days, gone = leaving(rng, stay)
        followed = linked(scores, days, gone)
        if of == "set":
            rows, known = opened_follow_up(followed, "recommend")
            groups = categories_of(rows["recommend"], NPS_CATEGORIES)
            cells = category_cells(rows, groups, NPS_CATEGORIES, known, HORIZON)
            below, above, covariance, quantile = steps_between(list(cells.values()), 0.95)
            line = np.array([1.0, -4 / 3])
            return abs(below - 4 / 3 * above) <= quantile * np.sqrt(line @ covariance @ line)
        row = asymmetry(followed, "recommend").iloc[0]
        if np.isnan(row["ci_low"]):
            return True if of == "said" else None
        return bool(row["ci_low"] <= 4 / 3 <= row["ci_high"])

    return one


def no_effect(listed: int, held: int, lists: int = 1) -> Study:
    """Calling does nothing, in lists whose customers stay more or less often."""
    arms = np.repeat(["listed", "held out"], [listed, held])

    def one(rng: np.random.Generator) -> bool:
        parts = []
        for number, stay in enumerate(np.linspace(0.7, 0.9, lists)):
            gone = rng.random(len(arms)) > stay
            parts.append(pd.DataFrame({"arm": arms, DAYS: np.where(gone, 30.0, 200.0),
                                       LEFT: gone, "list": str(number)}))  # fmt: skip
        row = loop_effect(pd.concat(parts), by="list" if lists > 1 else None).table.iloc[0]
        return bool(row["ci_low"] <= 0 <= row["ci_high"])

    return one


def design(method: str, spread: float) -> Study:
    """Calling does nothing, drawn by a design, where owners differ by ``spread``."""

    def one(rng: np.random.Generator) -> bool:
        shop = rng.integers(0, 12, 400)
        answers = pd.DataFrame({"id": range(400), "recommend": 3, "shop": shop.astype(str)})
        calls = call_list(
            answers, customer="id", score="recommend", rule=(0, 6), listed_at=DAY, owner="shop",
            capacity=12 if method == "random_order" else None, method=method,
            seed=int(rng.integers(1 << 31)),
        ).calls  # fmt: skip
        stay = np.clip(0.75 + spread * rng.normal(size=12), 0.05, 0.95)
        gone = rng.random(400) > stay[calls["owner"].astype(int)]
        rows = calls.assign(**{DAYS: np.where(gone, 20.0, 200.0), LEFT: gone})
        row = loop_effect(rows, method=method).table.iloc[0]
        return bool(row["ci_low"] <= 0 <= row["ci_high"])

    return one


def next_score(listed: int, held: int, high: float) -> Study:
    """Next scores of 3, and of 8 by a share of both sides: few held out are often all alike."""
    arms = np.repeat(["listed", "held out"], [listed, held])

    def one(rng: np.random.Generator) -> bool:
        scores = np.where(rng.random(len(arms)) < high, 8.0, 3.0)
        row = next_scores(pd.DataFrame({"arm": arms, "next_score": scores})).iloc[0]
        # without an interval nothing is claimed
        return np.isnan(row["ci_low"]) or bool(row["ci_low"] <= 0 <= row["ci_high"])

    return one


def slope(rng: np.random.Generator) -> bool:
    """True probabilities have slope 1; customers answer once or twice."""
    true = expit(rng.normal(-1.5, 1, 400))
    happened = (rng.random(400) < true).astype(float)
    who = np.repeat(np.arange(400), rng.integers(1, 3, 400))
    found = calibration(true[who], happened[who], clusters=pd.Series(who)).iloc[0]
    return bool(found["ci_low"] <= 1 <= found["ci_high"])


def later_slope(rng: np.random.Generator) -> bool:
    """True probabilities after the split; answers again and again, and late ones censored."""
    n = 800
    score = rng.normal(0, 1, n)
    leave = expit(-1.5 + score)
    rate = -np.log1p(-leave) / HORIZON
    until = DAY + pd.Timedelta(days=600)
    gone = np.ceil(rng.exponential(1 / rate))
    left = pd.Series(DAY + pd.to_timedelta(np.minimum(gone, 601), unit="D"))
    people = pd.DataFrame({"id": range(n), "gone": left.where(gone <= 600), "risk": leave})
    day = np.concatenate([rng.integers(0, 100, n), rng.integers(300, 480, n)])
    who = np.tile(np.arange(n), 2)
    answers = pd.DataFrame({"id": who, "day": DAY + pd.to_timedelta(day, unit="D")})
    followed = follow_up(
        answers[day < gone[who]], people, customer="id", answered="day", left="gone", until=until
    )
    parts = parts_at(followed.table, followed, None, HORIZON)
    later = parts.later
    found = calibration(
        later["risk"].to_numpy(), 1 - parts.stayed, weights=parts.weight, clusters=later["id"]
    ).iloc[0]
    return bool(found["ci_low"] <= 1 <= found["ci_high"])


LINES: dict[str, tuple[Study, float]] = {
    **{f"retention, {n} customers, {stay:.0%} stay": (km(n, stay, 3), 1.0)
       for n in (10, 20, 50, 200) for stay in (0.6, 0.9)},
    "adjusted difference": (adjusted, 0.5),
    "null slope": (null_slope, 0.5),
    **{f"asymmetry, {n} a group, {of}": (asymmetric(n, of), 0.5)
       for n in (100, 150, 400) for of in ("set", "said", "given")},
    "no effect, 270 and 30": (no_effect(270, 30), 1.0),
    "no effect, 135 and 15": (no_effect(135, 15), 1.0),
    "no effect, 8 lists of 135 and 15": (no_effect(135, 15, 8), 0.25),
    "random order under capacity": (design("random_order", 0.15), 0.25),
    "random delay": (design("random_delay", 0.0), 0.25),
    "staggered units": (design("staggered_units", 0.15), 0.25),
    "next score, 60 and 10, 15 % high": (next_score(60, 10, 0.15), 0.5),
    "next score, 270 and 30, 50 % high": (next_score(270, 30, 0.5), 0.5),
    "calibration slope": (slope, 1.0),
    "calibration slope, later period": (later_slope, 0.5),
}  # fmt: skip


def million() -> None:
    """One million answers of 200,000 customers."""
    rng, n, m = np.random.default_rng(SEED), 200_000, 1_000_000
    gone = DAY + pd.to_timedelta(rng.integers(181, 900, n), unit="D")
    end = DAY + pd.Timedelta(days=730)
    people = pd.DataFrame({"id": range(n), "gone": pd.Series(gone).where(gone <= end)})
    days = DAY + pd.to_timedelta(rng.integers(0, 180, m), unit="D")
    answers = pd.DataFrame(
        {"id": rng.integers(0, n, m), "day": days, "recommend": rng.integers(0, 11, m)}
    )
    start = time.perf_counter()
    followed = follow_up(answers, people, customer="id", answered="day", left="gone", until=end)
    linking = time.perf_counter()
    retention_by_score(followed, "recommend")
    ready = time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"a million answers: linked {linking - start:.1f} s, retention {ready - linking:.1f} s, "
          f"{memory:.0f} MB at most")  # fmt: skip


def main(studies: int = 1_000) -> None:
    """Print the table."""
    million()
    rng = np.random.default_rng(SEED)
    for name, (study, part) in LINES.items():
        number, start = max(int(studies * part), 1), time.process_time()
        held = [one for one in (study(rng) for _ in range(number)) if one is not None]
        share = float(np.mean(held))
        error = np.sqrt(share * (1 - share) / len(held))
        print(f"{name:36s} {share:.3f} ± {error:.3f}  ({len(held)} of {number} studies, "
              f"{time.process_time() - start:.0f} s)", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
