"""Commands that the README names work from a clone, and an installed wheel works anywhere."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from nbformat import write
from nbformat.v4 import new_code_cell, new_notebook

from cxlab.cli import main
from cxlab.report.notebooks import report_folder, safe_name
from cxlab.report.verify import verify_report
from tests.runs import run_reports

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["README.md", "CONTRIBUTING.md", "data/sfo/README.md", "data/demo/README.md",
         *(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]  # fmt: skip
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def named(pattern):
    """What the documents name in code, by document."""
    return {
        (page, found)
        for page in PAGES
        for code in re.findall(
            r"```.*?```|`[^`\n]+`", (ROOT / page).read_text(encoding="utf-8"), re.S
        )
        for found in re.findall(pattern, code)
    }


def test_every_extra_that_is_named_is_installed_from_the_clone():
    told = named(r"pip install ([^`\n#]+)")
    assert len(told) > 4
    for page, words in told:
        for word in words.split():
            extra = re.fullmatch(r'"\.\[(\w+)\]"', word)
            assert extra or word[0] in "-." or (ROOT / word).is_file(), (
                f"{page}: no registry has {word}"
            )
            assert extra is None or extra[1] in EXTRAS


def test_every_make_target_that_is_named_is_there():
    makefile = (ROOT / "Makefile").read_text()
    told = named(r"(?:^|[`\s])make ([a-z-]+)")
    assert len(told) > 5
    for page, target in told:
        assert re.search(rf"^{target}:", makefile, re.M), f"{page}: make {target}"


def test_every_command_that_is_named_has_the_options_named():
    told = named(r"(?:^|[`\s/\\])cxlab (?!import|tests)([a-z][^`\n#]*)")
    assert len(told) > 10
    for page, line in told:
        command, words = main, line.split()
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert command is not main, f"{page}: cxlab {line}"
        known = {option for parameter in command.params for option in parameter.opts}
        for option in re.findall(r"(?<![\w-])--[a-z-]+", " ".join(words)):
            assert option in known, f"{page}: cxlab {line}"


def test_the_readme_names_the_commands_without_make():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for line in (
        "py -m venv .venv",
        r".venv\Scripts\python -m pip install",
        "python3 -m venv .venv",
    ):
        assert line in text


# ---------------------------------------------------------------- the wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Runs a command of the package as a wheel installs it, from a folder outside the clone."""
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("cxlab-*.whl")
    site = folder / "site"
    install = ["install", "--quiet", "--no-deps", "--no-index", "--target", str(site), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True, capture_output=True)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CXLAB_")}

    def run(*words):
        code = "import sys, cxlab; assert 'site' in cxlab.__file__, cxlab.__file__; from cxlab.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, *words], cwd=elsewhere, capture_output=True, text=True,
            env={**environment, "PYTHONPATH": str(site)},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return elsewhere, done.stdout

    return run


def test_an_installed_wheel_makes_reports_from_any_folder(installed):
    folder, said = installed(
        "report", "demo", "--period", "2025-Q4", "--notebook", "answers", "--to", "xlsx"
    )
    assert "report: " in said
    report = folder / "reports/demo/2025-Q4/1-answers"
    assert {"1-answers.html", "1-answers.xlsx", "manifest.json"} <= {
        p.name for p in report.iterdir()
    }
    assert (folder / "reports/index.html").exists()
    _, said = installed("verify", str(report))
    assert "same: " in said


def test_an_installed_wheel_drafts_checks_and_lists(installed):
    folder, said = installed("data", "list")
    assert "sfo: San Francisco" in said
    rows = [f"{i},{1 + i % 5},{1 + i % 4}" for i in range(60)]
    (folder / "own.csv").write_text("\n".join(["id,overall,food", *rows]) + "\n")
    installed("study", "draft", "own.csv")
    assert (folder / "own.study.toml").exists()
    _, said = installed("study", "check", "demo")
    assert "demo" in said.casefold()


# ---------------------------------------------------------------- macOS, Windows

FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]|[. ]$')


@pytest.mark.parametrize(
    "text",
    ["a:b", "what?", "*", "<b>", "a|b", 'say "x"', "a\\b", "a/b", "end.", "end ", "CON", "con", "nul.txt",
     "COM1", "lpt9.x", "aux", "tab\tnew\nline", "..", "~", "-", "Ärzte", "清潔さ", "x" * 300],
)  # fmt: skip
def test_every_folder_is_one_that_windows_takes(text):
    folder = report_folder(Path("reports"), text, text, {text: text})
    reserved = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.I)
    for name in [safe_name(text), *folder.parts]:
        assert not FORBIDDEN.search(name), name
        assert not reserved.fullmatch(name), name
        assert len(name) < 100
    assert len(folder.parts) == 4


def test_names_that_were_safe_stay_as_they_are():
    for name in ("2025-Q4", "segment-Family", "sfo", "Boarding-area", "condor", "com-x"):
        assert safe_name(name) == name


def test_a_notebook_whose_name_windows_refuses_makes_a_report_under_another(tmp_path):
    stems = ["what changed?", "a:b", "in*out", "<b>", 'say "x"', "nul"]
    paths = [tmp_path / f"{stem}.ipynb" for stem in stems]
    cell = new_code_cell("study = 'demo'", metadata={"tags": ["parameters"]})
    for path in paths:
        write(new_notebook(cells=[cell]), path)
    asked = [str(path) for path in paths]
    run = run_reports("demo", notebooks=asked, formats=["xlsx"], output=tmp_path / "out", n_jobs=1)
    assert not run.failures
    below = [entry.name for entry in (tmp_path / "out").rglob("*")]
    assert not [name for name in below if FORBIDDEN.search(name)]
    # index and glossary beside the three files of each
    made = [name for name in below if name.endswith((".html", ".ipynb", ".xlsx"))]
    assert len(made) == 3 * len(stems) + 2
    assert all(verify_report(page.parent).same for page in run.pages[::3])


#: What Windows lacks, taken away before anything is imported.
ELSEWHERE = """
import os, sys
del os.fork, os.killpg, os.getpgid, os.setsid
from cxlab.report.factory.requests import Request
from cxlab.report.factory.runs import run_requests
asked = Request("demo", ["2025-Q4"], notebooks=sys.argv[2:])
run = run_requests([asked], output=sys.argv[1], n_jobs=2)
print(*run.outcomes, sep="\\n")
sys.exit(len(run.failures))
"""


def test_kernels_start_where_nothing_can_be_forked(tmp_path):
    cell = new_code_cell("period = None", metadata={"tags": ["parameters"]})
    paths = [tmp_path / f"{name}.ipynb" for name in ("one", "two")]
    for path in paths:
        write(new_notebook(cells=[cell, new_code_cell("import pandas; period")]), path)
    words = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "out"), *map(str, paths)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("report: ") == 2
