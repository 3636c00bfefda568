"""Ideal points: what prototypes make of items by squared distances in a space that a linear map leads to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import solve_triangular

from pluralism.solvers.centred_features import CentredFeatures, sketch
from pluralism.solvers.item_tables import Curvature, ItemTable, PullBack, Table, Vector, solver_of
from pluralism.solvers.objective import TYPICAL_CURVATURE
from pluralism.solvers.pairs import PairProblem
from pluralism.solvers.threads import threads_for_square

__all__ = ["IdealTable"]

FAINT = 0.1
BESIDE = 0.3
FLAT = 1e-4
FLOOR = 0.1


class IdealTable(ItemTable):
    """T_ik = -|f_i|^2 + 2 f_i . z_ik with f_i = A x_i and prototypes z_ik = P_k + B_k h_i.

    -|f_i - z|^2 for a mixture z of the prototypes is linear in its weights, up to |z|^2, which no comparison within a
    prompt sees. Without prompts (h) there is no B. Where prototypes live among the features, z_k = A lift(P_k).

    Parameters
    ----------
    features : CentredFeatures
    n_groups, n_latent : int
    ridge : float
        On A, P and B alike.
    prompts : array of shape (items, context), optional
        What is known of each item's prompt, centred.
    in_features : bool
        Prototypes are points among the features, and mapped as the items are. Not with prompts.
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
        self.n_bends = n_latent
        self.prompts, self.in_features = prompts, in_features
        self.width = features.point_dim if in_features else n_latent
        self.n_context = 0 if prompts is None else prompts.shape[1]
        self.shapes = [(n_latent, features.dim), (n_groups, self.width), (n_groups, self.width, self.n_context)]
        self.ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])
        self.size = int(self.ends[-1])

    def parts(self, x: Vector) -> tuple[Any, Any, Any]:
        """The map A, the prototypes P and the prompt maps B within x, as views."""
        starts = [0, *self.ends[:-1]]
        found = [x[a:b].reshape(s) for a, b, s in zip(starts, self.ends, self.shapes, strict=True)]
        return found[0], found[1], found[2]

    def prototypes(self, x: Vector) -> Float[np.ndarray, "groups latent"]:
        """Where the prototypes are in the space (for the average prompt)."""
        a, p, _ = self.parts(x)
        return self.features.lift(p)[0] @ a.T if self.in_features else np.array(p)

    def at(self, x: Vector) -> tuple[Table, PullBack]:
        """The rewards at x, and the way back."""
        a, _, b = self.parts(x)
        f, seen = self.features.matmul(a.T), self.prototypes(x)
        out = 2.0 * f @ seen.T - np.einsum("ij,ij->i", f, f)[:, None]
        if self.prompts is not None:
            for k in range(self.n_groups):
                out[:, k] += 2.0 * np.einsum("ij,ij->i", f, self.prompts @ b[k].T)
        return out, lambda slope: self._pull_back(x, f, seen, slope)

    def _pull_back(self, x: Vector, f: np.ndarray, seen: np.ndarray, slope: Table) -> Vector:
        a, p, b = self.parts(x)
        out = np.zeros(self.size)
        da, dp, db = self.parts(out)
        df = 2.0 * (slope @ seen - slope.sum(axis=1)[:, None] * f)
        dseen = 2.0 * slope.T @ f
        if self.in_features:
            lifted, down = self.features.lift(p)
            dp[:] = down(dseen @ a)
            da += dseen.T @ lifted
        else:
            dp[:] = dseen
        if self.prompts is not None:
            for k in range(self.n_groups):
                df += 2.0 * slope[:, k : k + 1] * (self.prompts @ b[k].T)
                db[k] = (2.0 * slope[:, k : k + 1] * f).T @ self.prompts
        da += self.features.rmatmul(df).T
        return out

    def start(self, heads: Float[np.ndarray, "dim groups"], bend: Curvature | None, rng: np.random.Generator) -> Vector:
        """The map from the directions in which rewards bend or heads lie, and the prototypes that these heads ask for.

        -|A x|^2 is the bend and 2 A'P are the heads; where nothing bends, A and P are the balanced square roots of
        the heads. Latent dimensions for which there is no direction are faint and random.
        """
        x = np.zeros(self.size)
        a, p, _ = self.parts(x)
        lower = np.eye(self.features.dim) if bend is None else bend.lower
        inner = lower.T @ heads
        u, s, _ = np.linalg.svd(inner, full_matrices=False)
        share = 1.0 if bend is None else BESIDE
        rows = u * np.sqrt(share * np.maximum(s, 1e-3) / 2.0)
        if bend is not None:
            rows = np.hstack([bend.vectors * np.sqrt(bend.sizes), rows])
        u, s, _ = np.linalg.svd(rows, full_matrices=False)
        rank = min(len(s), self.n_latent)
        u, s = u[:, :rank], s[:rank]
        with threads_for_square(self.features.dim):
            a[:rank] = solve_triangular(lower, u * s, lower=True, trans=1).T
        latent = np.zeros((self.n_groups, self.n_latent))
        latent[:, :rank] = 0.5 * inner.T @ (u * np.where(s > FLAT * s[0], 1.0 / np.maximum(s, 1e-300), 0.0))
        faint = rng.normal(size=(self.n_latent - rank, self.features.dim))
        a[rank:] = FAINT * s.mean() * faint / np.linalg.norm(faint, axis=1, keepdims=True)
        latent[:, rank:] = FAINT * np.abs(latent).mean() * rng.normal(size=(self.n_groups, self.n_latent - rank))
        p[:] = latent @ np.linalg.pinv(a[:, : self.width]).T if self.in_features else latent
        return x

    def preconditioner(
        self, problem: PairProblem, x: Vector, gram: Float[np.ndarray, "dim dim"], rng: np.random.Generator
    ) -> Callable[[Vector], Vector]:
        """Gauss-Newton by blocks: for A the product of a latent and a Gram factor, for P the spread of latent places.

        With differences of items independent of who judges them, and items of each other, the curvature for A is
        4 p(1 - p) (E aa' + E ff') x sum dd', where a is a user's ideal point and d an answer's difference.
        """
        a, seen = self.parts(x)[0], self.prototypes(x)
        strength = 4.0 * TYPICAL_CURVATURE
        spread = a @ gram @ a.T
        latent = strength * (seen.T @ seen / self.n_groups + 0.5 * spread / max(problem.total_weight, 1e-12))
        size, turn = np.linalg.eigh(latent)
        size = np.maximum(size, FLOOR * max(size[-1], 1e-12))
        solve_map = solver_of(gram, self.ridge / float(np.exp(np.mean(np.log(size)))))
        share = strength / self.n_groups
        among = a[:, : self.width]
        solve_points = solver_of(share * (among.T @ spread @ among if self.in_features else spread), self.ridge)
        if self.prompts is not None:
            left, _, weight = sketch(problem, self.n_context, rng)
            h = self.prompts[left] * np.sqrt(weight / max(problem.total_weight, 1e-12))[:, None]
            solve_prompts = solver_of(share * float(np.trace(spread)) / self.n_latent * (h.T @ h), self.ridge)

        def apply(gradient: Vector) -> Vector:
            out = np.empty_like(gradient)
            (da, dp, db), (ga, gp, gb) = self.parts(out), self.parts(gradient)
            da[:] = turn @ solve_map(((turn.T @ ga) / size[:, None]).T).T
            dp[:] = solve_points(gp.T).T
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
