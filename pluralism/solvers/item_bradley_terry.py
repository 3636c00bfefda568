"""Bradley-Terry without features: one strength an item, by Newton with a preconditioned conjugate gradient.

Rows are aggregated to (item, item, wins, losses) first, so that a million comparisons among ten thousand items cost
what their distinct pairs cost. The Hessian is a weighted graph Laplacian plus the prior precision and is only ever
multiplied. Model: Bradley & Terry (1952); Newton-CG: Nocedal & Wright (2006), algorithm 7.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix
from scipy.special import expit

__all__ = ["ItemBradleyTerryFit", "fit_item_bradley_terry"]


@dataclass(frozen=True)
class ItemBradleyTerryFit:
    """Strengths (items,) with mean zero in each component, and how the solver stopped."""

    strength: Float[np.ndarray, " items"]
    objective: float
    gradient_norm: float
    path: list[float]
    n_iter: int
    converged: bool


def fit_item_bradley_terry(
    left: Int[np.ndarray, " pairs"],
    right: Int[np.ndarray, " pairs"],
    outcome: Float[np.ndarray, " pairs"],
    weight: Float[np.ndarray, " pairs"],
    n_items: int,
    *,
    precision: float = 1.0,
    tol: float = 1e-9,
    max_iter: int = 100,
    start: Float[np.ndarray, " items"] | None = None,
) -> ItemBradleyTerryFit:
    """Minimise sum_i w_i [log(1 + exp(-z_i)) + (1 - y_i) z_i] + precision / 2 sum_j s_j^2 with z = s_left - s_right.

    Parameters
    ----------
    precision : float
        Prior precision, at least 0; with 0 the graph must be strongly connected or there is no finite optimum.
    tol : float
        Converged when the Newton decrement is below `tol` nats an observation.
    """
    graph = _Graph.aggregate(left, right, outcome, weight, n_items)
    s = np.zeros(n_items) if start is None else np.array(start, dtype=np.float64)
    scale = max(graph.total, 1.0)
    value = graph.value(s, precision)
    path = [value]
    converged = False
    gradient = graph.gradient(s, precision)
    for _ in range(max_iter):
        p = expit(s[graph.low] - s[graph.high])
        curvature = graph.games * p * (1.0 - p)
        step = _conjugate_gradient(graph, curvature, precision, -gradient)
        decrement = -0.5 * float(gradient @ step)
        if decrement <= tol * scale:
            converged = True
            break
        t, accepted = 1.0, False
        while t > 1e-8:
            new_value = graph.value(s + t * step, precision)
            if new_value <= value - 2e-4 * t * decrement:
                accepted = True
                break
            t *= 0.5
        if not accepted:
            break
        s, value = s + t * step, new_value
        path.append(value)
        gradient = graph.gradient(s, precision)
    return ItemBradleyTerryFit(s, value, float(np.linalg.norm(gradient)), path, len(path) - 1, converged)


@dataclass(frozen=True)
class _Graph:
    low: Int[np.ndarray, " edges"]
    high: Int[np.ndarray, " edges"]
    wins: Float[np.ndarray, " edges"]
    games: Float[np.ndarray, " edges"]
    incidence: csr_matrix
    total: float

    @classmethod
    def aggregate(
        cls,
        left: Int[np.ndarray, " pairs"],
        right: Int[np.ndarray, " pairs"],
        outcome: Float[np.ndarray, " pairs"],
        weight: Float[np.ndarray, " pairs"],
        n_items: int,
    ) -> _Graph:
        swap = left > right
        low = np.where(swap, right, left).astype(np.int64)
        high = np.where(swap, left, right).astype(np.int64)
        key = low * n_items + high
        order = np.argsort(key, kind="stable")
        key = key[order]
        first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.zeros(0, dtype=np.int64)
        games = np.add.reduceat(weight[order], first) if len(key) else np.zeros(0)
        mass = (weight * np.where(swap, 1.0 - outcome, outcome))[order]
        wins = np.add.reduceat(mass, first) if len(key) else np.zeros(0)
        low, high = low[order][first], high[order][first]
        edges = np.arange(len(first))
        # items x edges: +1 where the item is the edge's first, -1 where its second
        incidence = csr_matrix(
            (
                np.concatenate([np.ones(len(first)), -np.ones(len(first))]),
                (np.concatenate([low, high]), np.concatenate([edges, edges])),
            ),
            shape=(n_items, len(first)),
        )
        return cls(low, high, wins, games, incidence, float(games.sum()))

    def value(self, s: Float[np.ndarray, " items"], precision: float) -> float:
        z = s[self.low] - s[self.high]
        size = np.abs(z)
        loss = np.maximum(z, 0.0) + np.log1p(np.exp(-size))
        return float(self.games @ loss - self.wins @ z) + 0.5 * precision * float(s @ s)

    def gradient(self, s: Float[np.ndarray, " items"], precision: float) -> Float[np.ndarray, " items"]:
        p = expit(s[self.low] - s[self.high])
        return self.incidence @ (self.games * p - self.wins) + precision * s

    def degrees(self, curvature: Float[np.ndarray, " edges"]) -> Float[np.ndarray, " items"]:
        n_items = self.incidence.shape[0]
        both = np.bincount(self.low, curvature, n_items) + np.bincount(self.high, curvature, n_items)
        return both.astype(np.float64, copy=False)


def _conjugate_gradient(
    graph: _Graph, curvature: Float[np.ndarray, " edges"], precision: float, target: Float[np.ndarray, " items"]
) -> Float[np.ndarray, " items"]:
    """Solve (Laplacian + precision) x = target, Jacobi-preconditioned, to a forcing tolerance of min(.1, sqrt|g|)."""
    n_items = len(target)
    degree = graph.degrees(curvature) + precision
    edges = len(curvature)
    adjacency = csr_matrix((curvature, (graph.low, graph.high)), shape=(n_items, n_items))
    adjacency = adjacency + adjacency.T
    inverse = 1.0 / np.maximum(degree, 1e-300)
    x = np.zeros(n_items)
    r = target.copy()
    z = inverse * r
    p = z.copy()
    rz = float(r @ z)
    start = rz
    forcing = min(0.1, np.sqrt(start / max(edges, 1))) ** 2
    for _ in range(max(50, 2 * int(np.sqrt(n_items)))):
        if rz <= forcing * start or rz == 0.0:
            break
        hp = degree * p - adjacency @ p
        alpha = rz / float(p @ hp)
        x += alpha * p
        r -= alpha * hp
        z = inverse * r
        new = float(r @ z)
        p = z + (new / rz) * p
        rz = new
    return x
