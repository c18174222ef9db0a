"""Re-execute notebooks in place and keep only what a reader needs: ``make notebooks``.

Outputs are committed, so that nbval can compare against them. Timings, execution
metadata and anything that changes without a reason are left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from cxlab.report.show import RECORD_VARIABLE
from cxlab.report.warm.provisioner import ONE_THREAD, kernel_config

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def refresh_notebook(path: Path) -> None:
    """Run a notebook from a fresh kernel in its own folder and write it back, normalised.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        When a cell fails; the file is left as it was.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,
        record_timing=False,
        config=kernel_config(),
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    nbformat.write(normalised(notebook), path)


def normalised(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with only the metadata that matters.

    Kept: the kernel's name, what the notebook needs and its tab (``cxlab``), cell tags and the alt
    text of figures. Cells are numbered
    from 1 in order.
    """
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    declared = notebook.metadata.get("cxlab", {})
    if kept := {key: declared[key] for key in ("needs", "tab") if key in declared}:
        metadata["cxlab"] = kept
    notebook.metadata = nbformat.from_dict(metadata)
    for number, cell in enumerate(notebook.cells):
        tags = cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        cell["id"] = f"cell-{number:02d}"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        cell.execution_count = number
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
    return notebook


def main() -> None:
    """Refresh the notebooks named on the command line."""
    import os

    os.environ.pop(RECORD_VARIABLE, None)
    os.environ.update(ONE_THREAD)
    for name in sys.argv[1:]:
        print(f"refreshing {name}", flush=True)
        refresh_notebook(Path(name))


if __name__ == "__main__":
    main()
