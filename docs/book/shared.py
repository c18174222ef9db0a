"""Sentences that the README and the book share: written in the README, included in pages."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: ``<!-- part: NAME -->`` … ``<!-- end -->`` in the README.
PART = re.compile(r"<!-- part: (?P<name>[a-z-]+) -->\n(?P<text>.*?)\n<!-- end -->", re.S)
#: Links of the README, seen from the root of the clone, and where they lead on the site.
LINKS = {"](docs/": "](/", "](notebooks/": "](/notebooks/"}


def parts() -> dict[str, str]:
    """Parts of the README by name, with links as the site has them."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = {one["name"]: one["text"] for one in PART.finditer(readme)}
    for old, new in LINKS.items():
        found = {name: text.replace(old, new) for name, text in found.items()}
    return found


def write_parts(source: Path) -> None:
    """Write each part where pages include it from: ``/_parts/NAME.md``; the changelog too."""
    (source / "_parts").mkdir()
    for name, text in parts().items():
        (source / "_parts" / f"{name}.md").write_text(text + "\n", encoding="utf-8")
