"""Priorities and discrepancy as the published notebook computes them, with what it leaves open: for comparison only.

A principle that no other one beats has the weight plus infinity, also where it never met one in a conflict; one that
beats none has minus infinity; both are left out of the fit, which has no prior. Ranks of ties are averages cut to whole
numbers. `principle_priority` and `discretion_discrepancy` do none of this.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import kendalltau, rankdata

__all__ = ["published_discrepancy", "published_priority", "published_ranks"]


def published_priority(wins: Float[np.ndarray, "principles principles"]) -> Float[np.ndarray, " principles"]:
    """Weights of the notebook: infinite for constant winners and losers, maximum likelihood from 0 for the rest.

    Parameters
    ----------
    wins : array of shape (principles, principles)
        Verdicts for the row's principle against the column's.

    References
    ----------
    M. Buyl et al., AI Alignment at Your Discretion, arXiv 2502.10441, 2025, and its notebook.

    Examples
    --------
    >>> published_priority(np.array([[0.0, 3, 0], [2, 0, 0], [0, 0, 0]])).round(2).tolist()
    [0.2, -0.2, inf]
    """
    weight = np.zeros(len(wins))
    beaten, beats = wins.sum(axis=0) > 0, wins.sum(axis=1) > 0
    weight[~beats] = -np.inf
    # one that was never contested is neither beaten nor beats: it counts as a winner
    weight[~beaten] = np.inf
    rest = np.flatnonzero(np.isfinite(weight))
    own = wins[np.ix_(rest, rest)]

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = w[:, None] - w[None]
        pull = own * expit(-z)
        return float((own * np.logaddexp(0.0, -z)).sum()), pull.sum(axis=0) - pull.sum(axis=1)

    if len(rest) > 1 and own.any():
        found = minimize(loss, np.zeros(len(rest)), jac=True, method="L-BFGS-B", options={"gtol": 1e-7})
        weight[rest] = found.x
    return weight


def published_ranks(weight: Float[np.ndarray, " principles"]) -> Int[np.ndarray, " principles"]:
    """Ranks from 1 for the heaviest; the average rank of ties is cut to a whole number."""
    return rankdata(-weight, method="average").astype(np.int64)


def published_discrepancy(
    one: Float[np.ndarray, "principles principles"], other: Float[np.ndarray, "principles principles"]
) -> float:
    """(1 - tau_b) / 2 of the ranks of all principles, contested or not, from the wins of two annotators."""
    ranks = [published_ranks(published_priority(wins)) for wins in (one, other)]
    return float((1.0 - kendalltau(*ranks).statistic) / 2.0)
