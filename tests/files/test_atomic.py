"""Atomic writes: old content or new, whatever fails, and durable in the right order."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import time

import pytest

from pluralism.errors import StorageError
from pluralism.files import atomic_path, atomic_write
from pluralism.files.atomic import remove_abandoned


def through_path(path, data):
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


WRITERS = [atomic_write, through_path]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_fault_at_any_call_leaves_old_or_new(tmp_path, faults, write, code):
    path = tmp_path / "votes.csv"
    path.write_bytes(b"old")
    for k in range(1, 50):
        try:
            with faults.at(k, code):
                write(path, b"new")
        except StorageError as error:
            assert str(path) in str(error) and error.fix and error.errno == code
            assert path.read_bytes() in (b"old", b"new")
            assert os.listdir(tmp_path) == ["votes.csv"], "a temporary file was left behind"
            path.write_bytes(b"old")
        else:
            break
    assert path.read_bytes() == b"new"
    assert k > 4, "too few calls were made to fail"


@pytest.mark.parametrize("write", WRITERS)
def test_data_are_synced_before_the_rename_and_the_directory_after(tmp_path, faults, write):
    with faults.at(0, 0):
        write(tmp_path / "a", b"x")
    order = [call for call in faults.trace if call in ("fsync", "replace")]
    assert order == ["fsync", "replace", "fsync"]


def test_short_writes_are_continued(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    atomic_write(tmp_path / "a", "é" * 100)
    assert (tmp_path / "a").read_text(encoding="utf-8") == "é" * 100


def test_the_temporary_path_keeps_the_suffix_and_errors_of_the_block_pass(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"old")
    with pytest.raises(RuntimeError, match="mine"), atomic_path(tmp_path / "x.parquet") as temporary:
        assert temporary.suffix == ".parquet" and temporary.parent == tmp_path
        temporary.write_bytes(b"half")
        raise RuntimeError("mine")
    assert os.listdir(tmp_path) == ["x.parquet"]
    assert (tmp_path / "x.parquet").read_bytes() == b"old"


def test_permissions_follow_the_umask(tmp_path):
    previous = os.umask(0o027)
    try:
        atomic_write(tmp_path / "a", b"x")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(StorageError) as caught:
        atomic_write(tmp_path / "no" / "a", b"x")
    assert "no" in str(caught.value) and "directory" in str(caught.value)


def test_names_at_the_length_limit_can_be_written(tmp_path):
    name = "n" * 251 + ".csv"
    atomic_write(tmp_path / name, b"x")
    assert os.listdir(tmp_path) == [name]


def test_only_old_temporary_files_are_swept(tmp_path):
    fresh, old, other = tmp_path / ".a.tmp-1", tmp_path / ".a.tmp-2", tmp_path / ".hidden"
    for path in (fresh, old, other):
        path.write_bytes(b"")
    os.utime(old, (time.time() - 1e6,) * 2)
    os.utime(other, (time.time() - 1e6,) * 2)
    remove_abandoned(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".a.tmp-1", ".hidden"]


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a POSIX matter")
def test_a_real_size_limit_is_an_error_with_a_remedy(tmp_path):
    path = tmp_path / "big"
    path.write_bytes(b"old")
    code = (
        "import resource, sys\n"
        "from pluralism.errors import StorageError\n"
        "from pluralism.files import atomic_write\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n    atomic_write(sys.argv[1], bytes(100_000))\n"
        "except StorageError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "fix:" in done.stdout and str(path) in done.stdout
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["big"]
