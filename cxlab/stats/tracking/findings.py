"""What changed, in sentences: headline measures first, then touchpoints by size."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from cxlab.core.findings import MOST, Cells, Finding, Findings, direction_of, figures
from cxlab.core.periods import LAST, TREND
from cxlab.core.phrases import capital, decimals_for, interval, joined, listed, number
from cxlab.stats.tracking.charts import ControlChart
from cxlab.stats.tracking.families import (
    CLEAR,
    HEADLINE,
    OPEN,
    OTHERS,
    SAME,
    SMALL,
    Row,
    Subject,
    decimals,
    limits_of,
    subjects,
    tests_of,
    when,
)
from cxlab.stats.tracking.mix import MixAndPerformance

if TYPE_CHECKING:
    from cxlab.stats.tracking.changes import Changes

#: Names under which notebook 6-tracking records the tables that sentences are made of.
RUNS, CHART, PARTS = "headline-runs", "control-chart", "mix-and-performance"
#: Rules of findings about one thing that changed begin so.
CHANGED = "changed"
#: Changes of touchpoints that are said one by one.
MOST_CHANGES = 3
#: Below as many answers the answer begins with their number.
FEW_ANSWERS = 100
FALSE_SIGNALS = (
    "such signals come by chance too: with nothing happening, 7 to 10 % of charts of 24 periods "
    "have one somewhere, 22 to 34 % with limits from the first 12"
)


def tracking_findings(
    told: Changes,
    *,
    chart: ControlChart | None = None,
    parts: MixAndPerformance | None = None,
    earlier: Findings | None = None,
    group: str = "",
) -> Findings:
    """What changed, the answer first; see `Changes.findings`."""
    headline, others = subjects(told, HEADLINE), subjects(told, OTHERS)
    carried = _carried(told, [*headline, *others], earlier)
    answer = _answer(told, headline, others, earlier)
    rows = [_with_group(answer, told, group), *_mix(told, headline, parts)]
    rows += _fitting([_line(one) for one in headline], _others_lines(told, others), carried)
    rows += [*_signal(told, chart), *_gaps(told, headline)][: MOST["caution"]]
    return Findings(tuple(rows))


def _answer(
    told: Changes, headline: list[Subject], others: list[Subject], earlier: Findings | None
) -> Finding:
    """The first rule that holds."""
    if not any(one.known for one in [*headline, *others]):
        return _nothing_to_compare(told, headline)
    if moved := _by_size(headline):
        return _headline_moved(moved)
    if changed := _by_size(others):
        new = [one for one in changed if one.is_last(CLEAR)]
        if new:
            return _others_moved(new, headline)
        return _in_a_year(told, changed, earlier, _small([*headline, *others]))
    if headline and all(one.is_last(SAME, SMALL) for one in headline):
        return _no_larger(told, headline)
    return _nothing_shown(told, headline, _small([*headline, *others]))


def _small(subjects: list[Subject]) -> bool:
    """Whether a change is shown that is smaller than its margin."""
    return any(one.of_verdict(SMALL) for one in subjects)


def _by_size(subjects: list[Subject]) -> list[Subject]:
    """Those with a clear change, the largest first."""
    return sorted((one for one in subjects if one.moved), key=lambda one: -one.size)


def _nothing_to_compare(told: Changes, headline: list[Subject]) -> Finding:
    if not told.before:
        text = f"{told.period} is the first period here: there is nothing to compare it with yet"
        return Finding(kind="answer", text=text, rule="one-period")
    why = "; ".join(_notes(headline)[:1])
    text = f"What changed since {told.before} cannot be shown" + (f": {why}" if why else "")
    return Finding(
        kind="answer", text=text, certainty="not settled", rule="hidden", since=told.before
    )


def _headline_moved(moved: list[Subject]) -> Finding:
    first, *second = moved[:2]
    more = len(moved) - 2
    return Finding(
        kind="answer", certainty="clear", rule="headline-changed", direction=_direction(moved),
        text="; ".join(one.said(one.moved, whole=True) for one in moved[:2]),
        detail=f"{more} more headline measures changed" if more > 0 else "",
        cells=tuple(cell for one in (first, *second) for cell in one.cells(one.moved)),
        **first.tested(first.moved),
    )  # fmt: skip


def _others_moved(new: list[Subject], headline: list[Subject]) -> Finding:
    tail = "no headline measure is shown to have changed"
    if _small(headline):
        tail = "no change of a headline measure as large as its margin is shown"
    if headline and all(one.is_last(SAME, SMALL) for one in headline):
        tail = "no headline measure changed by more than its margin"
    return _changes_answer(new, f"{_in_one(new)}; {tail}", "new-change")


def _in_a_year(
    told: Changes, changed: list[Subject], earlier: Findings | None, small: bool
) -> Finding:
    """Clear changes in a year to which the last period has added nothing that is shown."""
    known = {one.subject: one.estimate for one in _changes_of(earlier)}
    agreed = {one.name: known.get(one.name, 0.0) * one.moved["estimate"] for one in changed}
    size = " as large as its margin" if small else ""
    text = f"{_in_one(changed)}; no further change{size} is shown since {told.before}"
    if all(sign > 0 for sign in agreed.values()):
        return _changes_answer(changed, f"Carried from {told.before}: {text}", "carried")
    if turned := [name for name, sign in agreed.items() if sign < 0]:
        text = f"{_in_one(changed)}; in {told.before} {listed(turned)} had gone the other way"
    return _changes_answer(changed, text, "change-in-a-year")


def _by_time(changed: list[Subject]) -> dict[str, list[Subject]]:
    """Changes by what they are compared with, in words."""
    groups: dict[str, list[Subject]] = {}
    for one in changed:
        groups.setdefault(when(one.moved), []).append(one)
    return groups


def _in_one(changed: list[Subject]) -> str:
    parts = []
    for compared, group in _by_time(changed).items():
        sizes = [
            f"{one.name} ({one.measured(one.moved['estimate'], decimals(one.moved), sign=True)})"
            for one in group
        ]
        alone = group[0].said(group[0].moved, whole=True)
        verb = {"good": "rose", "bad": "fell"}.get(_direction(group), "changed")
        parts.append(alone if len(group) == 1 else f"{listed(sizes)} {verb} {compared}")
    return "; ".join(parts)


def _changes_answer(changed: list[Subject], text: str, rule: str) -> Finding:
    named = [one for group in _by_time(changed).values() for one in group[:3]]
    cells = tuple(cell for one in named for cell in one.cells(one.moved))
    return Finding(
        kind="answer", certainty="clear", text=text, rule=rule, direction=_direction(changed),
        cells=cells, **changed[0].tested(changed[0].moved),
    )  # fmt: skip


def _no_larger(told: Changes, headline: list[Subject]) -> Finding:
    each = {one.name: one.margin(one.rows[LAST]) for one in headline}
    text = f"No headline measure changed by more than its margin since {told.before}"
    if len(set(each.values())) == 1:
        text = f"No change larger than {[*each.values()][0]} is shown since {told.before}"
    first = headline[0]
    return Finding(
        kind="answer", certainty="clear", text=text, rule="no-larger-change",
        detail="margins: " + "; ".join(f"{name} {margin}" for name, margin in each.items()),
        **first.tested(first.rows[LAST]),
    )  # fmt: skip


def _nothing_shown(told: Changes, headline: list[Subject], small: bool) -> Finding:
    text = f"Nothing is shown to have changed since {told.before}"
    if small:
        text = f"No change as large as its margin is shown since {told.before}"
    first = next((one for one in headline if one.is_last(OPEN, SAME, SMALL)), None)
    if first is None:
        return Finding(
            kind="answer", certainty="not settled", text=text, rule="nothing-shown",
            since=told.before,
        )  # fmt: skip
    row = first.rows[LAST]
    places = decimals(row) if first.of.kind == "mean" else 0
    smallest = first.measured(row["smallest_seen"], places)
    text += f"; a true change of {smallest} in {first.name} would be shown four times in five"
    return Finding(
        kind="answer", certainty="not settled", text=text, rule="nothing-shown",
        cells=first.cells(row, more=("smallest_seen",)), **first.tested(row),
    )  # fmt: skip


def _with_group(answer: Finding, told: Changes, group: str) -> Finding:
    """The answer after its group and, of a group or where they are few, its number of answers."""
    now = told.runs[told.runs["period"] == told.period].to_dict("records")
    few = bool(now) and (bool(group) or now[0]["n"] < FEW_ANSWERS)
    before = [part for part in (group, f"{now[0]['n']:,} answers" if few else "") if part]
    if not before:
        return answer
    text = answer.text
    if text.split()[0] in ("Nothing", "No", "What", "Carried"):
        text = text[0].lower() + text[1:]
    cells = _run_cells(now[0], ("n",)) if few else ()
    return replace(answer, text=f"{', '.join(before)}: {text}", cells=(*answer.cells, *cells))


def _run_cells(row: Row, columns: tuple[str, ...]) -> tuple[Cells, ...]:
    place = {name: row[name] for name in ("label", "metric", "period")}
    return (Cells(RUNS, place, columns),)


def _direction(changed: Iterable[Subject]) -> str:
    return direction_of(one.moved["estimate"] for one in changed)


def _line(subject: Subject) -> Finding:
    """One headline measure: its change if there is one, else how little is known."""
    if not subject.known:
        return _stands(subject)
    if subject.moved:
        return _change(subject)
    small, same = subject.of_verdict(SMALL), subject.known
    if small:
        row, rule = small[0], "small-change"
        text = f"{subject.said(row)}: shown, but smaller than declared to matter"
    elif all(row["verdict"] == SAME for row in same):
        row, rule = same[0], "no-larger-change"
        largest = f"no change larger than {subject.margin(row)} {when(row)}"
        text = f"{subject.name}: {largest} {limits_of(row)}"
    else:
        return _open(subject)
    return Finding(
        text=text, certainty="clear", detail=_compared(row), rule=rule, cells=subject.cells(row),
        **subject.tested(row),
    )  # fmt: skip


def _open(subject: Subject) -> Finding:
    """A measure with no change shown: the comparisons and what they could have shown."""
    compared = [row for row in subject.known if row["against"] != TREND] or subject.known
    first = compared[0]
    seen = subject.measured(first["smallest_seen"], decimals(first))
    detail = f"{_compared(first)}; {seen} would be shown four times in five"
    if TREND in subject.rows:
        detail += f"; no trend shown since {subject.rows[TREND]['before']}"
    return Finding(
        text=f"{subject.name}: {'; '.join(map(subject.open, compared))}", certainty="not settled",
        detail=detail, rule="open", cells=subject.cells(*compared), **subject.tested(first),
    )  # fmt: skip


def _compared(row: Row) -> str:
    if row["against"] == TREND:
        return str(row["method"])
    return f"{row['n']:,} answers against {row['n_before']:,}"


def _stands(subject: Subject) -> Finding:
    """Where a measure stands that is compared with nothing, or that it isn't shown."""
    told, runs = subject.told, subject.told.runs
    own = runs[(runs["label"] == subject.label) & (runs["metric"] == subject.metric)]
    now = own[own["period"] == told.period].to_dict("records")
    if not now:
        text = f"{subject.name} is hidden, or was not asked, in {told.period}"
        return Finding(text=text, subject=subject.name, rule="hidden")
    (row,) = now
    places = decimals_for((row["ci_high"] - row["ci_low"]) / 2)
    limits = interval(row["ci_low"], row["ci_high"], places)
    value = number(row["estimate"], places) + (" %" if row["unit"] == "%" else "")
    return Finding(
        text=f"{subject.name} is {value} ({limits})", subject=subject.name, rule="level",
        detail=f"{row['n']:,} answers", **figures(row),
        cells=_run_cells(row, ("estimate", "ci_low", "ci_high")),
    )  # fmt: skip


