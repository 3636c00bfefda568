"""Array files: round trips, exchange with the safetensors library, and files made to do harm."""

from __future__ import annotations

import json
import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from pluralism.errors import ModelFileError, StorageError, UsageError
from pluralism.files import load_arrays, save_arrays
from pluralism.files.arrays import arrays_to_bytes
from pluralism.files.header import DTYPES

ARRAYS = nps.arrays(
    st.sampled_from(sorted({dtype.str for dtype in DTYPES.values()} | {">f8", ">i4"})),
    nps.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)


def same(one, other):
    return (
        one.shape == other.shape
        and one.dtype == other.dtype.newbyteorder("<")
        and (one.tobytes() == np.ascontiguousarray(other.astype(other.dtype.newbyteorder("<"))).tobytes())
    )


@given(
    arrays=st.dictionaries(st.text(min_size=1, max_size=8).filter(lambda s: s != "__metadata__"), ARRAYS, max_size=4)
)
def test_round_trip_is_equal_bit_for_bit(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("a") / "x.safetensors"
    save_arrays(path, arrays, {"note": "é\0"})
    loaded, metadata = load_arrays(path)
    assert metadata == {"note": "é\0"} and loaded.keys() == arrays.keys()
    assert all(same(loaded[name], arrays[name]) for name in arrays)
    assert all(array.flags.writeable for array in loaded.values())
    assert arrays_to_bytes(arrays) == arrays_to_bytes(dict(reversed(arrays.items())))


def test_views_that_are_not_contiguous_are_saved_as_they_look(tmp_path):
    base = np.arange(24.0).reshape(4, 6)
    views = {"t": base.T, "step": base[::2, ::-3], "fortran": np.asfortranarray(base), "scalar": np.float64(2.5)}
    save_arrays(tmp_path / "x", views)
    loaded, _ = load_arrays(tmp_path / "x")
    assert all((loaded[name] == views[name]).all() for name in views)


def test_the_safetensors_library_reads_ours_and_we_read_its(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([True, False]), "c": np.float16([1.5])}
    save_arrays(tmp_path / "ours", arrays)
    theirs = safetensors.numpy.load_file(tmp_path / "ours")
    assert all((theirs[name] == arrays[name]).all() for name in arrays)
    safetensors.numpy.save_file(arrays, tmp_path / "theirs", {"k": "v"})
    loaded, metadata = load_arrays(tmp_path / "theirs")
    assert metadata == {"k": "v"} and all((loaded[name] == arrays[name]).all() for name in arrays)


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.array([1j]), np.array(["2020"], "M8[D]")])
def test_what_is_no_number_is_not_saved(tmp_path, array):
    with pytest.raises(UsageError, match="cannot be saved"):
        save_arrays(tmp_path / "x", {"a": array})
    assert os.listdir(tmp_path) == []


def container(header, body=b""):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + body


