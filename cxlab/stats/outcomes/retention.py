"""Who is still there some time after an answer: at each score, and in each category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cxlab.core.design import Design, DesignLike, as_design
from cxlab.core.disclosure.gate import hide_rows, suppress_small_groups
from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.display import with_display
from cxlab.core.findings import Cells, Finding, Findings, figures
from cxlab.core.frames import check_columns
from cxlab.core.messages import got
from cxlab.core.phrases import interval_beside_zero, size_with_interval, with_interval
from cxlab.core.result import Result
from cxlab.stats.inference import ALPHA
from cxlab.stats.metrics.values import check_account_values
from cxlab.stats.outcomes.follow_up import DAYS, LEFT, FollowUp
from cxlab.stats.outcomes.survival import (
    KAPLAN_MEIER,
    Survival,
    check_times,
    cluster_codes,
    one_estimate,
    parts,
    survival,
)

Range = tuple[float, float]
#: The categories of a 0–10 likelihood to recommend, the worst first.
NPS_CATEGORIES: Mapping[str, Range] = {
    "detractors": (0, 6),
    "passives": (7, 8),
    "promoters": (9, 10),
}
SCORE, CATEGORY = "score", "category"
#: What contrasts are called.
PER_POINT, LESS = "per score point", " less "
#: Names that the tables are recorded under.
BY_SCORE, DIFFERENCES = "retention-by-score", "retention-differences"
DECIDING = ("estimate", "deciding_low", "deciding_high")
MOST_PAIRS = 3
NO_CAUSE = (
    "Staying goes with the score; whether raising a score would keep anybody is not known from it"
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Retention(Result):
    """Who was still there some days after an answer: see `retention_by_score`.

    ``first`` and ``last`` are the days of the first and last answer; ``meaning`` says what counts
    as having left, where it has no date.
    """

    horizon: float
    categories: Mapping[str, Range]
    first: pd.Timestamp
    last: pd.Timestamp
    meaning: str = ""

    def findings(self, differences: pd.DataFrame) -> Findings:
        """What it and `retention_differences` say."""
        if "group" in self.table:
            raise ValueError("`by` must be none for findings; make one report a group instead.")
        return retention_findings(self, differences)


def retention_by_score(
    followed: FollowUp,
    score: str,
    *,
    horizon: float = 180,
    by: str | None = None,
    design: DesignLike = None,
    categories: Mapping[str, Range] = NPS_CATEGORIES,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
) -> Retention:
    """Share of customers still there some days after their answer, per score and category.

    Parameters
    ----------
    followed : FollowUp
        As `follow_up` linked them.
    score : str
        Column of whole scores; an answer without one is left out.
    horizon : float
        Days after the answer.
    by : str, optional
        Column of groups.
    design : Design or mapping, optional
        Weights and clusters; without clusters, the customer is the cluster. Accounts with
        several contacts: their column, of which a blank is a cluster of its own. Strata are left
        aside.
    categories : mapping of str to (low, high)
        Closed ranges of scores, the worst first.
    level : float
    min_group_size : int
        Groups of fewer customers are hidden, and whatever would give them back.

    Returns
    -------
    Retention
        Its table: ``group`` (with ``by``), ``kind`` (``score`` or ``category``), ``score`` (text),
        ``n`` (customers), ``at_risk`` (answers still followed at the horizon), ``estimate``
        (per cent still there), ``se``, ``ci_low``, ``ci_high``, ``n_eff``, ``note`` and
        ``suppressed``.

    Raises
    ------
    ValueError
        For a horizon beyond any follow-up, or scores in no category.

    Notes
    -----
    See `kaplan_meier`. That customers who gave a high score stay does not show that the score,
    or what raised it, keeps them.

    Examples
    --------
    >>> from cxlab.stats.outcomes import follow_up
    >>> answers = pd.DataFrame({"id": range(40), "day": pd.Timestamp("2025-01-01"),
    ...                         "recommend": [3] * 20 + [9] * 20})
    >>> gone = [pd.Timestamp("2025-02-01")] * 5 + [None] * 35
    >>> customers = pd.DataFrame({"id": range(40), "gone": pd.to_datetime(gone)})
    >>> linked = follow_up(
    ...     answers, customers, customer="id", answered="day", left="gone", until="2025-12-31")
    >>> retention_by_score(linked, "recommend").table[["kind", "score", "n", "estimate"]]
           kind       score   n  estimate
    0     score           3  20      75.0
    1     score           9  20     100.0
    2  category  detractors  20      75.0
    3  category   promoters  20     100.0
    """
    rows, known = opened_follow_up(followed, score, by=by, design=design)
    check_times(rows[DAYS], rows[LEFT], horizon, DAYS)
    rows = rows.assign(_category=categories_of(rows[score], categories))
    tables = []
    for label, part in parts(rows, by):
        for kind, key in ((SCORE, score), (CATEGORY, "_category")):
            groups = _in_order(part, key, categories)
            found = [
                one_estimate(group, DAYS, LEFT, horizon, known.weights, known.cluster, level)
                for _, group in groups
            ]
            table = pd.DataFrame(found, columns=list(KAPLAN_MEIER))
            table.insert(0, "score", [name for name, _ in groups])
            table.insert(0, "kind", kind)
            table["_whole"] = [
                group["_category"].iloc[0] if kind == SCORE else "" for _, group in groups
            ]
            tables.append(table.assign(group=label) if by else table)
    table = pd.concat(tables, ignore_index=True)
    shown = _hide(table, by, min_group_size).drop(columns="_whole")
    return Retention(
        table=with_display(
            shown[[*(["group"] if by else []), *(c for c in shown if c != "group")]],
            caption=f"Customers still there {horizon:g} days after their answer",
            columns=(*(["group"] if by else []), "score", "estimate", "n", "at_risk"),
            headers={"score": "Answered", "estimate": "Still there"},
            units={"estimate": "%"},
            top=len(shown),
            level=level,
        ),
        n_missing=followed.n_missing,
        notes=followed.notes,
        horizon=horizon,
        categories=categories,
        first=rows[followed.answered].min(),
        last=rows[followed.answered].max(),
        meaning=followed.meaning,
    )


def _in_order(
    part: pd.DataFrame, key: str, categories: Mapping[str, Range]
) -> list[tuple[str, pd.DataFrame]]:
    groups = dict(list(part.groupby(key)))
    order = list(categories) if key == "_category" else sorted(groups)
    return [
        (name if isinstance(name, str) else f"{name:g}", groups[name])
        for name in order
        if name in groups
    ]


def _hide(table: pd.DataFrame, by: str | None, least: int) -> pd.DataFrame:
    """Small groups hidden: categories first, then scores within each; all of a hidden one."""
    group = ["group"] if by else []
    categories, scores = (table[table["kind"] == kind] for kind in (CATEGORY, SCORE))
    upper = suppress_small_groups(categories, within=group, min_group_size=least, segment=by or "")
    lower = suppress_small_groups(scores, within=[*group, "_whole"], min_group_size=least)
    hidden = categories[upper["suppressed"] != ""]
    gone = pd.MultiIndex.from_frame(hidden[[*group, "score"]])
    inside = pd.MultiIndex.from_frame(scores[[*group, "_whole"]]).isin(gone)
    reason = lower["suppressed"].mask((lower["suppressed"] == "") & inside, "complementary")
    lower = hide_rows(lower.drop(columns="suppressed"), reason, least)
    names = table[["kind", "score"]]
    # what names a row is not hidden with its figures
    return pd.concat([lower, upper]).sort_index().assign(**names)


def opened_follow_up(
    followed: FollowUp, *scores: str, by: str | None = None, design: DesignLike = None
) -> tuple[pd.DataFrame, Design]:
    """Rows with all scores, and the design; the customer is the cluster where none is named.

    A row without a cluster is one of its own: the design names a column of numbers.
    """
    if not isinstance(followed, FollowUp):
        raise TypeError(
            f"`followed` must be what follow_up() returned; got {type(followed).__name__}."
        )
    known = as_design(design)
    columns = {"score": list(scores), "by": by, **known.columns()}
    check_columns(followed.table, columns)
    rows = followed.table.dropna(subset=[*scores, *([by] if by else [])])
    units = cluster_codes(rows[known.cluster or followed.customer])
    return rows.assign(_unit=units), Design(weights=known.weights, cluster="_unit")


def stay(rows: pd.DataFrame, known: Design, horizon: float) -> Survival:
    """Share of some rows that is still there at a horizon."""
    weight = rows[known.weights].to_numpy(float) if known.weights else None
    return survival(rows[DAYS], rows[LEFT].astype(float) > 0, horizon, weights=weight)


def categories_of(scores: pd.Series, categories: Mapping[str, Range]) -> pd.Series:
    """Category of each score; scores that lie in none are refused."""
    found = pd.Series(None, index=scores.index, dtype=object)
    for name, (low, high) in categories.items():
        found[scores.between(low, high)] = name
    outside = scores[found.isna()]
    if len(outside):
        raise ValueError(
            f"`categories` must hold every score; got none for {got(list(outside))}. Give the ranges of "
            "this scale, such as categories={'low': (1, 3), 'high': (4, 5)}."
        )
    return found


def value_at_stake(
    followed: FollowUp,
    score: str,
    *,
    horizon: float = 180,
    categories: Mapping[str, Range] = NPS_CATEGORIES,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
) -> pd.DataFrame:
    """Value of the customers in each category, and how much of it left within the horizon.

    Parameters
    ----------
    followed : FollowUp
        Made with ``value=``.
    score, horizon, categories, level, min_group_size
        As for `retention_by_score`.

    Returns
    -------
    DataFrame
        One row per category: ``score``, ``n`` (customers, or accounts), ``value`` (their sum), ``estimate``
        (value that left, in its own unit), ``se``, ``ci_low``, ``ci_high``, ``share`` (per cent of
        the value), ``note``, ``suppressed``.

    Notes
    -----
    Σ value · (1 − S), with S weighted by value; each customer's latest answer counts. An
    account's value counts once: the contacts who answered share it alike, and the account is the
    cluster. Where few customers hold most of the value, n_eff is (Σ value)²/Σ value², so that 95 %
    intervals hold the truth in 93 to 98 % of studies (15 to 2,000 customers).
    """
    rows, _ = opened_follow_up(followed, score)
    if followed.value is None:
        raise ValueError(
            "`followed` must be made with `value`; got none. Call follow_up(..., value=…)."
        )
    check_times(rows[DAYS], rows[LEFT], horizon, DAYS)
    latest = rows.sort_values(followed.answered, kind="stable").drop_duplicates(
        followed.customer, keep="last"
    )
    latest = latest.dropna(subset=[followed.value])
    latest = latest.assign(
        _category=categories_of(latest[score], categories), _value=_own_value(latest, followed)
    )
    found, names = [], []
    for name, part in _in_order(latest, "_category", categories):
        names.append(name)
        worth = float(part["_value"].sum())
        row = one_estimate(part, DAYS, LEFT, horizon, "_value", followed.account, level)
        n, _, stay, se, low, high, _, note = row
        amounts = [worth * (100 - stay), worth * se, worth * (100 - high), worth * (100 - low)]
        found.append((name, n, worth, *(amount / 100 for amount in amounts), 100 - stay, note))
    columns = ["score", "n", "value", "estimate", "se", "ci_low", "ci_high", "share", "note"]
    table = pd.DataFrame(found, columns=columns)
    shown = suppress_small_groups(table, within=[], min_group_size=min_group_size)
    return with_display(
        shown.assign(score=names),
        caption=f"Value of customers who left within {horizon:g} days",
        columns=("score", "estimate", "share", "value", "n"),
        headers={"score": "Category", "estimate": "Left", "share": "Of their value", "value": "Value"},
        units={"share": "%"}, level=level,
    )  # fmt: skip


def _own_value(latest: pd.DataFrame, followed: FollowUp) -> pd.Series:
    """What each customer is worth; of contacts, their share of the account's value."""
    value: pd.Series = latest[followed.value]
    if followed.account is None:
        return value
    check_account_values(latest, followed.account, str(followed.value))
    accounts = value.groupby(cluster_codes(latest[followed.account]))
    return value / accounts.transform("size")


