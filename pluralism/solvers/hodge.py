"""HodgeRank: a flow of preferences on a graph as a gradient (a ranking), local cycles, and global cycles.

X. Jiang, L.-H. Lim, Y. Yao, Y. Ye, Statistical ranking and combinatorial Hodge theory, Mathematical Programming 127
(2011). All projections are in the inner product sum_e w_e x_e y_e.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from scipy.sparse.linalg import lsqr

__all__ = ["HodgeDecomposition", "gradient_potential", "hodge_decomposition"]

TOL = 1e-12


@dataclass(frozen=True)
class HodgeDecomposition:
    """A flow taken apart.

    Attributes
    ----------
    potential : array of shape (nodes,)
        Its gradient is the part of the flow that a ranking explains; 0 on average over the nodes with an edge in each
        connected part (by the least norm).
    gradient, curl, harmonic : arrays of shape (edges,)
        Parts of the flow: of the ranking; of cycles that triangles make up; of longer cycles. They add up to it.
    n_triangles : int
    gradient_share, curl_share, harmonic_share : float
        Of the weighted square of the flow; they sum to 1, and are NaN where there is no flow.
    """

    potential: Float[np.ndarray, " nodes"]
    gradient: Float[np.ndarray, " edges"]
    curl: Float[np.ndarray, " edges"]
    harmonic: Float[np.ndarray, " edges"]
    n_triangles: int
    gradient_share: float
    curl_share: float
    harmonic_share: float


def hodge_decomposition(
    tail: Int[np.ndarray, " edges"],
    head: Int[np.ndarray, " edges"],
    flow: Float[np.ndarray, " edges"],
    weight: Float[np.ndarray, " edges"],
    n: int,
) -> HodgeDecomposition:
    """Take a flow apart.

    Parameters
    ----------
    tail, head : int arrays of shape (edges,)
        Each pair of nodes occurs once, in one direction.
    flow : array of shape (edges,)
        From tail to head: how much the head is preferred.
    weight : array of shape (edges,)
        Above 0: how much the flow on an edge is to be believed.
    n : int
        Number of nodes.
    """
    root = np.sqrt(weight)
    potential = gradient_potential(tail, head, flow, weight, n)
    gradient = potential[head] - potential[tail]
    residual = flow - gradient
    triangles = _triangles(tail, head, n)
    curl = np.zeros(len(tail))
    if len(triangles[0]):
        edge, sign = triangles
        count = len(edge) // 3
        boundary = csr_array((sign, (edge, np.repeat(np.arange(count), 3))), shape=(len(tail), count))
        scaled = boundary.multiply((1.0 / root)[:, None]).tocsr()
        curl = (boundary @ _least_squares(scaled, root * residual)) / weight
    harmonic = residual - curl
    energy = float(weight @ flow**2)
    shares = [float(weight @ part**2) / energy if energy > 0 else np.nan for part in (gradient, curl, harmonic)]
    return HodgeDecomposition(potential, gradient, curl, harmonic, len(triangles[0]) // 3, *shares)


def gradient_potential(
    tail: Int[np.ndarray, " edges"],
    head: Int[np.ndarray, " edges"],
    flow: Float[np.ndarray, " edges"],
    weight: Float[np.ndarray, " edges"],
    n: int,
) -> Float[np.ndarray, " nodes"]:
    """The potential alone; arguments as in `hodge_decomposition`."""
    root = np.sqrt(weight)
    rows = np.tile(np.arange(len(tail)), 2)
    signs = np.concatenate([-root, root])
    return _least_squares(csr_array((signs, (rows, np.concatenate([tail, head]))), shape=(len(tail), n)), root * flow)


def _least_squares(matrix: csr_array, target: np.ndarray) -> np.ndarray:
    """The solution of least norm."""
    if not target.any():
        return np.zeros(matrix.shape[1])
    return lsqr(matrix, target, atol=TOL, btol=TOL, iter_lim=20 * max(matrix.shape))[0]


def _triangles(
    tail: Int[np.ndarray, " edges"], head: Int[np.ndarray, " edges"], n: int
) -> tuple[Int[np.ndarray, " corners"], Float[np.ndarray, " corners"]]:
    """The three edges of each triangle i < j < k one after the other, with the sign in which the circle takes them."""
    low, high = np.minimum(tail, head), np.maximum(tail, head)
    place = csr_array((np.arange(1, len(tail) + 1), (low, high)), shape=(n, n))
    upper = csr_array((np.ones(len(tail)), (low, high)), shape=(n, n))
    closed = ((upper @ upper) * upper).tocoo()
    edges: list[np.ndarray] = []
    forward = tail < head
    neighbours = [upper.indices[upper.indptr[i] : upper.indptr[i + 1]] for i in range(n)]
    below = csr_array(upper.T)
    under = [below.indices[below.indptr[i] : below.indptr[i + 1]] for i in range(n)]
    for i, k in zip(*closed.coords, strict=True):
        middle = np.intersect1d(neighbours[i], under[k])
        sides = [place[[i] * len(middle), middle], place[middle, [k] * len(middle)], [place[i, k]] * len(middle)]
        edges.append(np.stack([np.asarray(side).reshape(-1) for side in sides], axis=1) - 1)
    if not edges:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    edge = np.concatenate(edges).astype(np.int64)
    sign = np.where(forward[edge], 1.0, -1.0) * np.array([1.0, 1.0, -1.0])
    return edge.reshape(-1), sign.reshape(-1)
