"""Somebody who lays all reports of a run side by side and solves for the groups they hide."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from itertools import chain, combinations, product
from pathlib import Path

import numpy as np
import pandas as pd

from cxlab import compare_segments, load_study, scorecard
from cxlab.core.disclosure.gate import HIDDEN_VARIABLE, ROWS, decide, joint_answers, table_joints
from cxlab.core.frames import open_frame
from cxlab.report.factory.requests import Request, plan_reports
from cxlab.report.factory.runs import hide_together
from cxlab.report.parameters import HIDDEN_PARAMETER

LEAST = 10
SEGMENTS = ["region", "tier"]
STUDY = """
[study]
name = "made"
title = "Made"
min_group_size = 10
[scales.ten]
range = [0, 10]
bins = { detractors = [0, 6], passives = [7, 8], promoters = [9, 10] }
metrics = ["mean", "nps"]
[tables.answers]
file = "answers.csv"
[tables.answers.columns.period]
role = "period"
[tables.answers.columns.region]
role = "segment"
[tables.answers.columns.tier]
role = "segment"
[tables.answers.columns.overall]
role = "outcome"
scale = "ten"
[tables.answers.columns.lounge]
role = "touchpoint"
scale = "ten"
"""
#: Further lines where customers are declared.
CUSTOMERS = """
[tables.answers.columns.who]
role = "customer"
"""
#: What can be asked of a run: everybody, the groups of a segment, of both crossed.
ASKED = [[], ["region"], ["tier"], ["region", "tier"]]
PERIODS = [["2025-Q1"], ["2025-Q1", "2025-Q2"], [None], ["2025-Q1", "2025-Q2", None]]


def every_combination() -> list[list[list[str]]]:
    """All sets of requests, which are laid side by side."""
    return [list(one) for size in range(1, 5) for one in combinations(ASKED, size)]


def write_programme(folder: Path, rng: np.random.Generator, *, customers: bool = False) -> Path:
    """A study of two periods and two segments, many of whose groups are small.

    With customers some of these answer often, in both periods, a few in several groups.
    """
    regions, tiers = rng.integers(2, 5, 2)
    share = rng.gamma(1, 25, (regions, tiers)) * (rng.random((regions, tiers)) < 0.8)
    parts = []
    for period in ("2025-Q1", "2025-Q2"):
        n = rng.poisson(share * rng.uniform(0.5, 1.5, share.shape))
        n[0, 0] += 20
        i, j = np.repeat(np.indices(n.shape).reshape(2, -1), n.ravel(), axis=1)
        parts.append(pd.DataFrame({"period": period, "region": [f"r{k}" for k in i],
                                   "tier": [f"t{k}" for k in j]}))  # fmt: skip
    data = pd.concat(parts, ignore_index=True)
    for name in SEGMENTS:
        if rng.random() < 0.3:
            data[name] = data[name].where(data[name] != f"{name[0]}1", "")
    scores = rng.integers(0, 11, (2, len(data))).astype(object)
    scores[0][rng.random(len(data)) < 0.1] = ""
    scores[1][rng.random(len(data)) < 0.6] = ""
    data = data.assign(overall=scores[0], lounge=scores[1])
    if customers:
        few = data.groupby(SEGMENTS)["overall"].transform(lambda _: rng.integers(2, 40)).to_numpy()
        numbers = (rng.random(len(data)) * few).astype(int).astype(str)
        own = data["region"] + data["tier"].where(rng.random(len(data)) < 0.9, "") + "-"
        data["who"] = own + numbers
    data.to_csv(folder / "answers.csv", index=False)
    (folder / "study.toml").write_text(STUDY + (CUSTOMERS if customers else ""))
    return folder / "study.toml"


def jobs_of(study: Path, requests: list[Request], reports: Path, *, together: bool = True) -> list:
    """The reports of a run, decided together or each by itself."""
    jobs = []
    for request in requests:
        try:
            jobs += plan_reports(request, reports).jobs
        except ValueError as error:
            if "at least one report" not in str(error):
                raise
    return hide_together(jobs, reports).jobs if together else jobs


@contextmanager
def kernel_of(job):
    """What a report's kernel is told."""
    os.environ[HIDDEN_VARIABLE] = json.dumps(job.parameters.get(HIDDEN_PARAMETER, {}))
    try:
        yield
    finally:
        del os.environ[HIDDEN_VARIABLE]


