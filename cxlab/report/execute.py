"""Run a notebook with papermill in a kernel of its own."""

from __future__ import annotations

import errno
import json
import logging
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines
from papermill.exceptions import PapermillExecutionError

from cxlab.core.disclosure.gate import HIDDEN_VARIABLE
from cxlab.core.messages import one_line
from cxlab.report.notebooks import was_injected
from cxlab.report.parameters import CELL_SECONDS, HIDDEN_PARAMETER
from cxlab.report.publish import Trouble, disk_cause, temporary_folder, trouble_of
from cxlab.report.show import RECORD_VARIABLE
from cxlab.report.warm.provisioner import ONE_THREAD, report_kernel_config, warm_launch
from cxlab.survey.datasets import CACHE_VARIABLE, MIRROR_VARIABLE

# papermill cannot read a type like `str | None` and warns of parameters it does not know;
# they have been checked against the notebook by then; that a cell took too long is reported as
# the report's failure
_REPORTED_ELSEWHERE = ("Passed unknown parameter", "Timeout waiting for execute reply")
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


logging.getLogger("papermill").addFilter(
    lambda record: not str(record.msg).startswith(_REPORTED_ELSEWHERE)
)


class ReportEngine(NBClientEngine):
    """papermill's engine, writing the copy at the start and at the end, however it ends.

    papermill writes it twice a cell; nobody reads it before the report is whole. What cells
    show is kept within limits.
    """

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: NotebookExecutionManager, kernel_name: str, **kwargs: Any
    ) -> nbformat.NotebookNode:
        """Run the cells; `notebook_complete`, which comes after, writes the copy."""
        nb_man.save = lambda **_: None
        # the report is read elsewhere: where on this machine it was made must not be in it
        recorded = nb_man.nb.metadata.papermill
        for name in ("input_path", "output_path"):
            recorded[name] = Path(str(recorded.get(name))).name
        # papermill's own cell has another name in each run, and pages hold the names
        for number, cell in enumerate(nb_man.nb.cells):
            cell["id"] = f"cell-{number:02d}"
        client = LimitedClient(
            nb_man,
            kernel_name=kernel_name,
            log=logging.getLogger("papermill"),
            timeout=kwargs["execution_timeout"],
            startup_timeout=kwargs["start_timeout"],
            config=kwargs["config"],
            cell_done=kwargs["cell_done"],
        )
        try:
            return client.execute(env=kwargs["env"])
        except CellTimeoutError as error:
            number = source_cell(nb_man.nb.cells, client.running)
            cause = timeout_cause(error, kwargs["execution_timeout"])
            raise NotebookError(number, cause) from error
        finally:
            del nb_man.save


papermill_engines.register("cxlab", ReportEngine)


class NotebookError(RuntimeError):
    """A notebook stopped before its end: in a code cell of the source, or, with 0, in none."""

    def __init__(self, cell: int, cause: str, trouble: Trouble = "") -> None:
        cause = one_line(cause)
        super().__init__(cell, cause, trouble)
        self.cell, self.cause, self.trouble = cell, cause, trouble


def execute_notebook(
    notebook: Path,
    target: Path,
    parameters: Mapping[str, Any],
    *,
    tables: Path,
    timeout: int = CELL_SECONDS,
    cwd: Path | None = None,
    progress: Mapping[str, Any] | bool = False,
    cell_done: Callable[[], None] | None = None,
) -> nbformat.NotebookNode:
    """Run a notebook and write the executed copy, as far as it got also after a failure.

    `show` records tables in the folder ``tables``; ``timeout`` is of each cell, in seconds;
    ``progress`` holds keywords of papermill's bar; ``cell_done`` is called after each code cell
    of the source. A `NotebookError` says why a notebook stopped.
    """
    given = dict(parameters)
    hidden = given.pop(HIDDEN_PARAMETER, None)
    try:
        with temporary_folder() as own, warm_launch(), warnings.catch_warnings():
            # it takes a path for an address, and what follows a question mark for a query
            warnings.filterwarnings("ignore", message="the file is not specified with any ext")
            return papermill.execute_notebook(
                _literal(notebook),
                _literal(target.resolve()),
                parameters=given,
                kernel_name="python3",
                language="python",
                engine_name="cxlab",
                config=report_kernel_config(own / "kernel.json"),
                env=_kernel_environment(tables, own, hidden),
                execution_timeout=timeout,
                cell_done=cell_done,
                cwd=cwd,
                progress_bar=dict(progress) if isinstance(progress, Mapping) else progress,
            )
    except PapermillExecutionError as error:
        cause = f"{error.ename}: {error.evalue}"
        if os.strerror(errno.ENOSPC) in error.evalue:
            raise NotebookError(_failing_cell(target), "the disk is full", "full") from error
        raise NotebookError(_failing_cell(target), cause) from error
    except DeadKernelError as error:
        raise NotebookError(0, "it died, perhaps because memory ran out") from error
    except OSError as error:
        raise NotebookError(0, disk_cause(error), trouble_of(error, target.parent)) from error


def _literal(path: Path) -> str:
    """The path as papermill is to take it, which fills parameters into braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _kernel_environment(tables: Path, own: Path, hidden: Any) -> dict[str, str]:
    """What a kernel finds: paths that hold in any folder, and its own for temporary files."""
    environment = {**os.environ, **ONE_THREAD, "TMPDIR": str(own)}
    environment[RECORD_VARIABLE] = str(tables.resolve())
    environment[HIDDEN_VARIABLE] = json.dumps(hidden or {})
    for name in (MIRROR_VARIABLE, CACHE_VARIABLE):
        if environment.get(name):
            environment[name] = str(Path(environment[name]).resolve())
    return environment


def _failing_cell(partial: Path) -> int:
    """Number of the code cell that failed; 0 when the copy doesn't say."""
    try:
        cells = nbformat.read(partial, as_version=4).cells
    except (OSError, ValueError):
        return 0
    for index, cell in enumerate(cells):
        if any(output.output_type == "error" for output in cell.get("outputs", ())):
            return source_cell(cells, index)
    return 0


def source_cell(cells: Sequence[nbformat.NotebookNode], index: int) -> int:
    """Number of a code cell as its author counts: without the parameters that were put in."""
    return sum(cell.cell_type == "code" and not was_injected(cell) for cell in cells[: index + 1])


class LimitedClient(PapermillNotebookClient):
    """papermill's client, which keeps what cells show within the limits and says so."""

    def __init__(
        self, *args: Any, cell_done: Callable[[], None] | None = None, **keywords: Any
    ) -> None:
        super().__init__(*args, iopub_timeout=ARRIVAL_SECONDS, **keywords)
        self.running = -1
        self.on_cell_execute = self._begin
        self.on_cell_executed = self._end
        self._cell_done = cell_done
        self._text = 0
        self._bytes = 0
        self._said: set[str] = set()

    def _begin(self, cell: nbformat.NotebookNode, cell_index: int) -> None:
        self.running, self._text = cell_index, 0
        self._said.clear()

    def _end(self, cell: nbformat.NotebookNode, **_: Any) -> None:
        if self._cell_done is not None and not was_injected(cell):
            self._cell_done()

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
            self._said.clear()
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
        if sentence not in self._said:
            self._said.add(sentence)
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
