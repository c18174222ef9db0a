"""How the kernels of reports are launched."""

from __future__ import annotations

import os
from collections.abc import Mapping

from traitlets.config import Config

#: One thread a kernel: kernels run side by side, and sums come in one order.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


def kernel_config() -> Config:
    """Encrypt what passes between a report and its kernel, where the kernel can.

    Answers of customers pass there, and other users of a machine can listen on loopback.
    """
    config = Config()
    config.KernelManager.transport_encryption = "auto"
    return config


def report_kernel_config() -> Config:
    """As `kernel_config`; a report's kernel has nothing to do after its last cell."""
    config = kernel_config()
    config.NotebookClient.shutdown_kernel = "immediate"
    return config


def kernel_threads() -> Mapping[str, str]:
    """`ONE_THREAD`, where the user has not said otherwise."""
    return {name: os.environ.get(name, value) for name, value in ONE_THREAD.items()}
