"""The service under load: bots play whole sessions over HTTP; turns that are lost, and how long a vote takes.

    python benchmarks/service.py                                      an SQLite file in a temporary folder
    python benchmarks/service.py --database postgresql://user@host/empty
    python benchmarks/service.py --bots 200 --pause 5 --workers 2

The bots, the server and the database share this machine. A bot thinks before each form, as people do: for a time drawn
from an exponential distribution with the mean of `--pause` seconds. With `--pause 0` it is a stress test.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from _timing import machine, markdown_table

from pluralism.elicitation.interview import read_case, read_protocol
from pluralism.elicitation.web.bots.study_of_bots import BotReport, play_study
from pluralism.elicitation.web.service import Service


def served(database: str, workers: int) -> tuple[subprocess.Popen[str], str]:
    """A server of its own, and its address."""
    line = [sys.executable, "-m", "pluralism", "serve", "--database", database, "--port", "0", "--json"]
    environment = {**os.environ, "PLURALISM_WEB_RATE": "100"}
    server = subprocess.Popen(
        [*line, "--workers", str(workers)], stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    assert server.stdout is not None
    return server, json.loads(server.stdout.readline())["address"]


def measure(database: str, bots: int, pause: float, workers: int) -> BotReport:
    server, address = served(database, workers)
    try:
        service = Service.open(database)
        study = service.studies.create(
            title="Load", protocol=read_protocol("moral-graph"), case=read_case("unruly-child"), by="benchmark"
        )
        service.studies.change(study.id, by="benchmark", status="open")
        token = service.links.create(study_id=study.id, role="participant", by="benchmark").token
        report = play_study(f"{address}/join/{token}", bots, at_once=bots, pause=pause)
        counts = service.studies.counts(study.id)
        audit = service.audit.verify(study.id)
        service.close()
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(60)
    # What the tables, the chain of hashes and the bots say is the same.
    assert audit.ok and counts.by_phase.get("done", 0) >= report.finished, (counts, audit)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", action="append", help="several may be given; left out, a new SQLite file")
    parser.add_argument("--bots", type=int, default=200)
    parser.add_argument("--pause", type=float, default=5.0)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for database in given.database or [str(Path(folder) / "load.db")]:
            report = measure(database, given.bots, given.pause, given.workers)
            name = "PostgreSQL" if "://" in database else "SQLite"
            lost = f"{report.lost_turns} / {report.doubled_turns}"
            rate = report.requests / report.seconds
            times = (report.vote_p50_ms, report.vote_p95_ms, report.step_p95_ms)
            rows.append([name, f"{report.finished} of {report.bots}", lost, *times, rate])
            for problem, count in report.problems.items():
                sys.stderr.write(f"{name}: {count} bots stopped: {problem}\n")
    header = ["database", "finished", "lost / doubled", "vote p50 ms", "vote p95 ms", "form p95 ms", "requests/s"]
    sys.stdout.write(markdown_table(header, rows) + "\n")
    sys.stdout.write(f"{given.bots} bots at once, pause {given.pause:g} s, {given.workers} workers; {machine()}\n")


if __name__ == "__main__":
    main()
