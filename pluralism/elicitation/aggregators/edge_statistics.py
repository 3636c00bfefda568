"""Statistics of an edge as in the original: how likely the second value is called wiser, and how divided people are."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["answer_entropy", "original_entropy", "wiser_likelihood"]


def wiser_likelihood(
    upgrade: Float[np.ndarray, "*edges"],
    no_upgrade: Float[np.ndarray, "*edges"],
    not_sure: Float[np.ndarray, "*edges"],
    back: Float[np.ndarray, "*edges"],
) -> Float[np.ndarray, "*edges"]:
    """L = (w - l) / (w + n + u + l), in [-1, 1]; 0 where nobody answered.

    Parameters
    ----------
    upgrade, no_upgrade, not_sure : arrays of shape (edges,)
        Answers on the edge.
    back : array of shape (edges,)
        Upgrade votes on the reversed edge.
    """
    total = upgrade + no_upgrade + not_sure + back
    return np.divide(upgrade - back, total, out=np.zeros(total.shape), where=total > 0)


def original_entropy(
    upgrade: Float[np.ndarray, "*edges"],
    no_upgrade: Float[np.ndarray, "*edges"],
    not_sure: Float[np.ndarray, "*edges"],
    back: Float[np.ndarray, "*edges"],
    impressions: Float[np.ndarray, "*edges"],
) -> Float[np.ndarray, "*edges"]:
    """Entropy in bits of the five counts of the original, one of which is the sum of the others.

    Without votes on the reversed edge this is 1 plus half the entropy of the three answers.
    """
    return _entropy(np.stack([upgrade, no_upgrade, back, not_sure, impressions], axis=-1))


def answer_entropy(
    upgrade: Float[np.ndarray, "*edges"],
    no_upgrade: Float[np.ndarray, "*edges"],
    not_sure: Float[np.ndarray, "*edges"],
    back: Float[np.ndarray, "*edges"],
) -> Float[np.ndarray, "*edges"]:
    """Entropy in bits of the answers themselves, in [0, 2]."""
    return _entropy(np.stack([upgrade, no_upgrade, not_sure, back], axis=-1))


def _entropy(counts: Float[np.ndarray, "*edges kinds"]) -> Float[np.ndarray, "*edges"]:
    total = counts.sum(axis=-1, keepdims=True)
    p = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    return -np.sum(p * np.log2(np.where(p > 0, p, 1.0)), axis=-1)
