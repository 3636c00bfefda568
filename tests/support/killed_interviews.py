"""Plays interviews in processes that it kills at random points, and checks after each kill what the file holds.

Run as a program: `python killed_interviews.py FOLDER SEED KILLS`. It prints one JSON object, or fails.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from interviews import begin, step

from pluralism.elicitation.interview import Interview, JsonlStore, fold, read_case, read_protocol

PROTOCOL, CASE = read_protocol("moral-graph"), read_case("unruly-child")


def digest(events):
    return hashlib.sha256("\n".join(event.to_json() for event in events).encode()).hexdigest()


def play(path, pipe):
    """Go on with the interview in a file; say what is acknowledged, as a participant would see it."""
    original = os.write

    def slowly(descriptor, data):
        """Small writes with time between them, so that a kill may fall within an event."""
        time.sleep(0.0005)
        return original(descriptor, data[:64])

    os.write = slowly
    store = JsonlStore(path)
    interview = Interview(store, PROTOCOL, CASE) if store.read() else begin(store, clock=None, rng=None)
    number = 0
    while True:
        original(pipe, f"{interview.state.version} {digest(interview.events)}\n".encode())
        if not step(interview, key=f"{os.getpid()}-{number}"):
            return
        number += 1


def run_and_kill(path, rng):
    """The last acknowledgement of a process that was killed, or that came to its end."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        play(path, writer)
        os._exit(0)
    os.close(writer)
    heard, wanted = b"", rng.randrange(1, 10)
    while heard.count(b"\n") < wanted:
        piece = os.read(reader, 4096)
        if not piece:
            break
        heard += piece
    time.sleep(rng.random() * 0.004)
    os.kill(child, signal.SIGKILL)
    while piece := os.read(reader, 4096):
        heard += piece
    os.close(reader)
    _, status = os.waitpid(child, 0)
    lines = heard.decode().splitlines()
    return lines[-1].split() if lines else ["0", digest([])], os.WIFSIGNALED(status)


def main(folder, seed, kills):
    rng = random.Random(seed)
    killed = torn = done = number = 0
    while killed < kills:
        path = folder / f"{number}.jsonl"
        (version, expected), by_signal = run_and_kill(path, rng)
        killed += by_signal
        content = path.read_bytes() if path.exists() else b""
        torn += bool(content) and not content.endswith(b"\n")
        events = JsonlStore(path).read()
        assert len(events) >= int(version), f"acknowledged {version}, found {len(events)}"
        assert digest(events[: int(version)]) == expected
        if events and fold(events).phase == "done":
            votes = [event for event in events if event.kind == "voted"]
            assert len(votes) == len(fold(events).ballot) == 4
            done += 1
            number += 1
    return {"killed": killed, "torn": torn, "done": done}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
