"""The answer of a report: how it leaves a notebook, and how it looks wherever it is shown."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import display

from cxlab.core.findings import Finding, Findings
from cxlab.core.phrases import amount, decimals_for, interval, number
from cxlab.report.show import ANSWER, Shown, record_table, recorded_in, show_figure

#: Where a report keeps its findings, from its folder on; name of the recorded table of tiles.
FINDINGS_FILE = "tables/findings.json"
TILES = "tiles"
#: Columns of a table of tiles; as many tiles as stand side by side.
TILE_COLUMNS = (
    "label", "title", "period", "estimate", "ci_low", "ci_high", "n", "unit", "target", "attained",
    "note",
)  # fmt: skip
MOST_TILES = 3
#: A shape for each certainty, so that nobody needs colours; *measured* has no word.
SHAPES = {"clear": "●", "likely": "◐", "not settled": "○", "caution": "▲"}
#: What a direction means, in words: colour alone tells nobody.
MEANT = {"good": "favourable", "bad": "unfavourable"}
#: Whether a target is met, in words, and what that means for the firm.
ATTAINED = {"yes": ("met", "good"), "no": ("missed", "bad"), "undecided": ("not settled", "")}
#: Grey and accents that can be read on white and on black: images follow no dark mode.
GREY, LINE, AIM = "#757575", "#2a7fc9", "#c4581a"
#: Size of the run of a tile.
WIDTH, HEIGHT, EDGE = 300, 58, 6
_INTERVAL = re.compile(r"\([^()]*\d[^()]* to [^()]*\d[^()]*\)")
#: What stays on one line: 88 %, 9–10, 2025-Q4.
_IN_ONE_PIECE = re.compile(r"(?<![\w&#])[−\d][\d.,]*(?: %|[–-]\w+)(?!\w)")


def show_answer(
    findings: Findings,
    figure: Any = None,
    *,
    alt: str | None = None,
    tiles: pd.DataFrame | None = None,
    explored: bool = False,
) -> None:
    """Display the answer of a notebook, what follows, what was found and how sure it is.

    Parameters
    ----------
    findings : Findings
        What a result's ``findings()`` returns.
    figure : matplotlib Axes or Figure, optional
        The figure that shows the answer.
    alt : str, optional
        What the figure shows, for people who don't see it; the answer is added. Required for
        a figure.
    tiles : DataFrame, optional
        Headline numbers, of which the first three are shown: one row per tile and period, in
        the order of time; the last row of a tile is the period of the report, the others are
        its run. Columns: ``label`` (of the outcome; rows of one tile share ``label`` and
        ``title``), ``title`` (of the metric: `Metric.title`), ``period``, ``estimate``,
        ``ci_low``, ``ci_high``, ``n``, ``unit`` (``points``, ``%`` or ``score``); and, read
        from a tile's last row: ``target`` (NaN: none), ``attained`` (``yes``, ``no``,
        ``undecided``; empty without a target), ``note`` (a sentence that follows; may be
        empty). Hidden estimates are NaN.
    explored : bool
        Whether the answers are a part that nobody planned to look at (`Study.explored`):
        nothing is more than likely then.

    Raises
    ------
    TypeError
        When ``findings`` are something else.
    ValueError
        For a figure without ``alt``, tiles without their columns, or a second answer in one
        report.

    Notes
    -----
    Where the environment variable ``CXLAB_RECORD`` names a folder, the findings are also
    written there as ``findings.json``, and the tiles as a table. Page, index, slides and
    workbook read them from there.

    Examples
    --------
    >>> from cxlab.core.findings import Finding
    >>> answer = Finding(kind="answer", text="The target is missed", certainty="clear")
    >>> show_answer(Findings((answer, Finding(text="NPS is −5 (−12 to 3)", detail="n = 420"))))
    The target is missed [clear]
    NPS is −5 (−12 to 3) (n = 420)
    """
    if not isinstance(findings, Findings):
        raise TypeError(
            f"`findings` must be those of a result; got {type(findings).__name__}. "
            "Call its method findings()."
        )
    if tiles is not None and (lacking := [name for name in TILE_COLUMNS if name not in tiles]):
        raise ValueError(
            f"`tiles` must have the columns {', '.join(TILE_COLUMNS)}; got none named "
            f"{lacking[0]}. Take those of a scorecard."
        )
    if figure is not None and not (alt or "").strip():
        raise ValueError(
            "`alt` must say in words what the answer's figure shows; got none. "
            "Name the kind of chart and what is compared."
        )
    findings = findings.explored() if explored else findings
    _record(findings, tiles)
    html = answer_html(findings, tiles)
    display(Shown(str(findings), {"text/html": html}, {}))
    if figure is not None:
        told = "; ".join(one.text for one in findings.of_kind("answer"))
        show_figure(figure, "answer", f"{(alt or '').strip().rstrip('.')}. {told}.")


def _record(findings: Findings, tiles: pd.DataFrame | None) -> None:
    """Write findings and tiles, where tables are recorded; once in a report."""
    if (folder := recorded_in()) is None:
        return
    target = folder / Path(FINDINGS_FILE).name
    if target.exists():
        raise ValueError(
            "`show_answer` must be called once in a report; got a second answer. Show the other "
            "results with show()."
        )
    text = json.dumps(findings.as_records(), ensure_ascii=False, indent=1, allow_nan=False)
    target.write_text(text + "\n", encoding="utf-8")
    if tiles is not None:
        record_table(tiles[list(TILE_COLUMNS)], TILES)


def answer_html(findings: Findings, tiles: pd.DataFrame | None = None) -> str:
    """The answer as JupyterLab shows it: it keeps plain colours and embedded images only."""
    answers = "".join(
        f'<p><strong style="font-size: 1.4em">{unbroken(one.text)}</strong> {certainty_html(one)}'
        f"{_detail(one)}</p>"
        for one in findings.of_kind("answer")
    )
    follows = "".join(f"<p>{sentence_html(one)}</p>" for one in findings.of_kind("so what"))
    drawn = "" if tiles is None else tiles_html(tiles)
    how_sure = findings.how_sure
    key = f'<p style="color: {GREY}">{escape(how_sure)}</p>' if how_sure else ""
    return f'<div class="{ANSWER}">{answers}{follows}{drawn}{list_html(findings)}{key}</div>'


def list_html(findings: Findings) -> str:
    """Findings and cautions as a list, each with its certainty; empty without any."""
    rows = [*findings.of_kind("finding"), *findings.of_kind("caution")]
    items = "".join(
        f'<li>{certainty_html(one)} <span class="said">{sentence_html(one)}</span></li>'
        for one in rows
    )
    return f'<ul class="findings">{items}</ul>' if items else ""


def sure_word(finding: Finding) -> str:
    """How sure a finding is, in a word that has a shape; empty where nothing was compared."""
    word = "caution" if finding.kind == "caution" else finding.certainty
    return word if word in SHAPES else ""


def certainty_html(finding: Finding) -> str:
    """How sure a finding is: a shape and a word; nothing where nothing was compared."""
    meant = MEANT.get(finding.direction, "")
    colour = f'<span class="{finding.direction}">{meant}</span>' if meant else ""
    if not (word := sure_word(finding)):
        return f'<span class="sure measured">{colour}</span>'
    kind = word.replace(" ", "-")
    mark = f'<i aria-hidden="true">{SHAPES[word]}</i> {word.capitalize()}'
    return f'<span class="sure {kind}">{mark}{", " if meant else ""}{colour}</span>'


def sentence_html(finding: Finding) -> str:
    """A finding's sentence, its subject in bold, intervals in grey and in one piece; its detail line."""
    told, subject = unbroken(finding.text), unbroken(finding.subject)
    if subject:
        told = told.replace(subject, f"<strong>{subject}</strong>", 1)
    told = _INTERVAL.sub(_quiet, told)
    return told + _detail(finding)


