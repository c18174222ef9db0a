"""One BLAS thread around linear algebra on small matrices, where several only wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_lock = threading.Lock()
#: Calls that are running, and what ends the limit; the setting is the whole process's.
_running: list[None] = []
_limits: list[Any] = []


def one_blas_thread(function: Callable[P, T]) -> Callable[P, T]:
    """Let BLAS take one thread while a public function runs.

    On matrices of a few dozen columns a second thread doubles the processor time for the
    same result. Put it on functions that are called once, never inside loops.

    Examples
    --------
    >>> import threadpoolctl
    >>> @one_blas_thread
    ... def threads():
    ...     return {pool["num_threads"] for pool in threadpoolctl.threadpool_info()
    ...             if pool["user_api"] == "blas"}
    >>> threads()
    {1}
    """

    @wraps(function)
    def limited(*args: P.args, **options: P.kwargs) -> T:
        with _one_thread():
            return function(*args, **options)

    return limited


@contextmanager
def _one_thread() -> Iterator[None]:
    with _lock:
        if not _running:
            _limits.append(_controller().limit(limits=1, user_api="blas"))
        _running.append(None)
    try:
        yield
    finally:
        with _lock:
            _running.pop()
            if not _running:
                _limits.pop().restore_original_limits()


@cache
def _controller() -> Any:
    """Found once: looking for the libraries takes a millisecond, a limit 20 microseconds."""
    # SciPy brings an OpenBLAS of its own, which is found only once it is loaded
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
