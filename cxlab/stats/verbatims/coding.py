"""Comments to code by hand: drawn with known probabilities, written as a sheet, read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cxlab.core.display import with_display
from cxlab.core.frames import check_columns
from cxlab.core.messages import got, unknown
from cxlab.core.private import private_file
from cxlab.core.result import Result
from cxlab.stats.verbatims.codes import CodedComments
from cxlab.survey.study import Study

#: Seconds to code a comment.
SECONDS = 30
#: Strata of the draw: comments in which the machine found a theme, and the others.
STRATA = ("with a theme", "without a theme")
#: Columns of a sheet before the comment and the themes.
SHEET = ("row", "coder", "stratum", "probability")
#: A comment that is about none of the themes.
NONE = "none"


@dataclass(frozen=True, eq=False, kw_only=True)
class CodingSheet(Result):
    """Comments drawn for coding by hand.

    Attributes
    ----------
    table : DataFrame
        Per stratum ``stratum``, ``n`` (comments), ``drawn``, ``probability``.
    rows : DataFrame
        One row per comment and coder: ``row``, ``coder``, ``stratum``, ``probability``,
        ``comment``, one empty column per theme and ``none``.
    """

    rows: pd.DataFrame

    def write(self, path: str | Path | None) -> None:
        """Write the sheet as ``.xlsx`` or ``.csv``, readable by its owner only; None: nowhere."""
        if path is None:
            return
        path = private_file(path)
        if path.suffix == ".xlsx":
            # text that looks like a formula stays text
            options = {"options": {"strings_to_formulas": False, "strings_to_urls": False}}
            with pd.ExcelWriter(path, engine="xlsxwriter", engine_kwargs=options) as book:
                self.rows.to_excel(book, index=False, freeze_panes=(1, 0))
        else:
            self.rows.to_csv(path, index=False)


def strata_of(coded: CodedComments) -> pd.Series:
    """Stratum of the draw of each comment; null without one."""
    some = coded.values.sum(axis=1) > 0
    return some.map({True: STRATA[0], False: STRATA[1]}).where(coded.commented)


def coding_sample(
    data: pd.DataFrame,
    themes: CodedComments,
    *,
    text: str,
    row: str | None = None,
    size: int = 300,
    coders: int = 2,
    overlap: int = 60,
    earlier: pd.DataFrame | None = None,
    seed: int = 0,
) -> CodingSheet:
    """Draw comments to code by hand.

    Parameters
    ----------
    data : DataFrame
        One row per answer, the index as in ``themes``.
    themes : CodedComments
        Coded by words.
    text : str
        Column of comments.
    row : str, optional
        Column that identifies the answer; default: the index.
    size : int
        Comments to draw, half of them among those in which no theme was found; all, where
        there are not more. A later period needs about 40.
    coders, overlap : int
        Coders, and comments that all of them code; the rest is divided. One coder is allowed:
        agreement is then not known.
    earlier : DataFrame, optional
        Hand codes that are there already: these comments are not drawn again, and the
        probability is that among the others (`theme_scores` puts both draws together).
    seed : int

    Returns
    -------
    CodingSheet
        Its notes say how long coding will take.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> from cxlab.stats.verbatims.codes import study_themes
    >>> study = load_study("demo")
    >>> answers = study.read()
    >>> drawn = coding_sample(answers, study_themes(study, answers), text="comment", row="response_id")
    >>> drawn.table["drawn"].tolist(), len(drawn.rows)
    ([150, 150], 360)
    """
    check_columns(data, {"text": text, "row": row})
    if min(size, coders) < 1 or overlap < 0:
        raise ValueError(
            f"`size` and `coders` must be 1 or more, `overlap` 0 or more; got {size}, {coders} and {overlap}."
        )
    rng, stratum = np.random.default_rng(seed), strata_of(themes).to_numpy(object)
    ids = data[row].to_numpy() if row else data.index.to_numpy()
    free = (
        ~np.isin(ids, earlier["row"].to_numpy()) if earlier is not None else np.ones(len(ids), bool)
    )
    pools = [np.flatnonzero((stratum == name) & free) for name in STRATA]
    sizes = _sizes([len(pool) for pool in pools], size)
    chosen = [rng.choice(pool, n, replace=False) for pool, n in zip(pools, sizes, strict=True)]
    table = pd.DataFrame(
        {
            "stratum": STRATA,
            "n": [len(pool) for pool in pools],
            "drawn": sizes,
            "probability": [n / max(len(pool), 1) for pool, n in zip(pools, sizes, strict=True)],
        }
    )
    places = rng.permutation(np.concatenate(chosen))
    chance = dict(zip(STRATA, table["probability"], strict=True))
    who = _who(len(places), coders, overlap)
    at = places[who[:, 0]]
    rows = pd.DataFrame(
        {
            "row": ids[at],
            "coder": who[:, 1] + 1,
            "stratum": stratum[at],
            "probability": [chance[name] for name in stratum[at]],
            "comment": data[text].to_numpy(object)[at],
            **dict.fromkeys([*themes.themes, NONE], ""),
        }
    ).sort_values(["coder", "row"], kind="stable", ignore_index=True)  # fmt: skip
    notes = (_hours(len(rows), coders),)
    return CodingSheet(
        table=with_display(table, caption="Comments drawn for coding by hand",
                           columns=("stratum", "n", "drawn", "probability"),
                           units={"drawn": "count", "probability": "share"}),
        rows=rows, notes=notes,
    )  # fmt: skip


def _hours(rows: int, coders: int) -> str:
    hours = rows * SECONDS / 3600 / coders
    return (
        f"{rows:,} comments to code: about {hours:.1f} hours for each of {coders} coder(s), at "
        f"{SECONDS} seconds a comment. 1: the comment is about it; `none`: about none of the themes."
    )


def _sizes(there: Sequence[int], size: int) -> list[int]:
    """Half from either stratum; what one lacks, from the other."""
    with_one = min(there[0], max(size - size // 2, size - there[1]))
    return [with_one, min(there[1], size - with_one)]


def _who(comments: int, coders: int, overlap: int) -> np.ndarray:
    """(comment, coder) pairs: the first ones by all coders, the rest in turn."""
    shared = min(overlap, comments) if coders > 1 else 0
    pairs = [(place, coder) for place in range(shared) for coder in range(coders)]
    return np.array([*pairs, *((place, place % coders) for place in range(shared, comments))])


def read_coding(
    sheet: str | Path | pd.DataFrame,
    themes: CodedComments,
) -> pd.DataFrame:
    """A sheet that was coded, checked.

    Parameters
    ----------
    sheet : path or DataFrame
        As `coding_sample` wrote it, filled: 1, 0 or blank. Sheets of several periods may stand
        below one another.
    themes : CodedComments

    Returns
    -------
    DataFrame
        ``row``, ``coder``, ``stratum``, ``probability`` and one column of 0 and 1 per theme. A
        comment without any mark was not coded yet and is left out; ``attrs["not_coded"]``
        counts them.

    Raises
    ------
    ValueError
        For columns that are not there, other values, a comment twice with one coder, a
        probability outside 0 to 1, or a comment marked both with a theme and with ``none``.

    Examples
    --------
    >>> from cxlab.survey.definition import Theme
    >>> from cxlab.stats.verbatims.codes import code_comments
    >>> coded = code_comments(pd.DataFrame({"said": ["rude", "fine"]}), "said", {"r": Theme("r", "Rude", ("rude",))})
    >>> sheet = pd.DataFrame({"row": [0, 1], "coder": 1, "stratum": ["with a theme", "without a theme"],
    ...                       "probability": 1.0, "r": [1, ""], "none": ["", 1]})
    >>> read_coding(sheet, coded)["r"].tolist()
    [1.0, 0.0]
    """
    rows = sheet if isinstance(sheet, pd.DataFrame) else _read(Path(sheet))
    names = list(themes.themes)
    lacking = [name for name in (*SHEET, *names) if name not in rows]
    if lacking:
        raise ValueError(
            f"`sheet` must have the columns {', '.join((*SHEET, *names))}; got none named {lacking[0]}. "
            "Fill in the sheet that coding_sample wrote."
        )
    marks = [*names, *([NONE] if NONE in rows else [])]
    cells = rows[marks].astype(object).replace("", None)
    numbers = cells.apply(pd.to_numeric, errors="coerce")
    odd = cells.to_numpy()[(~numbers.isin([0, 1]) & cells.notna()).to_numpy()]
    if len(odd):
        raise ValueError(
            f"`sheet` must hold 1, 0 or blanks; got {got(list(odd))}. Correct the cells."
        )
    done = numbers.notna().any(axis=1)
    both = done & (numbers[names].sum(axis=1) > 0) & (numbers.get(NONE, 0) == 1)
    if both.any():
        raise ValueError(
            f"`sheet` must not mark a theme and `none`; got both in row {got(list(rows.loc[both, 'row']))}."
        )
    chance = pd.to_numeric(rows["probability"], errors="coerce")
    if not chance.between(0, 1, inclusive="right").all():
        raise ValueError(
            "`sheet` must have probabilities over 0 and up to 1. Leave that column as it was drawn."
        )
    coding = rows.loc[done, list(SHEET)].assign(**numbers.loc[done, names].fillna(0.0))
    again = coding.loc[coding.duplicated(["row", "coder"]), "row"]
    if len(again):
        raise ValueError(
            f"`sheet` must hold each comment once per coder; got {got(list(again))} more than once."
        )
    coding = coding.assign(probability=chance[done]).reset_index(drop=True)
    coding.attrs["not_coded"] = int((~done).sum())
    return coding


def _read(path: Path) -> pd.DataFrame:
    if path.suffix not in (".xlsx", ".csv"):
        raise ValueError(unknown("sheet", path.suffix, (".xlsx", ".csv")))
    return pd.read_excel(path) if path.suffix == ".xlsx" else pd.read_csv(path)


def study_coding(
    study: Study, themes: CodedComments, sheet: str | Path | None = None
) -> pd.DataFrame | None:
    """Hand codes of a study: of a sheet, else of its table ``coding``; None without either.

    Parameters
    ----------
    study : Study
    themes : CodedComments
    sheet : path, optional

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> from cxlab.stats.verbatims.codes import study_themes
    >>> study = load_study("demo")
    >>> hand = study_coding(study, study_themes(study, study.read()))
    >>> int(hand["row"].nunique())
    580
    """
    if sheet is not None:
        return read_coding(sheet, themes)
    if "coding" not in study.definition.tables:
        return None
    return read_coding(study.read("coding", engine="pandas"), themes)
