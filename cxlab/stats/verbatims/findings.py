"""What comments say: which themes go with the score beyond chance, who commented, what is new."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.design import DesignLike
from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.display import with_display
from cxlab.core.findings import Cells, Finding, Findings
from cxlab.core.metric import Metric
from cxlab.core.phrases import (
    capital,
    decimals_for,
    in_words,
    interval,
    listed,
    number,
    with_interval,
)
from cxlab.stats.inference import ALPHA
from cxlab.stats.metrics.differences import compare_groups
from cxlab.stats.metrics.scorecard import scorecard
from cxlab.stats.verbatims.codes import CodedComments
from cxlab.stats.verbatims.coding import LEAST_ALPHA
from cxlab.stats.verbatims.result import GAP, SHARE, ThemeScores, score_words
from cxlab.stats.verbatims.scores import NOT_CORRECTED
from cxlab.survey.study import Study

#: Names that the tables are recorded under.
THEMES, COMMENTERS, CHANGES = "themes", "commenters", "theme-changes"
FIGURES = ("estimate", "ci_low", "ci_high")
DECIDED = ("estimate", "decided_low", "decided_high")
COMMENTED, SILENT = "commented", "silent"
#: Share of comments without praise from which on the question may ask for faults.
FAULTS, NUMBERS = 0.05, 0.05


def study_score(study: Study, period: str | None = None) -> Metric:
    """The score that themes are held against: NPS where it was asked, else the headline.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> study_score(load_study("demo")).title
    'NPS'
    """
    asked = study.metrics("outcome", period=period)
    return next((one for one in asked if one.name == "nps"), study.headline_of(period))


def commenters(
    data: pd.DataFrame,
    themes: CodedComments,
    *,
    score: Metric,
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
) -> pd.DataFrame:
    """Score of those who commented and of the silent.

    Parameters
    ----------
    data : DataFrame
        All answers.
    themes : CodedComments
    score : Metric
    design, level, min_group_size
        As for `cxlab.scorecard`.

    Returns
    -------
    DataFrame
        Rows ``commented``, ``silent`` and ``difference``: ``group``, ``n``, ``estimate``, ``se``,
        ``ci_low``, ``ci_high``, ``p_value``.

    Examples
    --------
    >>> from cxlab.core.metric import nps_metric
    >>> from cxlab.survey.study import load_study
    >>> from cxlab.stats.verbatims.codes import study_themes
    >>> study = load_study("demo")
    >>> answers = study.read(period="2025-Q4")
    >>> table = commenters(answers, study_themes(study, answers), score=nps_metric("recommend"))
    >>> table["group"].tolist()
    ['commented', 'silent', 'difference']
    """
    group = themes.commented.loc[data.index].map({True: COMMENTED, False: SILENT})
    rows = data.assign(_commented=pd.Categorical(group, categories=[COMMENTED, SILENT]))
    options: dict[str, Any] = {
        "by": "_commented",
        "design": design,
        "level": level,
        "min_group_size": min_group_size,
    }
    columns = ["group", "n", "estimate", "se", "ci_low", "ci_high"]
    each = scorecard(rows, [score], **options).table[columns]
    each = each[each["group"].isin([COMMENTED, SILENT])]
    both = each.set_index("group")["n"].reindex([COMMENTED, SILENT]).notna().all()
    parts = [each]
    if both:
        difference = compare_groups(rows, [score], against=SILENT, **options)
        parts.append(difference[[*columns, "p_value"]].assign(group="difference"))
    table = pd.concat(parts, ignore_index=True).assign(unit=score.unit)
    return with_display(
        table, caption=f"{capital(score_words(score))} of those who commented and of the silent", columns=("group", "estimate", "n"),
        headers={"group": "Answers", "estimate": score.title}, level=level,
    )  # fmt: skip


def theme_findings(
    scores: ThemeScores,
    *,
    who: pd.DataFrame,
    period: str | None = None,
    changes: pd.DataFrame | None = None,
    quotes: pd.DataFrame | None = None,
) -> Findings:
    """Answer, who commented, the themes shown, what is new, what to be careful with.

    Parameters
    ----------
    scores : ThemeScores
    who : DataFrame
        Of `commenters`.
    period : str, optional
        Of which the rows are; needed where the scores are by period.
    changes, quotes : DataFrame, optional
        Of `theme_changes` and `typical_quotes`.
    """
    table, gaps = scores.of(period), scores.gaps(period)
    rows = [_answer(scores, table, gaps), *_who(who, scores.metric), *_shown(gaps, scores, quotes)]
    if changes is not None and not gaps.empty:
        rows += _new(changes)
    # five at most: the themes shown come first
    found = [row for row in rows if row.kind == "finding"][:5]
    answers = [row for row in rows if row.kind == "answer"]
    return Findings((*answers, *found, *_cautions(scores, table, who)))


def _answer(scores: ThemeScores, table: pd.DataFrame, gaps: pd.DataFrame) -> Finding:
    name = score_words(scores.metric)
    common: dict[str, Any] = {
        "kind": "answer",
        "subject": "themes",
        "family": "gaps of themes",
        "rule": "themes",
    }
    if gaps.empty:
        most = table[table["n_theme"].notna()].sort_values("n_theme", ascending=False).head(3)
        if most.empty:
            return Finding(text="No theme has enough comments to be shown", **common)
        reason = (
            "not corrected by hand codes"
            if (most["note"] == NOT_CORRECTED).any()
            else "too few comments"
        )
        words = [f"{row['label']} ({int(row['n_theme']):,})" for _, row in most.iterrows()]
        text = f"Most comments are on {listed(words)}; what goes with {name} is not known: {reason}"
        return Finding(
            text=text,
            cells=tuple(Cells(THEMES, {"theme": one}, ("n_theme",)) for one in most["theme"]),
            detail=_detail(scores, table),
            **common,
        )
    sure = gaps[gaps["p_adjusted"] < ALPHA].sort_values("estimate")
    lower, higher = sure[sure["estimate"] < 0], sure[sure["estimate"] > 0].iloc[::-1]
    certainty = "clear" if len(sure) else "not settled"
    return Finding(
        text=f"{_named(lower, higher, name)}{_machine(scores, gaps, sure)}", certainty=certainty,
        detail=_detail(scores, gaps), family_size=len(gaps), n=int(gaps["n"].iloc[0]), **common,
    )  # fmt: skip


def _named(lower: pd.DataFrame, higher: pd.DataFrame, score: str) -> str:
    parts: list[str] = []
    for rows, way in ((lower, "a lower"), (higher, "a higher")):
        if len(rows):
            many = len(rows) > 1
            goes = f" theme{'s' if many else ''} {'go' if many else 'goes'}" if not parts else ""
            to = f"{score} beyond chance" if not parts else "one"
            parts.append(
                f"{in_words(len(rows))}{goes} with {way} {to}: {listed(list(rows['label']))}"
            )
    text = "; ".join(parts) or f"No theme is shown to go with a lower or higher {score}"
    return f"{text[0].upper()}{text[1:]}"


def _machine(scores: ThemeScores, gaps: pd.DataFrame, sure: pd.DataFrame) -> str:
    """What uncorrected codes would have named instead."""
    if scores.compared is None:
        return ""
    plain = gaps[gaps["machine_p"] < ALPHA]
    missed, more = (
        list(one.loc[~one["theme"].isin(other["theme"]), "label"])
        for one, other in ((sure, plain), (plain, sure))
    )
    told = [
        f"{verb} {listed(names)}"
        for verb, names in (("missed", missed), ("also named", more))
        if names
    ]
    return f". Machine codes alone would have {' and '.join(told) if told else 'named the same'}"


def _detail(scores: ThemeScores, table: pd.DataFrame) -> str:
    n = table["n"].dropna()
    size = f"; {int(n.iloc[0]):,} comments" if len(n) else ""
    return f"{scores.badge}{size}"


def _who(who: pd.DataFrame, metric: Metric) -> Iterator[Finding]:
    table = who.set_index("group")
    if "difference" not in table.index:
        return
    said, silent, apart = (table.loc[name] for name in (COMMENTED, SILENT, "difference"))
    shown = bool(apart["p_value"] < ALPHA)
    verb = "differs from" if shown else "is not shown to differ from"
    decimals = decimals_for(
        (said["ci_high"] - said["ci_low"]) / 2, said["estimate"], [silent["estimate"]]
    )
    yield Finding(
        text=f"{capital(score_words(metric))} of those who commented, {number(said['estimate'], decimals)}, {verb} that of the "
        f"silent, {number(silent['estimate'], decimals)}",
        certainty="clear" if shown else "not settled", subject="commenters", rule="commenters",
        detail=f"difference {with_interval(apart['estimate'], apart['ci_low'], apart['ci_high'], references=[0.0])}; "
        f"n = {int(said['n']):,} and {int(silent['n']):,}",
        estimate=apart["estimate"], ci_low=apart["ci_low"], ci_high=apart["ci_high"], unit=metric.unit,
        n=int(said["n"]), reference=0.0,
        cells=(Cells(COMMENTERS, {"group": COMMENTED}, FIGURES), Cells(COMMENTERS, {"group": SILENT}, FIGURES)),
    )  # fmt: skip


def _shown(
    gaps: pd.DataFrame, scores: ThemeScores, quotes: pd.DataFrame | None
) -> Iterator[Finding]:
    """The clear gaps, largest first, each with a sentence of the comments."""
    sure = gaps[gaps["p_adjusted"] < ALPHA]
    for _, row in (
        sure.reindex(sure["estimate"].abs().sort_values(ascending=False).index).head(3).iterrows()
    ):
        low, high = sorted((row["decided_low"], row["decided_high"]))
        decimals = decimals_for((high - low) / 2, (row["estimate"], low, high), [0.0])
        worse = row["estimate"] < 0
        nearer, farther = sorted((abs(low), abs(high)))
        yield Finding(
            text=f"{row['label']}: {score_words(scores.metric)} is {number(abs(row['estimate']), decimals)} "
            f"({interval(nearer, farther, decimals)}) {'lower' if worse else 'higher'} where it is commented on",
            certainty="clear", subject=row["label"], rule="theme", direction="bad" if worse else "good",
            detail=f"about {int(row['n_theme']):,} comments{_quoted(quotes, row['theme'])}",
            estimate=row["estimate"], ci_low=low, ci_high=high, unit=scores.metric.unit, n=int(row["n_theme"]),
            reference=0.0, p_adjusted=row["p_adjusted"], family="gaps of themes", family_size=len(gaps),
            cells=(Cells(THEMES, {"theme": row["theme"]}, (GAP, f"{GAP}_low", f"{GAP}_high")),),
        )  # fmt: skip


def _quoted(quotes: pd.DataFrame | None, theme: str) -> str:
    if quotes is None:
        return ""
    found = quotes.loc[(quotes["theme"] == theme) & (quotes["quote"] != ""), "quote"]
    return "".join(f"; “{quote}”" for quote in found.head(2))


def _new(changes: pd.DataFrame) -> Iterator[Finding]:
    """Themes that more, or fewer, comment on than a period before."""
    shares = changes[changes["quantity"] == SHARE]
    if shares.empty:
        return
    before = shares["before"].iloc[0]
    sure = shares[shares["p_adjusted"] < ALPHA].sort_values("estimate", ascending=False)
    if sure.empty:
        text = f"No theme is shown to be commented on more or less often than in {before}"
        yield Finding(text=text, certainty="not settled", subject="new", rule="new", since=before,
                      family="shares of themes", family_size=len(shares))  # fmt: skip
    for _, row in sure.head(2).iterrows():
        low, high = sorted((abs(row["decided_low"]), abs(row["decided_high"])))
        decimals = decimals_for((high - low) / 2, (abs(row["estimate"]), low, high), [0.0])
        way = "more" if row["estimate"] > 0 else "fewer"
        yield Finding(
            text=f"{row['label']}: of a hundred comments, {number(abs(row['estimate']), decimals)} "
            f"({interval(low, high, decimals)}) {way} than in {before} are on it",
            certainty="clear", subject=row["label"], rule="new", since=before, estimate=row["estimate"],
            ci_low=row["decided_low"], ci_high=row["decided_high"], unit="%", reference=0.0,
            p_adjusted=row["p_adjusted"], family="shares of themes", family_size=len(shares),
            cells=(Cells(CHANGES, {"theme": row["theme"], "quantity": SHARE}, DECIDED),),
        )  # fmt: skip


def _cautions(scores: ThemeScores, table: pd.DataFrame, who: pd.DataFrame) -> list[Finding]:
    """The gravest doubt of these figures, and always that a gap is no effect."""
    told = []
    if scores.badge == "not corrected":
        told.append(
            "Machine codes, not corrected: code some three hundred comments by hand for gaps, intervals and an answer"
        )
    doubts = ("Coders agree too little", "The machine's errors")
    coded = [note.rstrip(".") for note in scores.notes if note.startswith(doubts)]
    if coded:
        told.append(". ".join(coded))
    shares = table[(table["quantity"] == SHARE)].set_index("theme")
    praise = shares.loc[shares["tone"] == "praise"]
    praised = praise["estimate"].fillna(praise["machine"]).sum()
    if praised < 100 * FAULTS and shares["estimate"].fillna(shares["machine"]).notna().any():
        told.append(
            "Hardly any comment is praise: where the question asks for faults, comments say how often, not how good"
        )
    association = (
        "Comments are of those who commented; a gap is association, not what would be gained"
    )
    return [
        Finding(kind="caution", text=one, rule="caution", reference=LEAST_ALPHA)
        for one in (*told[:1], association)
    ]


def doubtful_comments(data: pd.DataFrame, text: str) -> tuple[str, ...]:
    """What speaks against a column of comments: bare numbers are another question's answers.

    Examples
    --------
    >>> doubtful_comments(pd.DataFrame({"said": ["7", "8", "good"]}), "said")
    ('67 % of comments are bare numbers: does the column hold the answers to a scale?',)
    """
    said = data[text].dropna().astype("str").str.strip()
    bare = float(said.str.fullmatch(r"\d+(?:[.,]\d+)?").mean()) if len(said) else 0.0
    if bare <= NUMBERS:
        return ()
    return (
        f"{np.floor(100 * bare + 0.5):.0f} % of comments are bare numbers: does the column hold the answers to a scale?",
    )
