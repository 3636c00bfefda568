"""Diversity by words: counted by hand, and against BLEU written out."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.text_diversity import distinct_n, self_bleu


def plain_bleu(text, others):
    """One text against several references, by the definition."""
    logs = []
    for n in range(1, 5):
        own = Counter(zip(*(text[k:] for k in range(n)), strict=False))
        if not own:
            break
        refs = [Counter(zip(*(o[k:] for k in range(n)), strict=False)) for o in others]
        matched = sum(min(c, max(r[g] for r in refs)) for g, c in own.items())
        share = (matched + (n > 1)) / (sum(own.values()) + (n > 1))
        if share == 0:
            return 0.0
        logs.append(np.log(share))
    nearest = min((abs(len(o) - len(text)), len(o)) for o in others)[1]
    return np.exp(np.mean(logs)) * min(1.0, np.exp(1 - nearest / len(text)))


def test_distinct_by_hand():
    texts = ["a b a b", "A b c", "x y"]
    # bigrams of the first prompt: ab ba ab ab bc, three different of five; of the second: all
    assert distinct_n(texts, np.array([0, 0, 1])) == pytest.approx((3 / 5 + 1.0) / 2)
    assert distinct_n(texts, np.array([0, 0, 0]), 1) == pytest.approx(5 / 9)
    assert np.isnan(distinct_n(["one"], np.array([0]), 2))
    assert distinct_n(["one"], np.array([0]), 1) == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_self_bleu_is_the_mean_of_bleus(seed):
    rng = np.random.default_rng(seed)
    words = [rng.choice(list("abcd"), size=rng.integers(3, 9)).tolist() for _ in range(4)]
    expected = np.mean([plain_bleu(words[i], words[:i] + words[i + 1 :]) for i in range(4)])
    found = self_bleu([" ".join(one) for one in words], np.zeros(4, dtype=int))
    assert found == pytest.approx(expected)


def test_self_bleu_at_its_ends():
    assert self_bleu(["same words here every time"] * 3, np.zeros(3, dtype=int)) == 1.0
    assert self_bleu(["a b c d e", "f g h i j"], np.zeros(2, dtype=int)) == 0.0
    assert np.isnan(self_bleu(["alone", "too"], np.array([0, 1])))
    assert self_bleu(["", ""], np.zeros(2, dtype=int)) == 1.0
    assert self_bleu(["", "word"], np.zeros(2, dtype=int)) == 0.0


def test_bad_input_is_refused():
    with pytest.raises(DataError, match="do not fit"):
        distinct_n(["a"], np.array([0, 1]))
    with pytest.raises(UsageError, match="n=0"):
        distinct_n(["a"], np.array([0]), 0)