def _change(subject: Subject) -> Finding:
    """A clear change, and whether it is new."""
    row, before = subject.moved, subject.told.before
    cells = subject.cells(row)
    if subject.taken_back:
        last = subject.rows[LAST]
        back = subject.measured(last["estimate"], decimals(last), sign=True)
        state, rule = f"partly taken back since {before}, by {back} {limits_of(last)}", "back"
        cells = subject.cells(row, last)
    elif row["against"] == LAST:
        state, rule = "new this period", "new"
    else:
        rule = "before"
        state = f"no further change shown since {before}" if subject.is_last(OPEN, SAME) else ""
    return Finding(
        text=joined(subject.said(row), state), certainty="clear",
        detail=_compared(row), rule=f"{CHANGED}-{rule}", direction=_direction([subject]),
        cells=cells, **subject.tested(row),
    )  # fmt: skip


def _others_lines(told: Changes, others: list[Subject]) -> list[Finding]:
    """Clear changes by size; without any, one line that says so."""
    lines = [_change(one) for one in _by_size(others)]
    small = [one.name for one in others if one.of_verdict(SMALL) and not one.moved]
    if small:
        text = f"{listed(small)}: shown to have changed, but by less than declared to matter"
        lines.append(
            Finding(text=text, certainty="clear", subject=listed(small), rule="small-change")
        )
    if lines or not any(one.known for one in others):
        return lines
    tests = tests_of(told, OTHERS)
    same = all(one.is_last(SAME) for one in others)
    text = "No touchpoint is shown to have changed"
    if same:
        text = f"No touchpoint changed by more than its margin since {told.before}"
    return [
        Finding(
            text=text, certainty="clear" if same else "not settled", rule="no-touchpoint",
            detail=f"{tests} comparisons of {len(others)} touchpoints", family=OTHERS,
            family_size=tests,
        )
    ]  # fmt: skip


