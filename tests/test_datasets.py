"""Public data: fetched once, checked by its digest, from a server on this machine."""

import hashlib
import http.server
import os
import socket
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner

from cxlab import load_study
from cxlab.cli import main
from cxlab.survey import datasets
from cxlab.survey.datasets import FetchError, fetch, file_state, find_dataset

CONTENT = b"ID,Q1\n" + b"1,5\n2,4\n" * 500
DIGEST = hashlib.sha256(CONTENT).hexdigest()
STUDY = """
[study]
name = "made"
title = "A made study"

[scales.rating]
range = [1, 5]

[tables.answers]
file = "made/answers.csv"

[tables.answers.columns.ID]
role = "text"

[tables.answers.columns.Q1]
role = "outcome"
scale = "rating"
"""


class Handler(http.server.BaseHTTPRequestHandler):
    """/whole answers in full; /cut promises all, sends half and hangs up; else 404."""

    asked = 0

    def do_GET(self):
        type(self).asked += 1
        if self.path not in ("/whole", "/cut"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT if self.path == "/whole" else CONTENT[: len(CONTENT) // 2])
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    Handler.asked = 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Lays out a study 'made' with a catalogue, an empty cache and no mirror."""
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    monkeypatch.delenv("CXLAB_DATA", raising=False)
    monkeypatch.setenv("CXLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets, "data_folder", lambda: tmp_path / "data")

    def write(address, digest=DIGEST):
        folder = tmp_path / "data" / "made"
        folder.mkdir(parents=True)
        (folder / "study.toml").write_text(STUDY, encoding="utf-8")
        (folder / "catalogue.toml").write_text(
            'title = "Made"\npublisher = "Nobody"\nlicence = "CC0"\n\n[[files]]\n'
            f'file = "made/answers.csv"\naddress = "{address}"\nsha256 = "{digest}"\n'
            f"bytes = {len(CONTENT)}\n",
            encoding="utf-8",
        )
        return tmp_path

    return write


def left_behind(folder):
    return [path for path in (folder / "cache").rglob("*") if path.is_file()]


def state():
    dataset = find_dataset("made")
    return file_state(dataset, dataset.files[0])


def test_a_file_with_the_right_digest_is_fetched_once_and_read(publish, server):
    folder = publish(f"{server}/whole")
    assert state() == "not fetched"
    assert fetch("made") == [folder / "cache" / "made" / "answers.csv"]
    assert state() == "here"
    assert fetch("made")[0].read_bytes() == CONTENT
    assert Handler.asked == 1
    assert load_study("made").read()["Q1"].iloc[:2].tolist() == [5.0, 4.0]


def test_a_file_with_another_digest_is_refused_and_thrown_away(publish, server):
    folder = publish(f"{server}/whole", digest="0" * 64)
    with pytest.raises(FetchError, match=r"has not the SHA-256 000000000000… .*CXLAB_DATA"):
        fetch("made")
    assert left_behind(folder) == []
    assert not (folder / "cache" / "made").exists()


def test_a_connection_cut_in_the_middle_leaves_nothing(publish, server):
    folder = publish(f"{server}/cut")
    with pytest.raises(FetchError, match=r"the connection broke.*CXLAB_DATA"):
        fetch("made")
    assert left_behind(folder) == []


def test_without_a_network_the_mirror_variable_is_named(publish):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        # nobody else can have it meanwhile, and nobody listens
        folder = publish(f"http://127.0.0.1:{free.getsockname()[1]}/whole")
        with pytest.raises(
            FetchError, match=r"no connection.*set CXLAB_DATA to a folder that holds"
        ):
            fetch("made")
    assert left_behind(folder) == []


def test_an_answer_that_is_not_the_file_is_named(publish, server):
    publish(f"{server}/gone")
    with pytest.raises(FetchError, match=r"the server answered 404.*CXLAB_DATA"):
        fetch("made")


def test_a_cache_that_cannot_be_written_is_named(publish, server, tmp_path):
    folder = publish(f"{server}/whole")
    (folder / "cache").write_text("a file where the folder should be")
    with pytest.raises(FetchError, match="could not be written to .*CXLAB_CACHE"):
        fetch("made")


def test_a_spoilt_copy_is_fetched_again(publish, server):
    folder = publish(f"{server}/whole")
    spoilt = folder / "cache" / "made" / "answers.csv"
    spoilt.parent.mkdir(parents=True)
    spoilt.write_bytes(CONTENT[:-1])
    assert state() == "here (wrong digest)"
    assert fetch("made")[0].read_bytes() == CONTENT


def test_the_mirror_comes_before_the_cache(publish, server, monkeypatch):
    folder = publish(f"{server}/whole")
    mirrored = folder / "mirror" / "made" / "answers.csv"
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(CONTENT)
    monkeypatch.setenv("CXLAB_DATA", str(folder / "mirror"))
    assert state() == "in the mirror"
    assert fetch("made") == [mirrored]
    assert Handler.asked == 0


def test_another_file_in_the_mirror_is_said_before_anything_is_fetched(
    publish, server, monkeypatch
):
    folder = publish(f"{server}/whole")
    mirrored = folder / "mirror" / "made" / "answers.csv"
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(b"ID,Q1\n1,1\n")
    monkeypatch.setenv("CXLAB_DATA", str(folder / "mirror"))
    assert state() == "in the mirror (wrong digest)"
    with pytest.raises(FetchError, match="its SHA-256 is another"):
        fetch("made")
    assert Handler.asked == 0


def test_reading_what_was_not_fetched_says_how_to_fetch_it(publish):
    publish("http://127.0.0.1:9/whole")
    with pytest.raises(FileNotFoundError, match="cxlab data fetch made, or set CXLAB_DATA"):
        load_study("made").read()


def test_unknown_data_names_the_nearest():
    with pytest.raises(ValueError, match="`name` must be public data: 'sfo'; got 'sfoo'. Did you"):
        fetch("sfoo")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [(DIGEST, "abc", "must be 64 hexadecimal digits; got 'abc'"),
     ("licence =", "license =", "must have the key 'licence'"),
     ("[[files]]", "[[files", "must be valid TOML")],
)  # fmt: skip
def test_a_bad_catalogue_gets_one_sentence(publish, before, after, message):
    folder = publish("http://127.0.0.1:9/whole")
    path = folder / "data" / "made" / "catalogue.toml"
    path.write_text(path.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        find_dataset("made")


def test_commands_list_and_fetch(publish, server):
    publish(f"{server}/whole")
    run = CliRunner()
    assert "not fetched" in run.invoke(main, ["data", "list"]).output
    done = run.invoke(main, ["data", "fetch", "made"])
    assert done.exit_code == 0
    assert "answers.csv" in done.output
    listed = run.invoke(main, ["data", "list"]).output
    assert "CC0" in listed
    assert "not fetched" not in listed


def test_a_failing_fetch_ends_with_its_sentence(publish):
    publish("http://127.0.0.1:9/whole")
    done = CliRunner().invoke(main, ["data", "fetch", "made"])
    assert done.exit_code == 1
    assert done.output.startswith("Error: answers.csv could not be fetched")
    assert "Traceback" not in done.output


def test_the_airport_catalogue_matches_its_files(sfo, monkeypatch):
    dataset = find_dataset("sfo")
    assert {file_state(dataset, one) for one in dataset.files} == {"in the mirror"}
    for one in dataset.files:
        assert datasets.find_file(one.file, dataset.folder).stat().st_size == one.size
        assert "8f50307b45911b26b01159d824bdbe13ac9be24c" in one.address


def test_reading_answers_imports_no_package_for_downloads(tmp_path):
    # pooch imports tqdm.auto, which warns in notebooks that widgets are missing
    environment = {name: value for name, value in os.environ.items() if name != "CXLAB_CACHE"}
    code = "import sys; from cxlab import load_study; load_study('demo').read(); print('pooch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**environment, "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "False\n"