def retention_findings(retention: Retention, differences: pd.DataFrame) -> Findings:
    """Answer, what is left after adjusting, categories that differ."""
    shown = retention.table[retention.table["kind"] == "category"].dropna(subset=["estimate"])
    rows = [_answer(retention, shown, int(differences["n"].iloc[0]))]
    if len(shown) > 1:
        last = differences[differences["adjusted"] == differences["adjusted"].iloc[-1]]
        rows.append(_per_point(last[last["contrast"] == PER_POINT].iloc[0]))
        pairs = last[last["contrast"] != PER_POINT].sort_values("p_adjusted")
        rows += [_category(row, len(pairs)) for _, row in pairs.head(MOST_PAIRS).iterrows()]
        rows.append(Finding(kind="caution", text=NO_CAUSE, rule="no-cause"))
    return Findings(tuple(row.meaning(retention.meaning) for row in rows))


def _answer(retention: Retention, shown: pd.DataFrame, n: int) -> Finding:
    days, when = f"{retention.horizon:g} days", _between(retention)
    if shown.empty:
        text = f"Nobody is shown {days} after an answer: every group is too small"
        return Finding(kind="answer", text=text, rule="hidden")
    ends = shown.iloc[[0, -1]] if len(shown) > 1 else shown
    told = [
        f"of {_range(retention, row['score'])}, {with_interval(row['estimate'], row['ci_low'], row['ci_high'], '%')}"
        for _, row in ends.iterrows()
    ]
    first = told[0].removeprefix("of ")
    text = f"Of customers who answered {first} were there {days} later"
    if len(told) > 1:
        text += f"; {told[1]}"
    return Finding(
        kind="answer", text=text, detail=f"answers {when}; n = {n:,}", subject="retention",
        estimate=float(ends["estimate"].iloc[0]), ci_low=float(ends["ci_low"].iloc[0]),
        ci_high=float(ends["ci_high"].iloc[0]), unit="%", n=n, rule="retention",
        cells=tuple(
            Cells(BY_SCORE, {"kind": "category", "score": row["score"]}, ("estimate", "ci_low", "ci_high"))
            for _, row in ends.iterrows()
        ),
    )  # fmt: skip


