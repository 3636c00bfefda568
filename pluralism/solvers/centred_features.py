"""Features in units of their own: centred and scaled to a mean squared norm of 1 on the items that were compared.

Neither the origin of an encoder's space nor its unit means anything, so nothing that is fitted depends on them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Self

import numpy as np
from jaxtyping import Float, Int

from pluralism.solvers.features import FeatureMatrix
from pluralism.solvers.pairs import PairProblem

__all__ = ["CentredFeatures", "sketch"]

SKETCH_ROWS = 2048


class CentredFeatures:
    """Products with (features - center) / scale, without a copy.

    Parameters
    ----------
    matrix : FeatureMatrix
    center : array of shape (dim,)
    scale : float

    Attributes
    ----------
    prompts : array of shape (items, context) or None
        What is known of each item's prompt, where that moves prototypes.
    """

    prompts: Float[np.ndarray, "items context"] | None = None

    def __init__(self, matrix: FeatureMatrix, center: Float[np.ndarray, " dim"], scale: float) -> None:
        self.matrix, self.center, self.scale = matrix, center, scale
        self.dim, self.n_items = matrix.dim, matrix.n_items
        self._square: Float[np.ndarray, " items"] | None = None

    @classmethod
    def of(cls, matrix: FeatureMatrix, rows: Int[np.ndarray, " rows"]) -> CentredFeatures:
        """Centred on the mean of some rows, in units of their root mean squared distance from it."""
        mass = np.zeros((matrix.n_items, 1))
        mass[rows] = 1.0 / max(len(rows), 1)
        center = matrix.rmatmul(mass)[:, 0]
        centred = cls(matrix, center, 1.0)
        unit = float(np.mean(centred.square[rows])) if len(rows) else 1.0
        # what is left of constant features is rounding, and must not be blown up
        floor = 1e-10 * float(center @ center) + 1e-30
        return cls(matrix, center, float(np.sqrt(unit)) if unit > floor else 1.0)

    @property
    def point_dim(self) -> int:
        """Coordinates of a point that is placed among the items."""
        return self.dim

    def lift(
        self, points: Float[np.ndarray, "points coordinates"]
    ) -> tuple[Float[np.ndarray, "points dim"], Callable[[Float[np.ndarray, "points dim"]], np.ndarray]]:
        """Features that an item at each point would have, and a function that makes gradients for them ones for points.

        These are the points themselves, unless features are made from others.
        """
        return points, lambda slope: slope

    def take(self, rows: Int[np.ndarray, " rows"]) -> Self:
        """Some of the items, in the same units."""
        found = copy.copy(self)
        found.matrix = FeatureMatrix(self.matrix.array[rows])
        found.n_items, found._square = len(rows), None
        found.prompts = None if self.prompts is None else self.prompts[rows]
        return found

    @property
    def square(self) -> Float[np.ndarray, " items"]:
        """Squared norm of each row."""
        if self._square is None:
            out = np.empty(self.n_items)
            for start in range(0, self.n_items, 4096):
                rows = np.arange(start, min(start + 4096, self.n_items))
                block = self.rows(rows)
                out[rows] = np.einsum("id,id->i", block, block)
            self._square = out
        return self._square

    def rows(self, index: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "rows dim"]:
        """Some rows, in float64."""
        return (self.matrix.rows(index).astype(np.float64) - self.center) / self.scale

    def matmul(self, heads: Float[np.ndarray, "dim columns"]) -> Float[np.ndarray, "items columns"]:
        """Rows times heads."""
        return (self.matrix.matmul(heads) - self.center @ heads) / self.scale

    def rmatmul(self, values: Float[np.ndarray, "items columns"]) -> Float[np.ndarray, "dim columns"]:
        """Transposed rows times values."""
        return (self.matrix.rmatmul(values) - np.outer(self.center, values.sum(axis=0))) / self.scale

    def gram(self, problem: PairProblem, rng: np.random.Generator) -> Float[np.ndarray, "dim dim"]:
        """sum_n weight_n x_n x_n' over difference vectors, from a random sketch of the rows."""
        left, right, weight = sketch(problem, self.dim, rng)
        difference = (self.rows(left) - self.rows(right)) * np.sqrt(weight)[:, None]
        return difference.T @ difference


def sketch(problem: PairProblem, dim: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Items and weights of a random sample of rows that stands for all."""
    rows = np.flatnonzero(problem.weight > 0)
    ratio, enough = 1.0, max(4 * dim, SKETCH_ROWS)
    if len(rows) > enough:
        ratio, rows = len(rows) / enough, np.sort(rng.choice(rows, enough, replace=False))
    return problem.left[rows], problem.right[rows], problem.weight[rows] * ratio
