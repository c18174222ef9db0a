"""One source for every dependency; imports stay light; nothing private is committed."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

#: Where conda-forge's name differs from PyPI's.
CONDA_NAMES = {
    "duckdb": "python-duckdb",
    "matplotlib": "matplotlib-base",
    "lazy-loader": "lazy_loader",
}


def declared():
    extras = PROJECT["project"]["optional-dependencies"]["test"]
    return [Requirement(text) for text in [*PROJECT["project"]["dependencies"], *extras]]


def test_environment_yml_equals_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    specs = [spec for spec in environment["dependencies"] if isinstance(spec, str)]
    conda = {re.split(r"[<>=! ]", spec)[0]: spec for spec in specs}
    expected = {
        CONDA_NAMES.get(r.name, r.name): f"{CONDA_NAMES.get(r.name, r.name)}{_sorted(r)}"
        for r in declared()
    }
    expected["python"] = f"python{PROJECT['project']['requires-python']}"
    expected["pip"] = "pip"
    assert conda == expected
    assert environment["channels"] == ["conda-forge"]
    # conda writes these as lines of a requirements file, where most options are not allowed
    assert environment["dependencies"][-1] == {"pip": ["-e ."]}


def _sorted(requirement):
    return ",".join(sorted((str(s) for s in requirement.specifier), reverse=True))


def locked():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", text, re.M))


def test_lock_has_pandas_3():
    # without the lower bound the resolver silently goes back to 2.3
    assert locked()["pandas"].startswith("3.")


def test_lock_meets_every_declared_dependency():
    versions = locked()
    for requirement in declared():
        assert requirement.specifier.contains(versions[requirement.name]), requirement


def test_lock_names_no_host_and_has_hashes():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert text.count("--hash=sha256:") > len(locked())


def test_lock_leaves_out_the_slow_import():
    assert "rfc3987-syntax" not in locked()


HEAVY = ("matplotlib", "seaborn", "statsmodels", "scipy.stats", "papermill", "pandas", "numpy")


def modules_after(code):
    command = f"{code}; import sys; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_import_cxlab_loads_nothing_heavy():
    assert modules_after("import cxlab").isdisjoint(HEAVY)


def test_statistics_load_no_plotting_and_no_reports():
    loaded = modules_after("from cxlab import nps, load_study, scorecard, check_answers")
    assert loaded.isdisjoint({"matplotlib", "seaborn", "papermill", "nbformat", "IPython"})


def test_every_public_name_resolves():
    import cxlab

    assert len(cxlab.__all__) > 15
    for name in cxlab.__all__:
        assert getattr(cxlab, name).__doc__, name


def tracked():
    done = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True)
    if done.returncode or not done.stdout:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in done.stdout.splitlines()]


def test_no_raw_survey_file_is_tracked():
    pattern = re.compile(r"SFO_Customer_Survey.*\.csv|surveymonkey_two_header|qualtrics_.*header")
    assert [path.name for path in tracked() if pattern.search(path.name)] == []


def test_no_large_file_is_tracked():
    assert [p.name for p in tracked() if p.exists() and p.stat().st_size > 2 * 1024 * 1024] == []


def test_makefile_help_lists_every_documented_target():
    done = subprocess.run(["make", "-C", str(ROOT), "--no-print-directory", "help"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    for target in ("report", "test", "lab", "check", "notebooks", "bench", "lock", "docs"):
        assert re.search(rf"^{target}\s", done.stdout, re.M)
