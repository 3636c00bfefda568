"""From names to encoders, the hashing encoder, and what spaces may be compared."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from pluralism.embeddings import EndpointEncoder, FunctionEncoder, HashingEncoder, resolve, same_space
from pluralism.errors import EncoderError, UsageError


@pytest.mark.parametrize(
    "name",
    ["", "minilm:", "minilm:x", "minilmm", "hash:", "hash:x", "hash:-3", "hf", "hf:", "st:", "openai", "bert", ":x"],
)
def test_unknown_names_list_the_known_ones(name):
    with pytest.raises(EncoderError, match="Unknown encoder") as caught:
        resolve(name)
    assert "minilm" in str(caught.value) and "hf:<name or path>" in str(caught.value)
    if name == "minilmm":
        assert "Did you mean 'minilm'" in str(caught.value)


def test_names_and_objects_become_encoders():
    assert isinstance(resolve("hash"), HashingEncoder) and resolve("hash:32", ngrams=1).dim == 32
    assert isinstance(resolve("openai:m", base_url="http://localhost:1/v1"), EndpointEncoder)
    encoder = HashingEncoder(8)
    assert resolve(encoder) is encoder
    function = resolve(lambda texts: np.ones((len(texts), 2)), name="f")
    assert isinstance(function, FunctionEncoder) and function.dim == 2 and function.cacheable
    assert function.encode([]).shape == (0, 2)


def test_an_encoder_is_recognised_without_computing_anything_of_it():
    class Lazy:
        name, revision, space = "lazy", "1", "lazy@1"

        @property
        def dim(self):
            raise AssertionError("the dimension was computed")

        def encode(self, texts):
            return np.ones((len(texts), 2))

    lazy = Lazy()
    assert resolve(lazy) is lazy


@pytest.mark.parametrize(
    ("encoder", "options"),
    [
        ("hash", {"colour": 1}),
        ("hash:8", {"dim": 9}),
        ("hash:1", {}),
        ("hash", {"ngrams": 0}),
        (HashingEncoder(8), {"dim": 9}),
        (lambda texts: texts, {"function": 1}),
        ("openai:m", {"model": "x"}),
        ("openai:m", {"batch_size": 0}),
    ],
)
def test_options_that_do_not_exist_or_cannot_work(encoder, options):
    with pytest.raises(UsageError):
        resolve(encoder, **options)


@pytest.mark.parametrize("thing", [3, None, object()])
def test_things_that_cannot_encode(thing):
    with pytest.raises(EncoderError, match="is no encoder"):
        resolve(thing)


def test_hashing_is_the_same_everywhere_and_tells_texts_apart():
    texts = ["the cat sat", "the cat sat.", "The Cat Sat", "", " ", "👍", "漢字", "a\0", "a", "e\u0301", "é"]
    code = (
        f"from pluralism.embeddings import HashingEncoder; print(HashingEncoder(64).encode({texts!r}).tobytes().hex())"
    )
    features = HashingEncoder(64).encode(texts)
    for seed in ("1", "2"):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                              env={"PYTHONHASHSEED": seed, "PATH": ""})  # fmt: skip
        assert bytes.fromhex(done.stdout.strip()) == features.tobytes()
    assert len(np.unique(features, axis=0)) == len(texts)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-6)
    for dim in (2, 3):
        assert np.linalg.norm(HashingEncoder(dim).encode([str(i) for i in range(500)]), axis=1).min() > 0.99


def test_hashing_by_hand():
    """One word: the word and the whole text, each one coordinate and one sign."""
    from zlib import crc32

    expected = np.zeros(16)
    for gram in (b"word", b"\nword"):
        code = crc32(gram)
        expected[(code >> 1) % 16] += 1 - 2 * (code & 1)
    np.testing.assert_allclose(HashingEncoder(16).encode(["word"])[0], expected / np.linalg.norm(expected), rtol=1e-6)


def test_similar_texts_are_closer():
    one, near, far = HashingEncoder(512).encode(
        ["people want to be asked", "people want to be asked first", "a stone rolled down the hill"]
    )
    assert one @ near > 0.6 > 0.2 > one @ far


def test_spaces():
    assert same_space(None, None) and not same_space(None, "a") and not same_space("a", None)
    assert same_space("m@1;norm=l2;dtype=float32", "m@1;norm=l2;dtype=bfloat16")
    assert not same_space("m@1;norm=l2", "m@1;norm=none")


def test_the_room_is_light_to_enter():
    code = (
        "import sys, pluralism.embeddings\n"
        "print([m for m in ('torch', 'transformers', 'openai', 'numba', 'sentence_transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
