"""`pluralism serve` and `pluralism bots`: what they say at the start, and what they say where that cannot be."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from pluralism.cli.app import run
from pluralism.errors import PluralismWarning

pytest.importorskip("uvicorn", reason="the service needs: pip install 'pluralism[web]'")

from fake_openai import quick_retries
from live_service import live_service

from pluralism.cli.serve import _prepare
from pluralism.elicitation.web.settings import Settings


@pytest.fixture(autouse=True)
def _settings_of_its_own(monkeypatch):
    """What a command line sets for its workers is forgotten after each test."""
    for name in [name for name in os.environ if name.startswith("PLURALISM_WEB_")]:
        monkeypatch.delenv(name)
    kept = dict(os.environ)
    yield
    for name in [name for name in os.environ if name.startswith("PLURALISM_WEB_") and name not in kept]:
        del os.environ[name]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--database", "mysql://host/x"], "postgresql://user@host/name"),
        (["--database", "{folder}/missing/x.db"], "directory on the way"),
        (["--database", "{folder}/text.db"], "no SQLite database"),
        (["--base-url", "values.example"], "PLURALISM_WEB_BASE_URL"),
        (["--llm", "http://127.0.0.1:9/v1", "--database", "{folder}/x.db"], "Which model"),
        (["--host", "192.0.2.1"], "--host 192.0.2.1"),
    ],
)
def test_what_cannot_be_is_said_in_one_message(tmp_path, capsys, options, said):
    (tmp_path / "text.db").write_text("this is no database, whatever its name says")
    line = [option.format(folder=tmp_path) for option in options]
    assert run(["serve", "--port", "0", *line]) == 2
    message = capsys.readouterr().err
    assert said in message and "Traceback" not in message


def test_a_port_in_use_is_named(tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert run(["serve", "--port", port, "--database", str(tmp_path / "x.db")]) == 2
    assert f"--port {port}" in capsys.readouterr().err
    assert not (tmp_path / "x.db").exists()


@pytest.mark.parametrize("link", ["nonsense", "ftp://127.0.0.1/join/x"])
def test_bots_need_a_link(capsys, link):
    assert run(["bots", link, "--n", "1"]) == 2
    assert "no address" in capsys.readouterr().err


def test_bots_do_not_wait_where_nothing_can_be_joined(tmp_path, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}/join/abc"
    assert run(["bots", nowhere, "--n", "1"]) == 2
    assert "did not answer 3 times" in capsys.readouterr().err
    with live_service(tmp_path / "x.db") as live:
        assert run(["bots", f"{live.url}/join/{'x' * 43}", "--n", "1"]) == 2
        said = capsys.readouterr()
        assert "can be joined" in said.err and "nan" not in said.out
        closed = live.study()
        live.service.studies.change(closed.id, by="test", status="closed")
        assert run(["bots", live.link(closed.id), "--n", "1"]) == 2


def test_a_model_that_is_down_is_a_warning_and_the_service_starts(tmp_path, capsys, monkeypatch):
    quick_retries(monkeypatch)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    settings = Settings(database=str(tmp_path / "x.db"), llm=nowhere, llm_model="a-model", llm_timeout=7)
    with pytest.warns(PluralismWarning, match=r"cannot be reached.*the script holds"):
        assert _prepare(settings, False)
    assert "Trying openai:a-model, for 7 s at most." in capsys.readouterr().err


def started(request, database, *options):
    """A server in a process of its own, and what it says at the start."""
    line = [sys.executable, "-m", "pluralism", "serve", "--database", database, "--json", *options]
    server = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    request.addfinalizer(server.kill)
    return server, json.loads(server.stdout.readline())


def open_study(database):
    """The token of a link into a study that is open."""
    from pluralism.elicitation.interview import read_case, read_protocol
    from pluralism.elicitation.web.service import Service

    service = Service.open(database)
    study = service.studies.create(
        title="x", protocol=read_protocol("moral-graph"), case=read_case("unruly-child"), by="test"
    )
    service.studies.change(study.id, by="test", status="open")
    token = service.links.create(study_id=study.id, role="participant", by="test").token
    return service, study, token


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_served_study_is_played_by_bots_and_kept(tmp_path, request, workers):
    database = str(tmp_path / "x.db")
    for start in range(2):
        server, document = started(request, database, "--port", "0", "--workers", workers)
        # the link is shown at the first start alone
        assert (document["organiser_link"] is None) == bool(start)
        with urllib.request.urlopen(f"{document['address']}/health", timeout=120) as answer:
            assert answer.read() == b"ok\n"
        if not start:
            service, study, token = open_study(database)
            line = [
                sys.executable,
                "-m",
                "pluralism",
                "bots",
                f"{document['address']}/join/{token}",
                "--n",
                "3",
                "--json",
            ]
            played = subprocess.run(line, capture_output=True, text=True, timeout=120, check=True)
            report = json.loads(played.stdout)
            assert report["ok"] and report["finished"] == 3 and report["lost_turns"] == 0
        server.send_signal(signal.SIGINT)
        _, said = server.communicate(timeout=60)
        assert "Traceback" not in said
    assert service.studies.counts(study.id).by_phase == {"done": 3}
    service.close()


@pytest.mark.slow
def test_what_was_acknowledged_outlives_kills_of_the_server(tmp_path, request):
    from pluralism.elicitation.web.bots.study_of_bots import play_study

    database = str(tmp_path / "x.db")
    server, document = started(request, database, "--port", "0")
    service, study, token = open_study(database)
    link, reports = f"{document['address']}/join/{token}", []
    playing = threading.Thread(target=lambda: reports.append(play_study(link, 6, pause=0.5)))
    playing.start()
    for _ in range(3):
        before = service.studies.counts(study.id)
        while service.studies.counts(study.id) == before and playing.is_alive():
            time.sleep(0.5)
        server.kill()
        server.communicate()
        server, _ = started(request, database, "--port", document["address"].rpartition(":")[2])
    playing.join(180)
    (report,) = reports
    assert report.ok and report.repeated > 0
    assert service.audit.verify(study.id).ok and service.studies.counts(study.id).votes == 24
    service.close()
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=60)
