"""How often the scorecard calls something clear where nothing differs.

    python -m benchmarks scorecard_findings --studies 200

Every study has two outcomes, eight touchpoints of one true mean, two segments and three periods
that differ by chance only. Of each family: the share of studies in which nothing is clear.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from cxlab import load_study, study_scorecard
from cxlab.stats.inference import ALPHA

SEED, ANSWERS, TOUCHPOINTS = 20261130, 150, 8
PERIODS = ("2024", "2025", "2026")
STUDY = """
[study]
name = "null"
title = "Nothing differs"
simulated = true
main = "answers"
[scales.likelihood]
range = [0, 10]
bins = { detractors = [0, 6], passives = [7, 8], promoters = [9, 10] }
metrics = ["nps"]
[scales.rating]
range = [0, 10]
bins = { low = [0, 5], middle = [6, 7], top = [8, 10] }
metrics = ["mean", "top box"]
[tables.answers]
file = "answers.csv"
[tables.answers.columns.period]
role = "period"
[tables.answers.columns.kind]
role = "segment"
[tables.answers.columns.region]
role = "segment"
[tables.answers.columns.recommend]
role = "outcome"
scale = "likelihood"
[tables.answers.columns.overall]
role = "outcome"
scale = "rating"
"""


def null_study(folder: Path, seed: int) -> None:
    """Write a study in which nobody and nothing differs; ratings of a person go together."""
    rng = np.random.default_rng([SEED, seed])
    n = ANSWERS * len(PERIODS)
    person = rng.normal(7, 1.4, (n, 1))
    ratings = np.clip(np.round(person + rng.normal(0, 1.4, (n, TOUCHPOINTS + 2))), 0, 10).astype(
        int
    )
    names = ["recommend", "overall", *(f"t{i}" for i in range(TOUCHPOINTS))]
    answers = pd.DataFrame(ratings, columns=names)
    answers["period"] = np.repeat(PERIODS, ANSWERS)
    answers["kind"], answers["region"] = rng.choice(list("abc"), n), rng.choice(list("xyz"), n)
    answers.to_csv(folder / "answers.csv", index=False)
    columns = "".join(
        f'[tables.answers.columns.{name}]\nrole = "touchpoint"\nscale = "rating"\n'
        for name in names[2:]
    )
    (folder / "study.toml").write_text(STUDY + columns)


def called(seed: int) -> dict[str, bool]:
    """Whether a study without any difference is said to have one, by family."""
    with tempfile.TemporaryDirectory() as folder:
        null_study(Path(folder), seed)
        study = load_study(folder)
        card = study_scorecard(study.read(period="2026"), study, period="2026")
    rules = {finding.rule for finding in card.findings()}
    return {
        "headline × periods (a)": bool((card.changes["p_adjusted"] < ALPHA).any()),
        "headline × groups (a)": bool((card.differences["p_headline"] < ALPHA).any()),
        "touchpoints × periods (b)": bool((card.touchpoint_changes["p_adjusted"] < ALPHA).any()),
        "places of touchpoints": bool(rules & {"ends", "ends within margin"}),
    }


def null_table(studies: int) -> pd.DataFrame:
    """Of each family, the studies in which something is clear."""
    found = pd.DataFrame([called(seed) for seed in range(studies)])
    return pd.DataFrame({"family": found.columns, "studies": studies, "clear": found.sum().to_numpy(),
                         "nothing clear": 1 - found.mean().to_numpy()})  # fmt: skip


def main(studies: int = 200) -> None:
    """Print the table."""
    print(null_table(studies).to_string(index=False))
