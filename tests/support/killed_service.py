"""Plays interviews in processes that it kills at random moments, and checks after each kill what the database holds.

Run as a program: `python killed_service.py ADDRESS SEED KILLS`. It prints one JSON object, or fails.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time

from interviews import step
from sqlalchemy import select
from web_studies import join

from pluralism.elicitation.interview import read_case, read_protocol
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.event_rows import payload_of
from pluralism.elicitation.web.service import Service

_PLAYERS = 3


def digest(events):
    """A digest of what somebody did and was asked; texts of others may be deleted meanwhile."""
    lines = [payload_of(event, [""] * len(getattr(event.body, "items", ()))) for event in events]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def play(address, participant_id, pipe):
    """Go on with an interview, saying after each commit what is acknowledged; some delete their data at the end."""
    interview = Service.open(address).people.interview(participant_id)
    while True:
        os.write(pipe, f"{interview.state.version} {digest(interview.events)}\n".encode())
        if not step(interview, key=f"{os.getpid()}-{interview.state.version}"):
            break
    if leaves(participant_id):
        interview.withdraw()
        os.write(pipe, f"deleted {digest(interview.events)}\n".encode())


def leaves(participant_id):
    """Whether somebody deletes their data at the end: every other does."""
    return int(participant_id, 16) % 2 == 0


def run_and_kill(address, people, rng):
    """What processes that were killed acknowledged last, and how many were killed before their end."""
    children = [start(address, name) for name in people]
    # All have acknowledged something before the first is killed.
    heard = [os.read(reader, 1) for _, reader in children]
    time.sleep(rng.random() * 0.5)
    for child, _ in children:
        os.kill(child, signal.SIGKILL)
    killed = 0
    for place, (child, reader) in enumerate(children):
        while piece := os.read(reader, 1 << 16):
            heard[place] += piece
        os.close(reader)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    # A line without its end was being written when the kill came.
    lines = [said.decode().split("\n")[:-1] for said in heard]
    return [said[-1].split() if said else None for said in lines], killed


def start(address, participant_id):
    """A process that plays, and the pipe on which it says what is acknowledged."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            play(address, participant_id, writer)
        finally:
            os._exit(0)
    os.close(writer)
    return child, reader


def check(service, study_id, participant_id, acknowledged):
    """What was acknowledged is there, what is there is whole."""
    interview = service.people.interview(participant_id)
    events = interview.events
    if acknowledged is not None and acknowledged[0] == "deleted":
        assert interview.state.phase == "withdrawn" and len(events) == 2
    elif acknowledged is not None and interview.state.phase != "withdrawn":
        version = int(acknowledged[0])
        assert len(events) >= version, f"acknowledged {version}, found {len(events)}"
        assert digest(events[:version]) == acknowledged[1]
    else:
        assert acknowledged is None or leaves(participant_id)
    voted = [event for event in events if event.kind == "voted"]
    with service.database.read() as connection:
        rows = connection.execute(select(tables.votes).where(tables.votes.c.participant_id == participant_id)).all()
        cards = connection.execute(select(tables.cards).where(tables.cards.c.participant_id == participant_id)).all()
    assert sorted(row.seq for row in rows) == [event.seq for event in voted]
    if interview.state.phase == "withdrawn":
        assert all(card.document is None for card in cards)
    else:
        assert len(cards) == sum(event.kind == "card_confirmed" for event in events)
        assert service.people.get(participant_id).phase == interview.state.phase
    return interview.state.phase in ("done", "withdrawn")


def main(address, seed, kills):
    rng = random.Random(seed)
    service = Service.open(address)
    study = service.studies.create(
        title="Killed", protocol=read_protocol("moral-graph"), case=read_case("unruly-child"), by="organiser"
    )
    service.studies.change(study.id, by="organiser", status="open")
    people, killed, done = [join(service, study).id for _ in range(_PLAYERS)], 0, 0
    # On a slow machine everybody may be killed early for long: it goes on until somebody is done.
    while killed < kills or not done:
        # No connection is shared with a child.
        service.close()
        acknowledged, by_signal = run_and_kill(address, people, rng)
        killed += by_signal
        for place, (name, said) in enumerate(zip(people, acknowledged, strict=True)):
            if check(service, study.id, name, said):
                done += 1
                people[place] = join(service, study).id
        audit = service.audit.verify(study.id)
        assert audit.ok, audit.to_dict()
    counts = service.studies.counts(study.id)
    service.close()
    return {"killed": killed, "done": done, "votes": counts.votes, "deleted": counts.deleted}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
