"""The comments of one period of a study: everything that its report shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from cxlab.core.display import with_display
from cxlab.core.findings import Findings
from cxlab.core.frames import check_choice
from cxlab.stats.resampling import SampledSums
from cxlab.stats.verbatims.codes import CodedComments, study_themes
from cxlab.stats.verbatims.coding import coding_agreement, coding_sample, study_coding
from cxlab.stats.verbatims.findings import commenters, doubtful_comments, study_score
from cxlab.stats.verbatims.learned import find_themes, theme_sentiment
from cxlab.stats.verbatims.quotes import typical_quotes
from cxlab.stats.verbatims.result import ThemeScores, theme_changes
from cxlab.stats.verbatims.scores import theme_scores
from cxlab.survey.study import Study, Where

#: Comments from which on themes are looked for.
ENOUGH = 100


# not shown as text: comments would stand in it
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Verbatims:
    """Comments of a period; made by `study_verbatims`.

    Attributes
    ----------
    answers : DataFrame
        Of the period and those before it.
    themes : CodedComments
    hand : DataFrame or None
    scores : ThemeScores
    text, row : str or None
        Columns of the comments that were read, and of the answer's id.
    who : DataFrame
        Commenters and the silent.
    changes, quotes, agreement, found, tone : DataFrame
        Empty where there is nothing to compare, or no text to read.
    sums : SampledSums or None
        What `cxlab.drivers` takes; None, with a note, where hand codes do not give it.
    notes : tuple of str
    """

    answers: pd.DataFrame
    themes: CodedComments
    hand: pd.DataFrame | None
    scores: ThemeScores
    period: str | None
    text: str | None
    row: str | None
    who: pd.DataFrame
    changes: pd.DataFrame
    quotes: pd.DataFrame
    agreement: pd.DataFrame
    found: pd.DataFrame
    tone: pd.DataFrame
    sums: SampledSums | None
    notes: tuple[str, ...]

    @property
    def table(self) -> pd.DataFrame:
        """One row per theme of the period."""
        return self.scores.wide(self.period)

    @property
    def gaps(self) -> pd.DataFrame:
        """The themes' gaps, the lowest first, with the intervals that decide."""
        found = self.scores.gaps(self.period)
        return found.assign(ci_low=found["decided_low"], ci_high=found["decided_high"])

    @property
    def no_sums(self) -> pd.DataFrame:
        """Shown in place of drivers where there are no sums."""
        return _none("What counts for how much of the score's spread")

    def next_sheet(
        self, *, size: int, path: str | Path | None = None, seed: int = 0
    ) -> pd.DataFrame:
        """Draw comments of the period to code next; the counts, while the sheet goes to a file."""
        if not self.text:
            return _none("Comments drawn for coding by hand")
        now = self.answers[self.answers["period"] == self.period] if self.period else self.answers
        themes = replace(self.themes, values=self.themes.values.loc[now.index])
        drawn = coding_sample(
            now, themes, text=self.text, row=self.row, size=size, earlier=self.hand, seed=seed
        )
        drawn.write(path)
        return with_display(drawn.table, about=drawn.notes[0])

    def findings(self) -> Findings:
        """Answer, who commented, themes, what is new, cautions."""
        return self.scores.findings(
            who=self.who, period=self.period, quotes=self.quotes,
            changes=self.changes if len(self.changes) else None,
        )  # fmt: skip


def study_verbatims(
    study: Study,
    *,
    period: str | None = None,
    where: Where | None = None,
    coding: str | Path | None = None,
    quotes: bool | None = None,
) -> Verbatims:
    """The comments of a period: themes, scores, changes, quotes, what a machine finds.

    Parameters
    ----------
    study : Study
        Declares comments or codes, and ``[codebook]``.
    period : str, optional
        Default: all together.
    where : mapping, optional
        As for `Study.read`.
    coding : path, optional
        Sheet of hand codes of this period and earlier ones; default: the study's table
        ``coding``.
    quotes : bool, optional
        Whether sentences may be shown; default: unless the study declares accounts, whose few
        contacts know each other's words.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> told = study_verbatims(load_study("demo"), period="2025-Q4")
    >>> told.scores.badge
    'corrected with 670 hand-coded comments, 530 of them lent, α .99'
    """
    if period:
        check_choice("period", period, study.periods)
    until = study.periods[: study.periods.index(period) + 1] if period else study.periods
    answers = study.read(period=_coded(study, until), where=where, engine="pandas")
    themes = study_themes(study, answers)
    hand = study_coding(study, themes, coding)
    ids, size = study.main.only("id"), study.definition.min_group_size
    if hand is not None:
        # a part of the answers has a part of the hand codes
        hand = hand[
            hand["row"].isin(answers.loc[themes.commented, ids.name] if ids else answers.index)
        ]
    groups = list(dict.fromkeys(answers["period"]))[-2:] if period else None
    score = study_score(study, period)
    row = ids.name if ids and hand is not None else None
    scores = theme_scores(
        answers, themes, score=score, hand=hand, row=row,
        by="period" if period else None, groups=groups, design=study.design, min_group_size=size,
    )  # fmt: skip
    sums, without = _sums(scores, period)
    now = answers[answers["period"] == period] if period else answers
    enough = int(themes.commented.loc[now.index].sum()) >= ENOUGH
    compared = bool(groups and len(groups) > 1)
    comment = study.main.only("comment")
    text = comment.name if comment and themes.by == "words" else None
    quoted = study.main.only("account") is None if quotes is None else quotes
    # a word of one customer who answers often is not a word that several use
    customer = study.main.only("account") or study.main.customer
    return Verbatims(
        answers=answers, themes=themes, hand=hand, scores=scores, period=period, text=text,
        row=ids.name if ids else None,
        who=commenters(now, themes, score=score, design=study.design, min_group_size=size),
        changes=theme_changes(scores, period=str(period)) if compared else _none("Changes of themes"),
        quotes=typical_quotes(
            answers, text, themes, n=2, respondent=customer.name if customer else None,
            among=pd.Series(answers.index.isin(now.index), answers.index), hand=hand, row=row,
        ) if text and quoted else _none("In customers' words"),
        agreement=_named(coding_agreement(hand, themes=list(themes.themes)), themes) if hand is not None else _none("Agreement of coders"),
        found=find_themes(now, text).table if text and enough else _none("Words that go together"),
        tone=_named(theme_sentiment(now, text, themes, score=score).table, themes) if text and enough else _none("Tone"),
        sums=sums, notes=(*scores.notes, *without, *(doubtful_comments(now, text) if text else ())),
    )  # fmt: skip


def _coded(study: Study, periods: list[str]) -> list[str] | None:
    """Periods in which comments, or their codes, were asked for; None: all."""
    columns = study.main.with_role("codes") or study.main.with_role("comment")
    found = [one for one in periods if any(column.header(one) is not None for column in columns)]
    return found or None


def _sums(scores: ThemeScores, period: str | None) -> tuple[SampledSums | None, tuple[str, ...]]:
    """Sums that `drivers` takes, or why there are none."""
    try:
        return scores.sums(period), ()
    except ValueError as error:
        corrected = not scores.gaps(period).empty
        return None, (f"No themes as drivers: {error}",) if corrected else ()


def _named(table: pd.DataFrame, themes: CodedComments) -> pd.DataFrame:
    """A table that shows its themes by their labels."""
    return with_display(table, labels=themes.labels)


def _none(caption: str) -> pd.DataFrame:
    return with_display(
        pd.DataFrame({"theme": pd.Series(dtype="str"), "quote": pd.Series(dtype="str")}),
        caption=caption,
    )
