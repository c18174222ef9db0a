"""How often a theme is commented on and how scores go with it, corrected by hand codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.design import DesignLike, as_design
from cxlab.core.disclosure.gate import hide_rows
from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.display import with_display
from cxlab.core.frames import check_columns
from cxlab.core.metric import Metric
from cxlab.stats.inference import (
    adjust_family,
    check_level,
    decide_family,
    t_quantile,
    wilson_interval,
)
from cxlab.stats.resampling import sampling_design
from cxlab.stats.verbatims import correction
from cxlab.stats.verbatims.codes import CodedComments
from cxlab.stats.verbatims.coding import LEAST_ALPHA, UNKNOWN
from cxlab.stats.verbatims.correction import Correction
from cxlab.stats.verbatims.prepared import Prepared, p_value, spread
from cxlab.stats.verbatims.result import ADJUSTED, DECIDED, GAP, IMPACT, SHARE, ThemeScores

Array = NDArray[np.float64]
#: Fewer hand-coded comments with a theme (or without it): only its share.
FEWEST = 10
NOT_CORRECTED = "machine codes, not corrected: counts only"
TOO_FEW = f"fewer than {FEWEST} hand-coded comments with the theme, or without: share only"
COLUMNS = (
    "period", "theme", "label", "tone", "quantity", "unit", "n", "n_theme", "n_hand", "n_lent", "estimate", "se", "ci_low",
    "ci_high", "df", "p_value", "p_adjusted", "decided_low", "decided_high", "machine", "machine_p",
    "tuning", "note",
)  # fmt: skip

FIGURES = ("estimate", "se", "ci_low", "ci_high", "df", "p_value", *DECIDED, "machine",
           "machine_p", "tuning")  # fmt: skip


def score_values(data: pd.DataFrame, score: Metric | str) -> Array:
    """Each answer's part of a metric's mean: 100, 0, −100 for a net score, the score of a mean."""
    metric = score_metric(score)
    values = data[metric.column].to_numpy(float)
    if metric.kind == "mean" or metric.top is None:
        return values
    found = ((values >= metric.top[0]) & (values <= metric.top[1])).astype(float)
    if metric.kind == "net" and metric.bottom is not None:
        found -= (values >= metric.bottom[0]) & (values <= metric.bottom[1])
    return np.where(np.isnan(values), np.nan, 100 * found)


def score_metric(score: Metric | str) -> Metric:
    """A metric as it is; a column's mean."""
    return Metric(score, "mean", name="mean") if isinstance(score, str) else score


