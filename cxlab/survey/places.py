"""Where a study's files are."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

#: Names a folder that holds data files which are not in the project.
MIRROR_VARIABLE = "CXLAB_DATA"
#: Names the folder into which public data is fetched, instead of the user's cache folder.
CACHE_VARIABLE = "CXLAB_CACHE"
#: Lists the public files of a study; beside its study file.
CATALOGUE_FILE = "catalogue.toml"


def cache_folder() -> Path:
    """Folder of fetched public data: what `CACHE_VARIABLE` names, or the user's cache."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    # where pooch puts its files too, without the import of pooch: a quarter of a second
    return platformdirs.user_cache_path("cxlab")


def find_file(file: str, folder: Path) -> Path:
    """A study's data file: beside the study file, in the mirror folder, or fetched.

    Raises
    ------
    FileNotFoundError
        Naming the file, the places looked at, and the mirror variable.
    """
    beside = folder / file
    if beside.is_file():
        return beside
    mirror = os.environ.get(MIRROR_VARIABLE)
    if mirror:
        for candidate in (Path(mirror) / file, Path(mirror) / folder.name / file):
            if candidate.is_file():
                return candidate
    public = (folder / CATALOGUE_FILE).is_file()
    if public and (cache_folder() / file).is_file():
        return cache_folder() / file
    fetch = f"Fetch it with cxlab data fetch {folder.name}, or " if public else ""
    if mirror:
        raise FileNotFoundError(
            f"{file} must be beside the study file or in the folder that {MIRROR_VARIABLE} names; "
            f"it is in neither. {fetch or 'Now '}check {MIRROR_VARIABLE}, which is '{mirror}'."
        )
    raise FileNotFoundError(
        f"{file} must be beside the study file; it isn't there. {fetch or 'Put it there, or '}"
        f"set {MIRROR_VARIABLE} to a folder that holds it."
    )
