"""The shared map of PAL: where items are in the space of the prototypes, linearly or with a hidden layer beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from pluralism.models.ideal_training import gelu
from pluralism.models.prototypes import PrototypeModel
from pluralism.solvers.centred_features import CentredFeatures

if TYPE_CHECKING:
    from pluralism.data import Items

__all__ = ["MAP_ARRAYS", "MappedItems"]

MAP_ARRAYS = {
    "map_": ("latent", "inputs"),
    "hidden_weight_": ("hidden", "dim"),
    "hidden_bias_": ("hidden",),
    "hidden_center_": ("hidden",),
}


class MappedItems(PrototypeModel):
    """Prototypes in a space that a map f of the features leads to.

    Learned attributes: `center_`, `map_` (its columns for the features, then those for the hidden units), and
    `hidden_weight_`, `hidden_bias_`, `hidden_center_`, `hidden_scale_`, None without a hidden layer.
    """

    map_: Float[np.ndarray, "latent inputs"] | None
    hidden_weight_: Float[np.ndarray, "hidden dim"] | None

    def embed(self, items: Items) -> Float[np.ndarray, "items latent"]:
        """Where items are in the space of the prototypes, f(item)."""
        centred = self._centred(items)
        if self.map_ is None:
            return centred.matrix.rows(np.arange(len(items))).astype(np.float64)
        f = centred.matmul(self.map_[:, : self.dim_].T)
        if self.hidden_weight_ is not None:
            f += self._units(centred.matmul(self.hidden_weight_.T)) @ self.map_[:, self.dim_ :].T
        return f

    def _units(self, inputs: Float[np.ndarray, "rows hidden"]) -> Float[np.ndarray, "rows hidden"]:
        units: Float[np.ndarray, "rows hidden"] = gelu(inputs + self.hidden_bias_) - self.hidden_center_
        return units / self.hidden_scale_

    def _learn_map(self, features: CentredFeatures, a: Float[np.ndarray, "latent inputs"] | None) -> None:
        """Set the map from its matrix on the features of a fit, in units of the items' own features."""
        from pluralism.models.hidden_layer import DeepFeatures

        self.hidden_weight_ = self.hidden_bias_ = self.hidden_center_ = self.hidden_scale_ = None
        self.center_ = features.center
        self.map_ = None if a is None else np.array(a) / features.scale
        if self.map_ is not None and isinstance(features, DeepFeatures):
            # the layer's inputs and the units' outputs each in their own scale, as `embed` uses them
            inputs = features.inputs
            self.center_ = inputs.center
            self.map_[:, : inputs.dim] /= inputs.scale
            self.hidden_weight_ = features.weight / inputs.scale
            self.hidden_bias_ = features.bias
            self.hidden_center_ = features.unit_center
            self.hidden_scale_ = features.unit_scale
