"""What a comparison says: the answer, what stands behind it, what to be careful of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from cxlab.core.findings import Cells, Finding, Findings, figures
from cxlab.core.phrases import capital, decimals_for, interval, number, with_interval
from cxlab.stats.comparison.decomposition import NOT_IDENTIFIED
from cxlab.stats.comparison.gaps import (
    ALIKE,
    COLLECTED,
    PAIRED,
    RAW,
    SILENT,
    WANTED_GAP,
    part_in_words,
)
from cxlab.stats.comparison.quantities import FOUND, GAP_LESS
from cxlab.stats.comparison.scores import BASE, WEIGHTED
from cxlab.stats.inference import ALPHA, certainty_of, within_margin

if TYPE_CHECKING:
    from cxlab.stats.comparison.result import NpsComparison

#: A number and the interval that decides, and columns of `gaps_table` that a sentence may round.
DECIDING = ("estimate", "deciding_low", "deciding_high")
GAP_CELLS = (*DECIDING, "bound_low", "bound_high")
NAMES = {"relationship": "rNPS", "transactional": "tNPS"}
#: With fewer answers than this to a survey the answer begins with how many there are.
FEW_ANSWERS = 100
ADVICE = (
    "Exempt a random 5 to 10 % of customers from the contact rule: the whole customer base can "
    "then be estimated"
)


def findings_of(result: NpsComparison, margin: float) -> Findings:
    """Everything that a comparison says; ``margin`` is the smallest gap that matters."""
    said = _Said(result, margin)
    rows = [said.answer(), *said.gaps(), *said.parts(), said.pairs(), *said.cautions()]
    return Findings(tuple(rows))


class _Said:
    """The sentences of one comparison."""

    def __init__(self, result: NpsComparison, margin: float) -> None:
        self.result, self.margin = result, margin
        self.gap = {row["gap"]: row for row in result.gaps.to_dict("records")}
        self.raw, self.alike = self.gap[COLLECTED], self.gap[ALIKE]
        raw = result.estimates[result.estimates["estimate_kind"] == RAW]
        self.scores = raw.set_index("survey")
        self.terms = result.decomposition.set_index("term")
        self.status = self.terms["status"].get("standardised gap")

    def small(self, row: Mapping[str, Any]) -> bool:
        """Whether a gap, if there is one, is smaller than what matters."""
        return within_margin(row["deciding_low"], row["deciding_high"], self.margin)

    def answer(self) -> Finding:
        """The first rule that holds."""
        if not np.isfinite(self.raw["estimate"]):
            return self._no_gap()
        judged = np.isfinite(self.alike["p_adjusted"])
        if self.small(self.raw) and (self.small(self.alike) or not judged):
            return self._small(judged)
        if self.status == NOT_IDENTIFIED:
            return self._not_identified()
        if not judged:
            return self._among_answers()
        if _clear(self.alike) and not self.small(self.alike):
            return self._a_gap_remains()
        if _clear(self.raw):
            return self._no_gap_remains()
        return self._a_small_gap() if _clear(self.alike) else self._nothing_shown()

    def _no_gap(self) -> Finding:
        hidden = self.scores["note"].str.startswith("hidden").any()
        text = (
            "Too few customers answered one of the surveys: no gap is given"
            if hidden
            else "One of the surveys has no valid answer: there is no gap to explain"
        )
        return Finding(kind="answer", text=text, certainty="not settled", rule="no-gap")

    def _small(self, judged: bool) -> Finding:
        text = f"tNPS and rNPS differ by no more than {self.margin:g} points"
        if judged:
            text += ", as collected and for customers weighted alike"
        else:
            text = f"Among those who answered, {text}"
        rows = (self.raw, self.alike) if judged else (self.raw,)
        shown = any(_clear(row) for row in rows)
        detail = "A gap is shown, but smaller than declared to matter" if shown else ""
        return self._answer("no-gap-that-matters", text, rows[-1], "clear", detail)

    def _not_identified(self) -> Finding:
        term = self.terms.loc["standardised gap"]
        columns = (
            ("ci_low", "ci_high") if np.isfinite(term["ci_low"]) else ("bound_low", "bound_high")
        )
        start = _above(self.raw) if _clear(self.raw) else "As collected no gap is shown"
        text = (
            f"{start}. For customers weighted alike the gap may be anything from "
            f"{interval(*term[list(columns)])}: some could not be asked"
        )
        cells = Cells("decomposition", {"term": "standardised gap"}, columns)
        return self._answer("not-identified", text, self.raw, cells=(cells,))

    def _among_answers(self) -> Finding:
        raw = self.raw
        if _clear(raw):
            text = f"Among those who answered: {_above(raw, limits=True)}"
            return self._answer("among-those-who-answered", text, raw, detail=SILENT)
        text = f"Among those who answered: no gap is shown, it is {_limits(raw)}"
        return self._answer("no-gap-among-those-who-answered", text, raw, detail=_shown(raw))

    def _a_gap_remains(self) -> Finding:
        gap = _limits(self.alike, self.raw["estimate"])
        bounds = interval(self.alike["bound_low"], self.alike["bound_high"])
        untold = (
            "question, moment and channel are not told apart, and if answering depends on the "
            f"score it may be anything from {bounds}"
        )
        if _clear(self.raw):
            text = (
                f"{_above(self.raw)}. For customers weighted alike a gap of {gap} remains: {untold}"
            )
            return self._answer("a-gap-remains", text, self.alike)
        text = f"As collected no gap is shown. For customers weighted alike it is {gap}: {untold}"
        return self._answer("gap-of-customers-alike-only", text, self.alike)

    def _no_gap_remains(self) -> Finding:
        raw, alike = self.raw, self.alike
        less = self.terms.loc[GAP_LESS]
        p = 2 * ndtr(-abs(less["estimate"]) / less["se"])
        whole = number(abs(raw["estimate"]), _decimals(raw["estimate"]))
        verdict = "not shown to differ from zero"
        if self.small(alike):
            verdict = "smaller than declared to matter"
        elif p < ALPHA * alike["p_value"] / alike["p_adjusted"]:
            verdict += f", but from the whole {whole}"
        else:
            verdict += f", nor from the whole {whole}"
        gap = _limits(alike, raw["estimate"])
        text = f"{_above(raw)}. For customers weighted alike the gap is {gap}: {verdict}"
        return self._answer("no-gap-of-customers-alike", text, alike)

    def _a_small_gap(self) -> Finding:
        text = (
            f"As collected no gap is shown, it is {_limits(self.raw)}; a gap is shown for customers "
            f"weighted alike, but smaller than declared to matter: {_limits(self.alike)}"
        )
        return self._answer("small-gap-of-customers-alike", text, self.alike)

    def _nothing_shown(self) -> Finding:
        text = (
            f"tNPS and rNPS are not shown to differ: the gap is {_limits(self.raw)} as collected "
            f"and {_limits(self.alike)} for customers weighted alike"
        )
        return self._answer("no-gap-shown", text, self.alike, detail=_shown(self.alike))

    def _answer(
        self,
        rule: str,
        text: str,
        row: Mapping[str, Any],
        certainty: str | None = None,
        detail: str = "",
        cells: tuple[Cells, ...] = (),
    ) -> Finding:
        words, weighted = self._weighting()
        n = self.scores.loc[list(NAMES)[::-1], "n"].tolist()
        if min(n) < FEW_ANSWERS:
            text = f"With {n[0]:,} and {n[1]:,} answers: {text}"
        return Finding(
            kind="answer",
            text=text,
            rule=rule,
            detail=". ".join(part for part in (detail, words) if part),
            certainty=certainty or certainty_of(row["p_adjusted"]),
            cells=(_cells(self.raw), _cells(self.alike), *_score_cells(), *cells, *weighted),
            **self._facts(row),
        )

    def _weighting(self) -> tuple[str, tuple[Cells, ...]]:
        """Why a score has other values in the scorecard; nothing where they agree."""
        table = self.result.estimates
        declared = table[table["estimate_kind"] == WEIGHTED].set_index("survey")["estimate"]
        found = []
        for survey, name in NAMES.items():
            # whole points, as in the headings of both reports
            here, plain = declared.get(survey, np.nan), self.scores.loc[survey, "estimate"]
            if np.isfinite(here) and number(here) != number(plain):
                found.append(f"{name} is {number(here)} instead of {number(plain)}")
        if not found:
            return "", ()
        words = f"Weighted as declared, as in the scorecard, {' and '.join(found)}"
        cells = [
            Cells("estimates", {"estimate_kind": WEIGHTED, "survey": s}, ("estimate",))
            for s in NAMES
        ]
        base = table[(table["population"] == BASE) & table["estimate"].notna()]["estimate"]
        if len(base):
            words += f"; of the whole customer base rNPS is {number(base.iloc[0])}"
            cells.append(Cells("estimates", {"population": BASE}, ("estimate",)))
        return words, tuple(cells)

    def gaps(self) -> Iterator[Finding]:
        """The gap as collected and that of customers weighted alike."""
        if np.isfinite(self.raw["estimate"]):
            t, r = (self.scores.loc[survey] for survey in list(NAMES)[::-1])
            d = _decimals(t["estimate"], r["estimate"])
            scores = f"tNPS {number(t['estimate'], d)}, rNPS {number(r['estimate'], d)}"
            text = f"As collected the gap is {_limits(self.raw)}: {scores}"
            detail = f"n = {t['n']:,} and {r['n']:,}{self._robust('raw gap')}"
            yield self._gap(self.raw, text, "raw-gap", detail, _score_cells())
        if np.isfinite(self.alike["p_adjusted"]):
            text = f"For customers weighted alike the gap is {_limits(self.alike)}"
            detail = "Both surveys weighted to users, each counted once"
            detail += self._robust("standardised gap")
            yield self._gap(self.alike, text, "standardised-gap", detail)

    def _gap(
        self,
        row: Mapping[str, Any],
        text: str,
        rule: str,
        detail: str,
        cells: tuple[Cells, ...] = (),
    ) -> Finding:
        return Finding(
            text=text,
            rule=rule,
            detail=detail,
            certainty=certainty_of(row["p_adjusted"]),
            cells=(_cells(row), *cells),
            **self._facts(row),
        )

    def _facts(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **figures(row, DECIDING),
            "subject": row["gap"],
            "unit": "points",
            "reference": 0.0,
            "margin": self.margin,
            "family": "gaps",
            "family_size": int(self.result.gaps["p_value"].notna().sum()),
        }

    def _robust(self, quantity: str) -> str:
        table = self.result.robustness
        part = table[table["quantity"] == quantity]
        flips = int((~part["same"]).sum())
        if flips:
            return f"; the conclusion changes under {flips} of {len(part)} ways of scoring"
        return f"; the same conclusion under all {len(part)} ways of scoring" if len(part) else ""

    def parts(self) -> Iterator[Finding]:
        """Parts of the gap that are clear, and the largest of the others."""
        table = self.result.table
        terms = table[table["p_adjusted"].notna()]
        terms = terms.sort_values("estimate", key=lambda sizes: -sizes.abs(), kind="stable")
        clear = terms["p_adjusted"] < ALPHA
        shown, rest = terms[clear].head(3), terms[~clear].head(2)
        if len(shown):
            text = "Clear parts of the gap: " + "; ".join(map(_part, shown.itertuples()))
            yield self._parts(text, shown, "clear-parts", "clear", len(terms))
        if len(rest):
            start = "The largest other parts: " if len(shown) else "The largest parts: "
            text = start + "; ".join(map(_part, rest.itertuples()))
            yield self._parts(text, rest, "largest-parts", "not settled", len(terms))

    def _parts(
        self, text: str, rows: pd.DataFrame, rule: str, certainty: str, size: int
    ) -> Finding:
        first = rows.iloc[0]
        table = "decomposition" if self.result.standardised else "identity"
        return Finding(
            text=text,
            rule=rule,
            certainty=certainty,
            detail="; ".join(
                f"{part_in_words(row.term)}: {row.note}" for row in rows.itertuples() if row.note
            ),
            subject=part_in_words(first["term"]),
            **figures(first[[*DECIDING, "p_adjusted"]], DECIDING),
            unit="points",
            reference=0.0,
            family="parts of the gap",
            family_size=size,
            cells=tuple(Cells(table, {"term": term}, DECIDING) for term in rows["term"]),
        )

    def pairs(self) -> Finding:
        """The same customers in both surveys, and what so many pairs could show."""
        row, note = self.gap[PAIRED], self.result.paired["note"].iloc[0]
        if pd.isna(row["n"]) or not np.isfinite(row["p_adjusted"]):
            text = f"The same customers are not compared: {note}"
            if pd.isna(row["n"]):
                text = "Too few customers answered both surveys to compare them with themselves"
            return Finding(text=text, rule="pairs", subject=PAIRED, certainty="not settled")
        text = f"For the same {row['customers']:,} customers the gap is {_limits(row)}"
        detail = (
            f"With {row['n']:,} pairs a true gap of {number(row['shown'])} would be shown four times "
            f"in five; for one of {WANTED_GAP:g} it takes {row['pairs_needed']:,.0f} pairs"
        )
        cells = Cells("gaps", {"gap": PAIRED}, ("customers",))
        return self._gap(row, text, "pairs", "" if _clear(row) else detail, (cells,))

    def cautions(self) -> Iterator[Finding]:
        """What the data cannot tell."""
        if self.status is None:
            detail = "It takes the customers and the invitations"
            yield Finding(kind="caution", text=SILENT, detail=detail, rule="answers-only")
            return
        term = self.terms.loc["standardised gap"]
        if self.status == NOT_IDENTIFIED:
            text = (
                "Some customers could not be asked: the whole customer base is known by bounds only"
            )
            detail = f"{capital(term['note'])}. {ADVICE}"
            yield Finding(kind="caution", text=text, detail=detail, rule="not-asked")
        elif np.isfinite(term["estimate"]):
            text = (
                "Whether answering depends on the score is not known: with nothing assumed of the "
                "silent, the gap for customers weighted alike may be anything from "
                f"{interval(term['bound_low'], term['bound_high'])}"
            )
            cells = Cells(
                "decomposition", {"term": "standardised gap"}, ("bound_low", "bound_high")
            )
            yield Finding(kind="caution", text=text, rule="bounds", cells=(cells,))
        checks = self.result.checks
        found = checks.loc[checks["note"] == FOUND, "survey"]
        if len(found):
            text = (
                f"Answering the {' and '.join(found)} survey goes with the same customer's score in "
                "the other one: it may well depend on its own score too"
            )
            yield Finding(kind="caution", text=text, rule="response-check")


def _clear(row: Mapping[str, Any]) -> bool:
    return bool(row["p_adjusted"] < ALPHA)


def _cells(row: Mapping[str, Any]) -> Cells:
    return Cells("gaps", {"gap": row["gap"]}, GAP_CELLS)


def _score_cells() -> tuple[Cells, ...]:
    rows = ({"estimate_kind": RAW, "survey": survey} for survey in NAMES)
    return tuple(Cells("estimates", row, ("estimate", "n")) for row in rows)


def _decimals(*values: float) -> int:
    """Whole points, unless two values, or one and zero, would then be the same."""
    return decimals_for(1.0, values, (0.0, *values))


def _above(row: Mapping[str, Any], *, limits: bool = False) -> str:
    """Which score is above; with the interval of the gap's size where ``limits``."""
    sign, side = (1, "above") if row["estimate"] > 0 else (-1, "below")
    value = sign * row["estimate"]
    low, high = sorted(sign * row[end] for end in ("deciding_low", "deciding_high"))
    places = _decimals(value)
    if limits:
        places = decimals_for((high - low) / 2, (value, low, high), [0.0])
    text = f"tNPS is {number(value, places)} {side} rNPS"
    return f"{text} ({interval(low, high, places)})" if limits else text


def _limits(row: Mapping[str, Any], reference: float = 0.0) -> str:
    low, high = row["deciding_low"], row["deciding_high"]
    if not np.isfinite(low):
        return f"{number(row['estimate'], _decimals(row['estimate']))}, without an interval"
    return with_interval(row["estimate"], low, high, references=(0.0, reference))


def _shown(row: Mapping[str, Any]) -> str:
    if not np.isfinite(row["shown"]):
        return ""
    return f"A true gap of {number(row['shown'])} would be shown four times in five"


def _part(row: Any) -> str:
    limits = with_interval(row.estimate, row.deciding_low, row.deciding_high, references=(0.0,))
    plus = "+" if row.estimate > 0 else ""
    return f"{part_in_words(row.term)} {plus}{limits}"
