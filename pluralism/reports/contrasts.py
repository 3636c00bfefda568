"""Uncertainty of a reward relative to the mean of its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
from jaxtyping import Float, Int

from pluralism.models.linear import LinearPreferenceModel

if TYPE_CHECKING:
    from pluralism.data import Items
    from pluralism.models import PreferenceModel

__all__ = ["contrast_std"]

_ROWS = 65_536


def contrast_std(
    model: PreferenceModel,
    items: Items,
    chosen: Int[np.ndarray, " chosen"],
    members: Sequence[Int[np.ndarray, " _"]],
) -> Float[np.ndarray, "chosen groups"] | None:
    """Standard deviation of each chosen item's reward minus the mean reward of its members.

    Unlike `reward_std` this knows that what the texts of a prompt have in common cancels.

    Parameters
    ----------
    model : PreferenceModel
        With a covariance of its coefficients (features, then item effects).
    items : Items
    chosen : int array of shape (chosen,)
        Codes of items.
    members : sequence of int arrays
        For each chosen item, the codes of the items it is compared with, itself among them.

    Returns
    -------
    array of shape (chosen, groups), or None
        In logits; None where the model keeps no covariance.
    """
    covariance = getattr(model, "covariance_", None)
    if covariance is None or not isinstance(model, LinearPreferenceModel):
        return None
    fitted: Any = model
    dim = 0 if fitted.coef_ is None else fitted.coef_.shape[1]
    features = items.features
    n_effects = 0 if fitted.item_effects_ is None else fitted.item_effects_.shape[1]
    contrast = np.zeros((len(chosen), dim + n_effects))
    unknown = np.zeros(len(chosen))
    means: dict[bytes, Float[np.ndarray, " dim"]] = {}
    for row, (item, block) in enumerate(zip(chosen, members, strict=True)):
        if dim and features is not None:
            key = block.tobytes()
            if key not in means:
                means[key] = _mean_features(features, block)
            contrast[row, :dim] = np.asarray(features[item], dtype=np.float64) - means[key]
        if n_effects:
            share = np.where(block == item, 1.0, 0.0) - 1.0 / len(block)
            found = pc.index_in(items.ids.take(block), value_set=fitted.item_ids_)
            where = pc.fill_null(found, -1).to_numpy(zero_copy_only=False)
            np.add.at(contrast[row], dim + where[where >= 0], share[where >= 0])
            unknown[row] = np.sum(share[where < 0] ** 2) / fitted.item_precision_
    size = dim + n_effects
    variance = [np.einsum("ij,jk,ik->i", contrast, c[:size, :size], contrast, optimize=True) for c in covariance]
    return np.sqrt(np.maximum(np.stack(variance, axis=1) + unknown[:, None], 0.0))


def _mean_features(features: Float[np.ndarray, "items dim"], block: Int[np.ndarray, " _"]) -> Float[np.ndarray, " dim"]:
    total = np.zeros(features.shape[1])
    for start in range(0, len(block), _ROWS):
        total += np.asarray(features[block[start : start + _ROWS]]).sum(axis=0, dtype=np.float64)
    return total / len(block)
