"""What each prototype makes of each item, as a smooth function of one vector.

A table maps parameters x to T (items x groups), pulls gradients for T back to x, and knows its ridge, where a fit may
start and an approximate inverse Hessian.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cho_factor, cho_solve

from pluralism.solvers.centred_features import CentredFeatures, sketch
from pluralism.solvers.objective import TYPICAL_CURVATURE
from pluralism.solvers.pairs import PairProblem
from pluralism.solvers.threads import threads_for_square

__all__ = ["Curvature", "HeadTable", "ItemTable", "PullBack", "Table", "Vector", "solver_of"]

Vector = Float[np.ndarray, " parameters"]
Table = Float[np.ndarray, "items groups"]
PullBack = Callable[[Table], Vector]
FIRST_SHARPNESS = 0.3


@dataclass(frozen=True)
class Curvature:
    """How rewards bend downwards on both sides of a best amount: -sum_j size_j (vector_j . L^-1 x)^2.

    Attributes
    ----------
    lower : array of shape (dim, dim)
        L, a lower triangle in whose coordinates features have about unit variance.
    vectors : array of shape (dim, directions)
        Orthonormal.
    sizes : array of shape (directions,)
        Positive, the largest first.
    """

    lower: Float[np.ndarray, "dim dim"]
    vectors: Float[np.ndarray, "dim directions"]
    sizes: Float[np.ndarray, " directions"]


class ItemTable(ABC):
    """A table of rewards (items x groups) as a function of a vector of `size` parameters."""

    features: CentredFeatures
    n_groups: int
    size: int
    ridge: float
    n_bends: int = 0
    """Directions of a `Curvature` that a start has use for."""

    @abstractmethod
    def at(self, x: Vector) -> tuple[Table, PullBack]:
        """The rewards at x, and a function that makes a gradient for the table one for x."""

    @abstractmethod
    def start(self, heads: Float[np.ndarray, "dim groups"], bend: Curvature | None, rng: np.random.Generator) -> Vector:
        """A vector whose rewards are about those of linear heads, and bent besides where that is known."""

    @abstractmethod
    def preconditioner(
        self, problem: PairProblem, x: Vector, gram: Float[np.ndarray, "dim dim"], rng: np.random.Generator
    ) -> Callable[[Vector], Vector]:
        """Approximate inverse Hessian at a start, of the penalised loss over a problem's rows."""

    @abstractmethod
    def permuted(self, x: Vector, order: Int[np.ndarray, " groups"]) -> Vector:
        """The same with groups in another order."""

    def table(self, x: Vector) -> Table:
        """The rewards at x."""
        return self.at(x)[0]

    def penalty(self, x: Vector) -> tuple[float, Vector]:
        """Half the ridge times the squared parameters, and its gradient."""
        return 0.5 * self.ridge * float(x @ x), self.ridge * x


def solver_of(matrix: Float[np.ndarray, "dim dim"], ridge: float) -> Callable[[np.ndarray], np.ndarray]:
    """A function that solves (matrix + ridge I) out = right, for right of shape (dim, columns)."""
    lifted = matrix.copy()
    lifted[np.diag_indices_from(lifted)] += ridge + 1e-10 * np.trace(matrix) / len(matrix)
    with threads_for_square(len(matrix)):
        factor = cho_factor(lifted, overwrite_a=True, check_finite=False)

    def solve(right: np.ndarray) -> np.ndarray:
        with threads_for_square(len(matrix)):
            return cho_solve(factor, right, check_finite=False)

    return solve


class HeadTable(ItemTable):
    """T_ik = x_i . q_k, and with an identity map - c |x_i|^2 besides: ideal points q_k / 2c in feature space.

    With c = b^2 the vector is (q, b), or q alone. At c = 0 the ideal points are infinitely far away, and the model is
    that of linear rewards.

    Parameters
    ----------
    features : CentredFeatures
    n_groups : int
    ridge : float
        On q, and on c.
    quadratic : bool
        Whether there is a c.
    """

    def __init__(self, features: CentredFeatures, n_groups: int, ridge: float, *, quadratic: bool) -> None:
        self.features, self.n_groups, self.ridge, self.quadratic = features, n_groups, ridge, quadratic
        self.n_heads = features.dim * n_groups
        self.size = self.n_heads + int(quadratic)

    def heads(self, x: Vector) -> Float[np.ndarray, "dim groups"]:
        """The heads within x, as a view."""
        return x[: self.n_heads].reshape(self.features.dim, self.n_groups)

    def at(self, x: Vector) -> tuple[Table, PullBack]:
        """The rewards at x, and the way back."""
        out = self.features.matmul(self.heads(x))
        if self.quadratic:
            out -= (x[-1] ** 2 * self.features.square)[:, None]

        def pull_back(slope: Table) -> Vector:
            back = np.empty(self.size)
            self.heads(back)[:] = self.features.rmatmul(slope)
            if self.quadratic:
                back[-1] = -2.0 * x[-1] * float(self.features.square @ slope.sum(axis=1))
            return back

        return out, pull_back

    def penalty(self, x: Vector) -> tuple[float, Vector]:
        """Ridge on heads and on c = b^2."""
        value, slope = super().penalty(x)
        if self.quadratic:
            value += 0.5 * self.ridge * (x[-1] ** 4 - x[-1] ** 2)
            slope[-1] = 2.0 * self.ridge * x[-1] ** 3
        return value, slope

    def start(self, heads: Float[np.ndarray, "dim groups"], bend: Curvature | None, rng: np.random.Generator) -> Vector:
        """The heads themselves, and a small c."""
        tail = [np.sqrt(FIRST_SHARPNESS)] if self.quadratic else []
        return np.concatenate([heads.ravel(), tail])

    def preconditioner(
        self, problem: PairProblem, x: Vector, gram: Float[np.ndarray, "dim dim"], rng: np.random.Generator
    ) -> Callable[[Vector], Vector]:
        """One factor for all heads."""
        solve = solver_of(TYPICAL_CURVATURE / self.n_groups * gram, self.ridge)
        bend = 1.0
        if self.quadratic:
            left, right, weight = sketch(problem, 1, rng)
            gap = self.features.square[left] - self.features.square[right]
            bend = TYPICAL_CURVATURE * 4.0 * FIRST_SHARPNESS * float(weight @ gap**2) + self.ridge

        def apply(gradient: Vector) -> Vector:
            out = np.empty_like(gradient)
            self.heads(out)[:] = solve(self.heads(gradient))
            if self.quadratic:
                out[-1] = gradient[-1] / max(bend, 1e-12)
            return out

        return apply

    def permuted(self, x: Vector, order: Int[np.ndarray, " groups"]) -> Vector:
        """The same with groups in another order."""
        out = x.copy()
        self.heads(out)[:] = self.heads(x)[:, order]
        return out