def tensor(shape, start, stop, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


class Harm:
    """Runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


HOSTILE = {
    "empty": b"",
    "seven bytes": b"\x01" * 7,
    "header longer than the file": (2**62).to_bytes(8, "little") + b"{}",
    "negative header length": b"\xff" * 8 + b"{}",
    "header of 100 MB": container(b"{" + b" " * (8 << 20) + b"}"),
    "not JSON": container(b"{not json"),
    "not an object": container([1, 2]),
    "deep nesting": container(b'{"a":' + b"[" * 200_000),
    "a name twice": container(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        bytes(4),
    ),
    "not UTF-8": container(b'{"\xff\xfe":1}'),
    "huge number": container(b'{"a":{"dtype":"F32","shape":[' + b"9" * 100_000 + b'],"data_offsets":[0,4]}}', bytes(4)),
    "8 GB declared": container({"a": tensor([2**31], 0, 2**33)}, bytes(64)),
    "8 GB by shape alone": container({"a": tensor([2**31], 0, 64)}, bytes(64)),
    "overflowing shape": container({"a": tensor([2**32, 2**32], 0, 0)}),
    "zero times giant": container({"a": tensor([0, 2**63], 0, 0)}),
    "many dimensions": container({"a": tensor([1] * 40, 0, 4)}, bytes(4)),
    "negative extent": container({"a": tensor([-1], 0, 4)}, bytes(4)),
    "fractional extent": container({"a": tensor([1.0], 0, 4)}, bytes(4)),
    "boolean extent": container({"a": tensor([True], 0, 4)}, bytes(4)),
    "overlap": container({"a": tensor([2], 0, 8), "b": tensor([2], 4, 12)}, bytes(12)),
    "hole": container({"a": tensor([1], 0, 4), "b": tensor([1], 8, 12)}, bytes(12)),
    "bytes after the end": container({"a": tensor([1], 0, 4)}, bytes(5)),
    "cut short": container({"a": tensor([4], 0, 16)}, bytes(15)),
    "backward span": container({"a": tensor([1], 4, 0)}, bytes(4)),
    "unknown dtype": container({"a": tensor([1], 0, 4, "PICKLE")}, bytes(4)),
    "dtype of another type": container({"a": tensor([1], 0, 4, ["F32"])}, bytes(4)),
    "extra member": container({"a": {**tensor([1], 0, 4), "code": "x"}}, bytes(4)),
    "metadata of numbers": container({"__metadata__": {"a": 1}}),
    "metadata list": container({"__metadata__": ["a"]}),
    "booleans that are none": container({"a": tensor([1], 0, 1, "BOOL")}, b"\x07"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_before_anything_is_allocated(tmp_path, name):
    path = tmp_path / "model.safetensors"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(ModelFileError):
        load_arrays(path)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError):
            load_arrays(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000, f"{peak:,} bytes were allocated for a file of {path.stat().st_size:,}"


@pytest.mark.parametrize("form", ["pickle", "numpy", "zip"])
def test_code_in_disguise_is_refused_and_not_run(tmp_path, form):
    path, trace = tmp_path / "model.safetensors", tmp_path / "was-here"
    if form == "pickle":
        path.write_bytes(pickle.dumps(Harm(trace)))
    elif form == "numpy":
        with path.open("wb") as stream:
            np.save(stream, np.array([Harm(trace)], object), allow_pickle=True)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(Harm(trace)) + bytes(50_000_000))
    with pytest.raises(ModelFileError):
        load_arrays(path)
    assert not trace.exists()


def test_links_devices_pipes_and_oversize_are_refused(tmp_path):
    save_arrays(tmp_path / "real", {"a": np.ones(3)})
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "sparse").open("wb") as stream:
        head = container({"a": tensor([2**33], 0, 2**35)})
        stream.write(head)
        stream.truncate(len(head) + 2**35)
    for name in ("link", "pipe", "sparse", "/dev/zero", "."):
        with pytest.raises((ModelFileError, StorageError)):
            load_arrays(tmp_path / name)
    with pytest.raises(ModelFileError, match="max_bytes"):
        load_arrays(tmp_path / "real", max_bytes=10)
    with pytest.raises(StorageError):
        load_arrays(tmp_path / "missing")


VALID = arrays_to_bytes({"a": np.arange(4.0), "b": np.array([True, False])}, {"k": "v"})


@given(changes=st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), min_size=1, max_size=4))
@example(changes=[(0, 255)])
def test_any_change_is_either_harmless_or_refused(tmp_path_factory, changes):
    raw = bytearray(VALID)
    for position, value in changes:
        raw[position] = value
    path = tmp_path_factory.mktemp("f") / "x"
    path.write_bytes(raw)
    try:
        arrays, _ = load_arrays(path)
    except ModelFileError:
        return
    assert sum(array.nbytes for array in arrays.values()) <= len(raw)


@given(length=st.integers(0, len(VALID) - 1))
def test_any_truncation_is_refused(tmp_path_factory, length):
    path = tmp_path_factory.mktemp("f") / "x"
    path.write_bytes(VALID[:length])
    with pytest.raises(ModelFileError):
        load_arrays(path)
