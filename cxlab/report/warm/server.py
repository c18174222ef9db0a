"""The process that kernels are forked from: ``python -m cxlab.report.warm.server SOCKET FOLDER``.

The socket, of which it gets the number, is there before it is. It only accepts connections and forks. Whatever a request holds is read by the child, so
no request can end the server. It ends, and removes its folder, when its standard input
closes: that is when the run that started it has ended, however it did.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import re
import select
import shutil
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

#: Seconds in which a request must have arrived whole.
REQUEST_SECONDS = 10.0
#: Kernel arguments that a fork has no use for: the interpreter and its options.
LAUNCHER = "ipykernel_launcher"
#: What every kernel needs sooner or later.
MODULES = (
    "ipykernel.ipkernel", "ipykernel.kernelapp", "ipykernel.debugger", "IPython.core.completerlib",
    "IPython.core.oinspect", "IPython.extensions.storemagic", "matplotlib_inline.backend_inline",
    "matplotlib.pyplot", "seaborn", "numpy", "scipy.stats", "pandas", "pandas.io.formats.csvs",
    "pandas.io.formats.html", "pandas.io.formats.string", "PIL.PngImagePlugin", "pyarrow",
    "duckdb", "narwhals", "jinja2",
)  # fmt: skip


def main() -> None:
    """Import what reports need, then fork a kernel for each connection."""
    listener, place = socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2])
    try:
        if sys.path and sys.path[0] in ("", str(Path.cwd())):
            del sys.path[0]
        import_what_reports_need()
        serve(listener)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    # the imported libraries are not taken apart: some complain of it at length
    os._exit(0)


def import_what_reports_need() -> None:
    """Imports only: threads that a computation starts would not survive the fork."""
    # the backend that a kernel sets; another one, once imported, would drop every figure
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    for name in (*MODULES, *_public_modules()):
        if _has_ended():
            return
        # one that fails here will say so in the kernel
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _has_ended() -> bool:
    """Whether the run that started the server is over: its end of standard input is closed."""
    return bool(select.select([sys.stdin.fileno()], [], [], 0)[0])


def _public_modules() -> list[str]:
    """Modules of the package's public names, but for those that no kernel needs."""
    stub = (Path(__file__).parents[2] / "__init__.pyi").read_text(encoding="utf-8")
    names = re.findall(r"^from \.([\w.]+) import", stub, re.M)
    return [f"cxlab.{name}" for name in dict.fromkeys(names) if name != "report.build"]


def serve(listener: socket.socket) -> None:
    """Accept and fork until standard input closes."""
    while True:
        ready, _, _ = select.select([listener, sys.stdin.fileno()], [], [], 1.0)
        _reap()
        if sys.stdin.fileno() in ready:
            return
        if listener not in ready:
            continue
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _become_kernel(connection)
            connection.close()


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _become_kernel(connection: socket.socket) -> None:
    """Never returns: the child is a kernel, or it ends."""
    try:
        os.setsid()
        request = read_request(connection)
        _set_process(request)
        threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
        application = _make_kernel(list(request["argv"]))
        # only now, when its sockets are there: a client that knocks too early waits before
        # it tries again
        connection.sendall(json.dumps({"pid": os.getpid()}).encode() + b"\n")
        application.start()
    except BaseException as error:
        with contextlib.suppress(OSError):
            connection.sendall(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
        os._exit(1)
    os._exit(0)


def read_request(connection: socket.socket) -> dict[str, Any]:
    """One line of JSON: ``argv``, ``cwd`` and ``env``; a `ValueError` for anything else."""
    connection.settimeout(REQUEST_SECONDS)
    data = b""
    while not data.endswith(b"\n"):
        part = connection.recv(65536)
        if not part:
            raise ValueError("the request ended early")
        data += part
    connection.settimeout(None)
    request = json.loads(data)
    if not isinstance(request, dict) or not {"argv", "cwd", "env"} <= set(request):
        raise ValueError("a request must have argv, cwd and env")
    return request


def _set_process(request: dict[str, Any]) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update({str(name): str(value) for name, value in request["env"].items()})
    os.chdir(request["cwd"])
    # the server's, where it has asked for one already
    tempfile.tempdir = None
    import numpy

    # else every kernel of the run would draw the same numbers from the global generator
    numpy.random.seed()


def _end_with(connection: socket.socket) -> None:
    """The kernel ends, and whatever it started, when its client's end closes."""
    with contextlib.suppress(OSError):
        while connection.recv(4096):
            pass
    os.killpg(0, signal.SIGKILL)


def _make_kernel(argv: list[str]) -> Any:
    """A kernel whose sockets are bound; ``start()`` runs it."""
    from ipykernel.kernelapp import IPKernelApp
    from matplotlib_inline import backend_inline

    arguments = argv[argv.index(LAUNCHER) + 1 :] if LAUNCHER in argv else argv
    sys.argv = [LAUNCHER, *arguments]
    # 1: the parent is not polled (the socket does that), and no hint for consoles is printed
    application = IPKernelApp.instance(parent_handle=1)
    application.initialize(arguments)
    # pyplot was imported before there was a shell to send figures to
    backend_inline._enable_matplotlib_integration()
    return application


if __name__ == "__main__":
    main()
