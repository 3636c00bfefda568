"""embed(): right rows, once each, kept when a job dies, and every bad vector named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.embeddings import EmbeddingCache, HashingEncoder, embed
from pluralism.embeddings.encoder import Batch
from pluralism.errors import CacheError, DataError, EncoderError, PluralismWarning, UsageError

TEXTS = ["b", "a", "é", "e\u0301", "b", "", "👩‍👩‍👧", "a\0", "\u202eright to left", "b"]


class Counting:
    """A hashing encoder that remembers what it was asked."""

    name, revision, space, dim = "counting", "1", "counting@1", 8

    def __init__(self):
        self.asked = []

    def encode(self, texts):
        self.asked += texts
        return HashingEncoder(8).encode(texts)


def test_each_text_is_encoded_once_and_rows_keep_their_order(tmp_path):
    encoder = Counting()
    result = embed(TEXTS, encoder, cache=tmp_path)
    np.testing.assert_array_equal(result.features, HashingEncoder(8).encode(TEXTS))
    assert sorted(encoder.asked) == sorted(set(TEXTS))
    assert (result.n_unique, result.n_cached, result.space) == (8, 0, "counting@1")
    again = embed([*TEXTS[::-1], "new"], encoder, cache=tmp_path)
    np.testing.assert_array_equal(again.features, HashingEncoder(8).encode([*TEXTS[::-1], "new"]))
    assert encoder.asked[-1] == "new" and len(encoder.asked) == 9 and again.n_cached == 8


texts = st.lists(st.text(max_size=4), max_size=12)


@given(first=texts, second=texts)
@settings(max_examples=40)
def test_any_overlap_of_jobs_gives_exact_rows(tmp_path_factory, first, second):
    folder = tmp_path_factory.mktemp("c")
    for job in (first, second, first + second):
        features, _ = embed(job, "hash:16", cache=folder)
        np.testing.assert_array_equal(features, HashingEncoder(16).encode(job).reshape(len(job), 16))


def test_what_changes_the_vectors_changes_the_cache(tmp_path):
    def encoder(revision, sign):
        return lambda texts: sign * HashingEncoder(8).encode(texts)

    one = embed(["a"], encoder("1", 1), cache=tmp_path, name="mine", revision="1")
    two = embed(["a"], encoder("2", -1), cache=tmp_path, name="mine", revision="2")
    three = embed(["a"], "hash:8", cache=tmp_path)
    assert (one.features == -two.features).all() and len({one.space, two.space, three.space}) == 3
    assert embed(["a"], encoder("1", 5), cache=tmp_path, name="mine", revision="1").n_cached == 1


def test_columns_of_all_kinds_are_texts():
    import pandas
    import polars

    expected = HashingEncoder(8).encode(["a", "b"])
    for column in (("a", "b"), np.array(["a", "b"]), pa.array(["a", "b"]), pa.chunked_array([["a"], ["b"]]),
                   pandas.Series(["a", "b"]), polars.Series(["a", "b"]), (text for text in "ab")):  # fmt: skip
        np.testing.assert_array_equal(embed(column, "hash:8").features, expected)
    assert embed([], "hash:8").features.shape == (0, 8)
    assert embed([], Counting(), cache=None).features.shape == (0, 8)


@pytest.mark.parametrize("bad", [None, 3, float("nan"), b"bytes", "\ud800"])
def test_rows_that_are_no_text_are_named(bad, tmp_path):
    encoder = Counting()
    with pytest.raises(DataError, match=r"texts\[2\]"):
        embed(["a", "b", bad], encoder, cache=tmp_path)
    assert not encoder.asked
    with pytest.raises(UsageError, match="bare string"):
        embed("one text", encoder)


class Broken:
    """An encoder whose vectors for some texts are bad."""

    name, revision, space, dim, max_length = "broken", "1", "broken@1", 3, None
    storage = np.dtype(np.float32)

    def __init__(self, bad):
        self.bad = bad

    def encode(self, texts):
        raise NotImplementedError

    def batches(self, texts):
        for row, text in enumerate(texts):
            yield Batch(np.array([row]), self.bad if text == "bad" else np.ones((1, 3), np.float32), None)


@pytest.mark.parametrize(
    ("vector", "what"),
    [
        ([[np.nan, 1, 1]], "NaN"),
        ([[np.inf, 1, 1]], "NaN"),
        ([[1e300, 1, 1]], "overflowing"),
        ([[3e38, 3e38, 1]], None),
        ([[0, 0, 0]], "zero"),
        ([[1, 1]], "length 2"),
        ([[1, 1, 1], [1, 1, 1]], "shape"),
        ([1, 1, 1], "shape"),
        ([[]], "length 0"),
        ([["x", "y", "z"]], "no numbers"),
        ([[1, 2, 3], [1]], "no numbers"),
        (None, "shape"),
    ],
)
def test_bad_vectors_are_named_by_the_users_rows_and_never_stored(tmp_path, vector, what):
    texts = ["fine", "good", "bad", "good", "bad", "later"]
    if what is None:
        assert embed(texts, Broken(np.array(vector))).features.shape == (6, 3)
        return
    bad = vector if vector is None or len({len(np.atleast_1d(row)) for row in vector}) > 1 else np.array(vector)
    with pytest.raises(EncoderError, match=what) as caught:
        embed(texts, Broken(bad), cache=tmp_path)
    assert caught.value.where == "texts[2], texts[4]" and "broken" in str(caught.value)
    found = EmbeddingCache(tmp_path).get("broken@1", texts).found
    assert found.tolist() == [True, True, False, True, False, False]


@pytest.mark.parametrize("bad", [lambda texts: np.ones((len(texts) + 1, 3)), lambda texts: [[1.0]] * (len(texts) - 1)])
def test_a_function_with_a_wrong_count_is_an_error(bad):
    with pytest.raises(EncoderError, match="shape"):
        embed(["a", "b"], bad)


def test_an_encoder_that_leaves_rows_out_is_an_error():
    class Forgetful(Broken):
        def batches(self, texts):
            yield Batch(np.array([0]), np.ones((1, 3), np.float32), None)

    with pytest.raises(EncoderError, match="left out") as caught:
        embed(["a", "b", "c"], Forgetful(None))
    assert caught.value.where == "texts[1], texts[2]"


def test_many_bad_rows_are_counted():
    with pytest.raises(EncoderError, match=r"zero") as caught:
        embed([str(i) for i in range(30)], lambda texts: np.zeros((len(texts), 2)))
    assert "texts[0]" in str(caught.value) and "and 22 more" in str(caught.value)


def test_a_vector_of_another_dimension_than_the_cache_is_refused(tmp_path):
    embed(["a"], lambda texts: np.ones((len(texts), 3)), cache=tmp_path, name="f")
    with pytest.raises(EncoderError, match="length 4") as caught:
        embed(["a", "b", "c"], lambda texts: np.ones((len(texts), 4)), cache=tmp_path, name="f")
    assert caught.value.where == "texts[1], texts[2]"


def test_unnamed_functions_are_not_cached_and_that_is_said(tmp_path):
    with pytest.warns(PluralismWarning, match="not cached: pass name="):
        embed(["a"], lambda texts: np.ones((len(texts), 3)), cache=tmp_path)
    assert not list(tmp_path.iterdir())


def no_space(descriptor):
    raise OSError(28, "No space left on device")


def test_a_cache_that_cannot_be_written_is_found_out_first(tmp_path):
    (tmp_path / "file").write_text("")
    encoder = Counting()
    with pytest.raises(CacheError, match="Not a directory"):
        embed(["a"], encoder, cache=tmp_path / "file" / "cache")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(CacheError, match=r"cannot be written: .*No space"):
        patch.setattr(os, "fsync", no_space)
        embed(["a"], encoder, cache=tmp_path / "cache")
    assert not encoder.asked


def test_a_read_only_cache_that_knows_all_is_enough(tmp_path, monkeypatch):
    encoder = Counting()
    embed(["a", "b"], encoder, cache=tmp_path)
    real = os.open

    def read_only(path, flags, *rest, **options):
        if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
            raise OSError(30, "Read-only file system")
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", read_only)
    assert embed(["b", "a"], encoder, cache=tmp_path).n_cached == 2
    asked = list(encoder.asked)
    with pytest.raises(CacheError, match="Read-only file system"):
        embed(["b", "c"], encoder, cache=tmp_path)
    assert encoder.asked == asked


class Interrupted(Broken):
    """Stops with an error of its own after some texts."""

    def batches(self, texts):
        for row in range(len(texts)):
            if row == 7:
                raise KeyboardInterrupt
            yield Batch(np.array([row]), np.full((1, 3), row + 1.0, np.float32), None)


def test_an_interrupted_job_keeps_what_was_done(tmp_path):
    texts = [str(i) for i in range(20)]
    with pytest.raises(KeyboardInterrupt):
        embed(texts, Interrupted(None), cache=tmp_path)
    assert EmbeddingCache(tmp_path).get("broken@1", texts).found.tolist() == [True] * 7 + [False] * 13


def test_a_job_is_flushed_by_time_and_by_count(tmp_path):
    texts = [str(i) for i in range(20)]
    seen = []
    for name, options in (("time", {"flush_seconds": 0.0}), ("count", {"flush_texts": 5})):
        cache = EmbeddingCache(tmp_path / name, **options)
        embed(texts, Broken(None), cache=cache, progress=lambda done, total, c=cache: seen.append(c.count("broken@1")))
    assert seen[:21] == [0, *range(20)]
    assert seen[21:] == [0, *([0] * 4), *([0] * 1), *([5] * 5), *([10] * 5), *([15] * 5)]


JOB = """
import sys, time
import numpy as np
from pluralism.embeddings import EmbeddingCache, HashingEncoder, embed
from pluralism.embeddings.encoder import Batch

