"""An extension of IPython for kernels of reports: what they show waits until it is read."""

from typing import Any

import zmq


def load_ipython_extension(shell: Any) -> None:
    """Lift ZeroMQ's limit, which drops what is shown while a thousand messages wait to be read.

    Whoever reads gets no turn on a busy machine. The limit belongs to a connection, which may
    be made after the kernel has begun: it is lifted before each cell.
    """
    thread = shell.kernel.iopub_thread
    lift = thread.socket.set
    shell.events.register("pre_execute", lambda: thread.schedule(lambda: lift(zmq.SNDHWM, 0)))
