"""Stores: what is acknowledged is there, what is torn is not, and only one of several appends at a place."""

from __future__ import annotations

import errno
import json
import os
import threading

import pytest
from interviews import begin, play, step

from pluralism.elicitation.interview import Event, Interview, JsonlStore, MemoryStore, fold, read_case, read_protocol
from pluralism.errors import ConflictError, DataError, StorageError


@pytest.fixture
def played():
    interview = begin()
    play(interview)
    return interview


@pytest.fixture
def file(tmp_path, played):
    store = JsonlStore(tmp_path / "ann.jsonl")
    for event in played.events:
        store.append(event)
    return store


def test_events_survive_the_file(file, played):
    assert tuple(file.read()) == played.events == tuple(played.store.read())
    assert fold(file.read()) == played.state and played.state.phase == "done"
    lines = file.path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(len(lines)))
    assert repr(file) == f"JsonlStore({str(file.path)!r})"
    assert os.name == "nt" or file.path.stat().st_mode & 0o077 == 0


def test_there_is_nothing_before_the_first_event(tmp_path):
    assert JsonlStore(tmp_path / "new.jsonl").read() == ()
    with pytest.raises(DataError, match="record of the interview is empty"):
        Interview(JsonlStore(tmp_path / "new.jsonl"), read_protocol("moral-graph"), read_case("abortion"))


def test_a_file_that_is_cut_anywhere_holds_the_whole_events_before_the_cut(file, played, tmp_path):
    content = file.path.read_bytes()
    ends = [k + 1 for k, byte in enumerate(content) if byte == 10]
    torn = JsonlStore(tmp_path / "torn.jsonl")
    places = {*range(0, len(content), 997), *ends, *(end - 1 for end in ends[::3]), *(end + 1 for end in ends[:-1:3])}
    for cut in sorted(places):
        torn.path.write_bytes(content[:cut])
        n = sum(end <= cut for end in ends)
        assert tuple(torn.read()) == played.events[:n]
        if n < len(played.events):
            torn.append(played.events[n])
            assert tuple(torn.read()) == played.events[: n + 1]
            assert torn.path.read_bytes() == content[: ends[n]]


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [*lines[:3], lines[3][:-5], *lines[4:]],
        lambda lines: [*lines[:3], *lines[4:]],
        lambda lines: [*lines[:4], *lines[3:]],
        lambda lines: [*lines[:3], lines[3].replace(b'"kind"', b'"sort"'), *lines[4:]],
        lambda lines: [*lines[:3], lines[3].replace(b"}", b', "role": "admin"}'), *lines[4:]],
        lambda lines: [*lines[:3], b"[1]", *lines[4:]],
        lambda lines: [*lines[:3], b"", *lines[4:]],
        lambda lines: [*lines[:3], b"[" * 10**5, *lines[4:]],
        lambda lines: [*lines[:3], lines[3].replace(b"+00:00", b""), *lines[4:]],
        lambda lines: [*lines[:3], lines[3].replace(b'"seq": 3', b'"seq": "3"'), *lines[4:]],
    ],
)
def test_damage_is_named_by_its_line_and_never_repaired(file, damage):
    lines = file.path.read_bytes().splitlines()
    file.path.write_bytes(b"\n".join(damage(lines)) + b"\n")
    before = file.path.read_bytes()
    with pytest.raises(DataError) as caught:
        file.read()
    assert "line 4" in caught.value.where or "line 5" in caught.value.where
    assert file.path.read_bytes() == before


def test_events_out_of_place_are_refused_by_the_fold(played):
    votes = [event for event in played.events if event.kind == "voted"]
    early = Event(2, played.events[1].at, votes[0].body)
    with pytest.raises(DataError, match="nothing to vote on now"):
        fold([*played.events[:2], early])
    with pytest.raises(DataError, match="Event 1 is missing"):
        fold([played.events[0], *played.events[2:]])
    with pytest.raises(DataError, match="begins by being started"):
        fold(played.events[1:])
    with pytest.raises(DataError, match="started already"):
        fold([played.events[0], Event(1, played.events[0].at, played.events[0].body)])
    backwards = Event(1, played.events[0].at.replace(year=2000), played.events[1].body)
    with pytest.raises(DataError, match="time goes backwards"):
        fold([played.events[0], backwards])


@pytest.mark.parametrize("kind", ["memory", "jsonl"])
def test_only_one_of_many_appends_at_a_place(kind, tmp_path, played):
    first, second = played.events[:2]
    store = MemoryStore() if kind == "memory" else JsonlStore(tmp_path / "a.jsonl")
    store.append(first)
    won, lost = [], []
    barrier = threading.Barrier(8)

    def append():
        barrier.wait()
        try:
            # Each a store of its own, as in several processes.
            (store if kind == "memory" else JsonlStore(store.path)).append(second)
            won.append(1)
        except ConflictError:
            lost.append(1)

    threads = [threading.Thread(target=append) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7) and len(store.read()) == 2
    with pytest.raises(ConflictError):
        store.append(played.events[5])


def test_who_waited_for_a_file_that_was_replaced_writes_to_the_new_one(file, played, monkeypatch):
    """Between opening and locking, somebody erases: the event must not go to the unlinked file."""
    from pluralism.files import line_log

    original, calls = line_log._lock, []

    def lock(descriptor):
        calls.append(descriptor)
        if len(calls) == 1:
            replacement = file.path.with_suffix(".new")
            replacement.write_text(f"{played.events[0].to_json()}\n", encoding="utf-8")
            os.replace(replacement, file.path)
        original(descriptor)

    monkeypatch.setattr(line_log, "_lock", lock)
    file.append(played.events[1])
    assert tuple(file.read()) == played.events[:2] and len(calls) == 2


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_disk_that_fails_leaves_what_was_there(file, played, call, monkeypatch, tmp_path):
    store = JsonlStore(tmp_path / "b.jsonl")
    for event in played.events[:4]:
        store.append(event)
    before = store.path.read_bytes()
    original = getattr(os, call)

    def fail(descriptor, *arguments):
        if call == "write":
            original(descriptor, arguments[0][:17])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(StorageError, match="No space left") as caught:
            store.append(played.events[4])
    assert "Free some space" in caught.value.fix and store.path.read_bytes() == before
    store.append(played.events[4])
    assert tuple(store.read()) == played.events[:5]


def test_short_writes_are_completed(played, tmp_path, monkeypatch):
    store, original = JsonlStore(tmp_path / "c.jsonl"), os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: original(descriptor, data[:50]))
    for event in played.events:
        store.append(event)
    assert tuple(store.read()) == played.events


def test_a_folder_that_is_not_there(tmp_path, played):
    store = JsonlStore(tmp_path / "nowhere" / "a.jsonl")
    assert store.read() == ()
    with pytest.raises(StorageError, match="No such file"):
        store.append(played.events[0])
    with pytest.raises(StorageError):
        JsonlStore(tmp_path).read()


def test_what_is_said_does_not_show(played):
    interview = begin()
    step(interview), step(interview), step(interview)
    shown = f"{interview!r} {interview.state!r} {interview.events!r} {interview.state.turns!r} {played.state!r}"
    assert "grandmother" not in shown and "Waiting" not in shown
    assert "InterviewState(done" in shown
