"""Folders named after the process that made them: a later run removes those of dead processes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

#: Begins the names of our folders among other programs' temporary ones.
TEMPORARY = "cxlab-"
#: Longer temporary folders leave too little of the 107 characters of a socket's path.
LONGEST = 50
#: Seconds by which a clock may be corrected.
CLOCK = 60
_NAME = re.compile(r"(\d+)@([\w.]*)-[a-z0-9_]{8}")


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