def unbroken(text: str) -> str:
    """Text as HTML in which no line ends between a number and its sign, or within a period.

    Examples
    --------
    >>> print(unbroken("In 2025-Q4 & before, 88 %"))
    In <span class="nb">2025-Q4</span> &amp; before, <span class="nb">88 %</span>
    """
    return _IN_ONE_PIECE.sub(r'<span class="nb">\g<0></span>', escape(text))


def _quiet(found: re.Match[str]) -> str:
    return f'<span class="ci" style="color: {GREY}">{found[0].replace(" ", "&nbsp;")}</span>'


def _detail(finding: Finding) -> str:
    if not finding.detail:
        return ""
    return f'<br><small class="detail" style="color: {GREY}">{escape(finding.detail)}</small>'


def tiles_html(tiles: pd.DataFrame) -> str:
    """Tiles side by side, as JupyterLab shows them."""
    cells = "".join(
        f'<td style="text-align: left; vertical-align: top">{tile}</td>'
        for tile in each_tile(tiles)
    )
    return f"<table><tbody><tr>{cells}</tr></tbody></table>"


def each_tile(tiles: pd.DataFrame) -> list[str]:
    """The first headline numbers: number, interval, run, target."""
    parts = [part for _, part in tiles.groupby(["label", "title"], sort=False, dropna=False)]
    return [_tile(part) for part in parts[:MOST_TILES]]


