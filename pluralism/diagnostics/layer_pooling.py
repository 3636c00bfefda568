"""One vector out of the hidden states of all layers, by weights that are fitted on rows other than those judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import softmax

from pluralism.diagnostics.instrument_result import InstrumentResult
from pluralism.errors import DataError, UsageError
from pluralism.figures import FOCUS, own_axes, tidy
from pluralism.random import RNG, as_generator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LayerPool", "fit_layer_pool"]


DIFFERENCES = 2**24
"""Numbers that are held at once of the differences of pairs: 128 MiB."""


@dataclass(frozen=True, eq=False, repr=False)
class LayerPool(InstrumentResult):
    r"""Weights of layers, :math:`z = \sum_l a_l (h_l - \mu_l) / s_l`.

    Attributes
    ----------
    weights : array of shape (layers,)
        On the simplex.
    mean : array of shape (layers, dim)
        Of each layer over the training rows.
    scale : array of shape (layers,)
        Root mean square norm of the centred states of each layer, so that no layer counts for being large.
    loss, even_loss : float
        Contrastive loss on training pairs of these weights, and of equal ones.
    margin : float
        How far apart rows of different labels should be, in units of the scaled states.
    """

    weights: Float[np.ndarray, " layers"]
    mean: Float[np.ndarray, "layers dim"]
    scale: Float[np.ndarray, " layers"]
    loss: float
    even_loss: float
    margin: float

    def transform(self, states: ArrayLike) -> Float[np.ndarray, "items dim"]:
        """Pool the states, of shape (items, layers, dim), of other rows.

        Raises
        ------
        DataError
            If they have other layers or another width.
        """
        array = _as_states(states)
        if array.shape[1:] != self.mean.shape:
            raise DataError(
                f"States have shape {array.shape[1:]} a row, not {self.mean.shape}.", fix="Use those of the same model."
            )
        return np.einsum("l,ild->id", self.weights / self.scale, array - self.mean)

    def to_frame(self) -> pa.Table:
        """One row a layer: `layer, weight, scale`."""
        return pa.table({"layer": np.arange(len(self.weights)), "weight": self.weights, "scale": self.scale})

    def to_dict(self) -> dict[str, Any]:
        """Both losses, the margin, and the rows of `to_frame`."""
        numbers = {name: getattr(self, name) for name in ("loss", "even_loss", "margin")}
        return {**numbers, "rows": self.to_frame().to_pylist()}

    def __repr__(self) -> str:
        top = int(np.argmax(self.weights))
        return (
            f"LayerPool({len(self.weights)} layers, most weight {self.weights[top]:.2f} on layer {top}; "
            f"loss {self.loss:.3f}, {self.even_loss:.3f} with equal weights)"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the weight of each layer."""
        ax = own_axes(ax, 4.6, 2.8)
        ax.bar(np.arange(len(self.weights)), self.weights, color=FOCUS, alpha=0.8, linewidth=0)
        ax.locator_params(axis="x", integer=True)
        tidy(ax, grid="y", xlabel="layer (0: embeddings)", ylabel="weight")
        return ax


