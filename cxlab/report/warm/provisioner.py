"""Launches a kernel by asking the server for a fork, or as usual where it doesn't answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner

from cxlab.report.warm.service import SERVER_VARIABLE

#: Seconds to wait for the server's imports, and then for a fork.
SERVER_SECONDS = 30.0
ANSWER_SECONDS = 10.0
#: Seconds between a socket and its listener, at the most.
REFUSED_SECONDS = 1.0

_refused: set[str] = set()


class ForkedProcess:
    """A kernel that is not our child, with as much of `subprocess.Popen` as is used.

    Parameters
    ----------
    connection : socket
        Open as long as the kernel lives; the kernel ends when it closes.
    pid : int
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
    """A kernel forked by the server.

    Raises
    ------
    OSError, ValueError
        When there is no server, or it doesn't answer, or says why it could not.
    """
    request = {
        "argv": [str(word) for word in cmd],
        "cwd": str(options.get("cwd") or Path.cwd()),
        "env": {str(k): str(v) for k, v in (options.get("env") or os.environ).items()},
    }
    connection = _connect(server)
    try:
        connection.settimeout(ANSWER_SECONDS)
        connection.sendall(json.dumps(request).encode() + b"\n")
        answer = json.loads(connection.recv(4096) or b"{}")
        if "pid" not in answer:
            raise ValueError(answer.get("error", "the server ended"))
    except BaseException:
        connection.close()
        raise
    connection.settimeout(None)
    return ForkedProcess(connection, answer["pid"])


def _connect(server: str) -> socket.socket:
    """A connection, once the server has done its imports."""
    deadline = time.monotonic() + SERVER_SECONDS
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(server)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            connection.close()
            if isinstance(error, ConnectionRefusedError):
                # its socket is there and nobody listens: it was killed, or it is about to
                deadline = min(deadline, time.monotonic() + REFUSED_SECONDS)
            # its folder goes when the server does
            if not Path(server).parent.is_dir() or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return connection


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "the server did not answer"
    return str(error) or type(error).__name__
