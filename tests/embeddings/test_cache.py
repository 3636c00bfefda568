"""The cache: right vectors or none, after kills, damage, full disks, and with several writers at once."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pluralism.embeddings import EmbeddingCache, HashingEncoder, default_cache
from pluralism.embeddings.digests import text_digests
from pluralism.embeddings.shard import Shard
from pluralism.errors import CacheError, PluralismWarning, UsageError

DIM = 6
ENCODER = HashingEncoder(DIM)
HARD = ["", "\0", "é", "e\u0301", "👩‍👩‍👧", "\u202eabc", "a", "a ", "A", "a\0", "x" * 100_000]


def vectors(texts, dtype=np.float32):
    return ENCODER.encode(texts).astype(dtype)


def files(cache, suffix=".shard"):
    return sorted(path for path in cache.directory.rglob("*") if path.name.endswith(suffix))


def test_hard_texts_are_kept_apart(tmp_path):
    cache = EmbeddingCache(tmp_path)
    cache.put("s", HARD, vectors(HARD), np.arange(len(HARD)))
    order = np.random.default_rng(0).permutation(len(HARD))
    answer = EmbeddingCache(tmp_path).get("s", [HARD[i] for i in order])
    assert answer.found.all()
    np.testing.assert_array_equal(answer.features, vectors(HARD)[order])
    np.testing.assert_array_equal(answer.lengths, order)


@pytest.mark.parametrize("other", ["S", "s;dtype=float16", "s@2", "", "s "])
def test_spaces_never_share(tmp_path, other):
    cache = EmbeddingCache(tmp_path)
    cache.put("s", ["a"], vectors(["a"]))
    assert not cache.get(other, ["a"]).found.any()
    # Nor when someone puts the file of one space into the folder of the other.
    cache.put(other, ["b"], vectors(["b"]))
    mine, theirs = cache._place("s"), cache._place(other)
    for path in mine.glob("*.shard"):
        os.replace(path, theirs / path.name)
    with pytest.warns(PluralismWarning, match="damaged"):
        assert not EmbeddingCache(tmp_path).get(other, ["a"]).found.any()


def test_digests_by_hand():
    from hashlib import sha256

    texts = [*HARD, *map(str, range(500))]
    found = text_digests("space", texts).astype(">u8").tobytes()
    own = int.from_bytes(sha256(b"space\0space").digest())
    expected = [int.from_bytes(sha256(text.encode()).digest()) ^ own for text in texts]
    assert found == b"".join(value.to_bytes(32) for value in expected)
    assert len(np.unique(np.concatenate([text_digests(s, texts) for s in ("a", "b", "")]), axis=0)) == 3 * len(texts)


class CacheMachine(RuleBasedStateMachine):
    """Any sequence of calls against a dictionary."""

    @initialize()
    def start(self):
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.caches = [EmbeddingCache(self.folder.name), EmbeddingCache(self.folder.name)]
        self.known = {}

    texts = st.lists(st.text(alphabet="ab\0é", max_size=3), max_size=6)

    @rule(texts=texts, which=st.integers(0, 1), half=st.booleans())
    def put(self, texts, which, half):
        # One text always has the same vector in one space, as an encoder is a function.
        values = vectors(texts, np.float16).astype(np.float16 if half else np.float32)
        lengths = np.array([len(text) + 1 for text in texts], np.int64)
        self.caches[which].put("s", texts, values, lengths)
        self.known |= dict(zip(texts, values.astype(np.float32), strict=True))

    @rule(which=st.integers(0, 1))
    def compact(self, which):
        self.caches[which].compact("s")

    @rule(which=st.integers(0, 1))
    def reopen(self, which):
        self.caches[which] = EmbeddingCache(self.folder.name)

    @rule(texts=texts, which=st.integers(0, 1))
    def get(self, texts, which):
        answer = self.caches[which].get("s", texts)
        assert answer.found.tolist() == [text in self.known for text in texts]
        for row, text in enumerate(texts):
            if text in self.known:
                assert (answer.features[row] == self.known[text]).all()
                assert answer.lengths[row] == len(text) + 1

    @invariant()
    def nothing_is_left_over(self):
        assert not [path for path in os.listdir(self.folder.name) if path.endswith((".damaged", ".tmp"))]

    def teardown(self):
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestCacheMachine = CacheMachine.TestCase
TestCacheMachine.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)


@given(
    dim=st.integers(1, 9),
    half=st.booleans(),
    count=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=30)
def test_any_shape_comes_back_exactly(tmp_path_factory, dim, half, count, seed):
    rng = np.random.default_rng(seed)
    # All finite float16 values may occur, subnormal ones and both zeros among them.
    bits = rng.integers(0, 2**16, (count, dim)).astype(np.uint16)
    values = np.where(np.isfinite(bits.view(np.float16)), bits, 0).astype(np.uint16).view(np.float16)
    values = values if half else rng.standard_normal((count, dim)).astype(np.float32)
    texts = [str(i) for i in range(count)]
    cache = EmbeddingCache(tmp_path_factory.mktemp("c"))
    cache.put("s", texts, values)
    rows = rng.integers(0, count, 50)
    answer = cache.get("s", [texts[i] for i in rows])
    assert answer.features.astype(values.dtype).tobytes() == values[rows].tobytes()


def test_more_rows_than_one_block_go_through_threads(tmp_path):
    count = 40_000
    texts = [str(i) for i in range(count)]
    for dtype in (np.float32, np.float16):
        values = np.random.default_rng(0).standard_normal((count, 4)).astype(dtype)
        cache = EmbeddingCache(tmp_path / np.dtype(dtype).name)
        cache.put("s", texts, values)
        order = np.random.default_rng(1).permutation(count)
        answer = cache.get("s", [texts[i] for i in order])
        assert answer.found.all() and (answer.features == values[order]).all()


def test_equal_first_words_are_told_apart(tmp_path):
    """Digests that agree in their first 64 bits, which no honest text will ever show."""
    from pluralism.embeddings.shard import write_shard

    digests = np.array([[5, 1, 1, 1], [5, 1, 1, 2], [5, 2, 0, 0], [2**64 - 1] * 4], np.uint64)
    path = write_shard(
        tmp_path, "s", digests[::-1], np.arange(8, dtype=np.float32).reshape(4, 2), np.zeros(4, np.int64)
    )
    shard = Shard(path, "s")
    asked = np.array([*digests.tolist(), [5, 1, 1, 3], [5, 9, 9, 9], [0] * 4, [2**64 - 1] * 3 + [0]], np.uint64)
    assert shard.find(asked, np.arange(8)).tolist() == [0, 1, 2, 3, -1, -1, -1, -1]


@given(
    heads=st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**63, 2**64 - 1]), min_size=1, max_size=60),
    extra=st.lists(st.integers(0, 2**64 - 1), max_size=10),
    crowd=st.integers(0, 60),
)
@settings(max_examples=50)
def test_the_search_finds_what_is_there_however_the_digests_lie(heads, extra, crowd):
    from pluralism.embeddings.gather import bucket_starts, find_rows

    heads += [heads[0] + i & (2**64 - 1) for i in range(crowd)]  # many close together
    stored = np.unique(np.array([[head, head % 3, 0, 7] for head in heads], np.uint64), axis=0)
    absent = [[head, 9, 9, 9] for head in [*heads, *extra]]
    wanted = np.concatenate([stored[::-1], np.array(absent, np.uint64)])
    rows = find_rows(bucket_starts(stored), stored, wanted, np.arange(len(wanted)))
    assert rows.tolist() == [*range(len(stored))][::-1] + [-1] * len(absent)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_flipped_bit_anywhere_never_gives_a_wrong_vector(tmp_path, dtype):
    texts = ["a", "b", "c"]
    cache = EmbeddingCache(tmp_path)
    cache.put("s", texts, vectors(texts, dtype))
    (path,) = files(cache)
    whole = path.read_bytes()
    truth = vectors(texts, dtype).astype(np.float32)
    lost = 0
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ (1 << position % 8)]) + whole[position + 1 :])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            answer = EmbeddingCache(tmp_path).get("s", texts)
        if answer.found.any():
            assert (answer.features[answer.found] == truth[answer.found]).all(), f"byte {position}"
        else:
            lost += 1
            assert any(issubclass(w.category, PluralismWarning) and str(path) in str(w.message) for w in caught)
            assert not path.exists() and path.with_name(f"{path.name}.damaged").exists()
            path.with_name(f"{path.name}.damaged").unlink()
    assert lost == len(whole)
    path.write_bytes(whole)
    assert EmbeddingCache(tmp_path).get("s", texts).found.all()


def test_a_shard_cut_anywhere_is_set_aside(tmp_path):
    texts = ["a", "b", "c"]
    cache = EmbeddingCache(tmp_path)
    cache.put("s", texts, vectors(texts))
    (path,) = files(cache)
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.warns(PluralismWarning, match="set aside|renamed"):
            assert not EmbeddingCache(tmp_path).get("s", texts).found.any()
    cache.put("s", texts, vectors(texts))
    assert cache.get("s", texts).found.all()


def test_damage_that_happens_after_opening_is_seen(tmp_path):
    texts = [str(i) for i in range(50)]
    cache = EmbeddingCache(tmp_path)
    cache.put("s", texts, vectors(texts))
    cache.put("s", ["other"], vectors(["other"]))
    assert cache.get("s", texts).found.all()
    big = max(files(cache), key=lambda path: path.stat().st_size)
    offset = len(big.read_bytes()) - DIM * 4 * 10
    with big.open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\x55")
    with pytest.warns(PluralismWarning, match="checksum"):
        answer = cache.get("s", [*texts, "other"])
    assert answer.found.tolist() == [False] * 50 + [True]
    np.testing.assert_array_equal(answer.features[50], vectors(["other"])[0])


def test_vectors_swapped_between_texts_are_seen(tmp_path):
    from pluralism.files import load_arrays, save_arrays

    texts = ["a", "b"]
    cache = EmbeddingCache(tmp_path)
    cache.put("s", texts, vectors(texts))
    (path,) = files(cache)
    arrays, metadata = load_arrays(path)
    arrays["vectors"] = arrays["vectors"][::-1].copy()
    save_arrays(path, arrays, metadata)
    with pytest.warns(PluralismWarning, match="checksum"):
        assert not EmbeddingCache(tmp_path).get("s", texts).found.any()


def test_incomplete_and_foreign_files_are_ignored(tmp_path):
    cache = EmbeddingCache(tmp_path)
    cache.put("s", ["a"], vectors(["a"]))
    place = cache._place("s")
    (place / ".half.tmp-0123.shard").write_bytes(b"half")
    (place / "notes.txt").write_text("mine")
    answer = EmbeddingCache(tmp_path).get("s", ["a"])
    assert answer.found.all()


def test_many_shards_are_merged_and_stay_readable(tmp_path):
    cache, reader = EmbeddingCache(tmp_path), EmbeddingCache(tmp_path)
    texts = [str(i) for i in range(60)]
    for text in texts:
        cache.put("s", [text], vectors([text]))
        assert reader.get("s", [text]).found.all()
    assert len(files(cache)) < 16
    cache.compact("s")
    assert len(files(cache)) == 1 and cache.count("s") == 60
    for each in (cache, reader, EmbeddingCache(tmp_path)):
        answer = each.get("s", texts)
        assert answer.found.all() and (answer.features == vectors(texts)).all()


def test_merging_leaves_damaged_shards_out(tmp_path):
    cache = EmbeddingCache(tmp_path)
    for text in "abc":
        cache.put("s", [text], vectors([text]))
    path = next(
        path for path in files(cache) if Shard(path, "s").find(text_digests("s", ["b"]), np.zeros(1, np.int64))[0] >= 0
    )
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.warns(PluralismWarning, match="checksum"):
        EmbeddingCache(tmp_path).compact("s")
    assert EmbeddingCache(tmp_path).get("s", list("abc")).found.tolist() == [True, False, True]
    assert len(files(cache)) == 1


def faulty(monkeypatch, k, code):
    """Make the k-th call that changes the disk fail."""
    count = 0

    def wrap(call):
        def wrapped(*args, **kwargs):
            nonlocal count
            count += 1
            if count == k:
                raise OSError(code, os.strerror(code))
            return call(*args, **kwargs)

        return wrapped

    for name in ("write", "fsync", "replace", "mkdir"):
        monkeypatch.setattr(os, name, wrap(getattr(os, name)))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("action", ["put", "compact"])
def test_a_fault_at_any_call_keeps_what_was_stored(tmp_path, code, action):
    cache = EmbeddingCache(tmp_path)
    old = [f"old {i}" for i in range(5)]
    for k in range(1, 60):
        for text in old:
            cache.put("s", [text], vectors([text]))
        with pytest.MonkeyPatch.context() as patch:
            faulty(patch, k, code)
            try:
                cache.put("s", ["new"], vectors(["new"])) if action == "put" else cache.compact("s")
            except CacheError as error:
                assert str(tmp_path) in str(error) and error.fix
            else:
                break
        answer = EmbeddingCache(tmp_path).get("s", old)
        assert answer.found.all() and (answer.features == vectors(old)).all()
        assert not [path for path in files(cache, "") if ".tmp-" in path.name]
    assert k > 4 and EmbeddingCache(tmp_path).get("s", old).found.all()
    assert EmbeddingCache(tmp_path).get("s", ["new"]).found.all() == (action == "put")


def test_a_merge_that_fails_does_not_fail_the_put(tmp_path, caplog):
    cache = EmbeddingCache(tmp_path)
    texts = [str(i) for i in range(16)]
    for text in texts[:15]:
        cache.put("s", [text], vectors([text]))
    with pytest.MonkeyPatch.context() as patch:
        faulty(patch, 5, errno.ENOSPC)  # the put itself makes four calls
        cache.put("s", texts[15:], vectors(texts[15:]))
    assert "were not merged" in caplog.text and len(files(cache)) == 16
    cache.put("s", ["one more"], vectors(["one more"]))
    assert len(files(cache)) == 1 and cache.get("s", texts).found.all()


def test_a_cache_that_cannot_be_made_says_where_and_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError) as caught:
        EmbeddingCache(tmp_path / "file" / "cache").put("s", ["a"], vectors(["a"]))
    assert str(tmp_path / "file") in str(caught.value) and "another cache directory" in str(caught.value)


@pytest.mark.parametrize(
    ("texts", "features"),
    [
        (["a"], np.ones((2, 3), np.float32)),
        (["a"], np.ones(3, np.float32)),
        (["a"], np.ones((1, 3), np.float64)),
        (["a"], np.full((1, 3), np.nan, np.float32)),
        (["a"], np.full((1, 3), np.inf, np.float16)),
    ],
)
def test_what_must_not_be_stored_is_refused(tmp_path, texts, features):
    with pytest.raises(UsageError):
        EmbeddingCache(tmp_path).put("s", texts, features)
    assert not list(tmp_path.iterdir())


WRITER = """
import sys
import numpy as np
from pluralism.embeddings import EmbeddingCache, HashingEncoder
directory, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
cache, encoder = EmbeddingCache(directory), HashingEncoder(6)
print("ready", flush=True)
for i in range(first, first + count):
    texts = [f"text {i} {j}" for j in range(5)]
    cache.put("s", texts, encoder.encode(texts))
    print(i, flush=True)
