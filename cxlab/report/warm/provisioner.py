"""How kernels of reports are started: configured, and forked by a server where it answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from queue import Empty
from typing import Any, cast

from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner
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
#: Seconds to wait for a fork; the first waits for the server's imports too.
ANSWER_SECONDS = 40.0
#: The extension of IPython that keeps what a kernel shows.
_OUTPUTS = "cxlab.report.warm.outputs"

_refused: set[str] = set()


@contextlib.contextmanager
def warm_kernels() -> Iterator[None]:
    """A server for the duration of a run; nothing where there is one, or no process can fork.

    Requests wait in its socket until its imports are done.
    """
    if SERVER_VARIABLE in os.environ or not can_fork():
        yield
        return
    with temporary_folder() as folder:
        place = str(folder / "s")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(place)
            listener.listen(64)
            number = listener.fileno()
            words = ["-m", "cxlab.report.warm.server", str(number), str(folder)]
            process = subprocess.Popen(
                [sys.executable, *_OPTIONS, *words], stdin=subprocess.PIPE, pass_fds=[number],
                env={**os.environ, **ONE_THREAD}, start_new_session=True,
            )  # fmt: skip
        os.environ[SERVER_VARIABLE] = place
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
    """Encrypt what passes between a notebook and its kernel, where the kernel can; lose nothing of it.

    Answers of customers pass there, and other users of a machine can listen on loopback.
    """
    config = Config()
    config.NotebookClient.extra_arguments = [f"--IPKernelApp.extra_extensions={_OUTPUTS}"]
    config.KernelManager.transport_encryption = "auto"
    return config


class ReportKernelClient(AsyncKernelClient):
    """Ready when the kernel says so, not after a fifth of a second's silence."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Wait until the kernel has answered on both channels; else a `RuntimeError`."""
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
    """As `kernel_config`; a report's kernel has nothing to do after its last cell."""
    config = kernel_config()
    # Jupyter would leave its own file behind when we are killed
    config.KernelManager.connection_file = str(connection)
    config.KernelManager.client_class = "cxlab.report.warm.provisioner.ReportKernelClient"
    config.NotebookClient.shutdown_kernel = "immediate"
    return config


class ForkedProcess:
    """A kernel that is not our child, with as much of `subprocess.Popen` as is used.

    The kernel ends when its connection closes, and the other way round.
    """

    stdin = stdout = stderr = None

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self.connection = connection
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """None while the kernel lives; how it ended is not known to us."""
        if self.returncode is None and select.select([self.connection], [], [], 0)[0]:
            try:
                ended = not self.connection.recv(4096)
            except OSError:
                ended = True
            if ended:
                self.returncode = 1
                self.connection.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        while self.poll() is None:
            select.select([self.connection], [], [], timeout)
        return self.returncode or 0

    def send_signal(self, signum: int) -> None:
        """Signal the kernel and what it started."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signum)

    def kill(self) -> None:
        """End it at once; nobody need wait while its memory is given back."""
        self.send_signal(signal.SIGKILL)
        if self.returncode is None:
            self.returncode = -signal.SIGKILL
            self.connection.close()

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


class WarmProvisioner(LocalProvisioner):
    """`LocalProvisioner` whose kernels are forks of a process with everything imported."""

    _sockets: str | None = None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Sockets of files instead of ports: nobody else on the machine can connect."""
        manager = self.parent
        if manager is not None and manager.transport == "tcp":
            # a folder that goes with its run, however that ends
            near = Path(manager.connection_file or os.environ.get(SERVER_VARIABLE, "")).parent
            there = near.is_absolute() and near.is_dir()
            self._sockets = tempfile.mkdtemp(prefix="k", dir=near if there else None)
            manager.cache_ports = False
            manager.transport = "ipc"
            manager.ip = f"{self._sockets}/p"
            # the folder is ours alone; encryption would guard nothing
            kwargs["transport_encryption"] = "disabled"
        return await super().pre_launch(**kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Ask the server; launch as usual if there is no answer."""
        server = os.environ.get(SERVER_VARIABLE, "")
        if server in _refused:
            return await super().launch_kernel(cmd, **kwargs)
        try:
            process = await asyncio.to_thread(ask_for_kernel, server, cmd, kwargs)
        except (OSError, ValueError) as error:
            _refused.add(server)
            print(f"kernels start as usual, not warm: {_reason(error)}", file=sys.stderr)
            return await super().launch_kernel(cmd, **kwargs)
        self.process = cast("subprocess.Popen[Any]", process)
        self.pid = self.pgid = process.pid
        self.cwd = kwargs.get("cwd", Path.cwd())
        return self.connection_info

    async def kill(self, restart: bool = False) -> None:
        """As of `LocalProvisioner`, which looks a tenth of a second later whether it is dead."""
        if isinstance(self.process, ForkedProcess):
            self.process.kill()
        else:
            await super().kill(restart=restart)

    async def wait(self) -> int | None:
        """As of `LocalProvisioner`, looking more often than every tenth of a second."""
        while self.process is not None and self.process.poll() is None:
            await asyncio.sleep(0.01)
        return await super().wait()

    async def cleanup(self, restart: bool = False) -> None:
        """Remove the sockets too."""
        await super().cleanup(restart=restart)
        if self._sockets and not restart:
            shutil.rmtree(self._sockets, ignore_errors=True)


def ask_for_kernel(server: str, cmd: list[str], options: dict[str, Any]) -> ForkedProcess:
    """A kernel forked by the server; an `OSError` or `ValueError` says why there is none."""
    request = {
        "argv": [str(word) for word in cmd],
        "cwd": str(options.get("cwd") or Path.cwd()),
        "env": {str(k): str(v) for k, v in (options.get("env") or os.environ).items()},
    }
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(server)
        connection.sendall(json.dumps(request).encode() + b"\n")
        answer = json.loads(connection.recv(4096) or b"{}")
        if "pid" not in answer:
            raise ValueError(answer.get("error", "the server ended"))
    except BaseException:
        connection.close()
        raise
    connection.settimeout(None)
    return ForkedProcess(connection, answer["pid"])


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "the server did not answer"
    return str(error) or type(error).__name__
