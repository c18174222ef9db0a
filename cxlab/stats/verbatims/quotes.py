"""Sentences that may be published: chosen because nothing in them is anybody's own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from math import log1p, sqrt

import pandas as pd

from cxlab.core.display import with_display
from cxlab.core.frames import check_columns
from cxlab.core.messages import unknown
from cxlab.stats.verbatims.codes import WORDS, CodedComments, pattern_of

#: Respondents who must have used each word.
MIN_USERS = 5
#: Words in a sentence that is worth reading, at least and at most.
LENGTH = (3, 30)
#: Share of words inside sentences that are capitalised, above which capitals mark no names.
CAPITALS = 0.15
#: Comments of which words in use are counted, and a theme's comments that are read for quotes.
MOST_READ, MOST_OWN = 20_000, 1_000
#: Two quotes that share more of their words say the same.
ALIKE = 0.6
_SENTENCES = re.compile(r"(?<=[.!?…。！？])\s+|\n+|[。！？]")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
#: A word inside a sentence, where only names have capitals.
_INSIDE = re.compile(r"(?<=[\w,;:)'’\"-] )([^\W\d_]+(?:['’-][^\W\d_]+)*)")
#: What is somebody's own, in any language: addresses, links, handles, numbers of five digits
#: or more however they are parted (telephone, card, account), references that mix letters and
#: digits.
_OWN = re.compile(
    r"@|https?:|www\.|\b[a-z0-9-]+\.(?:com|net|org|info|biz|de|fr|it|es|uk|jp|br|in|tr|pl)\b|(?:\d[\s().+/-]*){5,}"
    r"|\b(?=\w*\d)(?=\w*[^\W\d])\w{4,}\b|\b[A-Z]{2}\d{2}\b|#\d+",
    re.IGNORECASE,
)
#: Words before a name.
_CUE = re.compile(
    r"\b(?:mr|mrs|ms|miss|mx|dr|prof|sir|madam|herr|frau|monsieur|madame|mme|mlle|señor|señora|sr|sra|"
    r"signor|signora|senhor|senhora|pan|pani|bay|bey|hanım|shri|smt|san|named|called|name\s+(?:is|was)|"
    r"i\s+am|i['’]m|this\s+is|signed|regards|sincerely|heisse|heiße|mein\s+name|je\s+m['’]appelle|me\s+llamo|"
    r"mi\s+chiamo|nazywam|thanks\s+to|thank\s+you|agent|officer|employee|colleague)\b\.?,?\s+",
    re.IGNORECASE,
)
COLUMNS = ["theme", "quote", "n", "note"]
NO_QUOTE = "no sentence passes: each word must have been used by several respondents"


def typical_quotes(
    data: pd.DataFrame,
    text: str,
    themes: CodedComments,
    *,
    theme: str | Iterable[str] | None = None,
    n: int = 3,
    min_users: int = MIN_USERS,
    respondent: str | None = None,
    among: pd.Series | None = None,
    hand: pd.DataFrame | None = None,
    row: str | None = None,
) -> pd.DataFrame:
    """Sentences on a theme that give nobody away.

    Parameters
    ----------
    data : DataFrame
        All answers: the more, the more words are in use.
    text : str
        Column of comments.
    themes : CodedComments
        Coded by words.
    theme : str or several, optional
        Default: all.
    n : int
        Most quotes of a theme.
    min_users : int
        Respondents who must have used each word of a sentence.
    respondent : str, optional
        Column that tells respondents apart; default: each answer.
    among : Series of bool, optional
        Answers to quote from; the others lend their words.
    hand : DataFrame, optional
        Of `read_coding`, ``row`` as in `theme_scores`: sentences that people found to be on the
        theme come first, and those that they found not to be are left out.

    Returns
    -------
    DataFrame
        ``theme``, ``quote``, ``n`` (comments with the theme's words), ``note``. A theme without
        a sentence that passes has one row that says so.

    Notes
    -----
    A sentence is chosen, never changed. It is left out with an address, a link, a number of five
    digits or more, a reference, a capitalised word after "Mr", "my name is" and the like, a word
    that fewer respondents used, or one that inside sentences is mostly capitalised, as names are
    (not where nouns are, as in German). Whoever publishes quotes reads them first.

    Examples
    --------
    >>> from cxlab.survey.definition import Theme
    >>> from cxlab.stats.verbatims.codes import code_comments
    >>> said = ["The queue was long."] * 5 + ["The queue was long, said Anna Smith."]
    >>> rows = pd.DataFrame({"said": said})
    >>> coded = code_comments(rows, "said", {"q": Theme("q", "Queue", ("queue",))})
    >>> typical_quotes(rows, "said", coded)["quote"].tolist()
    ['The queue was long.']
    """
    check_columns(data, {"text": text, "respondent": respondent})
    if themes.by != WORDS:
        raise ValueError(
            "`themes` must be coded by words; got codes of people, whose texts are not read."
        )
    wanted = [theme] if isinstance(theme, str) else list(theme or themes.themes)
    for name in wanted:
        if name not in themes.themes:
            raise ValueError(unknown("theme", name, themes.themes))
    said = data[text].dropna().astype("str")
    who = data.loc[said.index, respondent] if respondent else pd.Series(said.index, said.index)
    known, checked = _Words(said, who, min_users), _checked(data, hand, row)
    quoted = said if among is None else said[among.loc[said.index]]
    rows: list[tuple[str, str, int, str]] = []
    for name in wanted:
        pattern = pattern_of(themes.themes[name].words)
        own = quoted[themes.values.loc[quoted.index, name] == 1]
        marks = checked[name] if checked is not None else pd.Series(dtype=float)
        sure, wrong = (
            set(_sentences_with(pattern, said.loc[marks.index[marks == mark]])) for mark in (1, 0)
        )
        found = _best(_sentences_with(pattern, own[:MOST_OWN]), known, sure, wrong - sure, n)
        size = len(own)
        rows += [(name, one, size, "") for one in found] or [(name, "", size, NO_QUOTE)]
    return with_display(
        pd.DataFrame(rows, columns=COLUMNS).astype({"quote": "str"}), caption="In customers' words",
        about="sentences whose every word several respondents used", columns=("theme", "quote"),
        headers={"theme": "Theme", "quote": "Quote"}, labels=themes.labels, top=48,
    )  # fmt: skip


def sentences_of(text: str) -> list[str]:
    """Sentences of a comment, trimmed.

    Examples
    --------
    >>> sentences_of("Rude staff! Never again... Or so")
    ['Rude staff!', 'Never again...', 'Or so']
    """
    return [part.strip() for part in _SENTENCES.split(text) if part.strip()]


class _Words:
    """Who used which word, and which words look like names."""

    def __init__(self, said: pd.Series, who: pd.Series, min_users: int) -> None:
        self.min_users = min_users
        # fewer comments know fewer words in use, and let fewer sentences pass
        step = -(-len(said) // MOST_READ)
        rows = pd.DataFrame({"text": said.to_numpy(object), "who": who.to_numpy()})[
            ::step
        ].drop_duplicates()
        users: dict[str, set[int]] = {}
        self.capital: Counter[str] = Counter()
        self.small: Counter[str] = Counter()
        for person, text in zip(pd.factorize(rows["who"])[0], rows["text"], strict=True):
            for word in set(_WORD.findall(text.casefold())):
                known = users.setdefault(word, set())
                if len(known) < min_users:
                    known.add(person)
            inside = set(_INSIDE.findall(text)) if not text.isupper() else set()
            self.capital.update(word.casefold() for word in inside if word[0].isupper())
            self.small.update(word for word in inside if word[0].islower())
        self.usual = {word for word, whose in users.items() if len(whose) >= min_users}
        inside_words = self.capital.total() + self.small.total()
        self.capitals_mean_names = self.capital.total() <= CAPITALS * max(inside_words, 1)

    def passes(self, sentence: str) -> bool:
        """Whether a sentence may be published."""
        if _OWN.search(sentence) or _names_somebody(sentence):
            return False
        words = [word.casefold() for word in _WORD.findall(sentence)]
        if not LENGTH[0] <= len(words) <= LENGTH[1]:
            return False
        return all(word in self.usual and not self._is_name(word) for word in words)

    def _is_name(self, word: str) -> bool:
        return self.capitals_mean_names and self.capital[word] > self.small[word]


def _names_somebody(sentence: str) -> bool:
    ends = (match.end() for match in _CUE.finditer(sentence))
    return any(sentence[end : end + 1].isupper() for end in ends)


def _checked(data: pd.DataFrame, hand: pd.DataFrame | None, row: str | None) -> pd.DataFrame | None:
    """Hand codes by the index of the answers."""
    if hand is None:
        return None
    ids = pd.Series(data.index, index=data[row] if row else data.index)
    first = hand.drop_duplicates("row")
    return first.set_index(pd.Index(ids.loc[first["row"]]))


def _sentences_with(pattern: re.Pattern[str], texts: pd.Series) -> list[str]:
    return [one for text in texts for one in sentences_of(text) if pattern.search(one.casefold())]


def _best(
    sentences: list[str], known: _Words, sure: set[str], wrong: set[str], n: int
) -> list[str]:
    """Those that pass, checked by people first, of the most usual words, no two alike."""
    counts = Counter(sentences)
    words = {one: {word.casefold() for word in _WORD.findall(one)} for one in counts}
    total: Counter[str] = Counter()
    for sentence, times in counts.items():
        total.update(dict.fromkeys(words[sentence], times))
    usual = {word: log1p(times) for word, times in total.items()}

    def typical(sentence: str) -> float:
        # long sentences say more, of words that others use too
        own = words[sentence]
        return sum(usual[word] for word in sorted(own)) / sqrt(len(own) + 3)

    fresh = [one for one in counts if one not in wrong]
    chosen: list[str] = []
    for sentence in sorted(fresh, key=lambda one: (one not in sure, -typical(one), one)):
        if len(chosen) == n:
            break
        alike = any(_alike(words[sentence], words[other]) for other in chosen)
        if not alike and known.passes(sentence):
            chosen.append(sentence)
    return chosen


def _alike(first: set[str], second: set[str]) -> bool:
    return len(first & second) > ALIKE * min(len(first), len(second))
