"""A report as slides: the answer, its figure, then native, editable charts, one a slide."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from cxlab.core.characters import printable
from cxlab.core.findings import Finding, Findings
from cxlab.core.headers import DECIMALS
from cxlab.report.answer import SHAPES, read_findings, sure_word
from cxlab.report.page import answer_figure
from cxlab.report.publish import replace_bytes
from cxlab.report.records import HEADLINE_TABLES, scope_of
from cxlab.report.show import read_captions

#: Rows that are worth a chart and that a reader can distinguish; slides that anybody reads.
FEWEST_ROWS, MOST_ROWS = 2, 24
MOST_SLIDES = 40
#: Rows whose names have room at the usual size.
FEW_ROWS = 16
#: Layout of the empty presentation that python-pptx brings with a title and nothing else.
LAYOUT = 5
#: Inches: a wide slide, and its margin.
WIDTH, HEIGHT, MARGIN = 13.333, 7.5, 0.6
INK, QUIET, ACCENT = "1B1F24", "57606A", "0072B2"
#: Width of a bold letter and height of a line, as parts of the size; points.
LETTER, LINE, SMALLEST_TITLE = 0.68, 1.2, 12
#: What a spreadsheet would take for a formula or a link.
LIVE = re.compile(r"[=+@{-]|\w+:|https?:", re.I)
Row = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """One chart: rows of one table that have one metric and one unit."""

    title: str
    about: str
    measure: str
    unit: str
    names: list[str]
    estimates: list[float]
    below: list[float]
    above: list[float]


def write_slides(folder: Path, target: Path) -> None:
    """Write a presentation: the answer with what was found, its figure, then a chart a table.

    Every table with two estimates and their intervals is charted. The bars are native, and the
    spreadsheet behind each can be edited; the intervals are error bars. Hidden rows are left out.
    """
    from pptx import Presentation
    from pptx.util import Inches

    manifest = printable(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
    deck = Presentation()
    deck.slide_width, deck.slide_height = Inches(WIDTH), Inches(HEIGHT)
    findings = read_findings(folder)
    _write_first(deck, manifest, findings)
    notebook = nbformat.read(folder / manifest["notebook"]["name"], as_version=4)
    if findings and (figure := answer_figure(notebook)):
        _write_picture(deck, printable(findings.answer.text), figure)
    captions = read_captions(folder / "tables")
    names = sorted(manifest["tables"], key=lambda name: name not in HEADLINE_TABLES)
    figures = [one for name in names for one in _figures(folder / "tables", captions.get(name))]
    for one in figures[:MOST_SLIDES]:
        _write_chart(deck, one)
    content = io.BytesIO()
    deck.save(content)
    replace_bytes(target, content.getvalue())


def _figures(tables: Path, caption: Row | None) -> Iterator[Figure]:
    """Charts of one table, one per metric and unit; none where nothing is known of it."""
    if not caption or not caption["chart"]:
        return
    rows = json.loads((tables / f"{caption['table']}.json").read_text(encoding="utf-8"))
    column, low, high = caption["chart"]
    for j, words in caption["words"].items():
        rows = [row | {j: word} for row, word in zip(rows, words, strict=True)]
    units = caption["units"][column]
    units = units if isinstance(units, list) else [units] * len(rows)
    rows = [rows[i] | {"unit": units[i]} for i in caption["order"]]
    known = [row for row in printable(rows) if None not in [row[c] for c in (column, low, high)]]
    kinds = dict.fromkeys((row.get("metric"), row["unit"]) for row in known)
    for metric, unit in kinds:
        part = [row for row in known if (row.get("metric"), row["unit"]) == (metric, unit)]
        if not FEWEST_ROWS <= len(part) <= MOST_ROWS:
            continue
        factor = 100 if unit == "share" else 1
        header = metric if column == "estimate" and metric else caption["headers"][column]
        yield Figure(
            title=printable(caption["caption"]) + (f": {metric or unit}" if len(kinds) > 1 else ""),
            about=printable(caption["about"]),
            measure=printable(header),
            unit="%" if unit == "share" else unit,
            names=_row_names(part, caption["names"]),
            estimates=[row[column] * factor for row in part],
            below=[(row[column] - row[low]) * factor for row in part],
            above=[(row[high] - row[column]) * factor for row in part],
        )


def _row_names(rows: list[Row], columns: list[str]) -> list[str]:
    """What distinguishes the rows, and how many answers each has."""
    telling = [c for c in columns if len({row[c] for row in rows}) > 1] or columns[:1]
    names = [str(row[telling[0]]) if telling else "" for row in rows]
    for column in telling[1:]:
        if len({*names}) < len(names):
            names = [f"{name} · {row[column]}" for name, row in zip(names, rows, strict=True)]
    sizes = [f" (n = {row['n']:,})" if row.get("n") is not None else "" for row in rows]
    return [plain_text(name) + size for name, size in zip(names, sizes, strict=True)]


def plain_text(text: str) -> str:
    """Text that the spreadsheet behind a chart takes for nothing but text.

    Examples
    --------
    >>> plain_text("=HYPERLINK(1)"), plain_text("Gates")
    (' =HYPERLINK(1)', 'Gates')
    """
    return f" {text}" if LIVE.match(text) else text


def _write_first(deck: Any, manifest: Row, findings: Findings | None) -> None:
    """The answer and what was found; the report's name where nothing was found."""
    slide = deck.slides.add_slide(deck.slide_layouts[LAYOUT])
    told = [
        manifest["study_title"],
        *scope_of(manifest),
        *(["SIMULATED"] if manifest["simulated"] else []),
    ]
    _write_text(slide, 0.4, 0.4, " · ".join(part for part in told if part), 12, QUIET)
    _write_text(slide, 0.75, 0.4, manifest["title"], 14, QUIET)
    rows = list(findings or ())
    answers = [row.text for row in rows if row.kind == "answer"] or [manifest["title"]]
    _title(slide, "\n".join(map(printable, answers)), 1.15, 1.5, 28)
    body = _text_box(slide, 2.8, 3.6)
    for row in rows:
        if row.kind != "answer":
            _write_finding(body, row)
    for line in manifest["changes"] if not findings else ():
        _run(body.add_paragraph(), line, 14, INK)
    if findings:
        _write_text(slide, 6.45, 0.6, findings.how_sure, 10, QUIET)
    _write_text(slide, 7.0, 0.3, f"{manifest['about']} Made {manifest['ended']}.", 9, QUIET)


