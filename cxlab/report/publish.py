"""Folders that appear whole or not at all, whoever is killed and whoever else is writing."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import psutil

#: Why reports cannot be written: the disk is full, or the folder is not ours to write to.
Trouble = Literal["", "full", "unwritable"]
_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG)

BUILDING = ".building"
FAILED = "failed"
#: Below a building folder: the report that is being replaced, until it is.
REPLACED = "replaced"
#: Begins the names of our folders among other programs' temporary ones.
TEMPORARY = "cxlab-"
#: Longer temporary folders leave too little of the 107 characters of a socket's path.
LONGEST = 50
#: Seconds by which a clock may be corrected.
CLOCK = 60
_NAME = re.compile(r"(\d+)@([\w.]*)-[a-z0-9_]{8}")


class OutputError(OSError):
    """Nothing can be written where reports should be."""

    def __init__(self, message: str, trouble: Trouble) -> None:
        super().__init__(message)
        self.trouble = trouble


def trouble_of(error: OSError, folder: Path) -> Trouble:
    """What an error says of the disk, or of a folder that was written to."""
    if error.errno in _FULL:
        return "full"
    written = str(error.filename or "").startswith(str(folder))
    return "unwritable" if written and error.errno in _UNWRITABLE else ""


def disk_cause(error: OSError) -> str:
    """Why nothing more could be written, in words."""
    if error.errno in _FULL:
        return "the disk is full"
    return f"{error.strerror or error}".lower()


@contextlib.contextmanager
def building_folder(parent: Path) -> Iterator[Path]:
    """An empty folder on the same file system, removed afterwards if it is still there."""
    folder = _new_folder(parent)
    try:
        yield folder / "report"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()


def is_foreign(output: Path) -> bool:
    """Whether a report's place is taken by something else, which is never replaced."""
    if not output.is_dir():
        return output.exists()
    names = {path.name for path in output.iterdir() if not path.name.startswith(".")}
    return bool(names) and "manifest.json" not in names


def publish(folder: Path, output: Path) -> None:
    """Put a finished folder at its final place; an earlier one is replaced whole.

    Renames within one file system, so that no moment shows a half-written report. Of two
    runs that publish at once the later one stays; `clean_up` puts the earlier report back
    if a run is killed between the two renames.
    """
    while True:
        try:
            folder.rename(output)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        else:
            return
        retired = folder.parent / REPLACED / output.name
        shutil.rmtree(retired, ignore_errors=True)
        retired.parent.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            output.rename(retired)


def keep_failure(partial: Path, failed: Path, record: Mapping[str, Any]) -> None:
    """Keep why a report failed, and the partial notebook as far as the disk allows."""
    try:
        _write_failure(partial, failed, record)
    except OSError:
        # what is half done may be what fills the disk
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
            _write_failure(partial, failed, record)


def _write_failure(partial: Path, failed: Path, record: Mapping[str, Any]) -> None:
    with building_folder(failed.parent.parent) as folder:
        folder.mkdir()
        text = json.dumps(record, indent=1) + "\n"
        (folder / "failure.json").write_text(text, encoding="utf-8")
        if partial.exists():
            shutil.copyfile(partial, folder / partial.name)
        failed.parent.mkdir(parents=True, exist_ok=True)
        publish(folder, failed)


def forget_failure(output: Path) -> None:
    """Remove what an earlier failure of this report has left."""
    shutil.rmtree(output.parent / FAILED / output.name, ignore_errors=True)
    with contextlib.suppress(OSError):
        (output.parent / FAILED).rmdir()


def replace_text(path: Path, text: str) -> None:
    """Write a file whole, or leave the earlier one; half a character pair becomes "?"."""
    replace_bytes(path, text.encode("utf-8", "replace"))


def replace_bytes(path: Path, content: bytes) -> None:
    """Write a file whole, or leave the earlier one."""
    with building_folder(path.parent) as place:
        place.write_bytes(content)
        place.replace(path)


def clean_up(reports: Path) -> None:
    """Remove what runs that were killed have left under ``reports``, and nothing else.

    A report that was being replaced at that moment is put back.
    """
    clean_temporary()
    for folder in reports.glob(f"**/{BUILDING}/*"):
        if abandoned(folder):
            for retired in (folder / REPLACED).glob("*"):
                with contextlib.suppress(OSError):
                    if not (folder.parent.parent / retired.name).exists():
                        retired.rename(folder.parent.parent / retired.name)
            shutil.rmtree(folder, ignore_errors=True)
    for folder in reports.glob(f"**/{BUILDING}"):
        with contextlib.suppress(OSError):
            folder.rmdir()


def check_writable(reports: Path) -> None:
    """Refuse a folder that reports cannot be written to, before anything runs."""
    try:
        reports.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=reports) as probe:
            # a full disk still takes a file of no bytes
            probe.write(b"x" * 4096)
    except OSError as error:
        raise output_error(reports, error) from error


def output_error(reports: Path, error: OSError) -> OutputError:
    """One sentence on a folder that cannot be written to."""
    full = error.errno in _FULL
    advice = "Make room on the disk, or name" if full else "Name"
    return OutputError(
        f"`output` must be a folder that can be written to; got '{reports}' "
        f"({disk_cause(error)}). {advice} another one with --output.",
        "full" if full else "unwritable",
    )


def _new_folder(parent: Path) -> Path:
    """Its name says which process owns it; another run may remove ``.building`` meanwhile."""
    while True:
        building = parent / BUILDING
        try:
            building.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            # there, and gone before it was seen to be a folder
            if building.is_file():
                raise
            continue
        with contextlib.suppress(FileNotFoundError):
            return owned_folder(building)


def owned_folder(parent: Path) -> Path:
    """A new folder, ``PID@HOST-…``, below one that exists."""
    return Path(tempfile.mkdtemp(prefix=f"{os.getpid()}@{_host()}-", dir=parent))


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of short-lived files, removed afterwards, or by a later run's `clean_temporary`."""
    prefix = f"{TEMPORARY}{os.getpid()}@{_short_host()}-"
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=_place()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clean_temporary() -> None:
    """Remove the temporary folders that runs which were killed have left on this machine."""
    for folder in _place().glob(f"{TEMPORARY}*@*"):
        if abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)


def abandoned(folder: Path) -> bool:
    """Whether a folder was made by `owned_folder` or `temporary_folder` in a process now dead.

    Anything else is somebody else's, as are folders of other machines that share the disk:
    their processes cannot be seen from here.
    """
    owner = _NAME.fullmatch(folder.name.removeprefix(TEMPORARY))
    if owner is None or owner[2] not in (_host(), _short_host()):
        return False
    if folder.is_symlink() or not folder.is_dir():
        return False
    return not _made_by(int(owner[1]), folder)


def _made_by(process: int, folder: Path) -> bool:
    """Whether a process lives, and did already when the folder was last changed."""
    try:
        owner = psutil.Process(process)
        if owner.status() == psutil.STATUS_ZOMBIE:
            return False  # ended, and nobody has asked how
        return owner.create_time() <= folder.stat().st_mtime + CLOCK
    except (psutil.NoSuchProcess, FileNotFoundError):
        return False
    except psutil.AccessDenied:
        return True


def _place() -> Path:
    usual = tempfile.gettempdir()
    return Path("/tmp" if len(usual) > LONGEST and Path("/tmp").is_dir() else usual)


def _host() -> str:
    return re.sub(r"[^\w.]", "", socket.gethostname())


def _short_host() -> str:
    """Names the host in few characters, because sockets lie below."""
    return hashlib.sha256(_host().encode()).hexdigest()[:8]
