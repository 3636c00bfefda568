"""Saved bundles: the old one or the new one, whole; and nothing that is not a bundle."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest

from pluralism.errors import ModelFileError, StorageError, UsageError
from pluralism.files import load_bundle, save_arrays, save_bundle
from pluralism.files.bundle import SCHEMA_VERSION

OLD = ({"kind": "test", "value": 1}, {"w": np.full(100, 1.0)})
NEW = ({"kind": "test", "value": 2}, {"w": np.full(100, 2.0)})


def value(directory):
    document, arrays = load_bundle(directory)
    assert (arrays["w"] == document["value"]).all(), "document and arrays are of different saves"
    return document["value"]


def test_round_trip_and_one_array_file(tmp_path):
    document = {"kind": "test", "nested": {"a": [1, 2.5, None, "é", True]}, "exact": 0.1 + 0.2, "n": np.int64(7)}
    save_bundle(tmp_path / "deep" / "run", document, {"w": np.eye(2), "none": np.empty((0, 3))})
    loaded, arrays = load_bundle(tmp_path / "deep" / "run")
    assert loaded == {**document, "schema_version": SCHEMA_VERSION}
    assert (arrays["w"] == np.eye(2)).all() and arrays["none"].shape == (0, 3)
    for _ in range(2):
        save_bundle(tmp_path / "deep" / "run", *NEW)
    assert len(os.listdir(tmp_path / "deep" / "run")) == 2


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_fault_at_any_call_leaves_a_whole_bundle(tmp_path, faults, code):
    outcomes = []
    for k in range(1, 100):
        save_bundle(tmp_path, *OLD)
        try:
            with faults.at(k, code):
                save_bundle(tmp_path, *NEW)
        except StorageError:
            outcomes.append(value(tmp_path))
        else:
            break
    assert value(tmp_path) == 2
    assert outcomes.count(1) >= 5 and set(outcomes) <= {1, 2}


def test_a_first_save_that_fails_leaves_nothing_that_loads(tmp_path, faults):
    with faults.at(6, errno.ENOSPC), pytest.raises(StorageError):
        save_bundle(tmp_path / "run", *NEW)
    with pytest.raises(ModelFileError, match="no saved model"):
        load_bundle(tmp_path / "run")


def test_killed_at_any_moment(tmp_path):
    save_bundle(tmp_path, *OLD)
    code = (
        "import sys, numpy as np\n"
        "from pluralism.files import save_bundle\n"
        "print('ready', flush=True)\n"
        "for i in range(10**9):\n"
        "    save_bundle(sys.argv[1], {'kind': 'test', 'value': i}, {'w': np.full(20_000, float(i))})\n"
    )
    seen = set()
    for delay in (0.0, 0.003, 0.02, 0.05, 0.11):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        seen.add(value(tmp_path))
    assert len(seen) > 1


def test_two_writers_and_a_reader(tmp_path):
    save_bundle(tmp_path, *OLD)
    stop, failures = threading.Event(), []

    def write(bundle):
        while not stop.is_set():
            save_bundle(tmp_path, *bundle)

    def read():
        while not stop.is_set():
            try:
                value(tmp_path)
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=write, args=(bundle,)) for bundle in (OLD, NEW)]
    threads += [threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert value(tmp_path) in (1, 2) and len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"kind": 3},
        {"kind": "t", "x": float("nan")},
        {"kind": "t", "x": [1, {"y": np.float64("inf")}]},
        {"kind": "t", "x": {1: "int key"}},
        {"kind": "t", "x": np.ones(2)},
        {"kind": "t", "x": {1, 2}},
        {"kind": "t", "arrays": "mine"},
        {"kind": "t", "schema_version": SCHEMA_VERSION + 1},
    ],
)
def test_documents_that_json_cannot_hold_write_nothing(tmp_path, document):
    with pytest.raises(UsageError):
        save_bundle(tmp_path / "run", document, {})
    assert not (tmp_path / "run").exists()


def edit(directory, **changes):
    path = directory / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def arrays_file(directory):
    return next(directory.glob("arrays-*.safetensors"))


def outside(directory):
    """An array file outside, which would load if the name were followed."""
    save_arrays(directory.parent / "arrays-0123456789abcdef.safetensors", {"w": np.ones(1)})
    return directory.parent / "arrays-0123456789abcdef.safetensors"


def to_link(directory):
    inside = arrays_file(directory)
    inside.rename(directory.parent / "moved")
    inside.symlink_to(directory.parent / "moved")


def link_document(directory):
    (directory / "model.json").rename(directory.parent / "moved.json")
    (directory / "model.json").symlink_to(directory.parent / "moved.json")


HOSTILE = {
    "future schema": lambda d: edit(d, schema_version=SCHEMA_VERSION + 1),
    "schema zero": lambda d: edit(d, schema_version=0),
    "schema as text": lambda d: edit(d, schema_version="1"),
    "schema true": lambda d: edit(d, schema_version=True),
    "no kind": lambda d: edit(d, kind=None),
    "name with ..": lambda d: edit(d, arrays=f"../{outside(d).name}"),
    "absolute name": lambda d: edit(d, arrays=str(outside(d))),
    "another name": lambda d: edit(d, arrays="weights.pkl"),
    "name with newline": lambda d: edit(d, arrays=arrays_file(d).name + "\n"),
    "name is a list": lambda d: edit(d, arrays=["x"]),
    "checksum of another": lambda d: edit(d, arrays_sha256="0" * 64),
    "checksum missing": lambda d: edit(d, arrays_sha256=None),
    "arrays gone": lambda d: arrays_file(d).unlink(),
    "arrays are a link": to_link,
    "document is a link": link_document,
    "arrays changed": lambda d: arrays_file(d).write_bytes(arrays_file(d).read_bytes()[:-1] + b"\x01"),
    "arrays cut": lambda d: arrays_file(d).write_bytes(arrays_file(d).read_bytes()[:-8]),
    "document is a pickle": lambda d: (d / "model.json").write_bytes(pickle.dumps({"kind": "t"})),
    "document is a list": lambda d: (d / "model.json").write_text("[1]"),
    "document with NaN": lambda d: (d / "model.json").write_text('{"kind": "t", "x": NaN}'),
    "document nested deeply": lambda d: (d / "model.json").write_text('{"kind":' + "[" * 500_000),
    "document cut": lambda d: (d / "model.json").write_bytes((d / "model.json").read_bytes()[:-9]),
    "document is a directory": lambda d: ((d / "model.json").unlink(), (d / "model.json").mkdir()),
    "huge document": lambda d: os.truncate(d / "model.json", 1 << 40),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bundles_are_refused(tmp_path, name):
    directory = tmp_path / "run"
    save_bundle(directory, *OLD)
    HOSTILE[name](directory)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError) as caught:
            load_bundle(directory)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000
    assert str(tmp_path) in str(caught.value) and caught.value.fix


def test_a_directory_without_a_bundle_is_named(tmp_path):
    with pytest.raises(ModelFileError, match="no saved model"):
        load_bundle(tmp_path / "nothing")