def _tile(run: pd.DataFrame) -> str:
    last = run.iloc[-1]
    named = f"<b>{escape(str(last['label']))}: {escape(str(last['title']))}</b>"
    if pd.isna(last["estimate"]):
        return f"{named}<p>{escape(str(last['note'] or 'hidden'))}</p>"
    value, low, high = (float(last[name]) for name in ("estimate", "ci_low", "ci_high"))
    aim, unit = float(last["target"]), str(last["unit"])
    digits = decimals_for((high - low) / 2, value, [aim])
    after = " <small>points</small>" if unit == "points" else ""
    n = "" if pd.isna(last["n"]) else f" · n = {int(last['n']):,}"
    known = "" if math.isnan(low) else f"95 % interval {interval(low, high, digits)}"
    word, direction = ATTAINED.get(str(last["attained"]), ("", ""))
    if last["attained"] == "undecided" and not low <= aim <= high:
        word += " by intervals that hold all targets at once"
    target = (
        "No target set."
        if math.isnan(aim)
        else f"Target {amount(aim, unit, _places(aim))}: {word}."
    )
    return (
        f'{named}<br><span class="big" style="font-size: 2em">{amount(value, unit, digits)}</span>{after}'
        f'<br><span class="ci" style="color: {GREY}">{known}{n}</span>'
        f'<br><img class="run" alt="{escape(_in_words(run, digits))}" src="{image(run_drawing(run))}">'
        f'<br><span class="target {direction}">{target}</span> {escape(str(last["note"] or ""))}'
    )


def _places(value: float) -> int:
    """Decimals of a number that somebody has chosen."""
    return len(f"{value:.4f}".rstrip("0").partition(".")[2])


def _in_words(run: pd.DataFrame, digits: int) -> str:
    known = run[run["estimate"].notna()]
    told = [
        f"{period} {number(value, digits)}"
        for period, value in zip(known["period"], known["estimate"], strict=True)
    ]
    return f"{run['title'].iloc[-1]} by period: {', '.join(told)}"


def read_findings(folder: Path) -> Findings | None:
    """What a report has recorded of its answer; None where there is nothing, or it is spoilt."""
    try:
        records = json.loads((folder / FINDINGS_FILE).read_text(encoding="utf-8"))
        return Findings.from_records(records)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def read_tiles(folder: Path) -> pd.DataFrame | None:
    """The headline numbers that a report has recorded; None without any."""
    try:
        text = (folder / "tables" / f"{TILES}.json").read_text(encoding="utf-8")
        tiles = pd.DataFrame(json.loads(text))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    if tiles.empty or any(name not in tiles for name in TILE_COLUMNS):
        return None
    numbers = ["estimate", "ci_low", "ci_high", "n", "target"]
    return tiles.assign(**tiles[numbers].apply(pd.to_numeric, errors="coerce"))


def image(drawing: str) -> str:
    """Address of an embedded drawing, which JupyterLab and pages keep."""
    return "data:image/svg+xml;base64," + base64.b64encode(drawing.encode()).decode("ascii")


def run_drawing(run: pd.DataFrame) -> str:
    """A line through the estimates of one tile with the band of its intervals and its target.

    The height spans the intervals and not the values alone, so that noise looks like noise.
    """
    known = run[run["estimate"].notna()]
    values = known["estimate"].astype(float)
    lows, highs = (known[name].astype(float).fillna(values) for name in ("ci_low", "ci_high"))
    aim = float(run["target"].iloc[-1])
    ends = [*lows, *highs, *([] if math.isnan(aim) else [aim])]
    places = [list(run.index).index(i) for i in known.index]

    def points(numbers: Sequence[float]) -> list[tuple[float, float]]:
        bottom, span = min(ends), (max(ends) - min(ends)) or 1.0
        step = (WIDTH - 2 * EDGE) / max(len(run) - 1, 1)
        start = EDGE if len(run) > 1 else WIDTH / 2
        room = HEIGHT - 2 * EDGE
        return [
            (start + place * step, HEIGHT - EDGE - (one - bottom) / span * room)
            for place, one in zip(places, numbers, strict=True)
        ]

    line, low, high = points(list(values)), points(list(lows)), points(list(highs))
    x, y = line[-1]
    band = _path([*high, *reversed(low)])
    drawn = f'<polygon points="{band}" fill="{LINE}" stroke="{LINE}" opacity="0.25"/>'
    if not math.isnan(aim):
        ((_, level), *_) = points([aim] * len(line))
        drawn += (
            f'<line x1="0" x2="{WIDTH}" y1="{level:.1f}" y2="{level:.1f}" stroke="{AIM}" '
            'stroke-width="1.5" stroke-dasharray="5 3"/>'
        )
    drawn += f'<polyline points="{_path(line)}" fill="none" stroke="{LINE}" stroke-width="2"/>'
    drawn += f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{LINE}"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}">{drawn}</svg>'
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
