"""Checkpoints: what comes back is what went in, bit for bit, or nothing."""

from __future__ import annotations

import errno
import logging
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluralism.errors import StorageError, UsageError
from pluralism.files import Checkpoint

ODD_FLOATS = np.array([-0.0, np.inf, 5e-324, 1.0]).astype("<f8")
ODD_FLOATS[3:].view(np.uint64)[:] = 0x7FF8_0000_DEAD_BEEF  # a NaN with a payload


def test_values_come_back_bit_for_bit(tmp_path):
    store = Checkpoint(tmp_path / "deep" / "ckpt")
    arrays = {
        "x": ODD_FLOATS,
        "view": np.arange(12).reshape(3, 4)[::2, 1:],
        "zero_d": np.float32(1.5),
        "no": np.ones(0),
    }
    info = {"objective": 0.1 + 0.2, "nan": float("nan"), "path": [1, 2], "text": "é"}
    assert store.get("fold 1") is None
    store.put("fold 1", arrays, info)
    loaded, facts = Checkpoint(tmp_path / "deep" / "ckpt").get("fold 1")
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert loaded[name].tobytes() == np.asarray(array).tobytes() and loaded[name].shape == np.shape(array)
    assert facts["objective"] == info["objective"] and np.isnan(facts["nan"]) and facts["text"] == "é"
    assert store.get("fold 2") is None


@given(keys=st.lists(st.text(), unique=True, min_size=1, max_size=5))
def test_any_strings_are_keys(tmp_path_factory, keys):
    store = Checkpoint(tmp_path_factory.mktemp("c"))
    for number, key in enumerate(keys):
        store.put(key, {"n": np.array(number)})
    assert [int(store.get(key)[0]["n"]) for key in keys] == list(range(len(keys)))
    store.put(keys[0], {"n": np.array(99)})
    assert int(store.get(keys[0])[0]["n"]) == 99
    store.clear()
    assert all(store.get(key) is None for key in keys)


def test_every_damaged_byte_makes_an_entry_absent(tmp_path, caplog):
    store = Checkpoint(tmp_path)
    store.put("k", {"x": ODD_FLOATS, "b": np.array([True])}, {"a": 1})
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    with caplog.at_level(logging.WARNING):
        for position in range(len(whole)):
            path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
            assert store.get("k") is None, f"byte {position}"
        for length in range(0, len(whole), 5):
            path.write_bytes(whole[:length])
            assert store.get("k") is None
    assert "damaged" in caplog.text and str(path) in caplog.text
    store.put("k", {"x": ODD_FLOATS})
    assert store.get("k") is not None


def test_an_entry_under_another_name_is_not_believed(tmp_path):
    store = Checkpoint(tmp_path)
    store.put("a", {"x": np.ones(1)})
    (path,) = tmp_path.iterdir()
    store.put("b", {"x": np.zeros(1)})
    other = next(entry for entry in tmp_path.iterdir() if entry != path)
    os.replace(path, other)
    assert store.get("b") is None


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_fault_at_any_call_leaves_the_old_entry_or_the_new(tmp_path, faults, code):
    store = Checkpoint(tmp_path)
    for k in range(1, 50):
        store.put("k", {"x": np.zeros(3)})
        try:
            with faults.at(k, code):
                store.put("k", {"x": np.ones(3)})
        except StorageError:
            assert store.get("k")[0]["x"].tolist() in ([0, 0, 0], [1, 1, 1])
        else:
            break
    assert k > 4 and store.get("k")[0]["x"].tolist() == [1, 1, 1]


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        Checkpoint(tmp_path / "file" / "ckpt").put("k", {"x": np.ones(1)})


def test_facts_must_be_json(tmp_path):
    with pytest.raises(UsageError, match="JSON"):
        Checkpoint(tmp_path).put("k", {}, {"x": np.ones(2)})
