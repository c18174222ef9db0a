"""How the kernels of reports are launched."""

from __future__ import annotations

import math
import time
from pathlib import Path
from queue import Empty

from jupyter_client.asynchronous import AsyncKernelClient
from traitlets.config import Config

#: One thread a kernel, whatever the user's environment says: kernels run side by side, and
#: sums come in one order.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "BLIS_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}


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
    config.KernelManager.client_class = "cxlab.report.kernel.ReportKernelClient"
    config.NotebookClient.shutdown_kernel = "immediate"
    return config
