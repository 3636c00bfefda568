"""Small pair problems that several solver tests share."""

from __future__ import annotations

import numpy as np

from pluralism.solvers import FeatureMatrix, PairProblem


def random_problem(seed=0, n_users=25, n_items=30, dim=5, rows=300, covariates=2, unit_weights=False):
    rng = np.random.default_rng(seed)
    user = rng.integers(n_users, size=rows)
    left = rng.integers(n_items, size=rows)
    right = (left + 1 + rng.integers(n_items - 1, size=rows)) % n_items
    outcome = rng.choice([0.0, 0.5, 1.0, 0.7], size=rows)
    weight = np.ones(rows) if unit_weights else rng.choice([0.0, 0.5, 1.0, 2.0], size=rows)
    problem, _ = PairProblem.build(
        user,
        left,
        right,
        outcome,
        weight,
        n_users=n_users,
        n_items=n_items,
        design=rng.normal(size=(rows, covariates)),
        features=FeatureMatrix(rng.normal(size=(n_items, dim))),
    )
    return problem