def _write_finding(body: Any, finding: Finding) -> None:
    from pptx.util import Pt

    paragraph = body.add_paragraph()
    paragraph.space_after = Pt(6)
    if word := sure_word(finding):
        _run(paragraph, f"{SHAPES[word]} {word.capitalize()}  ", 14, ACCENT, bold=True)
    _run(paragraph, printable(finding.text), 16, INK)
    if finding.detail:
        _run(paragraph, f"  {printable(finding.detail)}", 11, QUIET)


def _write_picture(deck: Any, title: str, figure: Mapping[str, str]) -> None:
    from pptx.util import Inches

    slide = deck.slides.add_slide(deck.slide_layouts[LAYOUT])
    _title(slide, title, 0.4, 1.1, 24)
    top, room = 1.6, HEIGHT - 1.6 - 0.3
    image = io.BytesIO(base64.b64decode(figure["png"]))
    picture = slide.shapes.add_picture(image, Inches(MARGIN), Inches(top))
    ratio = min(Inches(WIDTH - 2 * MARGIN) / picture.width, Inches(room) / picture.height)
    picture.width, picture.height = int(picture.width * ratio), int(picture.height * ratio)
    picture.left = int((Inches(WIDTH) - picture.width) / 2)
    picture._element.nvPicPr.cNvPr.set("descr", printable(figure["alt"]))


def _title(slide: Any, text: str, top: float, height: float, size: int) -> None:
    from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
    from pptx.util import Inches, Pt

    title = slide.shapes.title
    title.left, title.top = Inches(MARGIN), Inches(top)
    title.width, title.height = Inches(WIDTH - 2 * MARGIN), Inches(height)
    frame = title.text_frame
    frame.text, frame.word_wrap, frame.vertical_anchor = text, True, MSO_ANCHOR.TOP
    for paragraph in frame.paragraphs:
        paragraph.alignment = PP_ALIGN.LEFT
        paragraph.font.size, paragraph.font.bold = Pt(fitting_size(text, height, size)), True


def fitting_size(text: str, height: float, size: int) -> int:
    """The largest size in points, up to ``size``, at which a title stays in its box.

    Examples
    --------
    >>> fitting_size("NPS is 35", 0.7, 24), fitting_size("How much each touchpoint counts " * 3, 0.7, 24)
    (24, 18)
    """
    while size > SMALLEST_TITLE:
        across = 72 * (WIDTH - 2 * MARGIN) / (LETTER * size)
        lines = sum(math.ceil(max(len(part), 1) / across) for part in text.split("\n"))
        if LINE * lines * size <= 72 * (height - 0.1):
            break
        size -= 1
    return size


def _text_box(slide: Any, top: float, height: float) -> Any:
    from pptx.util import Inches

    place = (Inches(MARGIN), Inches(top), Inches(WIDTH - 2 * MARGIN), Inches(height))
    frame = slide.shapes.add_textbox(*place).text_frame
    frame.word_wrap = True
    return frame


def _write_text(slide: Any, top: float, height: float, text: str, size: int, colour: str) -> None:
    _run(_text_box(slide, top, height).paragraphs[0], text, size, colour)