def tables_of(job, *, quick: bool = False) -> pd.DataFrame:
    """Rows that the scorecard notebook shows, as it makes them: n, mean, missing.

    Quickly: without the estimates' errors and the comparison, hidden by the same gate.
    """
    study = load_study(job.parameters["study"])
    period, where = job.parameters["period"], job.parameters["where"]
    with kernel_of(job):
        answers = study.read(period=period, where=where)
        made = _quick_cards if quick else _cards
        table = made(answers, study)
    table = table[["column", "segment", "group", "n", "unweighted", "n_missing"]].dropna(subset="n")
    everyone = {"column": "", "segment": "everyone", "group": "everyone", "n": len(answers)}
    return pd.concat([table, pd.DataFrame([everyone])], ignore_index=True).assign(
        period=period or "", **{name: (where or {}).get(name, "") for name in SEGMENTS}
    )


def _cards(answers: pd.DataFrame, study) -> pd.DataFrame:
    means = [metric for metric in study.metrics() if metric.name == "mean"]
    segments, known = study.segments, {"design": study.design}
    rows = [scorecard(answers, means, **known).table]
    rows += [scorecard(answers, means[:1], by=segments, **known).table]
    rows += [scorecard(answers, means[1:], by=segments[:1], **known).table]
    compared = compare_segments(answers, means[:1], segments, **known)
    table = pd.concat(rows, ignore_index=True)
    shown = set(table.loc[(table["column"] == "overall") & table["n"].notna(), "group"])
    assert set(compared.loc[compared["n"].notna(), "group"]) <= shown
    return table


def _quick_cards(answers: pd.DataFrame, study) -> pd.DataFrame:
    rows = []
    for column, segments in (("overall", SEGMENTS), ("lounge", SEGMENTS[:1])):
        whole = answers.groupby(lambda _: "everyone")[column].agg(["count", "mean", "size"])
        parts = [whole.assign(segment="everyone")]
        for name in segments:
            own = answers.groupby(name, observed=True)[column].agg(["count", "mean", "size"])
            parts.append(own.assign(segment=name))
        table = pd.concat(parts).rename_axis("group").reset_index().assign(column=column, metric="")
        table = table.rename(columns={"count": "n", "mean": "unweighted"}).astype({"group": "str"})
        table["n_missing"] = table["size"] - table["n"]
        if len(segments) > 1 or study.design.customer:
            known = {"design": study.design, "by": segments}
            opened = open_frame(answers, numbers={"score": column}, **known)
            joints = joint_answers(opened, [column, ROWS], segments, LEAST)
        else:
            joints = table_joints(table, segments)
        # the table of everybody comes from a scorecard without segments
        shown = decide(joints, segments, LEAST).hide(table)
        rows.append(shown[shown["n"].notna()].astype({"n": "int64", "unweighted": "float64"}))
    return pd.concat(rows, ignore_index=True)


