"""What a link of employees and customers says: between units, within them, how many to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from cxlab.core.findings import Cells, Finding, Findings
from cxlab.core.phrases import in_words, with_interval
from cxlab.stats.inference import ALPHA
from cxlab.stats.teams.link import BETWEEN, CORRECTED, FEWEST_UNITS, WITHIN

if TYPE_CHECKING:
    from cxlab.stats.teams.link import TeamLink
    from cxlab.stats.teams.units import UnitResult

#: Names that the tables are recorded under.
SLOPES, SIGNS = "team-slopes", "team-signs"
FIGURES = ("estimate", "ci_low", "ci_high")
NO_CAUSE = "Units differ in more than their employees: no slope says what engaging them would do"
NO_BLAME = "A sign says where to look; there may be good reasons for what is found"


def team_findings(link: TeamLink, signs: UnitResult | None, noun: str, looked: str) -> Findings:
    """Answer and corrected slope."""
    rows = [_answer(link, signs, noun, looked), *_corrected(link)]
    cautions = {"no-cause": NO_CAUSE, **({"no-blame": NO_BLAME} if signs is not None else {})}
    rows += [Finding(kind="caution", text=text, rule=rule) for rule, text in cautions.items()]
    return Findings(tuple(rows))


def _slope(link: TeamLink, name: str) -> pd.Series | None:
    """Row of a slope; None where there is none."""
    rows = link.table[(link.table["slope"] == name) & link.table["estimate"].notna()]
    return rows.iloc[0] if len(rows) else None


def _size(row: pd.Series) -> str:
    return with_interval(row["estimate"], row["ci_low"], row["ci_high"], references=[0.0])


def _answer(link: TeamLink, signs: UnitResult | None, noun: str, looked: str) -> Finding:
    row, within = _slope(link, BETWEEN), _slope(link, WITHIN)
    cells = [Cells(SLOPES, {"slope": BETWEEN}, (*FIGURES, "n"))]
    text = _between(link, row, noun)
    if within is not None:
        # beside it and not tested: one test, one family
        text += f"; within a {noun} it is {_size(within)}"
        cells.append(Cells(SLOPES, {"slope": WITHIN}, FIGURES))
    if signs is not None and signs.table["centre"].notna().any():
        number = int(signs.table["with_any_sign"].iloc[0])
        text += f"; {in_words(number)} {looked}{'' if number == 1 else 's'} to look at"
        cells += [Cells(SIGNS, {"sign": sign}, ("with_any_sign",)) for sign in signs.table["sign"]]
    if row is None:
        return Finding(kind="answer", text=text, rule="few-units", cells=tuple(cells))
    return Finding(
        kind="answer", text=text, subject=BETWEEN, detail=f"{int(row['n'])} {noun}s are the sample",
        certainty="clear" if row["p_value"] < ALPHA else "not settled", estimate=row["estimate"],
        ci_low=row["ci_low"], ci_high=row["ci_high"], unit="points per point", n=int(row["n"]),
        reference=0.0, p_adjusted=row["p_value"], family="slopes", family_size=1, rule="between",
        cells=tuple(cells),
    )  # fmt: skip


def _between(link: TeamLink, row: pd.Series | None, noun: str) -> str:
    if row is None:
        units = int(link.table["n"].iloc[0])
        told = f"Both scores of {in_words(units)} {noun}s stand side by side; a slope needs"
        return (
            f"{told} {in_words(FEWEST_UNITS) if units < FEWEST_UNITS else 'employees who differ'}"
        )
    if row["p_value"] >= ALPHA:
        told = f"That {noun}s whose employees score higher have customers who do is not shown"
        return f"{told}: {_size(row)} points per point"
    turned = dict(zip(FIGURES, -row[["estimate", "ci_high", "ci_low"]].to_numpy(), strict=True))
    higher = row["estimate"] > 0
    size = _size(row if higher else pd.Series(turned))
    told = f"{noun.capitalize()}s whose employees score a point higher have customers who score"
    return f"{told} {size} {'higher' if higher else 'lower'}"


def _corrected(link: TeamLink) -> list[Finding]:
    """The slope if all employees had answered, or why it is not given."""
    rows = link.table[link.table["slope"] == CORRECTED]
    if rows.empty:
        return []
    row = rows.iloc[0]
    if row["note"]:
        note = row["note"][0].upper() + row["note"][1:]
        return [Finding(text=note, subject=CORRECTED, reference=0.5, rule="not-corrected")]
    return [
        Finding(
            text=f"Had all employees answered, the slope between would be about {_size(row)}",
            subject=CORRECTED, detail=f"reliability of their means {row['reliability']:.2f}",
            estimate=row["estimate"], ci_low=row["ci_low"], ci_high=row["ci_high"],
            unit="points per point", n=int(row["n"]), rule="corrected",
            cells=(Cells(SLOPES, {"slope": CORRECTED}, FIGURES),),
        )
    ]  # fmt: skip