"""


def writer(directory, first, count):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory), str(first), str(count)], stdout=subprocess.PIPE, text=True
    )


def batch(i):
    return [f"text {i} {j}" for j in range(5)]


def test_killed_at_any_moment_keeps_all_that_put_returned_from(tmp_path):
    for trial, wait_for in enumerate((1, 2, 14, 17, 31)):
        process = writer(tmp_path, 1000 * trial, 900)
        lines = []
        for line in process.stdout:
            lines.append(line)
            if len(lines) > wait_for:
                break
        process.kill()
        lines += process.communicate()[0].splitlines()
        done = [int(line) for line in lines if re.fullmatch(r"\d+\n?", line)]
        texts = [text for i in done for text in batch(i)]
        answer = EmbeddingCache(tmp_path).get("s", texts)
        assert len(done) >= wait_for and answer.found.all()
        np.testing.assert_array_equal(answer.features, vectors(texts))


def test_two_processes_write_and_merge_while_a_third_reads(tmp_path):
    processes = [writer(tmp_path, 0, 60), writer(tmp_path, 30, 60)]
    reader, texts = EmbeddingCache(tmp_path), [text for i in range(90) for text in batch(i)]
    stop, merger = threading.Event(), EmbeddingCache(tmp_path)

    def merge():
        while not stop.is_set():
            merger.compact("s") if merger._place("s").exists() else None

    thread = threading.Thread(target=merge)
    thread.start()
    try:
        while any(process.poll() is None for process in processes):
            answer = reader.get("s", texts)
            if answer.found.any():
                np.testing.assert_array_equal(answer.features[answer.found], vectors(texts)[answer.found])
    finally:
        stop.set()
        thread.join()
        for process in processes:
            process.communicate()
    assert [process.returncode for process in processes] == [0, 0]
    answer = reader.get("s", texts)
    assert answer.found.all()
    np.testing.assert_array_equal(answer.features, vectors(texts))
    assert not files(reader, ".damaged")


def test_the_default_place(monkeypatch, tmp_path):
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "mine"))
    assert default_cache() == tmp_path / "mine"
    monkeypatch.delenv("PLURALISM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if sys.platform.startswith("linux"):
        assert default_cache() == tmp_path / "pluralism" / "embeddings"
