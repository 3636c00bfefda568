"""Hosted embeddings over the real protocol: batches, retries, and servers that misbehave."""

from __future__ import annotations

import socket
import sys

import numpy as np
import pytest

from pluralism.embeddings import EmbeddingCache, HashingEncoder, embed, resolve
from pluralism.errors import EncoderError, MissingExtraError, UsageError
from pluralism.llm import EmbeddingsEndpoint

TEXTS = [f"text {i}" for i in range(10)]


def truth(texts, dim=8):
    return HashingEncoder(dim).encode(texts)


def test_vectors_arrive_in_order_whatever_the_batches(server, tmp_path):
    for size, concurrency in ((3, 1), (3, 4), (128, 4), (1, 3)):
        server.requests.clear()
        result = embed(TEXTS, "openai:m", base_url=server.url, batch_size=size, concurrency=concurrency)
        np.testing.assert_allclose(result.features, truth(TEXTS), atol=1e-6)
        assert len(server.requests) == -(-len(TEXTS) // size)
        assert sorted(text for request in server.requests for text in request["input"]) == sorted(TEXTS)
        assert all(request["model"] == "m" for request in server.requests)


def test_entries_out_of_order_are_put_in_order(server):
    server.script = [lambda entries: entries[::-1]]
    with EmbeddingsEndpoint("m", base_url=server.url) as endpoint:
        np.testing.assert_allclose(endpoint.embed(TEXTS), truth(TEXTS), atol=1e-6)


def test_texts_are_sent_unchanged(server):
    texts = ["é", "e\u0301", "👩‍👩‍👧", "a\nb", "\u202e", '"quoted"']
    with EmbeddingsEndpoint("m", base_url=server.url) as endpoint:
        endpoint.embed(texts)
    assert server.requests[0]["input"] == texts


@pytest.mark.parametrize("step", [429, 500, 503, 408, "drop"])
def test_passing_failures_are_tried_again(server, step):
    server.script = [step, step]
    result = embed(TEXTS, "openai:m", base_url=server.url)
    np.testing.assert_allclose(result.features, truth(TEXTS), atol=1e-6)
    assert len(server.requests) == 3
    gaps = np.diff(server.times)
    # Back-off with jitter: waits, and longer the second time (half a second, then one, less up to a quarter).
    assert gaps[0] > 0.3 and gaps[1] > 0.6


def test_retry_after_is_honoured(server):
    server.script = [(429, {"Retry-After": "2"}), (503, {"retry-after-ms": "10"})]
    with EmbeddingsEndpoint("m", base_url=server.url) as endpoint:
        endpoint.embed(TEXTS)
    first, second = np.diff(server.times)
    assert first >= 2.0 and second < first


def test_retries_end(server):
    server.script = [500] * 10
    with pytest.raises(EncoderError, match="scripted 500") as caught:
        embed(TEXTS, "openai:m", base_url=server.url, max_retries=1)
    assert len(server.requests) == 2 and "127.0.0.1" in str(caught.value)


@pytest.mark.parametrize(("status", "hint"), [(400, "too long"), (401, "OPENAI_API_KEY"), (404, "base_url")])
def test_lasting_failures_are_not_tried_again(server, status, hint):
    server.script = [status] * 3
    with pytest.raises(EncoderError, match=f"scripted {status}") as caught:
        embed(TEXTS, "openai:m", base_url=server.url)
    assert len(server.requests) == 1 and hint in str(caught.value) and "texts[0]" in str(caught.value)


def with_value(value):
    def change(entries):
        entries[1]["embedding"][2] = value
        return entries

    return change


def shortened(entries):
    entries[1]["embedding"] = entries[1]["embedding"][:-1]
    return entries


def zeroed(entries):
    entries[1]["embedding"] = [0.0] * 8
    return entries


@pytest.mark.parametrize(
    ("change", "what", "rows"),
    [
        (lambda entries: entries[:-1], "2 vectors for 3", "texts[3], texts[4], texts[5]"),
        (lambda entries: [*entries, entries[0]], "4 vectors for 3", "texts[3], texts[4], texts[5]"),
        (lambda entries: [entries[0]] * 3, "3 vectors for 3", "texts[3], texts[4], texts[5]"),
        (lambda entries: [], "vectors for 3|No embedding", "texts[3], texts[4], texts[5]"),
        (shortened, "unequal length", "texts[3], texts[4], texts[5]"),
        (with_value(float("nan")), "NaN", "texts[4]"),
        (with_value(1e300), "NaN, infinite or overflowing", "texts[4]"),
        (with_value(None), "NaN|no numbers", None),
        (zeroed, "zero", "texts[4]"),
    ],
)
def test_wrong_answers_are_named_by_row_and_good_ones_kept(server, tmp_path, change, what, rows):
    server.script = [lambda entries: entries, change]
    options = {"base_url": server.url, "batch_size": 3, "concurrency": 1}
    with pytest.raises(EncoderError, match=what) as caught:
        embed(TEXTS, "openai:m", cache=tmp_path, **options)
    assert rows is None or caught.value.where == rows
    space = resolve("openai:m", **options).space
    assert EmbeddingCache(tmp_path).get(space, TEXTS).found.tolist() == [True] * 3 + [False] * 7
    result = embed(TEXTS, "openai:m", cache=tmp_path, **options)
    assert result.n_cached == 3
    np.testing.assert_allclose(result.features, truth(TEXTS), atol=1e-6)


def test_a_dimension_that_changes_between_answers_is_an_error(server):
    server.script = [lambda entries: entries, lambda entries: [{**e, "embedding": [1.0, 2.0]} for e in entries]]
    with pytest.raises(EncoderError, match="length 2"):
        embed(TEXTS, "openai:m", base_url=server.url, batch_size=5, concurrency=1)


def test_keys_come_from_the_environment_and_stay_out_of_sight(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-secret")
    encoder = resolve("openai:m", base_url=server.url, api_key_env="MY_KEY")
    encoder.encode(["a"])
    assert server.headers[0]["authorization"] == "Bearer sk-secret"
    server.script = [401]
    with pytest.raises(EncoderError, match="scripted") as caught:
        encoder.encode(["a"])
    for shown in (repr(encoder), repr(encoder.endpoint), encoder.space, str(caught.value)):
        assert "secret" not in shown
    assert "MY_KEY" in str(caught.value)
    hidden = resolve("openai:m", base_url="http://user:password@localhost:99/v1")
    assert "password" not in hidden.space + repr(hidden)


def test_openai_itself_needs_a_key(server):
    with pytest.raises(EncoderError, match="No key") as caught:
        embed(["a"], "openai:text-embedding-3-small")
    assert "OPENAI_API_KEY" in str(caught.value)


def test_a_server_that_is_not_there(server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(EncoderError, match="cannot be reached"):
        embed(["a"], "openai:m", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0)


def test_spaces_and_dimensions(server):
    options = {"base_url": server.url}
    plain, short = resolve("openai:m", **options), resolve("openai:m", dimensions=5, **options)
    assert plain.dim == 8 and len(server.requests) == 1
    assert short.dim == 5 and len(server.requests) == 1
    assert embed(["a", "b"], short).features.shape == (2, 5)
    others = [short, resolve("openai:m2", **options), resolve("openai:m", revision="2", **options)]
    others += [resolve("openai:m", normalize=False, **options), resolve("openai:m", base_url="http://other/v1")]
    assert len({encoder.space for encoder in [plain, *others]}) == 6


def test_settings_that_cannot_work(server, monkeypatch):
    for options in ({"max_retries": -1}, {"timeout": 0}, {"dimensions": 0}, {"concurrency": 0}):
        with pytest.raises(UsageError):
            resolve("openai:m", base_url=server.url, **options)
    with pytest.raises(UsageError, match="is no URL"):
        embed(["a"], "openai:m", base_url="localhost")
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pluralism\[llm\]'"):
        embed(["a"], "openai:m", base_url=server.url)