def theme_scores(
    data: pd.DataFrame,
    themes: CodedComments,
    *,
    score: Metric | str,
    hand: pd.DataFrame | None = None,
    row: str | None = None,
    by: str | None = None,
    groups: Sequence[str] | None = None,
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
) -> ThemeScores:
    """Share of each theme among comments and the score that goes with it.

    Parameters
    ----------
    data : DataFrame
        All answers, those without a comment too (clusters stay whole).
    themes : CodedComments
        Of `code_comments` or `people_codes`.
    score : Metric or str
        ``study.headline``, or a column whose mean counts.
    hand : DataFrame, optional
        Of `read_coding`. Without it, codes by words are counts only.
    row : str, optional
        Column that ``hand["row"]`` names; default: the index.
    by : str, optional
        Column of periods (or other groups), each estimated on its own. Hand codes of others help
        to correct a period, within strata of the draw: together they weigh a fifth of its own,
        and what they change counts as error. A period with fewer than five of its own in a
        stratum is counted only; drift of the machine is tested.
    groups : sequence of str, optional
        Of ``by``: only these; default all.
    design : Design or mapping, optional
    level : float
    min_group_size : int
        Themes of fewer comments, or of all but so few, are hidden.

    Returns
    -------
    ThemeScores
        Per theme and quantity (``share`` of comments, in %; ``gap``: mean score of comments
        with the theme less those without; ``adjusted gap``: with the other themes held;
        ``impact``: share × gap, what the mean would be higher without the theme's comments):
        ``n`` (comments), ``n_theme`` (of those known or found to be on it),
        ``n_hand`` and ``n_lent`` (hand codes of its own and of other periods), ``estimate``, ``se``, ``ci_low``, ``ci_high``,
        ``df``, ``p_value``, ``p_adjusted`` (false discoveries, over the themes' gaps of one
        kind), ``machine`` (the figure without correction), ``machine_p``, ``tuning`` (λ).

    Raises
    ------
    TypeError
        For codes of another kind: a classifier taught by the hand codes cannot be corrected
        by them.
    ValueError
        For hand codes of comments that are not there.

    Notes
    -----
    Corrected moments are λ·M(machine, all) + Σ W_s·mean_s[M(hand) − λ·M(machine)] over the
    strata of the draw. λ, from 0 to 1, has the least variance. The variance adds the first
    phase (clusters and weights inside) to a jackknife of the hand sample; degrees of freedom
    are Satterthwaite's. Shares have Wilson's interval on their effective size. Where codes are
    lent, the variance holds twice the square of what they change: whether the machine errs as
    before cannot be known from few codes, and a test of it would seldom find that it does not.

    References
    ----------
    Angelopoulos et al. (2023), Science 382, 669–674. Egami et al. (2024), Sociological Methods &
    Research.

    Examples
    --------
    >>> from cxlab.survey.definition import Theme
    >>> from cxlab.stats.verbatims.codes import people_codes
    >>> rows = pd.DataFrame({"period": "1", "code": ["a", "b"] * 20, "score": [2, 8, 4, 6] * 10})
    >>> coded = people_codes(rows, ["code"], {"a": Theme("a", "A", codes={"1": ("a",)})})
    >>> theme_scores(rows, coded, score="score").table[["quantity", "n_theme", "estimate"]]
           quantity  n_theme  estimate
    0         share       20      50.0
    1           gap       20      -4.0
    2  adjusted gap       20      -4.0
    3        impact       20      -2.0
    """
    if not isinstance(themes, CodedComments):
        raise TypeError(
            f"`themes` must come from code_comments or people_codes; got {type(themes).__name__}. Codes "
            "of a classifier that was taught by the hand codes cannot be corrected by them."
        )
    metric, known = score_metric(score), as_design(design)
    check_columns(data, {"score": metric.column, "row": row, "by": by, "design": known.used()})
    sheet = Prepared.of(data, themes, hand, row, by, known)
    values = score_values(data, metric)
    strata, cluster = (data[name] if name else None for name in (known.strata, known.cluster))
    sample = sampling_design(len(data), strata=strata, cluster=cluster)
    found = list(dict.fromkeys(data.loc[themes.commented, by].dropna())) if by else [None]
    wanted = [one for one in found if groups is None or one in groups]
    rows: list[dict[str, Any]] = []
    influences: dict[tuple[str, str, str], Array] = {}
    drifted: list[str] = []
    corrections: dict[str, tuple[Correction, list[str]]] = {}
    for group in wanted:
        label = "" if group is None else str(group)
        own = themes.commented.to_numpy() & (True if by is None else (data[by] == group).to_numpy())
        # the latest period is the one that is read
        drifted = sheet.drifted(own) if by and sheet.agreement is not None else []
        there, shares, gaps = _corrected(sheet, values, own)
        if gaps is not None:
            corrections[label] = gaps, [sheet.names[i] for i in there]
        for one, influence in _group(sheet, own, there, shares, gaps, check_level(level)):
            rows.append({"period": label, **one})
            if one["quantity"] in (SHARE, GAP):
                influences[label, one["theme"], one["quantity"]] = influence
    table = _finished(pd.DataFrame(rows), themes, metric, min_group_size)
    badge, notes = _badge(sheet, table, themes.labels)
    without = int(data.loc[themes.commented, by].isna().sum()) if by else 0
    notes += _left_out(without, str(by), [themes.labels[name] for name in drifted])
    return ThemeScores(
        table=_displayed(table if by else table.drop(columns="period"), metric, level, badge),
        badge=badge, metric=metric, by=by, level=level, influences=influences, units=sheet.units,
        corrections=corrections, sample=sample,
        notes=(*themes.notes, *notes),
        n_missing=pd.DataFrame({"column": [metric.column], "n_missing": [
            int((themes.commented.to_numpy() & np.isnan(values)).sum())]}),
    )  # fmt: skip


