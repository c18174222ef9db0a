"""How kernels of reports are started: the server they are forked from, their configuration."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from queue import Empty

from jupyter_client.asynchronous import AsyncKernelClient
from traitlets.config import Config

from cxlab.report.publish import temporary_folder

#: Names the socket of the server, for the processes of a run.
SERVER_VARIABLE = "CXLAB_KERNEL_SERVER"
PROVISIONER = "cxlab-warm"
#: As the kernelspec of ipykernel has them: its debugger warns of frozen modules.
_OPTIONS = ("-Xfrozen_modules=off",)
_PROVISIONER_VARIABLE = "JUPYTER_DEFAULT_PROVISIONER_NAME"
#: One thread a kernel, whatever the user's environment says: kernels run side by side, and
#: sums come in one order.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "BLIS_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}


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


def kernel_config() -> Config:
    """Encrypt what passes between a report and its kernel, where the kernel can.

    Answers of customers pass there, and other users of a machine can listen on loopback.
    """
    config = Config()
    config.KernelManager.transport_encryption = "auto"
    return config


class ReportKernelClient(AsyncKernelClient):
    """A client that is ready when the kernel says so, not after a fifth of a second's silence."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Wait until the kernel has answered on both channels.

        Raises
        ------
        RuntimeError
            When it dies before, or doesn't answer in ``timeout`` seconds.
        """
        deadline = time.monotonic() + (math.inf if timeout is None else timeout)
        while time.monotonic() < deadline:
            self.kernel_info()
            try:
                reply = await self.shell_channel.get_msg(timeout=1)
                await self._idle_after(reply["parent_header"].get("msg_id"))
            except Empty:
                if not await self.is_alive():
                    raise RuntimeError("Kernel died before replying to kernel_info") from None
                continue
            if reply["msg_type"] == "kernel_info_reply":
                self._handle_kernel_info_reply(reply)
                return
        raise RuntimeError(f"Kernel didn't respond in {timeout} seconds")

    async def _idle_after(self, request: str) -> None:
        """Pass over what the kernel published until it says that a request is done."""
        while True:
            message = await self.iopub_channel.get_msg(timeout=0.2)
            done = message["content"].get("execution_state") == "idle"
            if done and message["parent_header"].get("msg_id") == request:
                return


def report_kernel_config(connection: Path) -> Config:
    """As `kernel_config`; a report's kernel has nothing to do after its last cell.

    Parameters
    ----------
    connection : Path
        File of the kernel's connection; Jupyter would leave it behind when we are killed.
    """
    config = kernel_config()
    config.KernelManager.connection_file = str(connection)
    config.KernelManager.client_class = "cxlab.report.warm.service.ReportKernelClient"
    config.NotebookClient.shutdown_kernel = "immediate"
    return config