class Slow:
    name, revision, space, dim, max_length = "slow", "1", "slow@1", 8, None
    storage = np.dtype(np.float32)
    def encode(self, texts):
        raise NotImplementedError
    def batches(self, texts):
        for start in range(0, len(texts), 10):
            rows = np.arange(start, min(start + 10, len(texts)))
            time.sleep(0.004)
            yield Batch(rows, HashingEncoder(8).encode([texts[r] for r in rows]), None)

def report(done, total):
    print(total - done, flush=True)

cache = EmbeddingCache(sys.argv[1], flush_seconds=0.01)
result = embed([f"text {i}" for i in range(2000)], Slow(), cache=cache, progress=report)
np.save(sys.argv[2], result.features)
"""


def test_a_killed_job_goes_on_where_it_was(tmp_path):
    truth = HashingEncoder(8).encode([f"text {i}" for i in range(2000)])
    command = [sys.executable, "-c", JOB, str(tmp_path / "cache"), str(tmp_path / "out.npy")]
    texts, first = [f"text {i}" for i in range(2000)], []
    for lines in (1, 9, 40, 25, 60):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for number, line in enumerate(process.stdout):
            if number == 0:
                first.append(int(line))
            if number == lines:
                break
        process.kill()
        process.communicate()
        answer = EmbeddingCache(tmp_path / "cache").get("slow@1", texts)
        if answer.found.any():
            np.testing.assert_array_equal(answer.features[answer.found], truth[answer.found])
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first.append(int(done.stdout.splitlines()[0]))
    assert first[0] == 2000 and first == sorted(first, reverse=True) and first[-1] < 1500, first
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), truth)
    assert done.stderr == ""


def test_a_disk_that_fills_up_midway_keeps_what_was_stored(tmp_path):
    """A real limit of the system, in a process of its own."""
    code = (
        "import resource, sys, numpy as np\n"
        "from pluralism.embeddings import EmbeddingCache, embed\n"
        "from pluralism.errors import CacheError\n"
        "cache = EmbeddingCache(sys.argv[1], flush_texts=512)\n"
        "embed([str(i) for i in range(512)], 'hash:64', cache=cache)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "try:\n    embed([str(i) for i in range(2048)], 'hash:64', cache=cache)\n"
        "except CacheError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "cannot be written" in done.stdout and "fix:" in done.stdout and str(tmp_path) in done.stdout
    result = embed([str(i) for i in range(2048)], "hash:64", cache=tmp_path)
    assert result.n_cached == 512
    np.testing.assert_array_equal(result.features, HashingEncoder(64).encode([str(i) for i in range(2048)]))


def test_progress_is_reported_and_nothing_is_printed(tmp_path, capfd):
    seen = []
    embed([str(i) for i in range(1200)], "hash", cache=tmp_path, progress=lambda *step: seen.append(step))
    assert seen == [(0, 1200), (512, 1200), (1024, 1200), (1200, 1200)]
    embed([str(i) for i in range(1201)], "hash", cache=tmp_path, progress=True)
    assert capfd.readouterr() == ("", "")


def test_the_bar_appears_on_a_terminal(tmp_path):
    pty = pytest.importorskip("pty")
    main, side = pty.openpty()
    code = "from pluralism.embeddings import embed\nembed([str(i) for i in range(2000)], 'hash', progress=True)"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=side, stdout=subprocess.PIPE,
                               env={**os.environ, "TERM": "xterm", "COLUMNS": "80"})  # fmt: skip
    assert process.communicate()[0] == b""
    os.close(side)
    shown = os.read(main, 100_000).decode()
    os.close(main)
    assert "Embedding with hash" in shown and "2000/2000" in shown


def test_the_result_reads_well_and_goes_to_json():
    result = embed(["a", "b", "a"], "hash:4")
    features, space = result
    assert features is result.features and space == result.space
    assert "3 texts" in repr(result) and "2 different" in repr(result)
    facts = json.loads(result.to_json())
    assert facts["n_texts"] == 3 and facts["n_unique"] == 2 and facts["dim"] == 4 and facts["space"] == space


def test_nothing_warns_on_a_plain_job(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embed(["a"], "hash", cache=tmp_path)
        embed(["a"], "hash", cache=EmbeddingCache(tmp_path))