def _left_out(without: int, by: str, drifted: list[str]) -> Iterator[str]:
    if without:
        yield f"{without:,} comments have no {by}: left out."
    if drifted:
        yield (
            f"The machine's errors differ from those of earlier periods on: {', '.join(drifted)}. Code more "
            "comments of this one."
        )


def _corrected(
    sheet: Prepared, values: Array, own: NDArray[np.bool_]
) -> tuple[list[int], Correction | None, Correction | None]:
    """Themes that a group's codes have, its corrected shares, and its corrected gaps."""
    there = [i for i in range(len(sheet.names)) if not np.isnan(sheet.machine[own, i]).any()]
    # codes of others are lent to those who can be compared with them
    if not sheet.known(own, there):
        return there, None, None
    shares = Correction(sheet.comments(own, np.zeros(len(own)), there))
    scored = sheet.comments(own, values, there)
    return there, shares, Correction(scored) if scored.own.any() else None


def _group(
    sheet: Prepared,
    own: NDArray[np.bool_],
    there: list[int],
    shares: Correction | None,
    gaps: Correction | None,
    level: float,
) -> Iterator[tuple[dict[str, Any], Array]]:
    """Rows of one group: share, then gaps where enough comments carry them."""
    if shares is None:
        for i in there:
            yield _counted(sheet, own, i), np.empty(0)
        return
    for place, i in enumerate(there):
        yield _row(sheet, shares, SHARE, correction.share(place), i, place, level)
        if gaps is None:
            continue
        marks = gaps.by_hand[:, 1 + place]
        if min(marks.sum(), len(marks) - marks.sum()) < FEWEST:
            yield {**_head(sheet, gaps, i), "quantity": GAP, "note": TOO_FEW}, np.empty(0)
            continue
        for name, quantity in (
            (GAP, correction.gap(place)),
            (ADJUSTED, correction.adjusted_gap(place, len(there))),
            (IMPACT, correction.impact(place)),
        ):
            yield _row(sheet, gaps, name, quantity, i, place, level)


def _counted(sheet: Prepared, own: NDArray[np.bool_], i: int) -> dict[str, Any]:
    codes = sheet.machine[own, i]
    return {
        "theme": sheet.names[i], "quantity": SHARE, "n": int(own.sum()), "n_theme": int(codes.sum()),
        "n_hand": 0, "n_lent": 0, "machine": 100 * float(np.average(codes, weights=sheet.weight[own])),
        "note": NOT_CORRECTED,
    }  # fmt: skip


def _head(sheet: Prepared, made: Correction, i: int) -> dict[str, Any]:
    """Counts of people, whatever their weights: they decide what is hidden."""
    own = made.comments.own & (sheet.weight > 0)
    known = np.where(np.isnan(sheet.hand[:, i]), sheet.machine[:, i], sheet.hand[:, i])
    coded = made.comments.own[made.drawn.index]
    return {
        "theme": sheet.names[i], "n": int(own.sum()), "n_theme": int((known[own] == 1).sum()),
        "n_hand": int(coded.sum()), "n_lent": int((~coded).sum()),
    }  # fmt: skip


def _row(
    sheet: Prepared, made: Correction, name: str, quantity: correction.Quantity, i: int,
    place: int, level: float,
) -> tuple[dict[str, Any], Array]:  # fmt: skip
    found = made.estimate(quantity, theme=place)
    variance, df = spread(found.influence, found.information, sheet.units)
    variance += found.unseen
    row = {
        **_head(sheet, made, i), "quantity": name, "estimate": found.estimate, "se": np.sqrt(variance),
        "df": df, "machine": found.machine, "tuning": np.nan if sheet.by_people else found.tuning, "note": "",
    }  # fmt: skip
    if name == SHARE:
        row |= _share_interval(row, level)
        return row, 100 * found.influence
    width = float(t_quantile(level, df)) * row["se"]
    row |= {"ci_low": found.estimate - width, "ci_high": found.estimate + width}
    row["p_value"] = p_value(found.estimate, row["se"], df)
    if name == GAP and not sheet.by_people:
        plain = made.machine_alone(quantity)
        own, own_df = spread(plain.influence, plain.information, sheet.units)
        row["machine_p"] = p_value(plain.estimate, float(np.sqrt(own)), own_df)
    return row, found.influence


