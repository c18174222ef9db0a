"""What one notebook may take: seconds of a cell, characters of text, megabytes of output."""

from __future__ import annotations

from typing import Any

import nbformat
from nbclient.exceptions import CellTimeoutError
from papermill.clientwrap import PapermillNotebookClient

#: Seconds that a cell may run, unless the caller says otherwise.
CELL_SECONDS = 1800
#: Characters of text that a cell may show; nobody reads more on a page.
TEXT_LIMIT = 1_000_000
#: Characters that each display counts for besides its own: a page holds only so many.
DISPLAY_COST = 100
#: Bytes of everything else that a report may show: figures, tables, HTML.
OUTPUT_LIMIT = 50_000_000
#: Characters of an error's message, and of each line of its traceback.
ERROR_LIMIT = 2_000
#: Seconds in which what a finished cell has shown must have arrived.
ARRIVAL_SECONDS = 120


def check_timeout(seconds: Any, place: str = "") -> int:
    """A time limit, when it is one.

    Raises
    ------
    ValueError
        When it is no whole number of seconds from 1.

    Examples
    --------
    >>> check_timeout(60)
    60
    """
    if isinstance(seconds, int) and not isinstance(seconds, bool) and seconds >= 1:
        return seconds
    raise ValueError(
        f"{place}`timeout` must be a whole number of seconds from 1, for each cell; "
        f"got {seconds!r}."
    )


class LimitedClient(PapermillNotebookClient):
    """papermill's client, which keeps what cells show within the limits and says so.

    Attributes
    ----------
    running : int
        Index of the cell that runs.
    """

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, iopub_timeout=ARRIVAL_SECONDS, **keywords)
        self.running = -1
        self.on_cell_execute = self._begin
        self._text = 0
        self._bytes = 0
        self._told: set[str] = set()

    def _begin(self, cell: nbformat.NotebookNode, cell_index: int) -> None:
        self.running, self._text = cell_index, 0
        self._told.clear()

    def process_message(
        self, msg: dict[str, Any], cell: nbformat.NotebookNode, cell_index: int
    ) -> nbformat.NotebookNode | None:
        """As of `PapermillNotebookClient`, for as much of the message as is kept."""
        content, kind = msg["content"], msg["msg_type"]
        if kind == "stream":
            content["text"] = self._kept_text(content["text"], cell)
            if not content["text"]:
                return None
        elif kind == "error":
            _shorten_error(content)
        elif kind == "clear_output":
            self._text = 0
            self._told.clear()
        elif content.get("data"):
            content["data"] = self._kept_data(content["data"], cell)
            if not any(content["data"].values()):
                return None
        return super().process_message(msg, cell, cell_index)

    def _kept_text(self, text: str, cell: nbformat.NotebookNode) -> str:
        room = TEXT_LIMIT - self._text
        self._text += len(text)
        if len(text) <= room:
            return text
        self._tell(cell, f"This cell showed more than {TEXT_LIMIT:,} characters of text")
        return text[: max(room, 0)]

    def _kept_data(self, data: dict[str, Any], cell: nbformat.NotebookNode) -> dict[str, Any]:
        kept = {}
        for kind, value in data.items():
            if not kind.endswith("json"):
                value = _one_text(value)
            if kind == "text/plain":
                self._text += DISPLAY_COST
                kept[kind] = self._kept_text(value, cell)
                continue
            size = len(value if isinstance(value, str) else str(value))
            if self._bytes + size > OUTPUT_LIMIT:
                self._tell(cell, f"The report showed more than {OUTPUT_LIMIT // 10**6} MB")
                continue
            self._bytes += size
            kept[kind] = value
        return kept

    def _tell(self, cell: nbformat.NotebookNode, sentence: str) -> None:
        """Once a cell, among its warnings, which are in the manifest and the index too."""
        if sentence not in self._told:
            self._told.add(sentence)
            text = f"{sentence}; the rest was left out.\n"
            cell.outputs.append(nbformat.v4.new_output("stream", name="stderr", text=text))


def _one_text(value: Any) -> str:
    """What a display holds of one kind, which may come in pieces or as anything else."""
    return "".join(map(str, value)) if isinstance(value, list) else str(value)


def _shorten_error(content: dict[str, Any]) -> None:
    content["evalue"] = _cut(content.get("evalue", ""))
    content["traceback"] = [_cut(line) for line in content.get("traceback", [])]


def _cut(text: str) -> str:
    return (
        text if len(text) <= ERROR_LIMIT else f"{text[:ERROR_LIMIT]} … ({len(text):,} characters)"
    )


def timeout_cause(error: CellTimeoutError, seconds: int) -> str:
    """Why a cell was stopped, in words, and what to do."""
    if "IOPub" in str(error):
        return f"what it showed did not arrive in {ARRIVAL_SECONDS} s"
    return f"it ran longer than {seconds:,} s; make it faster, or allow more with --timeout"
