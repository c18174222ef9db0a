"""Fixtures that several test files share."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import hypothesis
import pytest

GOLDEN = Path(__file__).parent / "golden"
# a busy machine is no fault of the code: no test is timed
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """A folder of their own for the clean copies that tests make."""
    with pytest.MonkeyPatch.context() as patch:
        if "CXLAB_CACHE" not in os.environ:
            patch.setenv("CXLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def kernel_server():
    """Socket of the server from which the kernels of all tests are forked, where one can be."""
    from cxlab.report.warm.provisioner import SERVER_VARIABLE, warm_kernels

    with warm_kernels():
        place = os.environ.pop(SERVER_VARIABLE, None)
        if place:
            # its imports may take longer than a report waits for it; it answers after them
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(600)
                connection.connect(place)
                connection.sendall(b"{}\n")
                assert connection.recv(4096), "the server never answered"
        yield place


@pytest.fixture(scope="module")
def warm_reports(kernel_server):
    """Reports of this file start in a tenth of a second, as those of a run of several do."""
    from cxlab.report.warm.provisioner import SERVER_VARIABLE

    with pytest.MonkeyPatch.context() as patch:
        if kernel_server:
            patch.setenv(SERVER_VARIABLE, kernel_server)
        yield kernel_server


@pytest.fixture(scope="session")
def golden_scores() -> dict[str, dict]:
    """Worked examples by id."""
    entries = json.loads((GOLDEN / "scores.json").read_text(encoding="utf-8"))
    return {entry["id"]: entry for entry in entries}


@pytest.fixture(scope="session")
def sfo():
    """The airport study, where its files are to be found."""
    from cxlab import load_study

    mirror = os.environ.get("CXLAB_DATA")
    if not mirror or not (Path(mirror) / "sfo").is_dir():
        pytest.skip("CXLAB_DATA names no folder with the airport survey")
    return load_study("sfo")
