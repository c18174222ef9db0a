"""Files that only their owner may read: ids, persons and comments leave in no others."""

from __future__ import annotations

from pathlib import Path


def private_file(path: str | Path) -> Path:
    """A file that only its owner reads, made or narrowed before anything is written into it.

    A file that is there already keeps neither its wider rights nor, once written, its content.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     oct(private_file(f"{folder}/calls.csv").stat().st_mode & 0o777)
    '0o600'
    """
    target = Path(path)
    target.touch(mode=0o600)
    target.chmod(0o600)
    return target