def _changes_of(earlier: Findings | None) -> list[Finding]:
    return [one for one in earlier or () if one.rule.startswith(f"{CHANGED}-")]


def _carried(told: Changes, subjects: list[Subject], earlier: Findings | None) -> list[Finding]:
    """Which changes of the last period's report are shown still, in the same direction."""
    known = _changes_of(earlier)
    if not known:
        return []
    now = {one.name: one.moved["estimate"] for one in subjects if one.moved}
    agreed = {one.subject: now.get(one.subject, 0.0) * one.estimate for one in known}
    held = [name for name, sign in agreed.items() if sign > 0]
    turned = [name for name, sign in agreed.items() if sign < 0]
    gone = [name for name, sign in agreed.items() if not sign]
    parts = [f"{listed(held)} still hold{'s' if len(held) == 1 else ''}"] if held else []
    parts += [f"{listed(turned)} went the other way since"] if turned else []
    parts += [f"{listed(gone)} {'is' if len(gone) == 1 else 'are'} no longer shown"] if gone else []
    text = f"Of the changes shown in {told.before}: {'; '.join(parts)}"
    # the index takes those named here as known
    return [
        Finding(text=text, subject=listed(held, most=len(held)), rule="carried", since=told.before)
    ]


def _mix(told: Changes, headline: list[Subject], parts: MixAndPerformance | None) -> list[Finding]:
    """What a clear change of the first measure since the last period goes with."""
    first = next((one for one in headline if one.is_last(CLEAR)), None)
    if first is None or parts is None or parts.table.empty:
        return []
    rows = parts.table.set_index("part")
    change = first.rows[LAST]["estimate"]
    # the split may be of another metric, or of other periods
    if not math.isclose(rows.loc["change", "estimate"], change, rel_tol=1e-6, abs_tol=1e-6):
        return []
    each = []
    for part, what in (("performance", "how each group scored"), ("mix", "who answered")):
        value, low, high = rows.loc[part, ["estimate", "ci_low", "ci_high"]].astype(float)
        places = decimals_for((high - low) / 2)
        limits = f" ({interval(low, high, places)})" if math.isfinite(low) else ""
        each.append(f"{first.measured(value, places, sign=True)}{limits} goes with {what}")
    columns = ("estimate", "ci_low", "ci_high")
    cells = tuple(Cells(PARTS, {"part": part}, columns) for part in ("performance", "mix"))
    text = f"Of the change of {first.name} since {told.before}, {' and '.join(each)}"
    return [Finding(kind="so what", text=text, subject=first.name, rule="mix", cells=cells)]


