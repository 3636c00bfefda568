"""MORE's training as its code runs it, on a linear head: stochastic, and with what we would not do kept as it is.

A batch of each source a step; the gradient of each source's loss on the head goes into a running mean (which starts at
small random numbers, not at zero), is normalised to length 1, Frank-Wolfe finds the weights, and these multiply the
unnormalised losses, times the number of sources. The optimiser is Adam. arXiv:2312.07401, code of dunzeng/MORE.
"""

from __future__ import annotations

import numpy as np

from pluralism.solvers.features import FeatureMatrix
from pluralism.solvers.lbfgs import Minimum
from pluralism.solvers.min_norm import frank_wolfe
from pluralism.solvers.multi_source import SourceFit, per_source
from pluralism.solvers.objective import Terms
from pluralism.solvers.pairs import PairProblem

__all__ = ["train_as_published"]

MEMORY = 0.99
INITIAL_SD = 0.02


def train_as_published(
    problem: PairProblem,
    features: FeatureMatrix,
    terms: Terms,
    *,
    n_steps: int,
    batch: int,
    rate: float,
    rng: np.random.Generator,
) -> SourceFit:
    """Run `n_steps` of batches of `batch` comparisons from each source; `rate` is Adam's, in units of 1 / feature norm.

    The last head and the mean of the weights over the steps are returned; the penalty plays no part in training.
    """
    k, dim = problem.n_users, features.dim
    head = np.zeros(dim)
    running = rng.normal(scale=INITIAL_SD, size=(k, dim))
    first, second = np.zeros(dim), np.zeros(dim)
    mean_weights = np.zeros(k)
    for step in range(1, n_steps + 1):
        gradients = np.zeros((k, dim))
        for source in range(k):
            low, high = problem.user_start[source], problem.user_start[source + 1]
            rows = rng.integers(low, high, size=batch)
            x = features.rows(problem.left[rows]).astype(float) - features.rows(problem.right[rows])
            share = 1.0 / (1.0 + np.exp(-(x @ head)))
            gradients[source] = (problem.weight[rows] * (share - problem.outcome[rows])) @ x / batch
        running = (1.0 - MEMORY) * running + MEMORY * gradients
        unit = running / np.maximum(np.linalg.norm(running, axis=1, keepdims=True), 1e-12)
        weights = frank_wolfe(unit @ unit.T)
        mean_weights += weights / n_steps
        # times the number of sources, over the pairs of all of them
        gradient = weights @ gradients
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        head -= rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    losses, last = per_source(problem, terms, head)
    value = float(problem.total_weight * losses.mean())
    found = problem.total_weight * (mean_weights @ last)
    return SourceFit(Minimum(head, value, found, np.nan, [value], n_steps, True), mean_weights)