class Reader:
    """Knows which joint cells have answers at all, and every figure shown."""

    def __init__(self, study: Path, shown: pd.DataFrame) -> None:
        self.answers = load_study(study).read().astype(dict.fromkeys(SEGMENTS, "object"))
        self.answers[SEGMENTS] = self.answers[SEGMENTS].fillna("none")
        self.shown = shown

    def equations(self, column: str) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
        """Cells; then a row of ones and zeros, answers and sum for each figure shown."""
        own = self.answers if not column else self.answers[self.answers[column].notna()]
        cells = own.groupby(["period", *SEGMENTS]).size().index.to_frame(index=False)
        values = {name: cells[name].to_numpy(object) for name in cells}
        rows, n, sums = [], [], []
        for one in self.shown.to_dict("records"):
            if one["column"] != column and (column or not one["column"]):
                continue
            wanted = {name: one[name] for name in ["period", *SEGMENTS] if one[name]}
            if (
                one["segment"] != "everyone"
                and one["segment"] in wanted
                and wanted[one["segment"]] != one["group"]
            ):
                continue
            if one["segment"] != "everyone":
                wanted[one["segment"]] = one["group"]
            inside = np.ones(len(cells), dtype=bool)
            for name, value in wanted.items():
                inside &= values[name] == value
            missing = 0 if column or not one["column"] else one["n_missing"]
            if pd.isna(missing):
                continue
            rows.append(inside.astype(float))
            n.append(one["n"] + missing)
            sums.append(one["n"] * one["unweighted"])
        return cells, np.array(rows), np.array(n, dtype=float), np.array(sums, dtype=float)

    def recovered(self) -> list[str]:
        """Small groups whose answers or mean follow from what is shown."""
        found = []
        for column in ("", "overall", "lounge"):
            cells, rows, n, sums = self.equations(column)
            if not len(rows):
                continue
            inverse = np.linalg.pinv(rows, rcond=1e-9)
            own = self.answers if not column else self.answers[self.answers[column].notna()]
            for name, inside in self.small(own, cells):
                weights = inside @ inverse
                if np.abs(weights @ rows - inside).max() < 1e-6:
                    told = f"{column or 'answers'} of {name}: n = {weights @ n:.0f}"
                    if column:
                        told += f", mean {(weights @ sums) / (weights @ n):.3f}"
                    found.append(told)
        return found

    def small(self, own: pd.DataFrame, cells: pd.DataFrame):
        """Groups of few, by up to two segments, a period's or of both, and two of them together."""
        keys = ["period", *SEGMENTS]
        # without customers each answer is a person's
        who = own.get("who", pd.Series(own.index, own.index))
        names = who.groupby([own[key] for key in keys]).agg(set)
        inside = names.reindex(pd.MultiIndex.from_frame(cells)).tolist()

        def is_few(places: np.ndarray) -> bool:
            return len(set().union(*(inside[i] for i in places))) < LEAST

        for names in chain.from_iterable(combinations(keys, size) for size in (1, 2, 3)):
            groups = cells.groupby(list(names)).indices
            few = {name: places for name, places in groups.items() if is_few(places)}
            for name, places in few.items():
                yield name, np.isin(np.arange(len(cells)), places).astype(float)
            for (name, first), (other, second) in combinations(few.items(), 2):
                both = np.concatenate([first, second])
                if is_few(both):
                    yield (name, other), np.isin(np.arange(len(cells)), both).astype(float)


def audit(
    study: Path,
    asked: list[list[str]],
    periods: list[str | None],
    reports: Path,
    *,
    together: bool = True,
    quick: bool = False,
    made: dict[str, pd.DataFrame] | None = None,
) -> tuple[int, list[str]]:
    """Reports made, and what a hostile reader recovers from them.

    ``made``: tables of reports that other runs of the same study have made alike.
    """
    requests = [Request(str(study), periods, each=one, notebooks=["scorecard"]) for one in asked]
    jobs = jobs_of(study, requests, reports, together=together)
    if not jobs:
        return 0, []
    tables = {} if made is None else made
    for job in jobs:
        if (key := str(job.parameters)) not in tables:
            tables[key] = tables_of(job, quick=quick)
    shown = pd.concat([tables[str(job.parameters)] for job in jobs], ignore_index=True)
    return len(jobs), Reader(study, shown).recovered()


def every_run():
    """All combinations of requests and of periods."""
    return list(product(every_combination(), PERIODS))