def _between(retention: Retention) -> str:
    days = [f"{day:%-d %B %Y}" for day in (retention.first, retention.last)]
    return f"between {days[0]} and {days[1]}"


def _range(retention: Retention, category: str) -> str:
    low, high = retention.categories[category]
    return f"{low:g}–{high:g}"


def _per_point(row: pd.Series) -> Finding:
    """The difference a score point goes with, adjusted where something was adjusted for."""
    adjusted = row["adjusted"] == "adjusted"
    estimate, low, high = (float(row[name]) for name in DECIDING)
    text = "That customers with higher scores stay more often is not shown: "
    text += f"{with_interval(estimate, low, high, references=[0.0])} percentage points {PER_POINT}"
    if row["p_adjusted"] < ALPHA:
        words = "Customers alike in what was adjusted for" if adjusted else "Customers"
        text = f"{words} stay {_oftener(row)} often {PER_POINT}"
    detail = f"{'adjusted' if adjusted else 'not adjusted'}; n = {int(row['n']):,}"
    return _difference(row, text, detail=detail, family_size=1, rule="per-point")


def _category(row: pd.Series, compared: int) -> Finding:
    """Pair of categories, one of a family."""
    upper, lower = row["contrast"].split(LESS)
    between = interval_beside_zero(row["deciding_low"], row["deciding_high"])
    text = f"{upper.capitalize()} and {lower}: no difference in staying is shown ({between})"
    if row["p_adjusted"] < ALPHA:
        text = f"{upper.capitalize()} stay {_oftener(row)} often than {lower}"
    return _difference(
        row, text, detail=f"{compared} compared, {row['adjusted']}", family="categories",
        family_size=compared, rule="categories",
    )  # fmt: skip


def _oftener(row: pd.Series) -> str:
    """What decides, whatever the level of the table."""
    size = size_with_interval(*(float(row[name]) for name in DECIDING))
    return f"{size} percentage points {'more' if row['estimate'] > 0 else 'less'}"


def _difference(row: pd.Series, text: str, **said: Any) -> Finding:
    key = {"contrast": row["contrast"], "adjusted": row["adjusted"]}
    return Finding(
        certainty="clear" if row["p_adjusted"] < ALPHA else "not settled", text=text,
        subject=row["contrast"], unit="points", reference=0.0, **figures(row, DECIDING),
        cells=(Cells(DIFFERENCES, key, DECIDING),), **said,
    )  # fmt: skip
