"""What may be said of a comparison, generated from its tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from cxlab.stats.comparison.disclosure import TOO_FEW
from cxlab.stats.comparison.identity import COMPOSITION, STANDARDISED
from cxlab.stats.comparison.programme import ProgrammeData
from cxlab.stats.comparison.scores import ANSWERS, BOTH, LESS, ONLY, WEIGHTED
from cxlab.stats.comparison.decomposition import (
    ASSUMED,
    Standardised,
    combination,
    interval,
)
from cxlab.stats.comparison.nonresponse import FOUND
from cxlab.stats.comparison.quantities import GAP_LESS

FEW_PAIRS = 30
#: The slope of answering on the score that is put in words.
SHOWN_SLOPE = 0.1
EXEMPTION_ADVICE = (
    "Exempt a random 5 to 10 % of customers from the contact rule: the whole customer base can "
    "then be estimated."
)


def sentences_of(
    tables: Mapping[str, pd.DataFrame],
    data: ProgrammeData,
    done: Standardised,
    *,
    tipping: Iterable[tuple[str, float]],
    n_pairs: int,
    weighted: Sequence[str],
    level: float,
) -> list[str]:
    """Every sentence, of tables as they may be shown.

    ``tipping`` is from `tipping_points`; ``n_pairs`` is said where the pairs are hidden;
    ``weighted`` are the surveys that declare weights.
    """
    said = [gap_sentence(tables["estimates"], level)]
    if done.result is not None:
        less = interval(combination(done.result, GAP_LESS)[1], level)[1:]
        said += standardised_sentence(tables["decomposition"], less, level)
    said += weighting_sentence(tables["scores"], tables["estimates"], weighted)
    if done.result is None or done.weighting is None:
        said += [
            *identity_sentence(tables["identity"], level),
            *overlap_sentence(tables["scores"], level),
            *segment_sentences(tables["segment_gaps"], level),
            unknown_sentence(done.reason),
        ]
    else:
        said += part_sentences(tables["decomposition"], level)
        said += identification_sentences(tables, tipping)
        said += [EXEMPTION_ADVICE] if len(done.weighting.unreachable) else []
    said.append(paired_sentence(tables["paired"], level, n_pairs, _why_no_pairs(data)))
    return [*said, *robustness_sentences(tables["robustness"])]


def _why_no_pairs(data: ProgrammeData) -> str:
    """Why answers cannot be paired at all; empty if they can."""
    if not data.has_customers:
        return "The answers don't name their customer: there is no same-customer contrast."
    for answers in data.surveys.values():
        if len(answers) and np.isnan(answers.responded).all():
            return "The answers have no dates: there is no same-customer contrast within a window."
    return ""


def signed(value: float) -> str:
    """Points with a sign and a true minus.

    Examples
    --------
    >>> signed(-3.21), signed(0.04)
    ('−3.2', '0.0')
    """
    rounded = round(float(value), 1)
    if rounded == 0:
        return "0.0"
    return f"{'+' if rounded > 0 else '−'}{abs(rounded):.1f}"


def _limits(row: Mapping[str, object], level: float) -> str:
    low, high = float(row["ci_low"]), float(row["ci_high"])  # type: ignore[arg-type]
    if not (np.isfinite(low) and np.isfinite(high)):
        return "no interval"
    return f"{level:.0%} CI {signed(low)} to {signed(high)}"


def gap_sentence(estimates: pd.DataFrame, level: float) -> str:
    """How the two scores differ as collected."""
    raw = estimates[estimates["estimate_kind"] == "raw"].set_index("survey")
    t, r, gap = raw.loc["transactional"], raw.loc["relationship"], raw.loc["difference"]
    if gap["status"] == TOO_FEW:
        scores = "; ".join(_score(name, row) for name, row in (("tNPS", t), ("rNPS", r)))
        return f"As collected, {scores}. No gap is given."
    if not np.isfinite(gap["estimate"]):
        return "One of the surveys has no valid answer: there is no gap to explain."
    return (
        f"As collected, tNPS is {signed(t['estimate'])} (n = {int(t['n']):,}) and rNPS "
        f"{signed(r['estimate'])} (n = {int(r['n']):,}): a gap of {signed(gap['estimate'])} points "
        f"({_limits(gap, level)})."
    )


def _score(name: str, row: pd.Series) -> str:
    if row["status"] == TOO_FEW:
        return f"{name}: {TOO_FEW} to say"
    return f"{name} is {signed(row['estimate'])} (n = {int(row['n']):,})"


def standardised_sentence(
    decomposition: pd.DataFrame, less: tuple[float, float], level: float
) -> list[str]:
    """The gap for customers weighted alike; ``less``: interval of the raw gap less that one."""
    rows = decomposition.set_index("term")
    raw, alike = rows.loc["gap"], rows.loc["standardised gap"]
    if not (np.isfinite(alike["estimate"]) and np.isfinite(alike["ci_low"])):
        return []
    start = (
        f"For customers weighted alike the gap is {signed(alike['estimate'])} "
        f"({_limits(alike, level)}): "
    )
    if _clear(alike):
        verdict = "a gap remains; question, moment and channel are not told apart"
        verdict = verdict if _clear(raw) else f"not shown as collected, but {verdict}"
    else:
        verdict = "not shown to differ from zero"
        if _clear(raw) and less[0] <= 0 <= less[1]:
            verdict += f", nor from the whole {signed(raw['estimate'])}"
    return [
        f"{start}{verdict}. If answering depends on the score it could lie between "
        f"{signed(alike['bound_low'])} and {signed(alike['bound_high'])}."
    ]


def _clear(row: pd.Series) -> bool:
    return bool(row["ci_low"] > 0 or row["ci_high"] < 0)


def weighting_sentence(
    scores: pd.DataFrame, estimates: pd.DataFrame, surveys: Sequence[str]
) -> list[str]:
    """Why one score has several values; nothing where they agree.

    ``surveys`` are those that declare weights.
    """
    values = scores.set_index(["counted", "survey"])["estimate"]
    names = {"transactional": "tNPS", "relationship": "rNPS"}
    parts = []
    for survey in surveys:
        weighted, plain = values[WEIGHTED, survey], values[ANSWERS, survey]
        if np.isfinite(weighted) and signed(weighted) != signed(plain):
            parts.append(f"{names[survey]} is {signed(weighted)} instead of {signed(plain)}")
    if not parts:
        return []
    base = estimates.query("population == 'whole customer base (E1)' and estimate == estimate")
    known = base[base["estimate_kind"] == "standardised"]["estimate"]
    further = (
        f"; standardised to the customer base by the chance of an answer, rNPS is "
        f"{signed(known.iloc[0])}"
        if len(known)
        else ""
    )
    return [
        f"Weighted as declared, as in the scorecard, {' and '.join(parts)}: the weights count some "
        f"answers for more than others; what follows starts from each answer counted once{further}."
    ]


def identity_sentence(table: pd.DataFrame, level: float) -> list[str]:
    """What the gap is made of among those who answered."""
    parts = [
        f"{row['term']} {signed(row['estimate'])} ({_limits(row, level)})"
        for row in table[table["term"] != "gap"].to_dict("records")
    ]
    gap = table.set_index("term").loc["gap", "estimate"]
    if not parts or not np.isfinite(gap):
        return []
    return [f"Among those who answered, the gap of {signed(gap)} is: {'; '.join(parts)}."]


def overlap_sentence(scores: pd.DataFrame, level: float) -> list[str]:
    """RNPS of those who also answered a transactional survey against the rest."""
    found = scores[scores["survey"] == "relationship"].set_index("counted")
    if LESS not in found.index or not np.isfinite(found.loc[LESS, "estimate"]):
        return []
    both, only, less = (found.loc[name] for name in (BOTH, ONLY, LESS))
    verdict = "" if _clear(less) else ", not shown to differ"
    return [
        f"rNPS of the {int(both['customers']):,} customers who also answered a transactional "
        f"survey is {signed(both['estimate'])}, of the other {int(only['customers']):,} "
        f"{signed(only['estimate'])}: a difference of {signed(less['estimate'])} "
        f"({_limits(less, level)}){verdict}."
    ]


def segment_sentences(table: pd.DataFrame, level: float) -> list[str]:
    """The gap at one mix of each shared segment."""
    said = []
    if table.empty:
        return ["The two surveys share no segment by which their mix could be compared."]
    for name, part in table.groupby("segment", sort=False):
        rows = part.set_index("part")
        alike, mix = rows.loc[STANDARDISED], rows.loc[COMPOSITION]
        said.append(
            f"Among those who answered, at the relationship survey's mix of {name} the gap is "
            f"{signed(alike['estimate'])} ({_limits(alike, level)}); composition makes "
            f"{signed(mix['estimate'])} ({_limits(mix, level)}) of it as collected."
        )
    return said


def unknown_sentence(reason: str) -> str:
    """What answers alone cannot tell, said once."""
    return (
        "Not identified: what customers who were not asked or did not answer would have said, and "
        "so tNPS of all episodes, rNPS of the customer base and how much of the gap comes from who "
        f"was asked and who answered ({reason}); nor can context, wording, timing and mode be told "
        "from one another unless they were randomised."
    )


def part_sentences(table: pd.DataFrame, level: float) -> list[str]:
    """Which part of the gap is who, which is how we count, which is what remains."""
    by_term = table.set_index("term")
    words = {
        "Who answers and who is counted": (
            "transactional response", "coverage", "relationship response and contact rules"),
        "How we count": ("mix", "unit weighting"),
        "What remains (context, wording, timing, mode and noise together)": ("residual",),
    }  # fmt: skip
    said = []
    for start, names in words.items():
        parts = [_part(name, by_term.loc[name], level) for name in names]
        said.append(f"{start}: " + "; ".join(parts) + ".")
    thin = by_term[by_term["estimate"].notna() & (by_term["note"].fillna("") != "")]
    said += [f"Few customers in a part of {name}: {row['note']}." for name, row in thin.iterrows()]
    return said


def _part(name: str, row: pd.Series, level: float) -> str:
    if row["status"] == TOO_FEW:
        return f"{name}: {TOO_FEW} to say"
    if row["status"] == "not identified":
        sampled = np.isfinite(row["ci_low"])
        low, high = (row[f"{'ci' if sampled else 'bound'}_{side}"] for side in ("low", "high"))
        bounds = f"between {signed(low)} and {signed(high)}"
        widest = row["bound_high"] - row["bound_low"] >= 400 - 1e-9
        return f"{name} not identified" + ("" if widest else f", {bounds}")
    rests = row["status"] == ASSUMED
    bounds = f"; bounds {signed(row['bound_low'])} to {signed(row['bound_high'])}" if rests else ""
    return f"{name} {signed(row['estimate'])} ({_limits(row, level)}{bounds})"


def identification_sentences(
    tables: Mapping[str, pd.DataFrame], tipping: Iterable[tuple[str, float]]
) -> list[str]:
    """What the data cannot tell, and what it would take to change the reading."""
    said = []
    table, checks = tables["decomposition"], tables["checks"]
    unknown = table[table["status"] == "not identified"]
    reasons = [note for note in unknown["note"].unique() if note]
    if reasons:
        said.append("Not identified here: " + "; ".join(reasons) + ".")
    row = table.set_index("term").loc["residual"]
    if np.isfinite(row["estimate"]):
        said.append(
            "The terms hold if answering depends on the frame variables only. Whether it depends "
            "on the score itself is not identified: with nothing assumed of those who did not "
            f"answer, the residual could lie between {signed(row['bound_low'])} and "
            f"{signed(row['bound_high'])} points."
        )
        said += _tilting(tables["tilting"])
        said += [_tipping(survey, needed) for survey, needed in tipping]
    for one in checks[checks["note"] == FOUND].itertuples():
        said.append(
            f"Answering the {one.survey} survey goes with the same customer's score in the other "
            f"survey (p {_p(one.p_value)}): it may well depend on its own score too."
        )
    said.append(
        "Context, wording, timing and mode cannot be told from one another unless they were "
        "randomised; the residual is not the effect of the question."
    )
    return said


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _tilting(table: pd.DataFrame) -> list[str]:
    """The residual if better scores answer a little more readily."""
    here = table[(table["term"] == "residual") & (table["note"] == "")].set_index("answering")
    slopes = here[["slope_transactional", "slope_relationship"]].max(axis=1)
    found = here["estimate"][slopes == SHOWN_SLOPE]
    if found.isna().any() or found.empty:
        return []
    parts = [f"{signed(value)} ({name})" for name, value in found.items()]
    return [
        f"If the odds of answering rose by {100 * np.expm1(SHOWN_SLOPE):.0f} % with each point of "
        f"the score, the residual would be {', '.join(parts)}."
    ]


def _tipping(survey: str, needed: float) -> str:
    if not np.isfinite(needed):
        return (
            f"No difference of the silent in the {survey} survey alone could explain the residual."
        )
    higher = "higher" if needed > 0 else "lower"
    return (
        f"The residual would vanish if those who did not answer the {survey} survey scored "
        f"{abs(needed):.1f} points {higher} than those who did."
    )


def paired_sentence(paired: pd.DataFrame, level: float, n_pairs: int, why_none: str) -> str:
    """The same customers in both surveys; ``n_pairs`` is said where the table is hidden."""
    row = paired.iloc[0]
    if why_none:
        return why_none
    if n_pairs and pd.isna(row["n"]):
        return f"Same customers: too few pairs ({n_pairs:,}) to say."
    if not n_pairs:
        return (
            "No customer answered both surveys in the window: there is no same-customer contrast."
        )
    if not np.isfinite(row["ci_low"]):
        return f"Same customers: {row['note']}."
    few = f" Only {int(row['n'])} pairs." if row["n"] < FEW_PAIRS else ""
    clear = "differ" if row["ci_low"] > 0 or row["ci_high"] < 0 else "are not shown to differ"
    return (
        f"Of the {int(row['customers']):,} customers who answered both within the window, tNPS less "
        f"rNPS is {signed(row['estimate'])} points ({_limits(row, level)}): their two scores "
        f"{clear}.{few}"
    )


def robustness_sentences(table: pd.DataFrame) -> list[str]:
    """Which conclusions flip, and under which variants."""
    said = []
    for name, part in table.groupby("quantity", sort=False):
        flips = part.loc[~part["same"], "variant"]
        words = f"of {len(part)} variants"
        if len(flips):
            said.append(
                f"The {name} is not robust: its conclusion changes under {len(flips)} {words} "
                f"({', '.join(flips)})."
            )
        else:
            said.append(f"The conclusion about the {name} is the same in all {words}.")
    return said