def _signal(told: Changes, chart: ControlChart | None) -> list[Finding]:
    """A signal of this period on the control chart."""
    if chart is None:
        return []
    signals = chart.signals.to_dict("records")
    return [_out_of_control(chart.what, row) for row in signals if row["period"] == told.period]


def _out_of_control(what: str, row: Row) -> Finding:
    above = row["estimate"] > row["centre"]
    limits = [row["lower"], row["upper"]]
    places = decimals_for((row["upper"] - row["lower"]) / 2, row["estimate"], limits)
    said = []
    if "beyond" in row["signal"]:
        limit = number(row["upper" if above else "lower"], places)
        said.append(f"{'above the upper' if above else 'below the lower'} control limit, {limit}")
    if "run" in row["signal"]:
        side = "above" if above else "below"
        said.append(f"at least the eighth period in a row {side} the centre line")
    value = number(row["estimate"], places)
    columns = ("estimate", "lower", "centre", "upper")
    return Finding(
        kind="caution", text=f"{what} of {value} in {row['period']} is {' and '.join(said)}",
        detail=FALSE_SIGNALS, subject=what, rule="signal",
        cells=(Cells(CHART, {"period": row["period"]}, columns),),
    )  # fmt: skip


def _notes(headline: list[Subject]) -> list[str]:
    rows = [row for one in headline for row in one.rows.values()]
    return list(dict.fromkeys(str(row["note"]) for row in rows if row["note"]))


