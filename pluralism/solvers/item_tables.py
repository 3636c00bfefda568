"""What each prototype makes of each item, as a smooth function of one vector: heads, ideal points, prompts.

A table maps parameters x to T (items x groups), pulls gradients for T back to x, and knows its ridge and an
approximate inverse Hessian. Features are centred and scaled to a mean squared norm of 1 on the items that were
compared, so that neither their origin nor their unit matters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cho_factor, cho_solve

from pluralism.solvers.features import FeatureMatrix
from pluralism.solvers.objective import TYPICAL_CURVATURE
from pluralism.solvers.pairs import PairProblem

__all__ = ["CentredFeatures", "HeadTable", "IdealTable", "ItemTable"]

Vector = Float[np.ndarray, " parameters"]
Table = Float[np.ndarray, "items groups"]
SKETCH_ROWS = 2048
FIRST_SHARPNESS = 0.3
FAINT = 0.1


class CentredFeatures:
    """Products with (features - center) / scale, without a copy.

    Parameters
    ----------
    matrix : FeatureMatrix
    center : array of shape (dim,)
    scale : float
    """

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


class ItemTable(ABC):
    """A table of rewards (items x groups) as a function of a vector of `size` parameters."""

    features: CentredFeatures
    n_groups: int
    size: int
    ridge: float

    @abstractmethod
    def table(self, x: Vector) -> Table:
        """The rewards at x."""

    @abstractmethod
    def pull_back(self, x: Vector, slope: Table) -> Vector:
        """Gradient for x of a function whose gradient for the table is `slope`."""

    @abstractmethod
    def start(self, heads: Float[np.ndarray, "dim groups"], rng: np.random.Generator) -> Vector:
        """A vector whose rewards are about those of linear heads."""

    @abstractmethod
    def preconditioner(
        self, problem: PairProblem, x: Vector, gram: Float[np.ndarray, "dim dim"], rng: np.random.Generator
    ) -> Callable[[Vector], Vector]:
        """Approximate inverse Hessian at a start, of the penalised loss over a problem's rows."""

    @abstractmethod
    def permuted(self, x: Vector, order: Int[np.ndarray, " groups"]) -> Vector:
        """The same with groups in another order."""

    @abstractmethod
    def with_ridge(self, ridge: float) -> ItemTable:
        """The same with another ridge."""

    def penalty(self, x: Vector) -> tuple[float, Vector]:
        """Half the ridge times the squared parameters, and its gradient."""
        return 0.5 * self.ridge * float(x @ x), self.ridge * x


def solver_of(matrix: Float[np.ndarray, "dim dim"], ridge: float) -> Callable[[np.ndarray], np.ndarray]:
    """A function that solves (matrix + ridge I) out = right, for right of shape (dim, columns)."""
    lifted = matrix.copy()
    lifted[np.diag_indices_from(lifted)] += ridge + 1e-10 * np.trace(matrix) / len(matrix)
    factor = cho_factor(lifted, overwrite_a=True, check_finite=False)
    return lambda right: cho_solve(factor, right, check_finite=False)


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

    def with_ridge(self, ridge: float) -> HeadTable:
        """The same with another ridge."""
        return HeadTable(self.features, self.n_groups, ridge, quadratic=self.quadratic)

    def heads(self, x: Vector) -> Float[np.ndarray, "dim groups"]:
        """The heads within x, as a view."""
        return x[: self.n_heads].reshape(self.features.dim, self.n_groups)

    def table(self, x: Vector) -> Table:
        """The rewards at x."""
        out = self.features.matmul(self.heads(x))
        if self.quadratic:
            out -= (x[-1] ** 2 * self.features.square)[:, None]
        return out

    def pull_back(self, x: Vector, slope: Table) -> Vector:
        """Gradient for x."""
        out = np.empty(self.size)
        self.heads(out)[:] = self.features.rmatmul(slope)
        if self.quadratic:
            out[-1] = -2.0 * x[-1] * float(self.features.square @ slope.sum(axis=1))
        return out

    def penalty(self, x: Vector) -> tuple[float, Vector]:
        """Ridge on heads and on c = b^2."""
        value, slope = super().penalty(x)
        if self.quadratic:
            value += 0.5 * self.ridge * (x[-1] ** 4 - x[-1] ** 2)
            slope[-1] = 2.0 * self.ridge * x[-1] ** 3
        return value, slope

    def start(self, heads: Float[np.ndarray, "dim groups"], rng: np.random.Generator) -> Vector:
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


