"""Warm kernels: forks of a process with the imports done, and nothing else different."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from papermill.engines import NotebookExecutionManager

from cxlab.report.execute import LimitedClient, execute_notebook
from cxlab.report.warm import provisioner
from cxlab.report.warm.provisioner import (
    SERVER_VARIABLE,
    can_fork,
    report_kernel_config,
    warm_launch,
)

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
#: Seconds in which a process that should end has ended, on a busy machine.
ENDS = 60

pytestmark = pytest.mark.skipif(not can_fork(), reason="no warm kernels here: no fork")


@pytest.fixture(scope="module")
def server(warm_reports):
    """Socket of the server of all tests."""
    return warm_reports


@pytest.fixture
def run(tmp_path):
    """Runs cells as a report's notebook and gives the outputs."""

    def execute(*sources):
        path = tmp_path / "cells.ipynb"
        nbformat.write(new_notebook(cells=[new_code_cell(source) for source in sources]), path)
        notebook = execute_notebook(path, tmp_path / "done.ipynb", {}, tables=tmp_path / "tables")
        return [cell.outputs for cell in notebook.cells]

    return execute


def ended(pid):
    deadline = time.monotonic() + ENDS
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid):
            return True
        time.sleep(0.05)
    return False


def comparable(outputs):
    """What a cell printed, and what it displayed in order.

    A stock kernel sends printed text in parts, by a timer: the end of a line may come
    after the display that follows it.
    """
    printed = {"stdout": "", "stderr": ""}
    for output in outputs:
        if output.output_type == "stream":
            printed[output.name] += output.text
    return printed, [shown(output) for output in outputs if output.output_type != "stream"]


def shown(output):
    """An output without what stands for itself otherwise: images have their digest as text."""
    plain = json.loads(json.dumps(output))
    plain.pop("execution_count", None)
    data = plain.get("data", {})
    if "image/png" in data:
        assert re.search(r"Drawn: \d+ numbers, digest", data["text/plain"])
        del data["image/png"]
    return plain


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_output_is_that_of_a_stock_kernel(path, server, tmp_path):
    warm = execute_notebook(path, tmp_path / "warm.ipynb", {}, tables=tmp_path / "tables")
    # nbval compares them with a stock kernel's
    stored = nbformat.read(path, as_version=4)
    pairs = zip(warm.cells, stored.cells, strict=True)
    for one, other in pairs:
        assert one.source == other.source
        assert comparable(one.get("outputs", [])) == comparable(other.get("outputs", []))


def test_kernel_is_a_fork_of_the_server(server, run):
    (outputs,) = run("import os, psutil; print(*psutil.Process(os.getppid()).cmdline())")
    assert "cxlab.report.warm.server" in outputs[0].text


def test_a_figure_that_nobody_shows_is_still_drawn(server, run):
    # imported under another backend before the fork, pyplot would drop it without a word
    _, outputs = run("import matplotlib.pyplot as plt", "plt.plot([1, 2]); None")
    assert "image/png" in outputs[0].data


def test_kernels_do_not_share_random_numbers(server, run):
    source = "import numpy; print(numpy.random.random())"
    assert run(source)[0][0].text != run(source)[0][0].text


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_kernel_has_one_thread_for_linear_algebra_and_the_callers_folder(
    warm, server, run, monkeypatch
):
    # whatever the user's environment says
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    if not warm:
        monkeypatch.delenv(SERVER_VARIABLE)
    (outputs,) = run("import os; print(os.environ['OPENBLAS_NUM_THREADS'], os.getcwd())")
    assert outputs[0].text.split() == ["1", str(Path.cwd())]


def test_interrupted_cell_and_subprocess_behave(server, run):
    (outputs,) = run("import subprocess; print(subprocess.run(['echo', 'x'], capture_output=True))")
    assert "returncode=0" in outputs[0].text


@pytest.mark.parametrize(
    "request_text",
    [b"nonsense\n", b"{}\n", b'{"argv": [], "cwd": "/nowhere", "env": {}}\n', b"", b"[1, 2]\n"],
)
def test_a_bad_request_never_ends_the_server(request_text, server, run):
    run("1")  # the server is there
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(server)
        connection.sendall(request_text)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(ENDS)
        assert "error" in json.loads(connection.recv(4096))
    (outputs,) = run("import os; print(os.getppid())")
    assert outputs