def _gaps(told: Changes, headline: list[Subject]) -> list[Finding]:
    """Headline comparisons that could not be made as usual, and why."""
    notes = _notes(headline)
    if not notes or not told.before:
        return []
    first, *more = notes
    detail = "; ".join(more)
    return [Finding(kind="caution", text=capital(first), detail=detail, rule="gap")]


def _fitting(
    headline: list[Finding], others: list[Finding], carried: list[Finding]
) -> list[Finding]:
    """As many as a reader can take in: open headline measures share a line before changes go."""
    most = MOST["finding"] - len(carried)
    if len(headline) + min(len(others), MOST_CHANGES) > most:
        headline = _together(headline, most - min(len(others), 1))
    shown, more = others[:MOST_CHANGES][: most - len(headline)], len(others)
    if len(shown) < more and shown:
        left = f"{more - len(shown)} more, in the table below"
        detail = joined(shown[-1].detail, left)
        shown[-1] = replace(shown[-1], detail=detail)
    return [*headline, *shown, *carried]


def _together(lines: list[Finding], most: int) -> list[Finding]:
    """Clear lines as they are, and the open ones in one."""
    clear = [one for one in lines if one.certainty == "clear"]
    open_ = [one for one in lines if one.certainty != "clear"]
    if len(open_) > 1:
        names = listed([one.subject for one in open_])
        text, detail = f"{names}: no change shown", "; ".join(one.text for one in open_)
        open_ = [replace(open_[0], text=text, detail=detail, subject=names, cells=())]
    return [*clear[: most - len(open_)], *open_]