def _share_interval(row: dict[str, Any], level: float) -> dict[str, float]:
    """Wilson's interval on the size of the simple sample that would know as much; in %."""
    share, n = float(np.clip(row["estimate"], 0, 1)), row["n_hand"] + row["n_lent"]
    inside = float(np.clip(share, 0.5 / n, 1 - 0.5 / n))
    size = inside * (1 - inside) / row["se"] ** 2 if row["se"] > 0 else float(n)
    ratio = float(t_quantile(level, 1e9) / t_quantile(level, max(row["df"], 1)))
    low, high = (float(end) for end in wilson_interval(share, size * ratio**2, level=level))
    scaled = {
        "estimate": share,
        "se": row["se"],
        "ci_low": low,
        "ci_high": high,
        "machine": row["machine"],
    }
    return {name: 100 * value for name, value in scaled.items()}


def _finished(
    table: pd.DataFrame, themes: CodedComments, metric: Metric, fewest: int
) -> pd.DataFrame:
    """Labels, adjusted p per kind of gap, small themes hidden."""
    table = table.reindex(columns=list(COLUMNS)).assign(
        label=table["theme"].map(themes.labels),
        tone=table["theme"].map({name: theme.tone for name, theme in themes.themes.items()}),
        unit=np.where(table["quantity"] == SHARE, "%", metric.unit),
        note=table["note"].fillna(""),
    )
    counts = dict.fromkeys(("n", "n_theme", "n_hand", "n_lent"), "Int64")
    table = table.astype(counts | dict.fromkeys(FIGURES, float))
    for _, places in table.groupby(["period", "quantity"], sort=False).indices.items():
        rows = table.index[places]
        table.loc[rows, DECIDED] = np.column_stack(decide_family(table.loc[rows], method="bh"))
        table.loc[rows, "machine_p"] = adjust_family(table.loc[rows, "machine_p"], method="bh")
    small = (table["n_theme"] < fewest) | (table["n"] - table["n_theme"] < fewest)
    names = table[["theme", "quantity", "tone"]]
    hidden = hide_rows(table, small.map({True: "small", False: ""}), fewest)
    return hidden.assign(**{name: names[name] for name in names})


def _badge(sheet: Prepared, table: pd.DataFrame, labels: dict[str, str]) -> tuple[str, list[str]]:
    """What corrected the latest group, and how well coders agree."""
    if sheet.by_people:
        return "coded by people", []
    last = table[(table["period"] == table["period"].iloc[-1]) & (table["n_hand"] > 0)]
    if sheet.agreement is None or last.empty:
        return "not corrected", ["Machine codes, not corrected: counts only."]
    own, lent = int(last["n_hand"].max()), int(last["n_lent"].max())
    notes = []
    if lent:
        notes.append(
            f"{lent:,} hand codes of other periods are lent to this one, which has {own:,} of its own: they weigh a "
            "fifth of these at most, because the machine may err otherwise now."
        )
    told = f"corrected with {own + lent:,} hand-coded comments" + (
        f", {lent:,} of them lent" if lent else ""
    )
    known = sheet.agreement.dropna(subset=["estimate"])
    if known.empty:
        return f"{told}, {UNKNOWN}", notes
    low = known.loc[known["estimate"] < LEAST_ALPHA, "theme"].map(labels)
    if len(low):
        notes.append(f"Coders agree too little (α below {LEAST_ALPHA}) on: {', '.join(low)}.")
    middle = f"{known['estimate'].median():.2f}".lstrip("0")
    return f"{told}, α {middle}", notes


def _displayed(table: pd.DataFrame, metric: Metric, level: float, badge: str) -> pd.DataFrame:
    return with_display(
        table, caption="Themes: share of comments, and the score that goes with them", about=badge,
        columns=("label", "quantity", "estimate", "machine", "n_theme", "n_hand"), level=level,
        headers={"label": "Theme", "machine": "Machine alone", "n_theme": "Comments", "n_hand": "Hand-coded", "n_lent": "Lent by other periods",
                 "tuning": "Weight of the machine", "machine_p": "Adjusted p, machine alone", "tone": "Tone"},
        labels={metric.column: metric.title}, top=48,
    )  # fmt: skip