def test_a_path_as_folder_is_no_bad_request(server, tmp_path):
    command = ["-f", str(tmp_path / "connection.json")]
    process = provisioner.ask_for_kernel(server, command, {"cwd": tmp_path})
    assert process.pid > 0
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert ended(process.pid)


def test_kernel_and_what_it_started_end_with_its_client(server, tmp_path):
    code = """
import asyncio, sys
from jupyter_client import AsyncKernelManager
from cxlab.report.warm.provisioner import warm_launch
async def main():
    with warm_launch():
        manager = AsyncKernelManager()
        await manager.start_kernel()
        client = manager.client(); client.start_channels(); await client.wait_for_ready()
        client.execute("import subprocess; print(subprocess.Popen(['sleep', '1000']).pid, flush=True)")
        while True:
            message = await client.get_iopub_msg(timeout=120)
            if message["msg_type"] == "stream":
                print(manager.provisioner.pid, message["content"]["text"], flush=True)
                break
        await asyncio.sleep(1000)
asyncio.run(main())
"""
    client = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    kernel, child = (int(word) for word in client.stdout.readline().split())
    assert psutil.pid_exists(kernel)
    client.kill()
    client.wait()
    client.stdout.close()
    assert ended(kernel)
    assert ended(child)


def test_server_ends_with_its_run_and_removes_its_folder():
    code = """
import os, sys, time
from cxlab.report.warm.provisioner import warm_kernels
os.environ.pop("CXLAB_KERNEL_SERVER", None)
with warm_kernels():
    print(os.environ["CXLAB_KERNEL_SERVER"], flush=True)
    time.sleep(1000)
"""
    runner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    place = Path(runner.stdout.readline().strip())
    (child,) = psutil.Process(runner.pid).children()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(600)
        connection.connect(str(place))
        connection.sendall(b"{}\n")
        assert "error" in json.loads(connection.recv(4096)), "the server never answered"
    assert len(str(place)) < 60
    assert place.parent.stat().st_mode & 0o077 == 0
    runner.kill()
    runner.wait()
    runner.stdout.close()
    assert ended(child.pid)
    assert not place.parent.exists()


@pytest.mark.parametrize("trouble", ["gone", "silent"])
def test_without_an_answer_a_kernel_starts_as_usual(trouble, run, monkeypatch, tmp_path, capfd):
    short = Path("/tmp") / f"cxlab-test-{os.getpid()}"
    short.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    try:
        if trouble == "silent":
            listener.bind(str(short / "s"))
            listener.listen()
            monkeypatch.setattr(provisioner, "ANSWER_SECONDS", 0.2)
        place = short / "s" if trouble == "silent" else Path("/nowhere/s")
        monkeypatch.setenv(SERVER_VARIABLE, str(place))
        for _ in range(2):
            (outputs,) = run("print('here')")
            assert outputs[0].text == "here\n"
    finally:
        listener.close()
        (short / "s").unlink(missing_ok=True)
        short.rmdir()
    told = [line for line in capfd.readouterr().err.splitlines() if "not warm" in line]
    assert len(told) == 1


def test_a_killed_server_is_not_waited_for(tmp_path):
    place = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as killed:
        # its socket stays in the folder, and nobody listens
        killed.bind(place)
        started = time.monotonic()
        with pytest.raises(ConnectionRefusedError):
            provisioner.ask_for_kernel(place, ["python"], {})
    assert time.monotonic() - started < 30


def test_a_report_waits_for_no_silence_of_its_kernel():
    manager = NotebookExecutionManager(new_notebook())
    client = LimitedClient(manager, config=report_kernel_config(Path("kernel.json")))
    assert client.create_kernel_manager().client_factory is provisioner.ReportKernelClient


def test_jupyter_outside_the_report_runner_is_left_alone(server):
    from jupyter_client.provisioning import KernelProvisionerFactory

    factory = KernelProvisionerFactory.instance()
    with warm_launch():
        assert factory.default_provisioner_name == "cxlab-warm"
    assert factory.default_provisioner_name == "local-provisioner"
    assert "JUPYTER_DEFAULT_PROVISIONER_NAME" not in os.environ
    assert report_kernel_config(Path("kernel.json")).KernelManager.transport_encryption == "auto"
    assert asyncio.get_event_loop_policy() is not None
