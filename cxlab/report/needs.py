"""What a notebook needs of a study, and whether a study and period have it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from cxlab.core.messages import unknown
from cxlab.survey.definition import RATING_ROLES, ROLES
from cxlab.survey.scales import METRICS
from cxlab.survey.study import Study

SCORES = "scores"
_PERIODS = re.compile(r"periods>=(\d+)")


def read_needs(notebook: Path) -> list[str] | None:
    """Needs that a notebook declares in its metadata, ``cxlab.needs``; None: it declares none.

    Raises
    ------
    ValueError
        For a need that means nothing.

    Notes
    -----
    A need is one of

    - a role (``outcome``, ``touchpoint``, ``segment``, …; also ``role:outcome``): the main
      table has such a column, and it was asked in the period;
    - ``scores``: the main table has an outcome, a touchpoint or another rating;
    - ``metric:nps`` (or another metric; also ``role:nps``): an outcome has it;
    - ``table:NAME``: the study declares that table;
    - ``periods>=N``: the study has that many periods, up to the report's own.
    """
    metadata = json.loads(notebook.read_text(encoding="utf-8")).get("metadata", {})
    needs = metadata.get("cxlab", {}).get("needs")
    if needs is None:
        return None
    for need in needs:
        _check(need, notebook.stem)
    return [str(need) for need in needs]


def unmet(needs: Sequence[str], study: Study, period: str | None, *, past: int = 0) -> list[str]:
    """Those of the needs that a study and period don't meet.

    ``past``: number of periods of earlier reports, where these take the place of the answers.
    """
    return [need for need in needs if not _meets(need, study, period, past)]


def reads_one_period(needs: Sequence[str] | None) -> bool:
    """Whether a notebook is known to read its own period only."""
    return needs is not None and not reads_earlier_periods(needs)


def reads_earlier_periods(needs: Sequence[str] | None) -> bool:
    """Whether a notebook is known to show earlier periods beside its own."""
    return any(_PERIODS.fullmatch(need) for need in needs or ())


def _check(need: str, notebook: str) -> None:
    kind, _, name = need.rpartition(":")
    known = {
        "": [*ROLES, SCORES, "periods>=2"],
        "role": [*ROLES, *METRICS],
        "metric": list(METRICS),
    }
    if kind == "table" or _PERIODS.fullmatch(need):
        return
    if kind not in known:
        raise ValueError(unknown("needs", kind, ["role", "metric", "table"], of=notebook))
    if name not in known[kind]:
        raise ValueError(unknown("needs", name, known[kind], of=notebook))


def _meets(need: str, study: Study, period: str | None, past: int) -> bool:
    periods = _PERIODS.fullmatch(need)
    if periods:
        # with earlier reports, the answers may have been deleted
        return (past or _periods_until(study.periods, period)) >= int(periods[1])
    kind, _, name = need.rpartition(":")
    if kind == "table":
        return name in study.definition.tables
    asked = [
        column
        for column in study.main.columns.values()
        if period is None or column.header(period) is not None
    ]
    if name in METRICS and kind in ("metric", "role"):
        return any(column.role == "outcome" and name in column.metrics for column in asked)
    wanted = RATING_ROLES if name == SCORES else (name,)
    return any(column.role in wanted for column in asked)


def _periods_until(there: Sequence[str], period: str | None) -> int:
    return there.index(period) + 1 if period in there else len(there)
