"""Who answered of those invited, how alike groups answer, and what the silent could change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.disclosure.gate import EVERYONE, ROWS, decide, hide_rows, joint_answers
from cxlab.core.display import display_of, with_display
from cxlab.core.frames import open_frame
from cxlab.core.metric import Metric
from cxlab.core.result import Result
from cxlab.stats.metrics.estimates import estimate_metrics
from cxlab.survey.joining import choices_of
from cxlab.survey.study import Study, Where

#: Of an invitation that arrived; the others of the data contract did not.
DELIVERED, ANSWERED = ("invited", "answered"), "answered"
#: Groups of the frame are crossed as long as so many invitations are in the average cell.
PER_CELL = 20
#: Ends of a metric, by its unit.
ENDS = {"points": (-100.0, 100.0), "%": (0.0, 100.0)}


@dataclass(frozen=True, eq=False, kw_only=True)
class Response(Result):
    """Response rates of the invited, and representativity.

    Attributes
    ----------
    table : DataFrame
        Per segment × group and of everyone: ``segment``, ``group``, ``invited`` (invitations that
        arrived), ``n`` (answered), ``estimate`` (per cent), ``se``, ``ci_low``, ``ci_high``,
        ``suppressed``, ``note``. Empty where the study does not declare invitations.
    representativity : DataFrame
        One row: ``n`` (invitations), ``segments`` (that were crossed), ``cells``, ``estimate`` (R, 0 to
        1), ``adjusted`` (for what chance puts between cells).
    """

    representativity: pd.DataFrame

    @property
    def rate(self) -> Any:
        """The row of everyone; None without invitations, or where it is hidden."""
        rows = self.table[(self.table["segment"] == EVERYONE) & self.table["estimate"].notna()]
        return rows.iloc[0] if len(rows) else None


COLUMNS = ["segment", "group", "invited", "n", "estimate", "se", "ci_low", "ci_high",
           "suppressed", "note"]  # fmt: skip


def response_rates(
    study: Study, *, period: str | None = None, where: Where | None = None
) -> Response:
    """Per cent of the invitations that were answered, of everyone and by group of the frame.

    Parameters
    ----------
    study : Study
        With a table ``invitations`` that has a column ``status`` (``invited``, ``answered``,
        ``bounced`` …), and if there ``survey_type``, of which the main table's rows count. Segments
        are its own and those of the table of customers that its customer column names.
    period, where
        As for `Study.read`; of ``where`` every column must be a segment of the frame.

    Returns
    -------
    Response

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> response = response_rates(load_study("demo"), period="2025-Q4")
    >>> response.table[["segment", "invited", "n"]].head(1).values.tolist()
    [['everyone', 1067, 426]]
    >>> response_rates(load_study("demo")).representativity["estimate"].round(3).tolist()
    [0.85]
    """
    nothing = Response(table=pd.DataFrame(columns=COLUMNS), representativity=representativity(
        pd.DataFrame({"answered": pd.Series(dtype=float)}), []))  # fmt: skip
    frame, segments = _invited(study, period)
    if frame is None or not set(where or {}) <= set(segments):
        return nothing
    for name, wanted in (where or {}).items():
        frame = frame[frame[name].astype(str).isin([str(one) for one in choices_of(name, wanted)])]
    frame = frame[frame["status"].isin(DELIVERED)].reset_index(drop=True)
    if frame.empty:
        return nothing
    frame = frame.assign(answered=(frame["status"] == ANSWERED).astype(float))
    customer = next((one.name for one in study.table("invitations").with_role("customer")), None)
    shown = _rates(frame, segments, customer, study)
    found = representativity(frame, segments)
    words = study.labels | {name: study.labels.get(name, name) for name in segments}
    found["segments"] = [" × ".join(words[name] for name in one.split(" × ") if name)
                         for one in found["segments"]]  # fmt: skip
    shown["segment"] = [words.get(name, name) for name in shown["segment"]]
    return Response(
        table=with_display(
            shown, caption="Answered, of the invitations that arrived",
            columns=("segment", "group", "estimate", "invited", "n"), bar=("estimate",),
            headers={"estimate": "Answered, %", "n": "Answered", "invited": "Invited"},
            units={"estimate": "%", "invited": "count"},
        ),
        representativity=with_display(
            found, caption="How alike the groups of the frame answer",
            about="1: all alike. Adjusted: less what chance alone puts between cells of this size.",
            headers={"estimate": "R", "adjusted": "R, adjusted", "n": "Invited", "cells": "Cells",
                     "segments": "Groups"},
            units={"estimate": "number", "adjusted": "number", "cells": "count"},
        ),
    )  # fmt: skip


def _invited(study: Study, period: str | None) -> tuple[pd.DataFrame | None, list[str]]:
    """Invitations to the main survey with the segments of the frame, and their names."""
    tables = study.definition.tables
    if "invitations" not in tables or "status" not in tables["invitations"].columns:
        return None, []
    table = tables["invitations"]
    frame = study.read("invitations", period=period, engine="pandas")
    if "survey_type" in frame:
        frame = frame[frame["survey_type"].astype(str) == study.definition.main]
    own = {one.name for one in table.with_role("segment")} & set(study.segments)
    customer = next((one.name for one in table.with_role("customer")), None)
    people = tables.get("customers")
    if customer and people is not None and (key := people.only("id")):
        traits = [one.name for one in people.with_role("segment") if one.name not in frame]
        customers = study.read("customers", engine="pandas")[[key.name, *traits]]
        frame = frame.merge(customers, how="left", left_on=customer, right_on=key.name)
        own |= set(traits)
    return frame, [name for name in dict.fromkeys([*study.segments, *sorted(own)]) if name in own]


def _rates(
    frame: pd.DataFrame, segments: Sequence[str], customer: str | None, study: Study
) -> pd.DataFrame:
    """Rates of everyone and of every group, small groups hidden by how many answered."""
    metric = Metric("answered", "box", top=(1, 1), name="response")
    design = {"cluster": customer} if customer else None
    parts = [
        estimate_metrics(frame, [metric], design=design).assign(segment=EVERYONE, group=EVERYONE)
    ]
    for name in segments:
        part = estimate_metrics(frame, [metric], by=name, design=design)
        parts.append(part.assign(segment=name, group=part["group"].astype(str)))
    table = pd.concat(parts, ignore_index=True).rename(columns={"n": "invited", "tops": "n"})
    ordered = sorted(segments)
    least = study.definition.min_group_size
    opened = open_frame(frame[frame["answered"] == 1], by=ordered, design={"customer": customer})
    joints = joint_answers(opened, [ROWS], ordered, least) if ordered else {}
    gate = decide(joints, ordered, least)
    hidden = [gate.groups(ROWS, row.segment).get(row.group, "") for row in table.itertuples()]
    reasons = pd.Series(hidden, table.index, dtype=str)
    reasons[(table["segment"] == EVERYONE) & (table["n"] < least)] = "small"
    return hide_rows(table, reasons, least, counted=gate.counted)[COLUMNS]


def representativity(frame: pd.DataFrame, segments: Sequence[str]) -> pd.DataFrame:
    """How alike groups of the frame answer: R = 1 − 2·SD of their response propensities.

    ``frame`` has one row per invitation that arrived, ``answered`` 1 or 0; ``segments`` are crossed, in
    this order, as long as the average cell has 20 invitations. The propensity of an invitation is its
    cell's share of answers. By chance their variance is too large by
    Σ(n_c/n)·p_c(1 − p_c)·(1/(n_c − 1) − 1/n), which ``adjusted`` takes away. R says nothing about what
    the frame does not hold. Schouten, Cobben & Bethlehem (2009), Survey Methodology 35, 101–113; Shlomo,
    Skinner & Schouten (2012), Journal of Statistical Planning and Inference 142, 201–211.

    Half of one group and all of the other answered: SD .25.

    >>> frame = pd.DataFrame({"answered": [1.0, 0.0, 1.0, 1.0] * 10, "kind": list("aabb") * 10})
    >>> representativity(frame, ["kind"])[["cells", "estimate", "adjusted"]].round(3)
       cells  estimate  adjusted
    0      2       0.5     0.514
    """
    crossed: list[str] = []
    for name in segments:
        cells = (
            frame.dropna(subset=[*crossed, name]).groupby([*crossed, name], observed=True).ngroups
        )
        if cells > 1 and len(frame) / cells >= PER_CELL:
            crossed.append(name)
    columns = ["n", "segments", "cells", "estimate", "adjusted"]
    if not crossed:
        return pd.DataFrame(columns=columns)
    grouped = frame.groupby(crossed, observed=True, dropna=False)["answered"]
    size, share = grouped.size().to_numpy(float), grouped.mean().to_numpy(float)
    n, rate = size.sum(), float(frame["answered"].mean())
    variance = float((size * (share - rate) ** 2).sum() / n)
    lone = np.maximum(size - 1, 1)
    chance = float((size / n * share * (1 - share) * (1 / lone - 1 / n)).sum())
    found = [1 - 2 * np.sqrt(variance), 1 - 2 * np.sqrt(max(variance - max(chance, 0.0), 0.0))]
    return pd.DataFrame([[int(n), " × ".join(crossed), len(size), *found]], columns=columns)


def nonresponse_table(
    table: pd.DataFrame, *, response_rates: Sequence[float] = (0.1, 0.25, 0.5)
) -> pd.DataFrame:
    """What the whole would be if those who did not answer were at either end of the metric.

    Parameters
    ----------
    table : DataFrame
        A scorecard. Rows of means, and hidden ones, are left out.
    response_rates : sequence of float
        Rates to try, each over 0 and at most 1.

    Returns
    -------
    DataFrame
        One row per net score or share × rate: ``label``, ``metric``, ``unit``, ``estimate``,
        ``response_rate``, ``low``, ``high`` (the bounds), ``target``, ``tipping_point`` (score of
        the silent at which the whole is at the target; null without one), ``possible`` (whether
        that score exists).

    Notes
    -----
    ``r·estimate + (1 − r)·[low, high]``; tipping point ``(target − r·estimate)/(1 − r)``. The
    bounds assume nothing about the silent, so no analysis of the answers can narrow them.

    References
    ----------
    Manski (2003), Partial Identification of Probability Distributions.

    Examples
    --------
    >>> table = pd.DataFrame({"label": ["NPS"], "metric": ["nps"], "unit": ["points"],
    ...                       "estimate": [50.0], "target": [0.0]})
    >>> nonresponse_table(table, response_rates=[0.4])[["low", "high", "tipping_point"]].round(1)
        low  high  tipping_point
    0 -40.0  80.0          -33.3
    """
    for rate in response_rates:
        if not 0 < rate <= 1:
            raise ValueError(f"`response_rates` must be over 0 and at most 1; got {rate}.")
    names = ["label", "metric", "unit", "estimate", "target"]
    known = table[table["unit"].isin(list(ENDS)) & table["estimate"].notna()][names]
    rates = pd.DataFrame({"response_rate": [float(rate) for rate in response_rates]})
    rows = known.astype({"target": float}).merge(rates, how="cross")
    rate, answered = rows["response_rate"], rows["response_rate"] * rows["estimate"]
    low, high = (
        rows["unit"].map({unit: pair[i] for unit, pair in ENDS.items()}).astype(float)
        for i in (0, 1)
    )
    silent = (1 - rate).where(rate < 1)
    tipping = (rows["target"] - answered) / silent
    found = rows.assign(
        low=answered + (1 - rate) * low, high=answered + (1 - rate) * high, tipping_point=tipping,
        possible=tipping.between(low, high),
    )[["label", "metric", "unit", "estimate", "response_rate", "low", "high", "target",
       "tipping_point", "possible"]]  # fmt: skip
    return with_display(
        found, caption="Bounds at several response rates", titles=display_of(table).titles,
        columns=("label", "metric", "response_rate", "low", "target", "tipping_point"), bar=(),
    )  # fmt: skip
