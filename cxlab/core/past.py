"""Earlier reports in place of answers: the scores that their tables recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cxlab.core.labels import natural_order
from cxlab.core.metric import Metric

#: What a recorded table of scores has, beside intervals and notes.
SCORED = ("label", "metric", "unit", "n", "estimate", "se", "deff", "n_eff")
#: Of these, the numbers; null where a report hides them.
NUMBERS = ("n", "estimate", "se", "ci_low", "ci_high", "deff", "n_eff")
#: A recorded table with one of these is about parts of the answers, or about differences.
OF_PARTS = ("group", "before", "other")


@dataclass(frozen=True, eq=False)
class PastReports:
    """Scores that earlier reports recorded; it takes the place of answers.

    Attributes
    ----------
    table : DataFrame
        One row per period, label and metric: ``period``, ``label``, ``metric``, ``unit``,
        ``n``, ``estimate``, ``se``, ``ci_low``, ``ci_high``, ``deff``, ``n_eff``, ``note``.
        Numbers that a report hides are null.
    files : tuple of Path
        The tables that were read.
    """

    table: pd.DataFrame
    files: tuple[Path, ...]

    @property
    def periods(self) -> list[str]:
        """Names of the periods; numbers in them are read as numbers."""
        return sorted(self.table["period"].unique(), key=natural_order)

    def scores(self, label: str, metric: Metric) -> pd.DataFrame:
        """What the reports recorded of one metric in its unit: a row per period."""
        chosen = self.table["label"] == label
        chosen &= self.table["metric"] == metric.name
        # a metric is known by its words: its definition may have changed
        return self.table[chosen & (self.table["unit"] == metric.unit)]

    def score(self, period: str, label: str, metric: Metric) -> dict[str, Any] | None:
        """What the reports of a period recorded of one metric; None: nothing."""
        table = self.scores(label, metric)
        found = table[table["period"] == period]
        return found.iloc[0].to_dict() if len(found) else None


@dataclass(frozen=True, eq=False)
class History:
    """A study's periods, one of which is new; made by `load_history`.

    Attributes
    ----------
    data : DataFrame or PastReports
        Answers of all periods, or the scores that earlier reports recorded.
    period : str
        The new one.
    group : str
        The selection in words; empty for everyone.
    """

    data: Any
    period: str
    group: str

    @property
    def about(self) -> str:
        """One line: what is new, what it is compared from, of whom."""
        source = "earlier reports" if isinstance(self.data, PastReports) else "answers"
        return f"New: {self.period}, from {source}; selection: {self.group or 'everyone'}."


def load_history(
    study: Any,
    *,
    period: str | None = None,
    where: Mapping[str, Any] | None = None,
    past: str | Path | None = None,
) -> History:
    """All periods of a study's answers, or of the reports that stand in for them.

    Parameters
    ----------
    study : Study
    period : str, optional
        The one that is new; default: the last one.
    where : mapping, optional
        Only these answers, as for ``study.read``.
    past : str or Path, optional
        Folder of earlier reports, to be read instead of the answers: see `past_reports`.

    Examples
    --------
    >>> from cxlab import load_study
    >>> load_history(load_study("demo")).about
    'New: 2025-Q4, from answers; selection: everyone.'
    """
    data = past_reports(past, study=study.name, where=where) if past else study.read(where=where)
    there = data.periods if isinstance(data, PastReports) else study.periods
    return History(data, str(period or there[-1]), study.selection(where) if where else "")


def past_reports(
    folder: str | Path, *, study: str | None = None, where: Mapping[str, Any] | None = None
) -> PastReports:
    """Scores of all periods that a folder of reports recorded, to be compared without answers.

    Parameters
    ----------
    folder : str or Path
        Reports that ``cxlab report`` made, such as those of notebook ``2-scorecard``.
    study : str, optional
        Take the reports of the study of this name only: ``study.name``.
    where : mapping, optional
        Take the reports of this selection. Default: those of everyone.

    Returns
    -------
    PastReports
        To be given to `cxlab.period_changes` and `cxlab.period_scores` in place of answers.
        Where several reports recorded the same score, the newest one counts.

    Raises
    ------
    FileNotFoundError
        When the folder is not there, or holds no report.
    ValueError
        When no report is of the study and selection, a table of one is not as reports record
        them, or the folder holds statistics that an earlier version of cxlab kept.

    Examples
    --------
    >>> import tempfile
    >>> from cxlab import period_changes
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for period, score in (("2025-Q3", 20.0), ("2025-Q4", -40.0)):
    ...         report = Path(folder) / period / "2-scorecard"
    ...         (report / "tables").mkdir(parents=True)
    ...         row = {"label": "recommend", "metric": "nps", "unit": "points", "n": 100,
    ...                "estimate": score, "se": 9.0, "deff": 1.0, "n_eff": 100.0}
    ...         _ = (report / "tables" / "outcomes.json").write_text(json.dumps([row]))
    ...         _ = (report / "manifest.json").write_text(json.dumps({"period": period}))
    ...     past = past_reports(folder)
    >>> period_changes(past, "recommend").table[["period", "before", "estimate"]].head(1)
        period   before  estimate
    0  2025-Q4  2025-Q3     -60.0
    """
    folder = Path(folder)
    manifests = list(_manifests(folder))
    if not manifests:
        raise _no_reports(folder)
    rows, files = [], []
    for path, manifest in manifests:
        own = manifest["parameters"]
        if (study and manifest.get("study") != study) or not manifest.get("period"):
            continue
        if _selection(own.get("where")) != _selection(where):
            continue
        for table, scores in _scores(path.parent / "tables"):
            files.append(table)
            rows += [
                {**row, "period": manifest["period"], "ended": manifest.get("ended", "")}
                for row in scores
            ]
    if not rows:
        asked = f"study '{study}' and " if study else ""
        raise ValueError(
            f"`past` must hold reports of one period each with tables of scores, of {asked}the "
            f"selection asked for; got {len(manifests)} other reports in '{folder}'. Make "
            "2-scorecard of each period first."
        )
    wanted = ["period", *SCORED, "ci_low", "ci_high", "note"]
    table = pd.DataFrame(rows).sort_values("ended", kind="stable")
    table = table.drop_duplicates(["period", "label", "metric"], keep="last")
    table = table.reindex(columns=wanted).reset_index(drop=True)
    return PastReports(table.astype(dict.fromkeys(NUMBERS, float)), tuple(files))


def _manifests(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(folder.rglob("manifest.json")):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        own = (found.get("parameters") or {}) if isinstance(found, dict) else None
        # what no report of this version writes is none
        if not isinstance(own, dict) or not isinstance(own.get("where") or {}, dict):
            continue
        if isinstance(found.get("period") or "", str):
            yield path, {**found, "parameters": own}


def _scores(tables: Path) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """Tables of a report that hold scores of everybody in it, with their rows."""
    for path in sorted(tables.glob("*.json")):
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
            columns = set(rows[0]) if rows else set()
        except (ValueError, TypeError, KeyError) as error:
            raise _odd(path) from error
        if columns.issuperset(SCORED) and columns.isdisjoint(OF_PARTS):
            if not all(map(_is_score, rows)):
                raise _odd(path)
            yield path, rows


def _is_score(row: Any) -> bool:
    """Whether it has what a recorded score has, each of its kind."""
    if not isinstance(row, dict) or not {*SCORED} <= {*row}:
        return False
    numbers = [row.get(name) for name in NUMBERS]
    return all(one is None or isinstance(one, int | float) for one in numbers)


def _odd(path: Path) -> ValueError:
    return ValueError(
        f"`past` must hold tables as reports record them; '{path}' was changed or cut short. Make "
        "that report again."
    )


def _no_reports(folder: Path) -> Exception:
    if not folder.is_dir():
        what = "which is not there"
    elif any(folder.glob("*.parquet")):
        return ValueError(
            f"`past` must be a folder of reports; got '{folder}', which holds statistics that an "
            "earlier version kept with `cxlab period save`. Give the folder of that time's reports."
        )
    else:
        what = "which holds none"
    return FileNotFoundError(
        f"`past` must be a folder of reports; got '{folder}', {what}. Make some with `cxlab report`."
    )


def _selection(where: Mapping[str, Any] | None) -> dict[str, list[str]]:
    return {
        name: sorted(map(str, wanted if isinstance(wanted, list | tuple | set) else [wanted]))
        for name, wanted in (where or {}).items()
    }
