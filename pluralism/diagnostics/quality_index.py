"""Alignment quality index: how well a representation tells labels apart, against chance and on held-out rows."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from pluralism.calibration.text import format_table
from pluralism.diagnostics.blocks import Blocks
from pluralism.diagnostics.cluster_separation import (
    ClusterIndices,
    as_clusters,
    cluster_indices,
    davies_bouldin,
    dunn,
    square_distances,
)
from pluralism.diagnostics.instrument_result import InstrumentResult
from pluralism.errors import DataError, UsageError
from pluralism.figures import FOCUS, POOLED, own_axes, tidy, tidy_legend
from pluralism.random import RNG, as_generator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["AlignmentQuality", "alignment_quality"]


@dataclass(frozen=True, eq=False, repr=False)
class AlignmentQuality(InstrumentResult):
    """The index of labelled representations, what chance would give, and a probe.

    Attributes
    ----------
    value : float
        In [0, 1]; higher where the labels' clusters are apart. On its own it means little: compare it with `null`.
    low, high : float
        Bootstrap interval, rows drawn again within labels, or whole blocks among those of the same labels. The draws'
        quantiles are put around the value by their distance from the draws' median: rows drawn twice pull overlapping
        clusters apart, which is a bias of the draws.
    null : array of shape (permutations,)
        The index with labels permuted: within blocks where they differ there, and of whole blocks otherwise.
    z : float
        `value` in standard deviations of `null` above its mean.
    p : float
        Share of permutations with at least as large an index, the observed labels counted as one.
    probe_auc : float
        Area under the ROC curve of a linear probe, on rows it was not fitted to; mean over labels, each against the
        rest.
    indices : ClusterIndices
        Of the standardised points.
    weight : float
        Of the first part, the index of Davies-Bouldin; the rest is Dunn's.
    """

    value: float
    low: float
    high: float
    null: Float[np.ndarray, " permutations"]
    z: float
    p: float
    probe_auc: float
    indices: ClusterIndices
    weight: float

    def _columns(self) -> dict[str, Any]:
        names = ("value", "low", "high", "z", "p", "probe_auc")
        found = {"weight": self.weight, **{name: getattr(self, name) for name in names}}
        found |= {name: getattr(self.indices, name) for name in ("davies_bouldin", "dunn", "xie_beni")}
        return found | {"calinski_harabasz": self.indices.calinski_harabasz}

    def to_frame(self) -> pa.Table:
        """One row: the index, its null, the probe, and the four indices of clusters."""
        return pa.table({name: [value] for name, value in self._columns().items()})

    def to_dict(self) -> dict[str, Any]:
        """The numbers of `to_frame`, the clusters, and the mean and standard deviation of the null."""
        null = {"mean": float(self.null.mean()), "sd": float(self.null.std(ddof=1)), "permutations": len(self.null)}
        return {**self._columns(), "null": null, "clusters": self.indices.to_frame().to_pylist()}

    def __repr__(self) -> str:
        n = int(self.indices.sizes.sum())
        columns: dict[str, Any] = {
            "label": list(self.indices.labels),
            "points": self.indices.sizes,
            "scatter": self.indices.scatter,
        }
        return (
            f"AlignmentQuality({self.value:.3f} [{self.low:.3f}, {self.high:.3f}] of {n:,} points; by chance "
            f"{self.null.mean():.3f}, z={self.z:.1f}, p={self.p:.3g}; probe AUC {self.probe_auc:.3f})\n"
            f"{format_table(columns, digits=3)}"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the null distribution, the value, and its interval."""
        ax = own_axes(ax, 5.0, 3.2)
        counts, _, _ = ax.hist(self.null, bins=30, color=POOLED, alpha=0.6, label="labels permuted")
        top = float(np.max(counts))
        observed = f"observed: z = {self.z:.1f}, p = {self.p:.3g}; probe AUC {self.probe_auc:.2f}"
        ax.plot([self.value] * 2, [0.0, top], color=FOCUS, linewidth=1.6, label=observed)
        ax.hlines(0.5 * top, self.low, self.high, colors=FOCUS, linewidth=1.6, alpha=0.55)
        # The legend stands above everything that is drawn.
        ax.set_ylim(0, 1.35 * top)
        ax.locator_params(axis="y", integer=True)
        tidy(ax, grid="y", xlabel="alignment quality index", ylabel="permutations")
        tidy_legend(ax, loc="upper left")
        return ax


