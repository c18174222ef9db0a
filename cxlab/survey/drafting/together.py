"""Columns seen together: rankings, choices, batteries, several surveys, directions, results."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cxlab.core.messages import one_of
from cxlab.survey.drafting.profile import Guess, Profile, rows, some
from cxlab.survey.drafting.words import hints, level_of, shared_beginning, wording_of, words_of
from cxlab.survey.exports.export import missing_reason
from cxlab.survey.scales import normal_code

#: Share of rows that must be ranks for the columns to be a ranking.
RANKED = 0.95
#: Fewest rows to believe it from.
FEWEST_RANKED = 5
LONGEST_RANKING = 20


def find_rankings(profiles: Sequence[Profile]) -> list[list[Profile]]:
    """Runs of columns whose rows are permutations of 1..k.

    Rows with every column filled decide; where there are none, rows with three ranks or
    more whose ranks are 1..m do ("rank your top three").
    """
    runs, rest = [], list(profiles)
    while rest:
        run = _ranking_at_first(rest)
        runs += [run] if run else []
        rest = rest[len(run) or 1 :]
    return runs


def _ranking_at_first(profiles: Sequence[Profile]) -> list[Profile]:
    near = profiles[:LONGEST_RANKING]
    whole = list(itertools.takewhile(lambda p: p.whole and not p.fractions and not p.words, near))
    for stop in range(len(whole), 2, -1):
        run = whole[:stop]
        codes = {code for profile in run for code in profile.whole}
        whole_ranks = 3 <= len(codes) <= len(run) and codes == set(range(1, len(codes) + 1))
        if whole_ranks and _ranked(np.column_stack([profile.numbers for profile in run])):
            return run
    return []


def _ranked(ranks: np.ndarray) -> bool:
    filled = (~np.isnan(ranks)).sum(axis=1)
    deciding = filled == ranks.shape[1]
    if deciding.sum() < FEWEST_RANKED:
        deciding = filled >= min(3, ranks.shape[1])
    if deciding.sum() < FEWEST_RANKED:
        return False
    # adding up is much faster than sorting
    adds_up = np.nansum(ranks[deciding], axis=1) == (filled * (filled + 1) / 2)[deciding]
    if adds_up.mean() < RANKED:
        return False
    in_order = np.sort(ranks[deciding], axis=1)  # NaN last
    expected = np.arange(1, ranks.shape[1] + 1)
    permutations = (np.isnan(in_order) | (in_order == expected)).all(axis=1)
    return bool(permutations.mean() >= RANKED)


def find_choices(profiles: Sequence[Profile]) -> list[list[Profile]]:
    """Runs of columns that are filled with one text or blank: "select all that apply"."""
    runs = itertools.groupby(profiles, key=_one_choice)
    found = [list(run) for one_choice, run in runs if one_choice]
    return [run for run in found if len(run) > 1]


def _one_choice(profile: Profile) -> bool:
    chosen = [code for code in profile.counts if code not in profile.declared]
    if len(chosen) != 1 or not profile.blank + len(profile.counts) - len(chosen):
        return False
    if profile.coded and chosen == ["1"] and "0" not in profile.labels:
        return bool(profile.question.choice) or set(profile.labels) == {"1"}
    return chosen[0] in profile.words and missing_reason(chosen[0]) is None


def rating_batteries(profiles: Sequence[Profile]) -> list[list[Profile]]:
    """Ratings grouped by the question that their headers share, alone where they share none."""
    together: list[list[Profile]] = []
    for profile in profiles:
        last = together[-1][-1] if together else None
        if last is not None and _same_question(last, profile):
            together[-1].append(profile)
        else:
            together.append([profile])
    return together


def _same_question(before: Profile, after: Profile) -> bool:
    """Neighbours in the file, of one question by a joint ("Q7 - …") or by number ("Q7…")."""
    if after.place != before.place + 1:
        return False
    if shared_beginning([before.asked, after.asked]):
        return True
    first, second = words_of(before.header).split(), words_of(after.header).split()
    shared = next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
        min(len(first), len(second)),
    )
    numbered = shared >= 2 and any(word.isdigit() for word in first[:shared])
    named = shared >= 1 and "_" in before.header and len(first[0]) > 1 and shared < len(first)
    return numbered or named


#: Kinds of question or survey that one column may hold.
MOST_KINDS = 60
FEWEST_SCORES = 8
#: Tops of scales that differ when surveys do.
TOPS = (3, 4, 5, 6, 7, 10)
#: Chance that scores of one scale stop so far below its top, beyond which it is asked about:
#: of a column whose header speaks of surveys, and of any other.
CHANCE, CHANCE_ELSEWHERE = 1e-3, 1e-8


_NOT_AVERAGED = (
    "Scores from {} to {}, kept as text so that nothing is averaged over them. Only if all rows "
    "answer one question, give the column the role outcome or touchpoint."
)
_APART = (
    "One scale does not fit both: write a file for each survey and draft each. Or are they "
    "one question?"
)


def note_surveys(ratings: Sequence[Guess], profiles: Sequence[Profile]) -> None:
    """Doubt ratings whose scores belong to several surveys, or to several questions.

    Where the column that tells them apart names surveys, the rating's role becomes ``text``.
    """
    rated = {guess.profile.place for guess in ratings}
    kinds = [p for p in profiles if p.place not in rated and _may_be_kinds(p)]
    repeated = [profile for profile in profiles if _may_be_respondents(profile)]
    for guess in ratings:
        scores = guess.scores
        for kind in kinds:
            kind_of_row = kind.raw.fillna("").map(normal_code)
            one_each = _one_row_an_answer(kind, kind_of_row, [who.raw for who in repeated])
            doubt = _scales_differ(kind, kind_of_row, scores) or one_each
            if not doubt:
                continue
            guess.doubt = doubt
            if one_each or _names_surveys(kind):
                # a role that averages nothing: accepting it cannot mix two scales
                guess.role = "text"
                guess.question = _NOT_AVERAGED.format(*_ends(guess))
            break


def _ends(guess: Guess) -> tuple[str, str]:
    """Lowest and highest score: of the scale, or seen where numbers have none."""
    numbers = guess.profile.numbers
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    ends = (guess.scale.low, guess.scale.high) if guess.scale else (low, high)
    return f"{ends[0]:g}", f"{ends[1]:g}"


def _names_surveys(profile: Profile) -> bool:
    return hints(profile.header, "survey")


def _may_be_kinds(profile: Profile) -> bool:
    enough = profile.filled >= FEWEST_SCORES * len(profile.counts)
    told = bool(profile.words) or _names_surveys(profile)
    return told and 2 <= len(profile.counts) <= MOST_KINDS and enough


def _may_be_respondents(profile: Profile) -> bool:
    """Whether a column could tell respondents apart, each of whom has several rows."""
    several = 2 * len(profile.counts) <= profile.filled
    return not profile.blank and several and hints(profile.header, "id", "customer")


def _scales_differ(kind: Profile, kind_of_row: pd.Series, scores: pd.Series) -> str:
    """A question where surveys are named, or where one's scores stop at a shorter scale's top."""
    metrics = [code for code in kind.words if hints(code, "metric")]
    if len(metrics) > 1 and _names_surveys(kind):
        return f"'{kind.header}' distinguishes several surveys ({some(metrics)}). {_APART}"
    likely = CHANCE if _names_surveys(kind) else CHANCE_ELSEWHERE
    table = scores.groupby(kind_of_row).agg(["count", "min", "max"])
    table = table[(table["count"] >= FEWEST_SCORES) & (table.index != "")]
    highest = table["max"].max() if len(table) > 1 else 0
    low_ends = not table.empty and bool((table["min"] <= 3).all())
    if highest not in TOPS or not low_ends:
        return ""
    for name, row in table.iterrows():
        if row["max"] not in TOPS or row["max"] == highest:
            continue
        others = scores[(kind_of_row != name) & scores.notna()]
        chance = float((others <= row["max"]).mean()) ** row["count"]
        if chance < likely:
            return (
                f"'{kind.header}' distinguishes several surveys: scores of "
                f"'{kind.spelling[str(name)]}' ({rows(int(row['count']))}) never pass "
                f"{row['max']:.0f}, others reach {highest:.0f}. {_APART}"
            )
    return ""


def _one_row_an_answer(
    kind: Profile, kind_of_row: pd.Series, respondents: Sequence[pd.Series]
) -> str:
    """A question where every row holds the answer to one question of a respondent."""
    words = words_of(kind.header).split()
    named = {"question", "item", "questions", "variable", "metric", "measure", "statement"}
    if not named & set(words):
        return ""
    for who in respondents:
        pairs = pd.DataFrame({"who": who.to_numpy(), "kind": kind_of_row.to_numpy()})
        if not pairs.duplicated().any() and pairs["who"].duplicated().any():
            return (
                f"'{kind.header}' names the question of each row and '{who.name}' has several "
                "rows: each row is one answer. cxlab reads one row per respondent and one column "
                f"per question: pivot the file by '{kind.header}'. Or are they one question?"
            )
    return ""


#: Correlation with the mean of the other ratings below which to ask.
AGAINST = -0.2
FEWEST = 30
#: Correlation from which ratings go together, how many must, and below which one doesn't.
TOGETHER, FEWEST_TOGETHER, STRANGER = 0.3, 4, 0.1
#: Scales that are taken for ratings whether they go with the others or not.
USUAL = ((1, 5), (1, 7))


def without_strangers(ratings: Sequence[Guess]) -> list[Guess]:
    """The ratings less columns of codes that have nothing to do with them.

    Ratings of one respondent go together. Where several of a file do, an unlabelled column
    that doesn't, whose header doesn't speak of a rating and whose codes are not those of the
    usual scales, holds codes of something else.
    """
    found = _correlations(ratings)
    if sum(r >= TOGETHER for r in found.values()) < FEWEST_TOGETHER:
        return list(ratings)
    return [
        guess
        for guess in ratings
        if abs(found.get(guess.profile.place, 1.0)) >= STRANGER
        or (guess.scale and (guess.scale.low, guess.scale.high) in USUAL)
        or guess.profile.labels
        or (guess.scale and guess.scale.labels)
        or hints(f"{guess.profile.hinted} {guess.profile.item}", "rating", "outcome")
    ]


def note_directions(ratings: Sequence[Guess]) -> None:
    """Add a question to every rating that falls where the others rise."""
    found = _correlations(ratings)
    for guess in ratings:
        correlation = found.get(guess.profile.place, 0.0)
        if correlation < AGAINST:
            guess.question += (
                f" It falls where the other ratings rise (r = {correlation:.2f}): is its lowest "
                "score the best? Then turn its codes round in the file."
            )


def _correlations(ratings: Sequence[Guess]) -> dict[int, float]:
    """Place of each rating to its correlation with the mean of the others, where told."""
    scores = pd.DataFrame({guess.profile.place: guess.scores for guess in ratings})
    if scores.shape[1] < 2:
        return {}
    spread = scores.std()
    standard = (scores - scores.mean()) / spread.where(spread > 0)
    total, known = standard.sum(axis=1), standard.notna().sum(axis=1)
    found = {}
    for place in scores:
        own = standard[place]
        others = (total - own.fillna(0)) / (known - own.notna()).replace(0, float("nan"))
        both = own.notna() & others.notna()
        if both.sum() >= FEWEST and own[both].std() > 0 and others[both].std() > 0:
            found[int(place)] = float(own[both].corr(others[both]))
    return found


# results instead of answers ---------------------------------------------------------------

_SIZE = re.compile(
    r"(?:(?:total|number|no|weighted|unweighted) (?:of )?)?(?:completed |eligible |survey )?"
    r"(?:n|count|counts|base|respondents?|responses?|answers|surveys|frequency|freq|sample)"
    r"(?: size| count| n)?"
)
_SHARE = re.compile(r"(?:.*\b)?(?:percent|percentage|pct|share|proportion)(?:\b.*)?")
_SUMMARY = re.compile(
    r"(?:mean|average|avg|median|std|sd|standard deviation|std dev|standard error)(?: score| rating)?"
    r"|ci (?:low|lower|high|upper)|(?:lower|upper) (?:ci|bound|limit)|margin of error|moe"
)
_SIGN = re.compile(r"%|\bpct\b", re.IGNORECASE)
#: Words that a header of a share has, beyond which it is a question.
_LONGEST = 6
#: Fewest columns named like the answers of one question.
FEWEST_ANSWERS = 3


def check_answers_not_results(profiles: Sequence[Profile], file: str) -> None:
    """Refuse a table of counts, shares or means, in which no row is a respondent."""
    numbers = [profile for profile in profiles if _is_numeric(profile)]
    names = {profile.header: words_of(profile.header) for profile in numbers}
    sizes = [
        p.header
        for p in numbers
        if _SIZE.fullmatch(names[p.header]) and max(p.whole, default=0) > 1
    ]
    shares = [h for h, words in names.items() if _is_share(h, words)]
    summaries = [h for h, words in names.items() if _SUMMARY.fullmatch(words)]
    groups = [h for h, words in names.items() if re.search(r"\b(promoters|detractors)\b", words)]
    answers = _named_like_answers(numbers)
    told = (sizes[:1] + (shares or summaries)[:1]) if sizes and (shares or summaries) else []
    told = told or (groups if len(groups) == 2 else []) or answers
    if told:
        raise ValueError(
            f"{file}: every row must be the answers of one respondent; the columns "
            f"{one_of(told[:4]).replace(' or ', ' and ')} hold results, such as counts, shares or "
            "means. Export the answers themselves; if each row is a respondent after all, rename one of "
            "these columns."
        )


def _is_numeric(profile: Profile) -> bool:
    """Whether most cells are numbers, also with a sign of per cent."""
    signed = sum(n for code, n in profile.words.items() if re.fullmatch(r"[\d.,]+ ?%", code))
    return profile.numeric + signed > profile.filled / 2 > 0


def _is_share(header: str, words: str) -> bool:
    named = bool(_SHARE.fullmatch(words)) or bool(_SIGN.search(header))
    return named and len(words.split()) <= _LONGEST and not re.search("complete|progress", words)


def _named_like_answers(numbers: Sequence[Profile]) -> list[str]:
    """Headers such as Good, Fair and Poor above numbers that are no choices."""
    counted = [p.header for p in numbers if max(p.whole, default=0) > 1 or p.fractions or p.words]
    named = [header for header in counted if level_of(header) is not None]
    wording = wording_of(named) if len(named) >= FEWEST_ANSWERS else None
    return list(wording.heights) if wording is not None else []


# roles ------------------------------------------------------------------------------------

_ONLY_RATING = (
    "It is the only {} of the file, so it is taken as the outcome. {}"
    'If it rates one touchpoint only, set role = "touchpoint".'
)
_IF_RECOMMEND = 'If it is the likelihood to recommend, set scale = "likelihood_to_recommend". '


def settle_roles(guesses: Sequence[Guess]) -> None:
    """Outcomes by their names, the other ratings as touchpoints; says so in the question."""
    ordered = sorted(guesses, key=lambda guess: guess.profile.place)
    overall = _overall(ordered)
    if overall is None and not any(hints(g.profile.hinted, "recommend") for g in ordered):
        overall = _lone(ordered)
    for guess in ordered:
        recommend = hints(guess.profile.hinted, "recommend")
        guess.role = "outcome" if recommend or guess is overall else "touchpoint"
        guess.question = _role_question(guess, recommend)


def _overall(guesses: Sequence[Guess]) -> Guess | None:
    """The first rating named overall or the like, else the first named satisfaction."""
    for hint in ("outcome", "satisfaction"):
        for guess in guesses:
            named = hints(guess.profile.item, hint)
            if named and not hints(guess.profile.hinted, "recommend"):
                return guess
    return None


def _lone(guesses: Sequence[Guess]) -> Guess | None:
    """The only rating, or the only one from 0 to 10, doubted as the outcome."""
    long = [one for one in guesses if one.scale and (one.scale.low, one.scale.high) == (0, 10)]
    for only, kind in ((guesses, "rating"), (long, "rating from 0 to 10")):
        if len(only) == 1:
            scale = only[0].scale
            to_ten = scale is not None and scale.high > 7  # no other can be reported as an NPS
            only[0].doubt = _ONLY_RATING.format(kind, _IF_RECOMMEND if to_ten else "")
            return only[0]
    return None


def _role_question(guess: Guess, recommend: bool) -> str:
    scale = guess.scale
    if scale is None:
        return guess.question
    answers = guess.profile.filled - sum(
        guess.profile.counts[code]
        for code, text in guess.profile.spelling.items()
        if text in guess.missing or code in scale.missing
    )
    words = [guess.profile.spelling[code] for code in guess.profile.words]
    in_words = any(text not in guess.missing for text in words)
    what = f"Guessed: {'an outcome' if guess.role == 'outcome' else 'a touchpoint'}"
    told = [f"{what}, {answers:,} answers from {scale.low} to {scale.high}. Is it?"]
    if (scale.low, scale.high) == (0, 10):
        why = "Named like an NPS question, but that" if recommend else "An NPS"
        change = (
            "its scale has the bins and metrics of likelihood_to_recommend."
            if scale.labels and in_words
            else 'you set scale = "likelihood_to_recommend".'
        )
        told.append(f"{why} is never assumed: it is reported as a mean until {change}")
        told.append(scale.question)
    elif scale.high > 7:
        told.append(scale.question)
    return " ".join(part for part in [*told, guess.question] if part)
