"""Which processor a report was made on: sums of another kind may differ in the last digit."""

from __future__ import annotations

import ctypes
import platform
from functools import lru_cache
from pathlib import Path

#: The name under which OpenBLAS says what processor it computes for, in its builds.
_NAMES = ("scipy_openblas_get_corename64_", "openblas_get_corename64_", "openblas_get_corename")


@lru_cache(maxsize=1)
def processor() -> str:
    """Machine, and the processor types that OpenBLAS and NumPy compute for.

    Examples
    --------
    >>> processor()
    '...'
    """
    import numpy

    found = numpy.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    core = _openblas_core(Path(numpy.__file__).parent.parent / "numpy.libs")
    parts = [platform.machine(), core and f"OpenBLAS {core}", found and f"NumPy {found[-1]}"]
    return ", ".join(part for part in parts if part)


def _openblas_core(libraries: Path) -> str:
    """What the wheel's OpenBLAS says; empty where NumPy has another library."""
    for path in sorted(libraries.glob("*openblas*")):
        library = ctypes.CDLL(str(path))
        for name in _NAMES:
            if hasattr(library, name):
                function = getattr(library, name)
                function.restype = ctypes.c_char_p
                return str(function().decode())
    return ""
