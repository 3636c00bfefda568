"""What an answer would be worth: four measures on draws of rewards, each for one comparison.

References
----------
N. Houlsby et al., Bayesian active learning for classification and preference learning, arXiv 1112.5745, 2011 (BALD).
Z. J. Lin, R. Astudillo, P. Frazier, E. Bakshy, Preference exploration for efficient Bayesian optimization with multiple
outcomes, AISTATS 2022 (EUBO).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from pluralism.elicitation.query_selection.reward_samples import RewardSamples

__all__ = ["bald", "expected_best", "group_disagreement", "uncertainty"]


def bald(samples: RewardSamples) -> Float[np.ndarray, " pairs"]:
    """Mutual information, in nats, of the answer with the rewards and with the person's group: H[E p] - E H[p].

    0 for a model with one group and no posterior, of which no answer could change anything.
    """
    weight = samples.group_weight / len(samples.left)
    within = np.einsum("dpg,pg->p", _entropy(samples.probability), weight)
    return np.maximum(_entropy(samples.expected) - within, 0.0)


def expected_best(samples: RewardSamples) -> Float[np.ndarray, " pairs"]:
    """How much better, in logits, the better of the two is expected to be than the best item there is on average.

    E max(left, right) - max E item, over the items of the candidates that answer the same prompt, as the row's person
    is believed to like them. Within a prompt this is the expected utility of the best option (EUBO) up to a constant:
    it asks about pairs of which either may be the best. The constant lets pairs of different prompts be compared, and
    makes the value negative for pairs of which neither is likely to be the best.
    """
    weight = samples.group_weight / len(samples.left)
    better = np.einsum("dpg,pg->p", np.maximum(samples.left, samples.right), weight)
    sides = samples.left.mean(axis=0), samples.right.mean(axis=0)
    best = np.empty(len(better))
    for code in np.unique(samples.prompt):
        rows = np.flatnonzero(samples.prompt == code)
        people, of_person = np.unique(samples.group_weight[rows], axis=0, return_inverse=True)
        items = np.unique(np.concatenate([side[rows] for side in sides]), axis=0)
        best[rows] = (people @ items.T).max(axis=1)[of_person.ravel()]
    return better - best


def group_disagreement(samples: RewardSamples) -> Float[np.ndarray, " pairs"]:
    """Variance, between the groups that the person may be of, of P(left preferred); in [0, 1/4].

    Answers to such comparisons tell people apart. 0 for a person whose group is known, and for models of one group.
    """
    by_group = samples.probability.mean(axis=0)
    mean = np.sum(samples.group_weight * by_group, axis=1, keepdims=True)
    return np.sum(samples.group_weight * (by_group - mean) ** 2, axis=1)


def uncertainty(samples: RewardSamples) -> Float[np.ndarray, " pairs"]:
    """Entropy, in nats, of the answer; high also where people toss a coin, of which no answer says anything."""
    return _entropy(samples.expected)


def _entropy(p: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    q = np.clip(p, 1e-300, 1.0 - 1e-16)
    return -(q * np.log(q) + (1.0 - q) * np.log1p(-q))
