"""Gaussian uncertainty of linear heads: the variance of rewards and of their differences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import LinAlgError, cholesky, eigh

from pluralism.solvers import FeatureMatrix

__all__ = ["HeadUncertainty", "moderated"]

ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class HeadUncertainty:
    """The covariance of one group's coefficients as root root', plus independent variances.

    Parameters
    ----------
    head : array of shape (dim, axes)
        Rows of the root for the features.
    item : array of shape (items, axes)
        Rows of the root for known items' effects; without rows where there are none.
    covariate : array of shape (covariates, axes)
    item_own, covariate_own : arrays of shape (items,) and (covariates,)
        Variances beside the root.
    unknown : float
        Variance of the effect of an item that the fit has not seen.
    """

    head: Float[np.ndarray, "dim axes"]
    item: Float[np.ndarray, "rooted_items axes"]
    covariate: Float[np.ndarray, "rooted_covariates axes"]
    item_own: Float[np.ndarray, " items"]
    covariate_own: Float[np.ndarray, " covariates"]
    unknown: float

    @classmethod
    def full(
        cls, covariance: Float[np.ndarray, "coefficients coefficients"], dim: int, n_items: int, unknown: float
    ) -> HeadUncertainty:
        """From a full covariance of features, items and covariates, in this order."""
        try:
            root = cholesky(covariance, lower=True)
        except LinAlgError:
            # singular by rounding: the square root of the positive part
            values, vectors = eigh(covariance)
            root = vectors * np.sqrt(np.maximum(values, 0.0))
        head, item, covariate = np.split(root, [dim, dim + n_items])
        return cls(head, item, covariate, np.zeros(n_items), np.zeros(len(covariate)), unknown)

    @classmethod
    def diagonal(
        cls,
        basis: Float[np.ndarray, "dim dim"],
        variance: Float[np.ndarray, " coefficients"],
        n_items: int,
        unknown: float,
    ) -> HeadUncertainty:
        """From variances along orthonormal axes of the features, of items and of covariates."""
        dim = len(basis)
        head, item, covariate = np.split(variance, [dim, dim + n_items])
        empty = np.zeros((0, dim))
        return cls(basis * np.sqrt(head), empty, empty, item, covariate, unknown)

    def of_items(self, features: FeatureMatrix | None, where: Int[np.ndarray, " items"]) -> Float[np.ndarray, " items"]:
        """Variance of each item's reward; `where` is the position of the item's effect, -1 if unknown."""
        out = np.empty(len(where))
        for start in range(0, len(where), ROWS_AT_ONCE):
            rows = np.arange(start, min(start + ROWS_AT_ONCE, len(where)))
            turned, own = self._turn(features, rows, where[rows])
            out[rows] = np.sum(turned**2, axis=1) + own
        return out

    def of_pairs(
        self,
        features: FeatureMatrix | None,
        where: Int[np.ndarray, " items"],
        left: Int[np.ndarray, " pairs"],
        right: Int[np.ndarray, " pairs"],
        design: Float[np.ndarray, "pairs covariates"],
    ) -> Float[np.ndarray, " pairs"]:
        """Variance of each pair's logit."""
        out = design**2 @ self.covariate_own if len(self.covariate_own) else np.zeros(len(left))
        for rows, items, code in _blocks(left, right):
            turned, own = self._turn(features, items, where[items])
            half = rows.stop - rows.start
            a, b = code[:half], code[half:]
            difference = turned[a] - turned[b]
            if len(self.covariate):
                difference = difference + design[rows] @ self.covariate
            out[rows] += np.sum(difference**2, axis=1) + own[a] + own[b]
        return out

    def draws(
        self,
        features: FeatureMatrix | None,
        where: Int[np.ndarray, " items"],
        n_draws: int,
        generator: np.random.Generator,
    ) -> Float[np.ndarray, "draws items"]:
        """Draws of what all items' rewards are off their mean, together."""
        axes = generator.normal(size=(self.head.shape[1], n_draws))
        out = np.empty((n_draws, len(where)))
        for start in range(0, len(where), ROWS_AT_ONCE):
            rows = np.arange(start, min(start + ROWS_AT_ONCE, len(where)))
            turned, own = self._turn(features, rows, where[rows])
            out[:, rows] = (turned @ axes).T + np.sqrt(own) * generator.normal(size=(n_draws, len(rows)))
        return out

    def _turn(
        self, features: FeatureMatrix | None, items: Int[np.ndarray, " items"], where: Int[np.ndarray, " items"]
    ) -> tuple[Float[np.ndarray, "items axes"], Float[np.ndarray, " items"]]:
        turned = np.zeros((len(items), self.head.shape[1]))
        if features is not None:
            turned += features.rows(items).astype(np.float64) @ self.head
        own = np.full(len(items), self.unknown)
        known = where >= 0
        if len(self.item_own):
            own[known] = self.item_own[where[known]]
        if len(self.item):
            turned[known] += self.item[where[known]]
        return turned, own


def moderated(
    logit: Float[np.ndarray, "pairs groups"], variance: Float[np.ndarray, "pairs groups"]
) -> Float[np.ndarray, "pairs groups"]:
    """The logit of E sigma(z) for Gaussian z, nearly: logit / sqrt(1 + pi variance / 8) (MacKay 1992)."""
    return logit / np.sqrt(1.0 + np.pi / 8.0 * variance)


def _blocks(
    left: Int[np.ndarray, " pairs"], right: Int[np.ndarray, " pairs"]
) -> Iterator[tuple[slice, Int[np.ndarray, " items"], Int[np.ndarray, " both"]]]:
    """Rows in blocks, the items of each, and the codes of the left and then the right items among them."""
    for start in range(0, len(left), ROWS_AT_ONCE):
        rows = slice(start, min(start + ROWS_AT_ONCE, len(left)))
        items, code = np.unique(np.concatenate([left[rows], right[rows]]), return_inverse=True)
        yield rows, items, code
