"""Studies and public data by name."""

from __future__ import annotations

from pathlib import Path

from cxlab.survey.messages import nearest, one_of

STUDY_FILE = "study.toml"


def data_folder() -> Path:
    """The folder of the embedded studies: the project's ``data``, or the package's copy."""
    package = Path(__file__).resolve().parents[1]
    installed, checkout = package / "data", package.parent / "data"
    return installed if installed.is_dir() else checkout


def study_names() -> list[str]:
    """Names that `find_study` knows, in alphabetical order.

    Examples
    --------
    >>> study_names()
    ['demo', 'sfo']
    """
    return sorted(path.parent.name for path in data_folder().glob(f"*/{STUDY_FILE}"))


def find_study(name_or_path: str | Path) -> Path:
    """Path of a study file, by name, by path, or by the folder that holds it.

    Raises
    ------
    FileNotFoundError
        Naming the studies there are and the nearest spelling.
    """
    text = str(name_or_path)
    if text in study_names():
        return data_folder() / text / STUDY_FILE
    path = Path(text)
    if path.is_dir() and (path / STUDY_FILE).is_file():
        path = path / STUDY_FILE
    if path.is_file():
        return path.resolve()
    near = nearest(text, study_names())
    hint = f" Did you mean '{near}'?" if near else ""
    raise FileNotFoundError(
        f"`study` must be {one_of(study_names())} or the path of a study file; got '{text}'."
        f"{hint} To write one for your own answers: cxlab study draft FILE.csv"
    )