def fit_layer_pool(
    states: ArrayLike, labels: ArrayLike, *, margin: float = 1.0, n_pairs: int = 2000, rng: RNG = 0
) -> LayerPool:
    r"""Fit weights of layers that bring rows of one label together and keep rows of different labels apart [1]_.

    Over pairs, :math:`\|z_i - z_j\|^2` where labels agree and :math:`\max(0, m - \|z_i - z_j\|)^2` where they differ,
    half the weight for each kind; the weights are a softmax. Fit on training rows, and judge others by
    `alignment_quality`: on the rows that the weights were fitted to, the index is too good.

    Parameters
    ----------
    states : array of shape (items, layers, dim)
        Of training rows alone, such as from `hidden_states`.
    labels : array of shape (items,)
    margin : float
        Above 0; the states of a layer have a root mean square norm of 1.
    n_pairs : int
        Drawn pairs of each kind.
    rng : int, Generator or None

    Raises
    ------
    DataError
        If states are not finite, or no pair agrees or differs in its label.
    UsageError
        If the margin is not above 0, or there are no pairs to draw.

    References
    ----------
    .. [1] A. Borah et al., "Alignment quality index (AQI): beyond refusals", arXiv:2506.13901, for pooling by layers.
    """
    array = _as_states(states)
    named = np.array([str(label) for label in np.asarray(labels).tolist()])
    if named.shape != (len(array),):
        raise DataError(f"There are {len(array):,} rows and {len(named):,} labels.", fix="Label each row.")
    if not margin > 0 or n_pairs < 1:
        raise UsageError("margin is above 0, n_pairs at least 1.", fix="Leave them out.")
    mean = array.mean(axis=0)
    scale = np.sqrt(np.mean(np.sum((array - mean) ** 2, axis=2), axis=0))
    # A layer whose states are all the same (as that of a fixed token) tells nothing, whatever its weight.
    scale = np.where(scale > 0, scale, 1.0)
    z = (array - mean) / scale[:, None]
    codes = np.unique(named, return_inverse=True)[1]
    first, second, same = _pairs(codes, n_pairs, as_generator(rng, "layer pool"))
    gram = _gram(z, first, second)
    share = np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())

    def objective(free: Float[np.ndarray, " layers"]) -> tuple[float, Float[np.ndarray, " layers"]]:
        a = softmax(free)
        ga = gram @ a
        squared = np.maximum(ga @ a, 0.0)
        distance = np.sqrt(squared)
        short = np.where(same, 0.0, np.maximum(margin - distance, 0.0))
        loss = float(share @ np.where(same, squared, short**2))
        pull = np.where(same, 2.0, -2.0 * short / np.maximum(distance, 1e-12))
        slope = (share * pull) @ ga
        return loss, a * (slope - slope @ a)

    start = np.zeros(array.shape[1])
    found = minimize(objective, start, jac=True, method="L-BFGS-B")
    if not np.isfinite(found.fun):
        raise DataError("The contrastive loss is not finite.", fix="Check the states.")
    return LayerPool(softmax(found.x), mean, scale, float(found.fun), objective(start)[0], margin)


def _gram(
    z: Float[np.ndarray, "items layers dim"], first: Int[np.ndarray, " pairs"], second: Int[np.ndarray, " pairs"]
) -> Float[np.ndarray, "pairs layers layers"]:
    """Inner products, layer by layer, of the differences of each pair; the differences are never all there at once."""
    few = max(DIFFERENCES // z[0].size, 1)
    parts = []
    for start in range(0, len(first), few):
        apart = z[first[start : start + few]] - z[second[start : start + few]]
        parts.append(apart @ apart.transpose(0, 2, 1))
    return np.concatenate(parts)


def _as_states(states: ArrayLike) -> Float[np.ndarray, "items layers dim"]:
    array = np.asarray(states, dtype=np.float64)
    if array.ndim != 3 or not array.size or not np.isfinite(array).all():
        raise DataError(
            f"States are finite and of shape (items, layers, dim), not {array.shape}.", fix="Use hidden_states."
        )
    return array


def _pairs(
    codes: Int[np.ndarray, " items"], n: int, rng: np.random.Generator
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"], Bool[np.ndarray, " pairs"]]:
    """At most n pairs of equal labels and n of different ones, all of them where there are no more."""
    first, second = np.triu_indices(len(codes), 1)
    same = codes[first] == codes[second]
    if same.all() or not same.any():
        raise DataError("Labels are all the same, or all different.", fix="Give two labels with several rows each.")
    kept = [
        rows if len(rows) <= n else rng.choice(rows, size=n, replace=False)
        for rows in (np.flatnonzero(same), np.flatnonzero(~same))
    ]
    chosen = np.concatenate(kept)
    return first[chosen], second[chosen], same[chosen]
