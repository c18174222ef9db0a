"""The figures of a report as native, editable charts, one a slide."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxlab.core.characters import printable
from cxlab.report.publish import replace_bytes
from cxlab.report.records import HEADLINE_TABLES

#: Columns that a table needs to be charted, and those that may name its rows.
FIGURES = ("estimate", "ci_low", "ci_high")
NAMES = ("label", "touchpoint", "driver", "coefficient", "segment", "group", "period")
#: Most rows that a reader can distinguish on one slide, and most slides that anybody reads.
MOST_ROWS = 30
MOST_SLIDES = 40
#: Layouts of the empty presentation that python-pptx brings.
TITLE_LAYOUT, CHART_LAYOUT = 0, 5
#: What a spreadsheet would take for a formula or a link.
LIVE = re.compile(r"[=+@{-]|\w+:|https?:", re.I)


@dataclass(frozen=True)
class Figure:
    """One chart: rows of one table that have one metric and one unit."""

    title: str
    unit: str
    names: list[str]
    estimates: list[float]
    below: list[float]
    above: list[float]


def write_slides(folder: Path, target: Path) -> None:
    """Write a presentation: what the report is about, then a bar chart per table and metric.

    Every table with an estimate and its interval is charted. The bars are native, and the
    spreadsheet behind each can be edited; the intervals are error bars. Hidden rows are left out.
    """
    from pptx import Presentation

    manifest = printable(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
    deck = Presentation()
    _write_title(deck, manifest)
    names = sorted(manifest["tables"], key=lambda name: name not in HEADLINE_TABLES)
    figures = [one for name in names for one in _figures(folder / "tables", name)]
    for figure in figures[:MOST_SLIDES]:
        _write_chart(deck, figure)
    content = io.BytesIO()
    deck.save(content)
    replace_bytes(target, content.getvalue())


def _figures(tables: Path, name: str) -> Iterator[Figure]:
    """Charts of one table, one per metric and unit."""
    rows = printable(json.loads((tables / f"{name}.json").read_text(encoding="utf-8")))
    if not rows or not all(column in rows[0] for column in FIGURES):
        return
    known = [row for row in rows if None not in [row[column] for column in FIGURES]]
    for kind in dict.fromkeys((row.get("metric"), row.get("unit")) for row in known):
        part = [row for row in known if (row.get("metric"), row.get("unit")) == kind]
        words = [str(word) for word in kind if word]
        if 0 < len(part) <= MOST_ROWS:
            yield Figure(
                title=", ".join([name.replace("-", " ").capitalize(), *words[:1]]),
                unit=words[-1] if kind[1] else "",
                names=_row_names(part),
                estimates=[row["estimate"] for row in part],
                below=[row["estimate"] - row["ci_low"] for row in part],
                above=[row["ci_high"] - row["estimate"] for row in part],
            )


def _row_names(rows: list[dict[str, Any]]) -> list[str]:
    """What distinguishes the rows, and how many answers each has."""
    telling = [c for c in NAMES if c in rows[0] and len({row[c] for row in rows}) > 1]
    telling = telling or [c for c in NAMES if c in rows[0]][:1]
    names = [" · ".join(str(row[column]) for column in telling) for row in rows]
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


def _write_title(deck: Any, manifest: dict[str, Any]) -> None:
    slide = deck.slides.add_slide(deck.slide_layouts[TITLE_LAYOUT])
    slide.shapes.title.text = manifest["title"]
    scope = [manifest["period"] or "all periods", manifest["selection"] or "everyone"]
    lines = [manifest["about"], ", ".join(scope), *manifest["changes"], f"made {manifest['ended']}"]
    slide.placeholders[1].text = "\n".join(line for line in lines if line)
    _shrink(slide.placeholders[1].text_frame)


def _shrink(frame: Any) -> None:
    from pptx.util import Pt

    for paragraph in frame.paragraphs:
        paragraph.font.size = Pt(14)


def _write_chart(deck: Any, figure: Figure) -> None:
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE, XL_TICK_LABEL_POSITION
    from pptx.util import Inches, Pt

    slide = deck.slides.add_slide(deck.slide_layouts[CHART_LAYOUT])
    slide.shapes.title.text = figure.title
    slide.shapes.title.text_frame.paragraphs[0].font.size = Pt(24)
    data = CategoryChartData(number_format="0.0")
    data.categories = figure.names
    data.add_series(plain_text(f"{figure.unit or 'estimate'}, 95 % CI"), figure.estimates)
    place = (Inches(0.5), Inches(1.3), Inches(9), Inches(5.9))
    shape = slide.shapes.add_chart(XL_CHART_TYPE.BAR_CLUSTERED, *place, data)
    shape._element.nvGraphicFramePr.cNvPr.set("descr", _alt_text(figure))
    chart = shape.chart
    chart.has_legend = False
    chart.has_title = True
    chart.chart_title.text_frame.text = f"{figure.unit or 'estimate'}, with 95 % intervals"
    chart.chart_title.text_frame.paragraphs[0].font.size = Pt(12)
    chart.font.size = Pt(10)
    # first row on top; names stay left of bars that go below zero
    chart.category_axis.reverse_order = True
    chart.category_axis.tick_label_position = XL_TICK_LABEL_POSITION.LOW
    chart.value_axis.has_major_gridlines = True
    chart.value_axis.minimum_scale, chart.value_axis.maximum_scale = _scale(figure)
    chart.plots[0].gap_width = 60
    _add_intervals(chart, figure)


def _scale(figure: Figure) -> tuple[float, float]:
    """Round ends of a scale that holds zero and every interval."""
    from matplotlib.ticker import MaxNLocator

    estimates = list(zip(figure.estimates, figure.below, figure.above, strict=True))
    low = min(0.0, *(estimate - below for estimate, below, _ in estimates))
    high = max(0.0, *(estimate + above for estimate, _, above in estimates))
    ticks = MaxNLocator(8).tick_values(low, high)
    return float(ticks[0]), float(ticks[-1])


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
    values = "; ".join(f"{name.strip()}: {estimate:.1f}" for name, estimate in rows)
    return f"Bar chart with 95 % intervals, {figure.unit or 'estimate'}. {values}."
