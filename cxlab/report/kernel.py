"""How the kernels of reports are launched."""

from __future__ import annotations

from traitlets.config import Config


def kernel_config() -> Config:
    """Encrypt what passes between a report and its kernel, where the kernel can.

    Answers of customers pass there, and other users of a machine can listen on loopback.
    """
    config = Config()
    config.KernelManager.transport_encryption = "auto"
    return config
