"""What machines find in comments: themes to look at, and the tone of sentences. Needs scikit-learn."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from cxlab.core.display import with_display
from cxlab.core.frames import check_columns
from cxlab.core.metric import Metric
from cxlab.core.result import Result
from cxlab.core.threads import one_blas_thread
from cxlab.stats.verbatims.codes import CodedComments, holding
from cxlab.stats.verbatims.quotes import sentences_of
from cxlab.stats.verbatims.scores import score_values

Array = NDArray[np.float64]
#: Recurrence below which a found theme may be chance.
RECURS = 0.8
#: Correlation of predicted and given scores below which words say nothing about the score.
SAYS_NOTHING = 0.1
#: Components of two samples are the same theme from this cosine on.
SAME = 0.7
#: Words of a found theme that are shown; most words that are counted.
SHOWN, MOST_WORDS = 6, 2_000
#: Comments of which half-samples are taken at most.
MOST_HALVED = 4_000
#: Most comments that are read.
MOST_LEARNED = 20_000
#: Steps of a factorisation, and of one of a half-sample.
MOST_STEPS, HALF_STEPS = 100, 50
#: Places for words and pairs of words of sentences.
PLACES = 1 << 17
#: Comments from which on a word counts, and their share up to which it does.
RARE, COMMON = 3, 0.5
_BUT = re.compile(
    r"\s*[,;]?\s+\b(?:but|however|aber|jedoch|mais|pero|ma|mas|ale)\b\s+", re.IGNORECASE
)


@dataclass(frozen=True, eq=False, kw_only=True)
class FoundThemes(Result):
    """Themes that a machine found; see `find_themes`."""

    words: tuple[tuple[str, ...], ...]

    def codebook(self) -> str:
        """A codebook to edit: TOML for the study file. Names and words are yours to choose."""
        parts = [
            f'[codebook.theme_{i}]\nlabel = "Theme {i}"\ntone = "neutral"\nwords = ['
            + ", ".join(f'"{word}"' for word in words)
            + "]\n"
            for i, words in enumerate(self.words, start=1)
        ]
        return "\n".join(parts)


@one_blas_thread
def find_themes(
    data: pd.DataFrame,
    text: str,
    *,
    themes: int = 12,
    resamples: int = 20,
    seed: int = 0,
) -> FoundThemes:
    """Groups of words that go together, to write a codebook from.

    Parameters
    ----------
    data : DataFrame
    text : str
        Column of comments.
    themes : int
    resamples : int
        Half-samples (of 2,000 comments at most) in which the themes are looked for again.
    seed : int

    Returns
    -------
    FoundThemes
        One row per theme: ``theme``, ``words``, ``n`` (comments of which it is the largest
        part), ``recurrence`` (share of half-samples that find it again).

    Raises
    ------
    ValueError
        For fewer comments than two per theme.

    Notes
    -----
    Non-negative factors of TF-IDF weights, started by singular vectors: the same digits each
    time, where topic models differ from seed to seed. A theme below .8 may be chance.

    Examples
    --------
    >>> rows = pd.DataFrame({"said": ["long queue", "queue long", "rude staff", "staff rude"] * 9})
    >>> find_themes(rows, "said", themes=2, resamples=4).table["recurrence"].tolist()
    [1.0, 1.0]
    """
    check_columns(data, {"text": text})
    said, notes = _some(data[text].dropna().astype("str"))
    if len(said) < 2 * themes:
        raise ValueError(
            f"`data` must have {2 * themes:,} comments or more for {themes} themes; got {len(said):,}."
        )
    names, weights = _weighted_words(said)
    options: dict[str, Any] = {
        "n_components": min(themes, *weights.shape),
        "init": "nndsvd",
        "max_iter": MOST_STEPS,
        "tol": 1e-3,
        "random_state": seed,
    }
    parts, components, again = _factors(weights, options, resamples, seed)
    top = [tuple(names[i] for i in np.argsort(-row, kind="stable")[:SHOWN]) for row in components]
    largest = np.bincount(parts.argmax(axis=1)[parts.max(axis=1) > 0], minlength=len(top))
    table = pd.DataFrame({
        "theme": np.arange(1, len(top) + 1), "words": [", ".join(words) for words in top], "n": largest,
        "recurrence": np.mean(again, axis=0) if again else np.nan,
    })  # fmt: skip
    few = int((table["recurrence"] < RECURS).sum())
    if few:
        notes.append(
            f"{few} of {len(table)} themes recur in fewer than {RECURS:.0%} of half-samples: they may be chance."
        )
    order = np.argsort(-table["n"].to_numpy(), kind="stable")
    return FoundThemes(
        table=with_display(table.iloc[order].reset_index(drop=True).assign(theme=table["theme"]),
                           caption="Words that go together", columns=("theme", "words", "n", "recurrence"),
                           headers={"theme": "Found", "words": "Words", "n": "Comments", "recurrence": "Found again"},
                           units={"recurrence": "share"}),
        words=tuple(top[i] for i in order), notes=tuple(notes),
    )  # fmt: skip


def _factors(
    weights: Any, options: dict[str, Any], resamples: int, seed: int
) -> tuple[Array, Array, list[NDArray[np.bool_]]]:
    """Parts of comments, components, and which of these each half-sample finds again."""
    from sklearn.decomposition import NMF

    whole, n = NMF(**options), weights.shape[0]
    rng, again = np.random.default_rng(seed), []
    with warnings.catch_warnings():
        # whether a theme is there again in half of the comments says more than a tolerance
        warnings.filterwarnings("ignore", message="Maximum number of iterations")
        # what is left of an exact fit may be just below 0
        warnings.filterwarnings("ignore", message="invalid value encountered in sqrt")
        parts = whole.fit_transform(weights)
        for _ in range(resamples):
            half = rng.choice(n, min(n, MOST_HALVED) // 2, replace=False)
            found = NMF(**options | {"max_iter": HALF_STEPS}).fit(weights[half]).components_
            again.append((_unit(whole.components_) @ _unit(found).T).max(axis=1) >= SAME)
    return parts, whole.components_, again


def _some(said: pd.Series) -> tuple[pd.Series, list[str]]:
    """Comments that are read: all, or evenly spaced ones of very many."""
    step = -(-len(said) // MOST_LEARNED) if len(said) else 1
    if step == 1:
        return said, []
    return said[::step], [
        f"Every {step}th of {len(said):,} comments was read: more would tell the same."
    ]


def _weighted_words(said: pd.Series) -> tuple[list[str], Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    least = RARE if len(said) >= 10 * RARE else 1
    made = TfidfVectorizer(
        min_df=least, max_df=COMMON if len(said) > 10 * RARE else 1.0, max_features=MOST_WORDS,
        token_pattern=r"(?u)\b[^\W\d_]{3,}\b", sublinear_tf=True, stop_words="english", dtype=np.float64,
    )  # fmt: skip
    weights = made.fit_transform(said)
    return list(made.get_feature_names_out()), weights


def _unit(rows: Array) -> Array:
    size = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(size > 0, size, 1.0))


@one_blas_thread
def theme_sentiment(
    data: pd.DataFrame,
    text: str,
    themes: CodedComments,
    *,
    score: Metric | str,
    folds: int = 5,
    seed: int = 0,
) -> Result:
    """Tone of the sentences on each theme, learned from the study's own score.

    Parameters
    ----------
    data : DataFrame
    text : str
        Column of comments.
    themes : CodedComments
        Coded by words.
    score : Metric or str
        What teaches the tone.
    folds, seed : int
        A comment's sentences are read by a model that never saw it.

    Returns
    -------
    Result
        One row per theme: ``theme``, ``n`` (sentences), ``estimate`` (mean tone: predicted score
        less the mean), ``negative`` (share of sentences below it). Tones of single comments
        are not given: taught by a score, they must never explain that score.

    Notes
    -----
    TF-IDF of words and pairs, ridge regression; sentences are split at "but". The notes say how
    well words tell high from low scores (AUC), and warn where they don't.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> from cxlab.stats.verbatims.codes import study_themes
    >>> study = load_study("demo")
    >>> answers = study.read()
    >>> tone = theme_sentiment(answers, "comment", study_themes(study, answers), score="recommend")
    >>> bool(tone.table.set_index("theme").loc["praise", "estimate"] > 0)
    True
    """
    check_columns(data, {"text": text})
    values = score_values(data, score)
    known = data[text].notna().to_numpy() & ~np.isnan(values)
    said, notes = _some(data.loc[known, text].astype("str"))
    given = pd.Series(values, index=data.index)[said.index].to_numpy()
    if len(said) < 10 * folds:
        raise ValueError(
            f"`data` must have {10 * folds} comments with a score or more; got {len(said)}."
        )
    pieces = [[p for s in sentences_of(one) for p in _BUT.split(s) if p] for one in said]
    owner = np.repeat(np.arange(len(said)), [len(p) for p in pieces])
    flat = [p for several in pieces for p in several]
    whole, tone = _out_of_fold(given, flat, owner, folds, seed)
    auc, r = _auc(whole, given > given.mean()), float(np.corrcoef(whole, given)[0, 1])
    folded = [one.casefold() for one in flat]
    rows = []
    for name, theme in themes.themes.items():
        own = tone[holding(folded, theme.words) == 1]
        mean = float(own.mean()) if len(own) else np.nan
        rows.append((name, len(own), mean, float((own < 0).mean()) if len(own) else np.nan))
    notes.append(
        f"Words tell scores above the mean from those below with an AUC of {auc:.2f} (out of fold)."
    )
    if not r >= SAYS_NOTHING:
        notes.append(
            f"Words do not predict the score (r = {r:.2f}): is the score another respondent's?"
        )
    table = pd.DataFrame(rows, columns=["theme", "n", "estimate", "negative"])
    return Result(
        table=with_display(table, caption="Tone of the sentences on each theme", columns=("theme", "estimate", "negative", "n"),
                           headers={"theme": "Theme", "estimate": "Tone", "negative": "Negative", "n": "Sentences"},
                           units={"estimate": "+number", "negative": "share"}, labels=themes.labels, sort=("estimate",)),
        notes=tuple(notes),
    )  # fmt: skip


def _out_of_fold(
    given: Array, pieces: list[str], owner: NDArray[np.int64], folds: int, seed: int
) -> tuple[Array, Array]:
    """Tone of comments and of their sentences, by models that never saw the comment's score."""
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.linear_model import Ridge

    # places of words by a hash: a dictionary of all pairs would be the most of the memory
    counts = HashingVectorizer(
        n_features=PLACES, ngram_range=(1, 2), alternate_sign=False, norm=None
    ).transform(pieces)
    n = len(given)
    together = sparse.csr_array(
        (np.ones(len(owner)), (owner, np.arange(len(owner)))), shape=(n, len(owner))
    )
    weigh, comments = TfidfTransformer(sublinear_tf=True), together @ counts
    comments = sparse.csr_array(weigh.fit(comments).transform(comments, copy=False))
    sentences = sparse.csr_array(weigh.transform(counts, copy=False))
    fold = np.random.default_rng(seed).permutation(n) % folds
    whole, tone = np.zeros(n), np.zeros(len(pieces))
    for number in range(folds):
        train, test, parts = fold != number, fold == number, fold[owner] == number
        model = Ridge(alpha=1.0, solver="sparse_cg", tol=1e-3, fit_intercept=False)
        model.fit(comments[train], given[train] - given[train].mean())
        whole[test] = comments[test] @ model.coef_
        tone[parts] = sentences[parts] @ model.coef_
    return whole, tone


def _auc(predicted: Array, high: NDArray[np.bool_]) -> float:
    ranks = pd.Series(predicted).rank().to_numpy()
    n, m = int(high.sum()), int((~high).sum())
    return float((ranks[high].sum() - n * (n + 1) / 2) / (n * m)) if n and m else np.nan
