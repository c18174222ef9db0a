"""Starting and finding the server that kernels are forked from."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points

from cxlab.report.kernel import ONE_THREAD
from cxlab.report.owned import temporary_folder

#: Names the socket of the server, for the processes of a run.
SERVER_VARIABLE = "CXLAB_KERNEL_SERVER"
PROVISIONER = "cxlab-warm"
#: As the kernelspec of ipykernel has them: its debugger warns of frozen modules.
_OPTIONS = ("-Xfrozen_modules=off",)
_PROVISIONER_VARIABLE = "JUPYTER_DEFAULT_PROVISIONER_NAME"


@contextlib.contextmanager
def warm_kernels() -> Iterator[None]:
    """A server for the duration of a run; nothing where a process cannot fork.

    It is ready some seconds later: requests wait in its socket until then.
    """
    if not can_fork():
        yield
        return
    with temporary_folder() as folder:
        place = folder / "s"
        process = subprocess.Popen(
            [sys.executable, *_OPTIONS, "-m", "cxlab.report.warm.server", str(place)],
            stdin=subprocess.PIPE,
            env={**os.environ, **ONE_THREAD},
            start_new_session=True,
        )
        os.environ[SERVER_VARIABLE] = str(place)
        try:
            yield
        finally:
            os.environ.pop(SERVER_VARIABLE, None)
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """The server ends when its standard input closes."""
    if process.stdin is not None:
        process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
    if process.poll() is None:
        process.kill()
        process.wait()


@contextlib.contextmanager
def warm_launch() -> Iterator[None]:
    """Within it, Jupyter launches kernels from the server, if this run has one."""
    if SERVER_VARIABLE not in os.environ:
        yield
        return
    from jupyter_client.provisioning import KernelProvisionerFactory

    factory = KernelProvisionerFactory.instance()
    before = factory.default_provisioner_name
    os.environ[_PROVISIONER_VARIABLE] = factory.default_provisioner_name = PROVISIONER
    try:
        yield
    finally:
        factory.default_provisioner_name = before
        os.environ.pop(_PROVISIONER_VARIABLE, None)


def can_fork() -> bool:
    """Whether kernels can be forked here, and the provisioner is installed."""
    if not hasattr(os, "fork") or sys.platform == "darwin":
        # macOS has fork, but its system libraries don't survive one
        return False
    found = entry_points(group="jupyter_client.kernel_provisioners")
    return PROVISIONER in {entry.name for entry in found}
