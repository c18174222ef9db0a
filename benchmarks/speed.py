"""Import time; NPS of a million scores by a thousand groups; one report's seconds."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from cxlab import load_study, nps
from cxlab.report.notebooks import notebooks_folder
from cxlab.report.page import render_page, style

ROWS, GROUPS, SEED = 1_000_000, 1_000, 1


def best_of(run: Callable[[], object], times: int = 3) -> float:
    """Seconds of the fastest of several runs: the least disturbed one."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def fresh_import(code: str) -> float:
    """Seconds of a new Python that runs one line."""
    return best_of(lambda: subprocess.run([sys.executable, "-c", code], check=True))


def import_times() -> pd.DataFrame:
    """Whole-process seconds of importing packages, less an empty Python's."""
    empty = fresh_import("pass")
    lines = {
        "import cxlab": "import cxlab",
        "from cxlab import nps": "from cxlab import nps",
        "import pandas": "import pandas",
        "import seaborn": "import seaborn",
        "import papermill": "import papermill",
    }
    table = pd.DataFrame(
        {"line": list(lines), "seconds": [fresh_import(c) - empty for c in lines.values()]}
    )
    table["× import pandas"] = (
        table["seconds"] / table.set_index("line").loc["import pandas", "seconds"]
    )
    return table


def plain_nps(scores: pd.Series) -> float:
    """What analysts paste."""
    return 100 * ((scores >= 9).mean() - (scores <= 6).mean())


def group_times() -> pd.DataFrame:
    """A million scores by a thousand groups, against pandas."""
    rng = np.random.default_rng(SEED)
    data = pd.DataFrame(
        {"score": rng.integers(0, 11, ROWS).astype(float), "group": rng.integers(0, GROUPS, ROWS),
         "weight": rng.gamma(4, 0.25, ROWS)}
    )  # fmt: skip
    ours = nps(data, "score", by="group").set_index("group")["estimate"]
    theirs = data.groupby("group")["score"].apply(plain_nps)
    assert np.allclose(ours.to_numpy(), theirs.to_numpy())
    runs = {
        "pandas groupby().apply, estimate only": lambda: data.groupby("group")["score"].apply(
            plain_nps
        ),
        "cxlab nps(by=), with intervals": lambda: nps(data, "score", by="group"),
        "the same, weighted": lambda: nps(data, "score", by="group", design={"weights": "weight"}),
    }
    table = pd.DataFrame({"way": list(runs), "seconds": [best_of(run) for run in runs.values()]})
    table["times as fast as pandas"] = table["seconds"].iloc[0] / table["seconds"]
    return table


def report_times() -> pd.DataFrame:
    """Where the seconds of one report go."""
    import nbformat
    import papermill
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_notebook

    source = notebooks_folder() / "2-scorecard.ipynb"
    parts = {}

    def kernel() -> None:
        NotebookClient(new_notebook(cells=[new_code_cell("1")]), kernel_name="python3").execute()

    parts["start a kernel"] = best_of(kernel)
    imports = "from cxlab import load_study, nps, plot_intervals, scorecard, show; import matplotlib.pyplot"
    parts["imports"] = fresh_import(imports) - fresh_import("pass")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / source.name
        started = time.perf_counter()
        papermill.execute_notebook(str(source), str(target), progress_bar=False)
        whole = time.perf_counter() - started
        parts["cells and messages"] = max(0.0, whole - parts["start a kernel"] - parts["imports"])
        executed = nbformat.read(target, as_version=4)
        facts = {"title": "title", "about": "about", "style": style()}
        page = Path(folder) / "page.html"
        parts["HTML"] = best_of(lambda: page.write_text(render_page(executed, facts)))
        size = page.stat().st_size
        stock = [sys.executable, "-m", "nbconvert", "--to", "html", str(target)]
        peer = best_of(lambda: subprocess.run(stock, check=True, capture_output=True), times=1)
        stock_size = target.with_suffix(".html").stat().st_size
    table = pd.DataFrame({"part": list(parts), "seconds": list(parts.values())})
    print(f"page: {size / 1024:.0f} KB here, {stock_size / 1024:.0f} KB by nbconvert's default "
          f"({peer:.1f} s with its start-up)")  # fmt: skip
    return table


def main() -> None:
    """Print the three tables."""
    load_study("demo").read(period="2025-Q4")
    for make in (import_times, group_times, report_times):
        print(f"\n{make.__doc__}")
        print(make().to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    main()
