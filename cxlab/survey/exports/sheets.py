"""What a workbook's sheet holds beside its values: formulas and merged cells."""

from __future__ import annotations

import posixpath
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

_ROOT = "xl/workbook.xml"
#: Beginnings of a formula and of a range of merged cells, whatever the XML's prefix.
_MARKED = re.compile(rb"<(?:\w+:)?(?:f[ />]|mergeCell )")
_AT_A_TIME = 1 << 20


@dataclass(frozen=True)
class Beside:
    """Places of a sheet whose values are not in its cells.

    Attributes
    ----------
    formulas : tuple of str
        Cells with a formula whose result was not stored, as ``B2``.
    merged : tuple of str
        Ranges of merged cells, as ``E2:E4``.
    """

    formulas: tuple[str, ...] = ()
    merged: tuple[str, ...] = ()


def beside_values(path: Path, sheet: str) -> Beside:
    """Formulas without a result and merged cells of a sheet; read only where there are any."""
    with zipfile.ZipFile(path) as archive:
        part = _part(archive, sheet)
        if part not in archive.namelist() or not _is_marked(archive, part):
            return Beside()
        formulas, merged = [], []
        with archive.open(part) as stream:
            for _, element in ElementTree.iterparse(stream):
                name = _name(element)
                if name == "c" and _without_result(element):
                    formulas.append(element.get("r", ""))
                elif name == "mergeCell":
                    merged.append(element.get("ref", ""))
                if name in ("c", "row"):
                    element.clear()
        return Beside(tuple(formulas), tuple(merged))


def _part(archive: zipfile.ZipFile, sheet: str) -> str:
    """The sheet's file in the archive; empty where it isn't found."""
    links = {
        link.get("Id"): link.get("Target", "")
        for link in _elements(archive, "xl/_rels/workbook.xml.rels", "Relationship")
    }
    for one in _elements(archive, _ROOT, "sheet"):
        link = next((value for key, value in one.items() if key.endswith("}id")), "")
        if one.get("name") == sheet and link in links:
            return posixpath.normpath(posixpath.join("/xl", links[link]))[1:]
    return ""


def _elements(archive: zipfile.ZipFile, part: str, name: str) -> list[ElementTree.Element]:
    if part not in archive.namelist():
        return []
    root = ElementTree.fromstring(archive.read(part))
    return [element for element in root.iter() if _name(element) == name]


def _is_marked(archive: zipfile.ZipFile, part: str) -> bool:
    with archive.open(part) as stream:
        end = b""
        while piece := stream.read(_AT_A_TIME):
            if _MARKED.search(end + piece):
                return True
            end = piece[-100:]
    return False


def _without_result(cell: ElementTree.Element) -> bool:
    """Whether a cell has a formula and no value; an empty text is one."""
    found = {_name(child): child.text for child in cell}
    return "f" in found and not found.get("v") and cell.get("t") != "str"


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
