r"""How far apart the clusters of labelled points are: four indices.

For two clusters of :math:`n_0` and :math:`n_1` points the indices of Calinski-Harabasz and Xie-Beni are one quantity,
:math:`CHI \cdot XBI = (n - 2)\,n_0 n_1 / n^2`: combining them adds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from pluralism.diagnostics.instrument_result import InstrumentResult, interval_dots
from pluralism.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ClusterIndices", "as_clusters", "cluster_indices", "davies_bouldin", "dunn", "square_distances"]


@dataclass(frozen=True, eq=False, repr=False)
class ClusterIndices(InstrumentResult):
    """Four indices of the separation of clusters, and the distances behind them.

    Attributes
    ----------
    davies_bouldin : float
        Mean over clusters of the largest (S_k + S_j) / distance of centroids, S being the mean distance to the
        centroid; lower is better, and infinite where two centroids are one (scikit-learn counts such a pair as 0).
    dunn : float
        Smallest distance between points of two clusters over the largest within one; higher is better. It rests on two
        pairs of points.
    xie_beni : float
        Mean squared distance to the own centroid over the smallest squared distance of centroids; lower is better.
    calinski_harabasz : float
        Variance between over variance within clusters, each over its degrees of freedom; higher is better.
    labels : tuple of str
    sizes : int array of shape (groups,)
    scatter : array of shape (groups,)
        S of each cluster.
    centroid_distance : array of shape (groups, groups)
    """

    davies_bouldin: float
    dunn: float
    xie_beni: float
    calinski_harabasz: float
    labels: tuple[str, ...]
    sizes: Int[np.ndarray, " groups"]
    scatter: Float[np.ndarray, " groups"]
    centroid_distance: Float[np.ndarray, "groups groups"]

    def to_frame(self) -> pa.Table:
        """One row a cluster: `label, points, scatter, nearest, distance` (the nearest other centroid)."""
        apart = self.centroid_distance + np.diag(np.full(len(self.labels), np.inf))
        return pa.table(
            {
                "label": list(self.labels),
                "points": self.sizes,
                "scatter": self.scatter,
                "nearest": [self.labels[j] for j in np.argmin(apart, axis=1)],
                "distance": apart.min(axis=1),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The four indices, and the rows of `to_frame`."""
        names = ("davies_bouldin", "dunn", "xie_beni", "calinski_harabasz")
        return {**{name: getattr(self, name) for name in names}, "rows": self.to_frame().to_pylist()}

    def __repr__(self) -> str:
        return (
            f"ClusterIndices({len(self.labels)} clusters of {int(self.sizes.sum()):,} points: "
            f"Davies-Bouldin {self.davies_bouldin:.3f}, Dunn {self.dunn:.3f}, Xie-Beni {self.xie_beni:.3f}, "
            f"Calinski-Harabasz {self.calinski_harabasz:.2f})"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the distance of each cluster's nearest neighbour, with the scatter of the cluster around it."""
        frame = self.to_frame()
        distance = frame["distance"].to_numpy()
        names = [f"{label} ({n:,})" for label, n in zip(self.labels, self.sizes, strict=True)]
        return interval_dots(
            names, distance, distance - self.scatter, distance + self.scatter, ax=ax,
            xlabel="distance of the nearest centroid ± mean distance to the own", reference=0.0,
        )  # fmt: skip


def as_clusters(
    points: ArrayLike, labels: ArrayLike
) -> tuple[Float[np.ndarray, "items dim"], Int[np.ndarray, " items"], tuple[str, ...]]:
    """Checked points, codes of their labels, and the labels in alphabetical order.

    Raises
    ------
    DataError
        If points are not finite, labels do not fit, or a cluster has fewer than two points.
    """
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or not array.size or not np.isfinite(array).all():
        raise DataError(
            f"Points are a finite matrix, not one of shape {array.shape}.", fix="Give (items, dim) without NaN."
        )
    named = np.array([str(label) for label in np.asarray(labels).tolist()])
    if named.shape != (len(array),):
        raise DataError(f"There are {len(array):,} points and {len(named):,} labels.", fix="Label each point.")
    names, codes, counts = np.unique(named, return_inverse=True, return_counts=True)
    if len(names) < 2 or counts.min() < 2:
        raise DataError(
            "Separation needs two clusters at least, each of two points.",
            where=f"label {names[int(np.argmin(counts))]!r}",
            fix="Leave rare labels out, or merge them.",
        )
    return array, codes.astype(np.int64), tuple(str(name) for name in names)


def cluster_indices(points: ArrayLike, labels: ArrayLike) -> ClusterIndices:
    """The indices of Davies-Bouldin [1]_, Dunn [2]_, Xie-Beni [3]_ and Calinski-Harabasz [4]_ of labelled points.

    Parameters
    ----------
    points : array of shape (items, dim)
        In units that make Euclidean distances meaningful.
    labels : array of shape (items,)
        Two labels at least, each of two points or more.

    Raises
    ------
    DataError
        If points are not finite, labels do not fit, or a label has fewer than two points.

    References
    ----------
    .. [1] D. L. Davies and D. W. Bouldin, "A cluster separation measure", IEEE PAMI, 1979.
    .. [2] J. C. Dunn, "Well-separated clusters and optimal fuzzy partitions", Journal of Cybernetics, 1974.
    .. [3] X. L. Xie and G. Beni, "A validity measure for fuzzy clustering", IEEE PAMI, 1991.
    .. [4] T. Calinski and J. Harabasz, "A dendrite method for cluster analysis", Communications in Statistics, 1974.

    Examples
    --------
    >>> cluster_indices([[0.0, 0.0], [0.0, 2.0], [6.0, 0.0], [6.0, 2.0]], ["a", "a", "b", "b"])
    ClusterIndices(2 clusters of 4 points: Davies-Bouldin 0.333, Dunn 3.000, Xie-Beni 0.028, Calinski-Harabasz 18.00)
    """
    z, codes, names = as_clusters(points, labels)
    sizes, scatter, apart, within = _moments(z, codes, len(names))
    n, k = len(z), len(names)
    between = float(sizes @ np.sum((_centroids(z, codes, sizes) - z.mean(axis=0)) ** 2, axis=1))
    nearest = _off_diagonal(apart).min()
    with np.errstate(divide="ignore", invalid="ignore"):
        xie_beni = float(np.float64(within) / (n * nearest**2)) if nearest > 0 else float("inf")
        calinski = float(np.float64(between / (k - 1)) / (within / (n - k))) if n > k else float("nan")
    return ClusterIndices(
        davies_bouldin=_davies_bouldin(scatter, apart),
        dunn=dunn(square_distances(z), codes),
        xie_beni=xie_beni,
        calinski_harabasz=calinski,
        labels=names,
        sizes=sizes,
        scatter=scatter,
        centroid_distance=apart,
    )


def davies_bouldin(points: Float[np.ndarray, "items dim"], codes: Int[np.ndarray, " items"]) -> float:
    """The index of points with codes 0, 1, ... of their clusters, none of them empty."""
    _, scatter, apart, _ = _moments(points, codes, int(codes.max()) + 1)
    return _davies_bouldin(scatter, apart)


def dunn(squared: Float[np.ndarray, "items items"], codes: Int[np.ndarray, " items"]) -> float:
    """The index from squared distances; infinite where every cluster is a place of its own, 0 where two share one."""
    same = codes[:, None] == codes
    least = np.sqrt(np.min(squared, initial=np.inf, where=~same))
    if least == 0:
        return 0.0
    widest = np.sqrt(np.max(squared, initial=0.0, where=same))
    with np.errstate(divide="ignore"):
        return float(least / widest)


def square_distances(points: Float[np.ndarray, "items dim"]) -> Float[np.ndarray, "items items"]:
    """Squared Euclidean distances between all points."""
    from scipy.spatial.distance import pdist, squareform

    return squareform(pdist(points, "sqeuclidean"))


def _centroids(z: np.ndarray, codes: np.ndarray, sizes: np.ndarray) -> Float[np.ndarray, "groups dim"]:
    onehot = codes == np.arange(len(sizes))[:, None]
    return onehot.astype(np.float64) @ z / sizes[:, None]


def _moments(
    z: Float[np.ndarray, "items dim"], codes: Int[np.ndarray, " items"], k: int
) -> tuple[Int[np.ndarray, " groups"], Float[np.ndarray, " groups"], Float[np.ndarray, "groups groups"], float]:
    """Sizes, mean distances to centroids, distances of centroids, and the sum of squares within."""
    sizes = np.bincount(codes, minlength=k)
    centroids = _centroids(z, codes, sizes)
    squares = np.sum((z - centroids[codes]) ** 2, axis=1)
    scatter = np.bincount(codes, weights=np.sqrt(squares), minlength=k) / sizes
    apart = np.linalg.norm(centroids[:, None] - centroids, axis=2)
    return sizes, scatter, apart, float(squares.sum())


def _davies_bouldin(scatter: Float[np.ndarray, " groups"], apart: Float[np.ndarray, "groups groups"]) -> float:
    # Clusters of one centroid are not told apart at all, whatever their scatter.
    ratio = np.divide(scatter[:, None] + scatter, apart, out=np.full(apart.shape, np.inf), where=apart > 0)
    np.fill_diagonal(ratio, -np.inf)
    return float(ratio.max(axis=1).mean())


def _off_diagonal(matrix: Float[np.ndarray, "groups groups"]) -> Float[np.ndarray, " pairs"]:
    return matrix[~np.eye(len(matrix), dtype=bool)]
