"""sentence-transformers models give what the library gives."""

from __future__ import annotations

import numpy as np
import pytest

from pluralism.embeddings import embed, resolve
from pluralism.errors import DataWarning, EncoderError, UsageError

TEXTS = ["one", "two words", "", "three words here", "two words"]


@pytest.fixture(scope="module")
def folder(tiny_bert, tmp_path_factory):
    library = pytest.importorskip("sentence_transformers")
    models = pytest.importorskip("sentence_transformers.models")
    modules = [
        models.Transformer(str(tiny_bert), max_seq_length=32),
        models.Pooling(16, pooling_mode="cls"),
        models.Dense(16, 5),
    ]
    path = tmp_path_factory.mktemp("st")
    library.SentenceTransformer(modules=modules, device="cpu").save(str(path))
    return path


def test_equal_to_the_library_with_its_own_modules(folder):
    import sentence_transformers

    network = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    raw = network.encode(TEXTS, show_progress_bar=False)
    plain = embed(TEXTS, f"st:{folder}", normalize=False, dtype="float32", device="cpu")
    np.testing.assert_allclose(plain.features, raw, atol=1e-5)
    assert plain.features.shape == (5, 5) and resolve(f"st:{folder}").dim == 5
    unit = embed(TEXTS, f"st:{folder}", dtype="float32", device="cpu")
    np.testing.assert_allclose(unit.features, raw / np.linalg.norm(raw, axis=1, keepdims=True), atol=1e-5)
    prompted = embed(TEXTS, f"st:{folder}", prompt="query: ", normalize=False, dtype="float32", device="cpu")
    np.testing.assert_allclose(
        prompted.features, network.encode([f"query: {text}" for text in TEXTS], show_progress_bar=False), atol=1e-5
    )
    assert len({plain.space, unit.space, prompted.space}) == 3


def test_truncation_is_counted(folder):
    with pytest.warns(DataWarning, match="1 texts are longer than the 32 tokens"):
        result = embed(["word " * 40, "short"], f"st:{folder}", dtype="float32")
    assert (result.n_truncated, result.longest) == (1, 42)
    with pytest.warns(DataWarning, match="1 texts are longer than the 6 tokens"):
        embed(["word " * 10, "short"], f"st:{folder}", dtype="float32", max_length=6)


def test_errors(tmp_path):
    with pytest.raises(EncoderError):
        embed(["a"], "st:nobody/has-this-model")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EncoderError, match="cannot be loaded"):
        embed(["a"], f"st:{tmp_path / 'empty'}")
    with pytest.raises(UsageError, match="no option"):
        embed(["a"], f"st:{tmp_path}", pooling="cls")
