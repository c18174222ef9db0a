"""Which themes each comment is about: by the codebook's words, or by codes that people gave."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.display import with_display
from cxlab.core.frames import check_columns
from cxlab.core.result import Result
from cxlab.survey.definition import Theme
from cxlab.survey.scales import normal_code
from cxlab.survey.study import Study

WORDS, PEOPLE = "words", "people"


@dataclass(frozen=True, eq=False, kw_only=True)
class CodedComments(Result):
    """Themes of comments; made by `code_comments`, `people_codes` or `study_themes` only.

    A classifier that was taught by the hand codes knows their answers and would correct
    nothing: there is no way to pass one in.

    Attributes
    ----------
    table : DataFrame
        One row per theme: ``theme``, ``label``, ``tone``, ``n`` (comments with it) and, with
        periods, ``period``.
    values : DataFrame
        Index of the answers, one column per theme: 1, 0; NaN without a comment, and for themes
        that the codes of a period do not have.
    themes : mapping of str to Theme
    by : {"words", "people"}
    """

    values: pd.DataFrame
    themes: Mapping[str, Theme]
    by: str

    @property
    def labels(self) -> dict[str, str]:
        """Theme to its label."""
        return {name: theme.label for name, theme in self.themes.items()}

    @property
    def commented(self) -> pd.Series:
        """Whether each answer has a comment."""
        return self.values.notna().any(axis=1)


def code_comments(
    data: pd.DataFrame,
    text: str,
    codebook: Mapping[str, Theme],
    *,
    language: Mapping[str, str] | None = None,
) -> CodedComments:
    """Code comments by the words of a codebook.

    Parameters
    ----------
    data : DataFrame
        One row per answer; the index says which.
    text : str
        Column of comments; blank: none.
    codebook : mapping of str to Theme
        Such as ``study.definition.codebook``.
    language : mapping of str to str, optional
        Column to the one language that the words are in, such as ``{"language": "en"}``:
        comments in others count as not coded, and are noted.

    Returns
    -------
    CodedComments

    Raises
    ------
    ValueError
        For a codebook without words.

    Notes
    -----
    A word counts where it stands whole, case aside: ``rude`` is not in "intruder", ``queu*``
    is in "queuing". Each distinct comment is read once.

    Examples
    --------
    >>> rows = pd.DataFrame({"said": ["Rude staff at the gate!", "All fine", None]})
    >>> coded = code_comments(rows, "said", {"rude": Theme("rude", "Rude staff", ("rude", "impolite*"))})
    >>> coded.values["rude"].tolist()
    [1.0, 0.0, nan]
    """
    check_columns(data, {"text": text, "language": list(language or {})})
    without = [theme.label for theme in codebook.values() if not theme.words]
    if without or not codebook:
        raise ValueError(
            f"`codebook` must have words for every theme; got {f'none for {without[0]}' if without else 'no theme'}. "
            'Add words = ["…"] to [codebook.THEME] of the study file.'
        )
    said = data[text].astype("str").where(data[text].notna())
    read, notes = said.notna() & (said.str.strip() != ""), []
    for column, wanted in (language or {}).items():
        other = read & (data[column] != wanted)
        notes.append(f"{int(other.sum()):,} comments are not in {wanted}: not coded.")
        read &= ~other
    number, distinct = pd.factorize(said[read])
    values = pd.DataFrame(np.nan, index=data.index, columns=list(codebook))
    folded = [one.casefold() for one in distinct]
    for name, theme in codebook.items():
        values.loc[read, name] = holding(folded, theme.words)[number]
    return _coded(values, codebook, WORDS, notes)


def holding(folded: Sequence[str], words: Sequence[str]) -> NDArray[np.float64]:
    """1 where a casefolded text holds any of the words, else 0."""
    found = pattern_of(words).search
    return np.array([found(one) is not None for one in folded], dtype=float)


def pattern_of(words: Sequence[str]) -> re.Pattern[str]:
    """A pattern that finds any of the words whole in casefolded text.

    Examples
    --------
    >>> pattern_of(["Long line*"]).findall("a long  lines, longer line")
    ['long  lines']
    """
    return re.compile("|".join(_whole(word.casefold()) for word in words))


def _whole(word: str) -> str:
    stem, star, rest = word.split()[0].partition("*")
    # what is before a word is looked at once its letters are found: ten times as fast
    start = rf"{re.escape(stem)}(?<!\w{re.escape(stem)})" if stem else r"(?<!\w)"
    parts = [re.escape(part).replace(r"\*", r"\w*") for part in (star + rest, *word.split()[1:])]
    return start + r"\s+".join(parts) + r"(?!\w)"


def people_codes(
    data: pd.DataFrame,
    columns: Sequence[str],
    codebook: Mapping[str, Theme],
    *,
    period: str = "period",
) -> CodedComments:
    """Themes from codes that people gave, by the codebook's crosswalk.

    Parameters
    ----------
    data : DataFrame
        One row per answer.
    columns : sequence of str
        Columns of codes; a blank is none, and an answer without any has no comment.
    codebook : mapping of str to Theme
        Each theme's ``codes`` by period. A theme without codes of a period is unknown there: a
        number may mean something else in the next wave.
    period : str
        Column of periods.

    Returns
    -------
    CodedComments

    Raises
    ------
    ValueError
        When no theme has codes of a period.

    Examples
    --------
    >>> rows = pd.DataFrame({"period": ["2016", "2017"], "code": ["102", "102"]})
    >>> rude = Theme("rude", "Rude staff", codes={"2016": ("102",), "2017": ("206",)})
    >>> people_codes(rows, ["code"], {"rude": rude}).values["rude"].tolist()
    [1.0, 0.0]
    """
    check_columns(data, {"columns": list(columns), "period": period})
    codes = data[list(columns)].apply(lambda one: one.map(normal_code, na_action="ignore"))
    there = codes.notna().any(axis=1)
    values = pd.DataFrame(np.nan, index=data.index, columns=list(codebook))
    notes = []
    for wave in dict.fromkeys(data.loc[there, period]):
        rows = there & (data[period] == wave)
        known = {name: theme.codes[wave] for name, theme in codebook.items() if wave in theme.codes}
        if not known:
            raise ValueError(
                f"`codebook` must say which codes of {wave} mean which theme; got none. Codes change "
                f"their meaning between waves: add codes = {{ {wave} = […] }} to each theme."
            )
        for name, own in known.items():
            values.loc[rows, name] = codes.loc[rows].isin(own).any(axis=1).astype(float)
        given = set(codes.loc[rows].stack().dropna())
        other = given - {code for own in known.values() for code in own}
        notes.append(f"{wave}: {len(given) - len(other)} of {len(given)} codes belong to a theme.")
    return _coded(values, codebook, PEOPLE, notes)


def study_themes(study: Study, answers: pd.DataFrame) -> CodedComments:
    """Themes of a study's comments: from codes of people where it declares them, else by words.

    Parameters
    ----------
    study : Study
        Its main table declares columns of ``codes``, or one ``comment``, and ``[codebook]``.
    answers : DataFrame
        As `Study.read` gives them.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> study = load_study("demo")
    >>> coded = study_themes(study, study.read(period="2025-Q4"))
    >>> coded.by, int(coded.commented.sum())
    ('words', 308)
    """
    columns = [column.name for column in study.main.with_role("codes")]
    comment, book = study.main.only("comment"), study.definition.codebook
    if not book or not (columns or comment):
        lacking = "[codebook]" if not book else "a column with the role comment or codes"
        raise ValueError(f"study '{study.name}' must declare {lacking}; got none.")
    if columns:
        return people_codes(answers, columns, book)
    return code_comments(answers, str(comment and comment.name), book)


def _coded(
    values: pd.DataFrame, codebook: Mapping[str, Theme], by: str, notes: Sequence[str]
) -> CodedComments:
    table = pd.DataFrame(
        {
            "theme": list(codebook),
            "label": [theme.label for theme in codebook.values()],
            "tone": [theme.tone for theme in codebook.values()],
            "n": [int(values[name].sum()) for name in codebook],
        }
    )
    how = "coded by people" if by == PEOPLE else "coded by words, not corrected"
    table = with_display(
        table, caption="Comments by theme", about=how, columns=("label", "tone", "n"),
        headers={"label": "Theme", "tone": "Tone", "n": "Comments"}, sort=("-n",),
    )  # fmt: skip
    return CodedComments(
        table=table, values=values, themes=dict(codebook), by=by, notes=tuple(notes)
    )
