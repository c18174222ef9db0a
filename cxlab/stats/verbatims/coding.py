"""Comments to code by hand: drawn with known probabilities, written, read back, and whether coders agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cxlab.core.display import with_display
from cxlab.core.frames import check_choice, check_columns
from cxlab.core.messages import got, unknown
from cxlab.core.private import private_file
from cxlab.core.result import Result
from cxlab.stats.inference import check_level, t_quantile
from cxlab.stats.verbatims.codes import CodedComments
from cxlab.survey.study import Study

SCALES = ("nominal", "ordinal", "interval")
Array = NDArray[np.float64]
#: Below this α, conclusions are not to be drawn (Krippendorff 2004).
LEAST_ALPHA = 0.667
UNKNOWN = "agreement unknown: one coder"
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
    670
    """
    if sheet is not None:
        return read_coding(sheet, themes)
    if "coding" not in study.definition.tables:
        return None
    return read_coding(study.read("coding", engine="pandas"), themes)


def krippendorff_alpha(
    ratings: ArrayLike, *, scale: str = "nominal", level: float = 0.95
) -> tuple[float, float, float]:
    """Krippendorff's α of coders × units (NaN: not rated) with its interval; NaN where nothing varies.

    ``α = 1 − D_o/D_e`` from the coincidences of values within units. The interval leaves out
    one unit at a time and is symmetric for ``log(1 − α)``, as α has 1 as its bound.

    References
    ----------
    Krippendorff (2011), Computing Krippendorff's alpha-reliability.

    Examples
    --------
    >>> two = [[1, 1, 0, 1, 0, 0, 1, 0], [1, 1, 0, 0, 0, 0, 1, 0]]
    >>> round(krippendorff_alpha(two)[0], 4)
    0.7619
    """
    check_choice("scale", scale, SCALES)
    level = check_level(level)
    rows = np.asarray(ratings, dtype=float)
    values, counts = _counts(rows)
    if len(values) < 2:
        return (np.nan,) * 3
    size = counts.sum(axis=1)[:, None, None]
    each = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(len(values))
    each = each / (size - 1)
    whole = each.sum(axis=0)
    alpha = float(_alpha(whole[None], values, scale)[0])
    if len(each) < 3 or alpha >= 1:
        return alpha, np.nan, np.nan
    left_out = _alpha(whole - each, values, scale)
    n = len(each)
    se = float(np.sqrt((n - 1) / n * np.nansum((left_out - np.nanmean(left_out)) ** 2)))
    factor = float(np.exp(t_quantile(level, n - 1) * se / (1 - alpha)))
    return alpha, 1 - (1 - alpha) * factor, 1 - (1 - alpha) / factor


def _counts(rows: Array) -> tuple[Array, Array]:
    """Values, and how often each was given to each unit that has two ratings or more."""
    values = np.unique(rows[~np.isnan(rows)])
    counts = (rows[:, :, None] == values).sum(axis=0).astype(float)
    return values, counts[counts.sum(axis=1) > 1]


def _alpha(coincidences: Array, values: Array, scale: str) -> Array:
    margins = coincidences.sum(axis=2)
    n = margins.sum(axis=1)
    apart = _distances(margins, values, scale)
    observed = (coincidences * apart).sum(axis=(1, 2))
    expected = (margins[:, :, None] * margins[:, None, :] * apart).sum(axis=(1, 2)) / (n - 1)
    return 1 - np.divide(observed, expected, out=np.full(len(n), np.nan), where=expected > 0)


def _distances(margins: Array, values: Array, scale: str) -> Array:
    """Squared distance of each pair of values, shape (replicates or 1, values, values)."""
    if scale == "nominal":
        return 1 - np.eye(len(values))[None]
    if scale == "interval":
        return ((values[:, None] - values) ** 2)[None]
    # ranks up to the middle of each value's own
    middle = np.cumsum(margins, axis=1) - margins / 2
    return (middle[:, :, None] - middle[:, None, :]) ** 2


def cohen_kappa(first: ArrayLike, second: ArrayLike) -> float:
    """Cohen's kappa of two codings of the same units; NaN where nothing varies.

    Examples
    --------
    >>> round(cohen_kappa([1, 1, 0, 0], [1, 0, 0, 0]), 3)
    0.5
    """
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    values = np.unique(np.concatenate([one, other]))
    chance = sum(float((one == v).mean() * (other == v).mean()) for v in values)
    return float(((one == other).mean() - chance) / (1 - chance)) if chance < 1 else np.nan


def coding_agreement(
    coding: pd.DataFrame,
    *,
    unit: str = "row",
    coder: str = "coder",
    themes: Sequence[str],
    level: float = 0.95,
) -> pd.DataFrame:
    """Agreement of coders, theme by theme.

    Parameters
    ----------
    coding : DataFrame
        One row per comment and coder; see `cxlab.read_coding`.
    unit, coder : str
        Columns of the comment and of the coder.
    themes : sequence of str
        Columns of 0 and 1.
    level : float

    Returns
    -------
    DataFrame
        One row per theme: ``theme``, ``n`` (comments of two coders or more), ``estimate``
        (Krippendorff's α), ``ci_low``, ``ci_high``, ``kappa`` (two coders), ``note``: one coder,
        or α below .667.

    Examples
    --------
    >>> sheet = pd.DataFrame({"row": [1, 2, 3, 4] * 2, "coder": [1] * 4 + [2] * 4,
    ...                       "rude": [1, 0, 0, 1, 1, 0, 0, 0]})
    >>> coding_agreement(sheet, themes=["rude"])[["theme", "n", "estimate"]].round(2)
      theme  n  estimate
    0  rude  4      0.53
    """
    check_columns(coding, {"unit": unit, "coder": coder, "themes": list(themes)})
    again = coding.loc[coding.duplicated([unit, coder]), unit]
    if len(again):
        raise ValueError(
            f"`coding` must hold each comment once per coder; got {got(list(again))} more than once."
        )
    rows = [
        _agreement(coding.pivot(index=coder, columns=unit, values=one), one, level)
        for one in themes
    ]
    columns = ["theme", "n", "estimate", "ci_low", "ci_high", "kappa", "note"]
    return with_display(
        pd.DataFrame(rows, columns=columns), caption="Agreement of coders",
        columns=("theme", "estimate", "kappa", "n"), level=level, units={"estimate": "r", "kappa": "r"},
        headers={"theme": "Theme", "estimate": "Krippendorff's α", "kappa": "Cohen's κ",
                 "n": "Comments of two coders"},
    )  # fmt: skip


def _agreement(wide: pd.DataFrame, theme: str, level: float) -> tuple[object, ...]:
    shared = wide.loc[:, wide.notna().sum() > 1].to_numpy(float)
    if shared.shape[1] == 0:
        return (theme, 0, *[np.nan] * 4, UNKNOWN)
    alpha, low, high = krippendorff_alpha(shared, level=level)
    kappa = cohen_kappa(*shared) if len(shared) == 2 else np.nan
    note = f"α below {LEAST_ALPHA}: define the theme better" if alpha < LEAST_ALPHA else ""
    return theme, shared.shape[1], alpha, low, high, kappa, note
