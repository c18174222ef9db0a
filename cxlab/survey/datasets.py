"""Studies and public data by name, and where their files are."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from cxlab.core.messages import did_you_mean, one_of, unknown

#: Names a folder that holds data files which are not in the project.
MIRROR_VARIABLE = "CXLAB_DATA"
#: Names the folder into which public data is fetched, instead of the user's cache folder.
CACHE_VARIABLE = "CXLAB_CACHE"
#: Lists the public files of a study; beside its study file.
CATALOGUE_FILE = "catalogue.toml"
STUDY_FILE = "study.toml"


def cache_folder() -> Path:
    """Folder of fetched public data: what `CACHE_VARIABLE` names, or the user's cache."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    # where pooch puts its files too, without the import of pooch: a quarter of a second
    return platformdirs.user_cache_path("cxlab")


def data_places(folder: Path) -> list[Path]:
    """Where data files of a study's folder may be: in it, or in the mirror folder."""
    mirror = os.environ.get(MIRROR_VARIABLE)
    return [folder, *([Path(mirror), Path(mirror) / folder.name] if mirror else [])]


def find_file(file: str, folder: Path) -> Path:
    """A study's data file: beside the study file, in the mirror folder, or fetched."""
    for place in data_places(folder):
        if (place / file).is_file():
            return place / file
    mirror = os.environ.get(MIRROR_VARIABLE)
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
    """Path of a study file, by name, by path, or by the folder that holds it."""
    if not isinstance(name_or_path, str | os.PathLike):
        raise TypeError(
            f"`study` must be a study's name or the path of a study file; got "
            f"{type(name_or_path).__name__}. Functions take a frame directly, such as "
            "nps(answers, 'recommend')."
        )
    text = str(name_or_path)
    if text in study_names():
        return data_folder() / text / STUDY_FILE
    path = Path(text)
    if path.is_dir() and (path / STUDY_FILE).is_file():
        path = path / STUDY_FILE
    if path.is_file() and path.suffix == ".toml":
        return path.resolve()
    if path.is_file():
        raise ValueError(
            f"`study` must be {one_of(study_names())} or the path of a study file (.toml); got "
            f"'{text}'. If it holds answers, write their study file: cxlab study draft {text}"
        )
    files = sorted(path.glob("*.toml")) if path.is_dir() else []
    if files:
        raise ValueError(
            f"`study` must be {one_of(study_names())} or the path of a study file; got the folder "
            f"'{text}'. Name the file in it, such as {files[0]}."
        )
    hint = did_you_mean(text, study_names())
    raise FileNotFoundError(
        f"`study` must be {one_of(study_names())} or the path of a study file; got '{text}'."
        f"{hint} To write one for your own answers: cxlab study draft FILE.csv"
    )


class FetchError(OSError):
    """Public data could not be fetched; says why, and what to do without a network."""


@dataclass(frozen=True)
class DataFile:
    """One public file."""

    file: str  # name below the cache or mirror folder, as the study file has it
    address: str
    sha256: str  # digest in hexadecimal
    size: int | None = None  # bytes, where known


@dataclass(frozen=True)
class Dataset:
    """Public data that can be fetched by name."""

    name: str
    title: str
    publisher: str
    licence: str
    folder: Path  # where its study file and catalogue are
    files: tuple[DataFile, ...]

    @property
    def size(self) -> int | None:
        """Bytes of all files; None where one is not known."""
        sizes = [one.size for one in self.files]
        return sum(size for size in sizes if size is not None) if None not in sizes else None


def datasets() -> list[Dataset]:
    """Public data with a catalogue, in alphabetical order.

    Examples
    --------
    >>> [(dataset.name, len(dataset.files), dataset.licence) for dataset in datasets()]
    [('sfo', 4, 'PDDL')]
    """
    return [_read_catalogue(path) for path in sorted(data_folder().glob(f"*/{CATALOGUE_FILE}"))]


def find_dataset(name: str) -> Dataset:
    """The public data of that name."""
    known = {dataset.name: dataset for dataset in datasets()}
    if name not in known:
        raise ValueError(unknown("name", name, known, what="public data: "))
    return known[name]


