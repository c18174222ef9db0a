"""The study file, key by key, from its schema."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cxlab.core.messages import one_of
from cxlab.survey import schema
from cxlab.survey.definition import FORMATS, KINDS_OF_RESPONSE, ROLES
from cxlab.survey.scales import METRICS, REASONS
from docs.book.markdown import as_markdown, code, page, table

DEMO = Path(__file__).resolve().parents[2] / "data" / "demo" / "study.toml"
#: Parts of the demo's study file that the page shows.
SHOWN = (
    "[study]", "[scales.satisfaction]", "[tables.relationship]",
    "[tables.relationship.columns.overall]", "[tables.relationship.columns.parking]",
)  # fmt: skip
#: What a key may hold, where that is a list with a place of its own on the page.
LISTS = {"roles": ROLES, "reasons": REASONS, "formats": FORMATS}
_WHOLE = (schema.Keys, schema.StudyKeys)


def example() -> str:
    """A few parts of the demo's study file."""
    blocks = DEMO.read_text(encoding="utf-8").split("\n\n")
    bare = ["\n".join(line for line in b.splitlines() if line[:1] != "#") for b in blocks]
    return "\n\n".join(block for block in bare if block.partition("\n")[0] in SHOWN)


def parts() -> list[type[schema.Keys]]:
    """The parts of a study file, in the order of their classes."""
    return [
        one
        for one in vars(schema).values()
        if inspect.isclass(one) and issubclass(one, schema.Keys) and one not in _WHOLE
    ]


def meanings(keys: type[schema.Keys]) -> dict[str, str]:
    """Key to what it means, from the docstring.

    Raises
    ------
    ValueError
        For a key that the docstring leaves out.
    """
    # the book's own extra, which tests of the rest do without
    from numpydoc.docscrape import ClassDoc

    told = {one.name: " ".join(one.desc) for one in ClassDoc(keys)["Attributes"]}
    for field in msgspec.structs.fields(keys):
        if not told.get(field.name):
            raise ValueError(
                f"the docstring of {keys.__name__} (cxlab/survey/schema.py) must say what "
                f"'{field.name}' means, under Attributes."
            )
    return {name: as_markdown(text) for name, text in told.items()}


def rows(keys: type[schema.Keys]) -> Iterator[tuple[str, str, str, str]]:
    """Key, what it may hold, what it is when left out, what it means."""
    meaning = meanings(keys)
    for field in msgspec.structs.fields(keys):
        yield code(field.name), _holds(field.type), _default(field), meaning[field.name]


def _holds(kind: object) -> str:
    words = schema._in_words(kind)
    anchor = next((name for name, known in LISTS.items() if words == one_of(known)), None)
    return f"one of the [{anchor}](#{anchor})" if anchor else words


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "**must be given**"
    value = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    if value is None or value in ("", (), {}):
        return "none"
    return code(json.dumps(value))


def study_file_page() -> str:
    """Every key of a study file."""
    found = [
        "A TOML file beside the data says once what every column means. `cxlab study draft FILE` "
        "writes one with guesses; `cxlab study check` reads it. A key that is not here is refused, "
        "with the nearest spelling.",
        f"```toml\n{example()}\n```",
        "*From the study file of the demo.*",
    ]
    for keys in parts():
        title = as_markdown(inspect.getdoc(keys) or "").partition("\n")[0].rstrip(".")
        found += [f"## {title}", table(["key", "holds", "left out", "means"], rows(keys))]
    roles = [(code(name), words) for name, words in ROLES.items()]
    found += ["(roles)=\n## Roles", table(["role", "the column is"], roles)]
    found += ["(reasons)=\n## Reasons of missing answers", ", ".join(map(code, REASONS)) + "."]
    metrics = [(code(name), ", ".join(map(code, bins)) or "none") for name, bins in METRICS.items()]
    found += ["## Metrics", table(["metric", "needs the bins"], metrics)]
    found += ["(formats)=\n## Formats", ", ".join(map(code, FORMATS)) + "."]
    kinds = ", ".join(map(code, KINDS_OF_RESPONSE))
    found += ["## Responses that `leave_out` may name", f"{kinds}."]
    return page("The study file", *found)