def alignment_quality(
    points: ArrayLike,
    labels: ArrayLike,
    *,
    weight: float = 0.5,
    components: int | None = None,
    blocks: Sequence[Hashable] | None = None,
    permutations: int = 500,
    n_bootstrap: int = 500,
    level: float = 0.95,
    folds: int = 5,
    rng: RNG = 0,
) -> AlignmentQuality:
    r"""How far apart the clusters of labels are in a representation [1]_.

    The index is :math:`\gamma / (1 + DBS) + (1 - \gamma)\, D / (1 + D)` of the indices of Davies-Bouldin and Dunn, on
    standardised columns. Labels can be safe and unsafe, or any groups, values or conditions.

    Parameters
    ----------
    points : array of shape (items, dim)
        Such as pooled hidden states (`hidden_states`, `LayerPool`).
    labels : array of shape (items,)
        Two labels at least, each of `folds` points or more.
    weight : float
        :math:`\gamma` in [0, 1].
    components : int, optional
        Keep as many principal components of the standardised columns; left out, all columns.
    blocks : sequence, optional
        Rows that belong together, such as those of one prompt; left out, each row stands for itself. Rows of a block
        are alike for other reasons than their label, so the null, the interval and the probe take blocks as wholes:
        the probe never sees a part of a block that it is scored on.
    permutations, n_bootstrap : int
        Draws for the null and for the interval, at least 2.
    level : float
        Coverage of the interval.
    folds : int
        Of the probe.
    rng : int, Generator or None

    Raises
    ------
    DataError
        If points are not finite or all the same, labels or blocks do not fit them, or a label has too few of either.
    UsageError
        If a setting is not possible.

    References
    ----------
    .. [1] A. Borah et al., "Alignment quality index (AQI): beyond refusals", arXiv:2506.13901. Of the variants in the
       published code this is the one that does not rescale by the other categories of the same run; t-SNE and UMAP,
       whose distances have no unit, are not used.
    """
    z, codes, names = as_clusters(points, labels)
    if not 0 <= weight <= 1 or not 0 < level < 1:
        raise UsageError("weight lies in [0, 1], level strictly within.", fix="weight=0.5, level=0.95 are usual.")
    if permutations < 2 or n_bootstrap < 2 or folds < 2:
        raise UsageError("permutations, n_bootstrap and folds are at least 2.", fix="Leave them out.")
    z = _standardised(z, components)
    held = Blocks(codes, blocks)
    generator = as_generator(rng, "alignment quality")
    if blocks is not None and len(held) < folds:
        raise DataError(f"There are fewer than {folds} blocks.", fix="Use fewer folds, or smaller blocks.")
    probe_auc = _probe_auc(z, codes, None if blocks is None else held.of, folds, generator)
    squared = square_distances(z)

    def index(rows: Int[np.ndarray, " items"], of: Int[np.ndarray, " items"]) -> float:
        first, second = davies_bouldin(z[rows], of), dunn(squared[np.ix_(rows, rows)], of)
        return weight / (1 + first) + (1 - weight) * (1.0 if np.isinf(second) else second / (1 + second))

    every = np.arange(len(z))
    value = index(every, codes)
    null = np.array([index(every, held.permuted(generator)) for _ in range(permutations)])
    draws = (held.drawn(generator) for _ in range(n_bootstrap))
    drawn = [index(rows, codes[rows]) for rows in draws]
    spread = float(null.std(ddof=1))
    low, middle, high = np.quantile(drawn, [(1 - level) / 2, 0.5, (1 + level) / 2]).tolist()
    return AlignmentQuality(
        value=value,
        low=max(value + low - middle, 0.0),
        high=min(value + high - middle, 1.0),
        null=null,
        z=(value - float(null.mean())) / spread if spread > 0 else float("nan"),
        # Labels that have changed names make the same clusters, up to rounding.
        p=(1 + int((null >= value - 1e-12).sum())) / (1 + permutations),
        probe_auc=probe_auc,
        indices=cluster_indices(z, [names[k] for k in codes]),
        weight=weight,
    )


def _standardised(z: Float[np.ndarray, "items dim"], components: int | None) -> Float[np.ndarray, "items _"]:
    """Columns of mean 0 and variance 1 (constant ones dropped), or their first principal components."""
    largest = np.abs(z).max(axis=0)
    z = z / np.where(largest > 0, largest, 1.0)
    spread = z.std(axis=0)
    kept = spread > 1e-12
    if not kept.any():
        raise DataError("All points are the same.", fix="Check the representation.")
    z = (z[:, kept] - z[:, kept].mean(axis=0)) / spread[kept]
    if components is None:
        return z
    if not 1 <= components <= min(z.shape):
        raise UsageError(f"components={components!r} is not possible.", fix=f"It is a number from 1 to {min(z.shape)}.")
    u, s, _ = np.linalg.svd(z, full_matrices=False)
    return u[:, :components] * s[:components]


def _probe_auc(
    z: Float[np.ndarray, "items _"],
    codes: Int[np.ndarray, " items"],
    together: Int[np.ndarray, " items"] | None,
    folds: int,
    rng: np.random.Generator,
) -> float:
    """Out-of-fold AUC of logistic regression, macro-averaged over labels."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if np.bincount(codes).min() < folds:
        raise DataError(f"A label has fewer than {folds} points.", fix="Use fewer folds, or leave rare labels out.")
    seed = int(rng.integers(2**31))
    kind = StratifiedKFold if together is None else StratifiedGroupKFold
    splitter = kind(n_splits=folds, shuffle=True, random_state=seed)
    for train, _ in splitter.split(z, codes, together):
        if len(np.unique(codes[train])) < len(np.unique(codes)):
            raise DataError("A label occurs in one fold alone.", fix="Use fewer folds, or smaller blocks.")
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    scores = cross_val_predict(probe, z, codes, groups=together, cv=splitter, method="predict_proba")
    given = scores[:, 1] if scores.shape[1] == 2 else scores
    return float(roc_auc_score(codes, given, multi_class="ovr"))