def file_state(dataset: Dataset, one: DataFile) -> str:
    """Where a public file is: ``here``, ``in the mirror``, ``not fetched``, or why it won't do."""
    try:
        path = find_file(one.file, dataset.folder)
    except FileNotFoundError:
        return "not fetched"
    mirror = os.environ.get(MIRROR_VARIABLE)
    mirrored = mirror and path.resolve().is_relative_to(Path(mirror).resolve())
    place = "in the mirror" if mirrored else "here"
    return place if file_digest(path) == one.sha256 else f"{place} (wrong digest)"


def fetch(name: str, *, progress: bool | None = None) -> list[Path]:
    """Public data by name: downloaded once into the cache folder, checked by SHA-256."""
    dataset = find_dataset(name)
    bars = sys.stderr.isatty() if progress is None else progress
    return [_fetch_file(dataset, one, bars) for one in dataset.files]


def _fetch_file(dataset: Dataset, one: DataFile, progress: bool) -> Path:
    target = cache_folder() / one.file
    with contextlib.suppress(FileNotFoundError):
        found = find_file(one.file, dataset.folder)
        if file_digest(found) == one.sha256:
            return found
        if found != target:
            raise FetchError(
                f"{found} must be the published file, because it is read first; its SHA-256 is "
                f"another. Remove it, or let {MIRROR_VARIABLE} name another folder."
            )
    try:
        _download(one, target, progress)
    except FetchError:
        with contextlib.suppress(OSError):  # a folder that holds something stays
            target.parent.rmdir()
        raise
    return target


def _download(one: DataFile, target: Path, progress: bool) -> None:
    import pooch  # here and not above, as reading needs neither it nor requests
    import requests

    pooch.get_logger().setLevel("WARNING")
    failed = f"{target.name} could not be fetched from {one.address}"
    instead = f"or set {MIRROR_VARIABLE} to a folder that holds {one.file}."
    try:
        pooch.retrieve(
            one.address,
            known_hash=f"sha256:{one.sha256}",
            fname=target.name,
            path=target.parent,
            downloader=pooch.HTTPDownloader(progressbar=progress, timeout=30),
        )
    except requests.exceptions.HTTPError as error:
        status = error.response.status_code if error.response is not None else "an error"
        raise FetchError(f"{failed}: the server answered {status}. Try later, {instead}") from error
    except (
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.ContentDecodingError,
    ) as e:
        raise FetchError(f"{failed}: the connection broke. Fetch again, {instead}") from e
    except requests.exceptions.RequestException as error:
        raise FetchError(
            f"{failed}: no connection. Check the network and fetch again, {instead}"
        ) from error
    except ValueError as error:
        raise FetchError(
            f"{failed}: what came has not the SHA-256 {one.sha256[:12]}… of the catalogue and was "
            f"thrown away. Fetch again, {instead}"
        ) from error
    except OSError as error:
        raise FetchError(
            f"{target.name} could not be written to {target.parent}: {error.strerror or error}. "
            f"Name another folder in {CACHE_VARIABLE}, {instead}"
        ) from error


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_catalogue(path: Path) -> Dataset:
    place = f"{path.parent.name}/{path.name}"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        files = tuple(
            DataFile(one["file"], one["address"], one["sha256"].lower(), one.get("bytes"))
            for one in content["files"]
        )
        dataset = Dataset(
            name=path.parent.name,
            title=content["title"],
            publisher=content["publisher"],
            licence=content["licence"],
            folder=path.parent,
            files=files,
        )
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{place} must be valid TOML in UTF-8; got {error}.") from error
    except KeyError as error:
        raise ValueError(f"{place} must have the key '{error.args[0]}'; it isn't there.") from error
    for one in files:
        if not re.fullmatch(r"[0-9a-f]{64}", one.sha256):
            raise ValueError(
                f"{place}: `sha256` of {one.file} must be 64 hexadecimal digits; "
                f"got '{one.sha256}'."
            )
    return dataset