def _run(paragraph: Any, text: str, size: int, colour: str, *, bold: bool = False) -> None:
    from pptx.dml.color import RGBColor
    from pptx.util import Pt

    run = paragraph.add_run()
    run.text = text
    run.font.size, run.font.bold = Pt(size), bold
    run.font.color.rgb = RGBColor.from_string(colour)


def _write_chart(deck: Any, figure: Figure) -> None:
    from pptx.chart.data import CategoryChartData
    from pptx.dml.color import RGBColor
    from pptx.enum.chart import XL_CHART_TYPE, XL_TICK_LABEL_POSITION
    from pptx.util import Inches, Pt

    slide = deck.slides.add_slide(deck.slide_layouts[LAYOUT])
    _title(slide, figure.title, 0.4, 0.7, 24)
    if figure.about:
        _write_text(slide, 1.05, 0.4, figure.about, 12, QUIET)
    places = DECIMALS.get(figure.unit, (2, 2))[0]
    form = "0." + "0" * places if places else "0"
    data = CategoryChartData(number_format=form)
    data.categories = figure.names
    data.add_series(plain_text(f"{_measure(figure)}, 95 % intervals"), figure.estimates)
    place = (Inches(MARGIN), Inches(1.55), Inches(WIDTH - 2 * MARGIN), Inches(5.65))
    shape = slide.shapes.add_chart(XL_CHART_TYPE.BAR_CLUSTERED, *place, data)
    shape._element.nvGraphicFramePr.cNvPr.set("descr", _alt_text(figure))
    chart = shape.chart
    chart.has_legend = False
    chart.has_title = True
    chart.chart_title.text_frame.text = f"{_measure(figure)}, with 95 % intervals"
    chart.chart_title.text_frame.paragraphs[0].font.size = Pt(12)
    chart.font.size = Pt(11 if len(figure.names) <= FEW_ROWS else 9)
    # first row on top; names stay left of bars that go below zero
    chart.category_axis.reverse_order = True
    chart.category_axis.tick_label_position = XL_TICK_LABEL_POSITION.LOW
    chart.value_axis.has_major_gridlines = True
    chart.value_axis.major_gridlines.format.line.color.rgb = RGBColor.from_string("D0D7DE")
    low, high, step = _scale(figure)
    chart.value_axis.minimum_scale, chart.value_axis.maximum_scale = low, high
    chart.value_axis.major_unit = step
    chart.plots[0].gap_width = 60
    chart.plots[0].series[0].format.fill.solid()
    chart.plots[0].series[0].format.fill.fore_color.rgb = RGBColor.from_string(ACCENT)
    _add_intervals(chart, figure)


def _measure(figure: Figure) -> str:
    """What the bars are, and in which unit."""
    sign = {"%": " (%)", "points": " (points)"}.get(figure.unit, "")
    return figure.measure + (sign if sign.strip(" ()") not in figure.measure else "")


def _scale(figure: Figure) -> tuple[float, float, float]:
    """Round ends and step of a scale that holds zero and every interval."""
    from matplotlib.ticker import MaxNLocator

    estimates = list(zip(figure.estimates, figure.below, figure.above, strict=True))
    low = min(0.0, *(estimate - below for estimate, below, _ in estimates))
    high = max(0.0, *(estimate + above for estimate, _, above in estimates))
    ticks = MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values(low, high)
    return float(ticks[0]), float(ticks[-1]), float(ticks[1] - ticks[0])


def _add_intervals(chart: Any, figure: Figure) -> None:
    """Error bars of each bar's own length, which python-pptx has no call for."""
    from pptx.oxml import parse_xml
    from pptx.oxml.ns import nsdecls

    def literal(side: str, lengths: list[float]) -> str:
        points = "".join(
            f'<c:pt idx="{i}"><c:v>{length!r}</c:v></c:pt>' for i, length in enumerate(lengths)
        )
        count = f'<c:ptCount val="{len(lengths)}"/>'
        return f"<c:{side}><c:numLit>{count}{points}</c:numLit></c:{side}>"

    bars = parse_xml(
        f'<c:errBars {nsdecls("c")}><c:errBarType val="both"/><c:errValType val="cust"/>'
        f'<c:noEndCap val="0"/>{literal("plus", figure.above)}{literal("minus", figure.below)}'
        "</c:errBars>"
    )
    series = chart.plots[0].series[0]._element
    series.find(".//{*}cat").addprevious(bars)


def _alt_text(figure: Figure) -> str:
    rows = zip(figure.names, figure.estimates, strict=True)
    values = "; ".join(f"{name.strip()}: {estimate:.3g}" for name, estimate in rows)
    return f"Bar chart with 95 % intervals, {_measure(figure)}. {values}."
