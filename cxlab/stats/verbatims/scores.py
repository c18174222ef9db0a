"""How often a theme is commented on and how scores go with it, corrected by hand codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from cxlab.core.design import Design, DesignLike, as_design
from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.frames import check_columns
from cxlab.core.messages import refuse
from cxlab.core.metric import Metric
from cxlab.stats.inference import ALPHA, adjust_family, check_level, t_quantile, wilson_interval
from cxlab.stats.metrics.two_groups import tested_difference
from cxlab.stats.resampling import SamplingDesign, sampling_design
from cxlab.stats.variance import clustered_variance, known_by_few
from cxlab.stats.verbatims import correction
from cxlab.stats.verbatims.codes import PEOPLE, CodedComments
from cxlab.stats.verbatims.coding import LEAST_ALPHA, STRATA, UNKNOWN, coding_agreement, strata_of
from cxlab.stats.verbatims.correction import Correction
from cxlab.stats.verbatims.result import (
    ADJUSTED,
    GAP,
    IMPACT,
    SHARE,
    ThemeScores,
    displayed,
    finished,
)

Array = NDArray[np.float64]
#: Fewer hand-coded comments with a theme (or without it): only its share.
FEWEST = 10
#: Fewer hand codes of a stratum say nothing of how the machine errs in a group.
FEWEST_EACH = 5
NOT_CORRECTED = "machine codes, not corrected: counts only"
TOO_FEW = f"fewer than {FEWEST} hand-coded comments with the theme, or without: share only"


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


@dataclass(frozen=True, eq=False)
class Prepared:
    """Codes, hand codes and design as arrays over all answers."""

    names: list[str]
    machine: Array
    hand: Array
    by_people: bool
    drawn: Array
    stratum: NDArray[np.int64]
    weight: Array
    label: NDArray[np.int64]
    sample: SamplingDesign
    agreement: pd.DataFrame | None

    @classmethod
    def of(
        cls, data: pd.DataFrame, themes: CodedComments, hand: pd.DataFrame | None, row: str | None,
        by: str | None, design: Design,
    ) -> Prepared:  # fmt: skip
        """Arrays of answers, their codes, hand codes and design."""
        machine = themes.values.to_numpy(float)
        labels = pd.factorize(data[by])[0] if by else np.zeros(len(data), dtype=int)
        by_people = themes.by == PEOPLE
        coded, drawn, agreement = np.full(machine.shape, np.nan), np.ones(len(data)), None
        if hand is not None and not by_people:
            ids = pd.Index(data[row] if row else data.index)
            place = ids.get_indexer(hand["row"])
            silent = (place < 0) | ~themes.commented.to_numpy()[place]
            refuse(
                hand.loc[silent, "row"], "`hand` must be of comments in the data",
                " without one. Give the answers of all periods that were coded.",
            )  # fmt: skip
            first = ~hand["row"].duplicated().to_numpy()
            coded[place[first]] = hand.loc[first, list(themes.themes)].to_numpy(float)
            drawn = _chances(hand, place, labels, len(data))
            agreement = coding_agreement(hand, themes=list(themes.themes))
        stratum = strata_of(themes).map({name: i for i, name in enumerate(STRATA)}).fillna(0)
        strata, cluster = (data[one] if one else None for one in (design.strata, design.cluster))
        sample = sampling_design(len(data), strata=strata, cluster=cluster)
        weight = data[design.weights].to_numpy(float) if design.weights else np.ones(len(data))
        return cls(
            list(themes.themes), machine, machine if by_people else coded, by_people, drawn,
            stratum.to_numpy(int), weight, labels, sample, agreement,
        )  # fmt: skip

    def known(self, own: NDArray[np.bool_], themes: list[int]) -> bool:
        """Whether a group has hand codes of its own; where codes are lent, enough of every stratum."""
        coded = ~np.isnan(self.hand[:, themes]).any(axis=1)
        if not (coded & ~own).any():
            return bool((coded & own).any())
        all_, mine = (
            np.bincount(self.stratum[rows], minlength=len(STRATA)) for rows in (own, own & coded)
        )
        return bool((mine >= np.minimum(all_, FEWEST_EACH)).all())

    def comments(
        self, own: NDArray[np.bool_], score: Array, themes: list[int]
    ) -> correction.Comments:
        """Those of a group that have a score, and others whose hand codes it uses."""
        scored = ~np.isnan(score)
        lend = ~np.isnan(self.hand[:, themes]).any(axis=1) & scored
        codes = np.where(((own & scored) | lend)[:, None], self.hand[:, themes], np.nan)
        drawn = self.drawn.copy()
        # within a stratum each period counts by how many were coded
        place = pd.Series(drawn[lend]).groupby([self.label[lend], self.stratum[lend]])
        drawn[lend] = drawn[lend] / place.transform("mean").to_numpy()
        levelled = np.nan_to_num(self._levelled(score, own))
        return correction.Comments(
            np.nan_to_num(self.machine[:, themes]), codes, levelled, own & scored,
            self.weight, drawn, self.stratum,
        )  # fmt: skip

    def _levelled(self, score: Array, own: NDArray[np.bool_]) -> Array:
        """Scores of other groups about the mean of this one: lent codes say where the machine errs."""
        known = ~np.isnan(score) & ~np.isnan(self.machine).all(axis=1) & (self.label >= 0)
        weight = self.weight * known
        total, size = (np.bincount(np.maximum(self.label, 0), w) for w in (weight * np.nan_to_num(score), weight))  # fmt: skip
        mean = total / np.where(size > 0, size, 1.0)
        here = (
            np.average(np.nan_to_num(score), weights=weight * own) if (weight * own).any() else 0.0
        )
        return np.where(own, score, score - mean[self.label] + here)

    def drifted(self, own: NDArray[np.bool_]) -> list[str]:
        """Themes on which the machine errs otherwise in a group than in the rest, beyond chance."""
        coded = ~np.isnan(self.hand).any(axis=1)
        p_values = []
        for i in range(len(self.names)):
            wrong = self.hand[:, i] - self.machine[:, i]
            total, variance = 0.0, 0.0
            for stratum in range(len(STRATA)):
                sides = [wrong[coded & side & (self.stratum == stratum)] for side in (own, ~own)]
                if min(len(side) for side in sides) < FEWEST_EACH:
                    continue
                share = (own & (self.stratum == stratum)).sum() / own.sum()
                both = np.concatenate(sides)
                total += share * (sides[0].mean() - sides[1].mean())
                variance += share**2 * both.var(ddof=1) * sum(1 / len(side) for side in sides)
            p_values.append(2 * ndtr(-abs(total) / np.sqrt(variance)) if variance > 0 else np.nan)
        adjusted = adjust_family(p_values, method="bh")
        return [name for name, p in zip(self.names, adjusted, strict=True) if p < ALPHA]


def _chances(
    hand: pd.DataFrame, place: NDArray[np.int64], label: NDArray[np.int64], n: int
) -> Array:
    """One over the chance of each comment to be drawn at all, in the first sample or in a top-up.

    A top-up's probability is that among comments not drawn before; those of one stratum and
    period have the same chance, whichever sample drew them.
    """
    table = pd.DataFrame({"label": label[place], "stratum": hand["stratum"].to_numpy(object),
                          "missed": 1 - hand["probability"].to_numpy(float)})  # fmt: skip
    never = table.drop_duplicates().groupby(["label", "stratum"])["missed"].prod()
    drawn = np.ones(n)
    drawn[place] = 1 / (
        1 - never.loc[pd.MultiIndex.from_frame(table[["label", "stratum"]])].to_numpy()
    )
    return drawn


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
        Column of periods (or other groups), each estimated on its own. Hand codes of the others
        help to correct it, within strata of the draw: together they weigh a fifth of its own, and
        what they change counts as error. One with fewer than five of its own in a stratum is
        counted only; drift of the machine is tested.
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
    are Satterthwaite's. A gap that fewer than 30 comments carry, or few that differ, varies no less
    than if scores were spread with the theme as among all. Shares have Wilson's interval. Where codes are
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
    table = finished(pd.DataFrame(rows), themes, metric, min_group_size)
    badge, notes = _badge(sheet, table, themes.labels)
    without = int(data.loc[themes.commented, by].isna().sum()) if by else 0
    notes += _left_out(without, str(by), [themes.labels[name] for name in drifted])
    return ThemeScores(
        table=displayed(table if by else table.drop(columns="period"), metric, level, badge),
        badge=badge, metric=metric, by=by, level=level, influences=influences,
        corrections=corrections, sample=sheet.sample,
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
    variance, df = clustered_variance(found.influence, found.information, sheet.sample)
    if name != SHARE:
        # scores of all comments: those of a dozen with the theme may happen to be alike
        spread = float(made.all[-1, -1] - made.all[0, -1] ** 2)
        alike = spread * float(found.information.sum())
        variance = known_by_few(variance, df, found.influence, alike)
    variance += found.unseen
    row = {
        **_head(sheet, made, i), "quantity": name, "estimate": found.estimate, "se": np.sqrt(variance),
        "df": df, "machine": found.machine, "tuning": np.nan if sheet.by_people else found.tuning, "note": "",
    }  # fmt: skip
    if name == SHARE:
        row |= _share_interval(row, level)
        return row, 100 * found.influence
    tested = tested_difference(found.estimate, variance, df, level, "t")
    row |= {key: tested[key] for key in ("ci_low", "ci_high", "p_value")}
    # a machine that found the theme nowhere has no gap to test
    if name == GAP and not sheet.by_people and np.isfinite(found.machine):
        plain = made.machine_alone(quantity)
        own = clustered_variance(plain.influence, plain.information, sheet.sample)
        row["machine_p"] = tested_difference(plain.estimate, *own, level, "t")["p_value"]
    return row, found.influence


def _share_interval(row: dict[str, Any], level: float) -> dict[str, float]:
    """Wilson's interval on the size of the simple sample that would know as much; in %."""
    share, n = float(np.clip(row["estimate"], 0, 1)), row["n_hand"] + row["n_lent"]
    inside = float(np.clip(share, 0.5 / n, 1 - 0.5 / n))
    size = inside * (1 - inside) / row["se"] ** 2 if row["se"] > 0 else float(n)
    ratio = float(t_quantile(level, 1e9) / t_quantile(level, max(row["df"], 1)))
    low, high = (float(end) for end in wilson_interval(share, size * ratio**2, level=level))
    scaled = {"estimate": share, "se": row["se"], "ci_low": low, "ci_high": high}
    scaled["machine"] = row["machine"]
    return {name: 100 * value for name, value in scaled.items()}


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