class IdealTable(ItemTable):
    """T_ik = -|f_i|^2 + 2 f_i . z_ik with f_i = A x_i and prototypes z_ik = P_k + B_k h_i.

    -|f_i - z|^2 for a mixture z of the prototypes is linear in its weights, up to |z|^2, which no comparison within a
    prompt sees. Without prompts (h) there is no B. Where prototypes live in feature space, z_ik = A (P_k + B_k h_i).

    Parameters
    ----------
    features : CentredFeatures
    n_groups, n_latent : int
    ridge : float
        On A, P and B alike.
    prompts : array of shape (items, context), optional
        What is known of each item's prompt, centred.
    in_features : bool
        Prototypes are points in feature space, and mapped as the items are.
    """

    def __init__(
        self,
        features: CentredFeatures,
        n_groups: int,
        n_latent: int,
        ridge: float,
        *,
        prompts: Float[np.ndarray, "items context"] | None = None,
        in_features: bool = False,
    ) -> None:
        self.features, self.n_groups, self.n_latent, self.ridge = features, n_groups, n_latent, ridge
        self.prompts, self.in_features = prompts, in_features
        self.width = features.dim if in_features else n_latent
        self.n_context = 0 if prompts is None else prompts.shape[1]
        self.shapes = [(n_latent, features.dim), (n_groups, self.width), (n_groups, self.width, self.n_context)]
        self.ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])
        self.size = int(self.ends[-1])

    def with_ridge(self, ridge: float) -> IdealTable:
        """The same with another ridge."""
        return IdealTable(
            self.features,
            self.n_groups,
            self.n_latent,
            ridge,
            prompts=self.prompts,
            in_features=self.in_features,
        )

    def parts(self, x: Vector) -> tuple[Any, Any, Any]:
        """The map A, the prototypes P and the prompt maps B within x, as views."""
        starts = [0, *self.ends[:-1]]
        found = [x[a:b].reshape(s) for a, b, s in zip(starts, self.ends, self.shapes, strict=True)]
        return found[0], found[1], found[2]

    def _moved(self, b: np.ndarray, k: int) -> Float[np.ndarray, "items width"] | float:
        return self.prompts @ b[k].T if self.prompts is not None else 0.0

    def table(self, x: Vector) -> Table:
        """The rewards at x."""
        a, p, b = self.parts(x)
        f = self.features.matmul(a.T)
        seen = p @ a.T if self.in_features else p
        out = 2.0 * f @ seen.T - np.einsum("ij,ij->i", f, f)[:, None]
        if self.prompts is not None:
            for k in range(self.n_groups):
                moved = self._moved(b, k)
                out[:, k] += 2.0 * np.einsum("ij,ij->i", f, moved @ a.T if self.in_features else moved)
        return out

    def pull_back(self, x: Vector, slope: Table) -> Vector:
        """Gradient for x."""
        a, p, b = self.parts(x)
        out = np.zeros(self.size)
        da, dp, db = self.parts(out)
        f = self.features.matmul(a.T)
        seen = p @ a.T if self.in_features else p
        df = 2.0 * (slope @ seen - slope.sum(axis=1)[:, None] * f)
        dseen = 2.0 * slope.T @ f
        dp[:] = dseen @ a if self.in_features else dseen
        if self.in_features:
            da += dseen.T @ p
        if self.prompts is not None:
            for k in range(self.n_groups):
                moved = self._moved(b, k)
                weighted = slope[:, k : k + 1] * f
                df += 2.0 * slope[:, k : k + 1] * (moved @ a.T if self.in_features else moved)
                dmoved = 2.0 * weighted
                if self.in_features:
                    da += dmoved.T @ moved
                    dmoved = dmoved @ a
                db[k] = dmoved.T @ self.prompts
        da += self.features.rmatmul(df).T
        return out

    def start(self, heads: Float[np.ndarray, "dim groups"], rng: np.random.Generator) -> Vector:
        """A and P from the singular vectors of the heads, the other latent dimensions faint and random."""
        x = np.zeros(self.size)
        a, p, _ = self.parts(x)
        u, s, vt = np.linalg.svd(heads, full_matrices=False)
        rank = min(len(s), self.n_latent)
        root = np.sqrt(np.maximum(s, 1e-3) / 2.0)
        a[:rank] = (u * root).T[:rank]
        latent = np.zeros((self.n_groups, self.n_latent))
        latent[:, :rank] = (vt.T * root)[:, :rank]
        faint = rng.normal(size=(self.n_latent - rank, self.features.dim))
        faint /= np.linalg.norm(faint, axis=1, keepdims=True)
        a[rank:] = FAINT * root[:rank].mean() * faint
        latent[:, rank:] = FAINT * root[:rank].mean() * rng.normal(size=(self.n_groups, self.n_latent - rank))
        p[:] = latent @ np.linalg.pinv(a).T if self.in_features else latent
        return x

    def preconditioner(
        self, problem: PairProblem, x: Vector, gram: Float[np.ndarray, "dim dim"], rng: np.random.Generator
    ) -> Callable[[Vector], Vector]:
        """Gram factors for A and B, a diagonal for P."""
        a, p, _ = self.parts(x)
        seen = p @ a.T if self.in_features else p
        strength = 4.0 * TYPICAL_CURVATURE
        size = float(np.mean(seen**2)) + float(np.mean(a**2)) + 1e-3
        solve_map = solver_of(strength * size * gram, self.ridge)
        latent = np.einsum("jd,dc,jc->j", a, gram, a)
        share = strength / self.n_groups
        if self.in_features:
            solve_points = solver_of(share * (a.T * latent) @ a, self.ridge)
        diagonal = share * latent + self.ridge
        if self.prompts is not None:
            left, _, weight = sketch(problem, self.n_context, rng)
            h = self.prompts[left] * np.sqrt(weight / max(problem.total_weight, 1e-12))[:, None]
            spread = float(latent.mean()) * (float(np.mean(np.sum(a**2, axis=0))) if self.in_features else 1.0)
            solve_prompts = solver_of(share * spread * (h.T @ h), self.ridge)

        def apply(gradient: Vector) -> Vector:
            out = np.empty_like(gradient)
            (da, dp, db), (ga, gp, gb) = self.parts(out), self.parts(gradient)
            da[:] = solve_map(ga.T).T
            dp[:] = solve_points(gp.T).T if self.in_features else gp / diagonal
            if self.prompts is not None:
                db[:] = solve_prompts(gb.reshape(-1, self.n_context).T).T.reshape(gb.shape)
            return out

        return apply

    def permuted(self, x: Vector, order: Int[np.ndarray, " groups"]) -> Vector:
        """The same with groups in another order."""
        out = x.copy()
        _, dp, db = self.parts(out)
        _, p, b = self.parts(x)
        dp[:], db[:] = p[order], b[order]
        return out
