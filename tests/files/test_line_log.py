"""Logs of lines: whole or absent, one writer at a place, and appending that does not read all again."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.errors import StorageError
from pluralism.files import LineLog

LINES = st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=8)


def test_lines_come_back(tmp_path):
    log = LineLog(tmp_path / "a.log")
    assert log.read() == []
    assert all(log.append(line) for line in (b"one", b"", "zwölf\r".encode()))
    assert log.read() == [b"one", b"", "zwölf\r".encode()] == LineLog(log.path).read()
    log.replace([b"x"])
    assert log.read() == [b"x"] and log.append(b"y", at=1) and not log.append(b"z", at=1)
    assert repr(log) == f"LineLog({str(log.path)!r})"


@settings(max_examples=15)
@given(lines=LINES, cut=st.integers(0, 200), more=LINES)
def test_a_torn_end_is_replaced_by_the_next_line(tmp_path_factory, lines, cut, more):
    log = LineLog(tmp_path_factory.mktemp("log") / "a.log")
    for line in lines:
        log.append(line)
    content = log.path.read_bytes() if lines else b""
    log.path.write_bytes(content[:cut])
    whole = content[:cut].split(b"\n")[:-1]
    # A writer that has counted more than is left, and one that counts for the first time.
    for writer in (log, LineLog(log.path)):
        assert writer.read() == whole
        for line in more:
            assert writer.append(line, at=len(whole))
            whole = [*whole, line]
    assert log.read() == whole


def test_two_writers_see_each_other(tmp_path):
    first, second = LineLog(tmp_path / "a.log"), LineLog(tmp_path / "a.log")
    assert first.append(b"a", at=0) and not second.append(b"b", at=0) and second.append(b"b", at=1)
    assert not first.append(b"c", at=1) and first.append(b"c", at=2)
    assert second.read() == [b"a", b"b", b"c"]


def test_appending_reads_only_what_is_new(tmp_path, monkeypatch):
    log = LineLog(tmp_path / "a.log")
    for _ in range(50):
        log.append(b"x" * 10_000)
    read, original = [], os.read
    monkeypatch.setattr(os, "read", lambda descriptor, n: read.append(original(descriptor, n)) or read[-1])
    log.append(b"y", at=50)
    assert sum(map(len, read)) == 0
    LineLog(log.path).append(b"z", at=51)
    assert sum(map(len, read)) == 50 * 10_001 + 2


def test_errors_name_the_file(tmp_path):
    with pytest.raises(StorageError) as caught:
        LineLog(tmp_path / "nowhere" / "a.log").append(b"x")
    assert "nowhere" in caught.value.where
