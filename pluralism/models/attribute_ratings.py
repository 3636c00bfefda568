"""Ratings of several attributes as regression data: one row an item, one column an attribute, missing ones left out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from pluralism.data.units import dense_codes
from pluralism.errors import DataError

if TYPE_CHECKING:
    from pluralism.data import Items, Ratings

__all__ = ["AttributeLabels", "attribute_labels", "rating_features", "ratings_digest"]


@dataclass(frozen=True)
class AttributeLabels:
    """Mean ratings of items.

    Attributes
    ----------
    item : int array of shape (rows,)
        Item of each row; an item has several rows where its attributes were rated differently often.
    value : float array of shape (rows, attributes)
        Weighted mean of the ratings; NaN where not rated.
    weight : float array of shape (rows,)
        Weight of the ratings behind each value of the row.
    group : int array of shape (rows,)
        Prompt of the item; an item without a prompt is a group of its own.
    """

    item: Int[np.ndarray, " rows"]
    value: Float[np.ndarray, "rows attributes"]
    weight: Float[np.ndarray, " rows"]
    group: Int[np.ndarray, " rows"]


def attribute_labels(ratings: Ratings) -> AttributeLabels:
    """Sum ratings up by item and attribute: least squares on the means, weighted, is that on the ratings.

    Raises
    ------
    DataError
        If there is no rating of positive weight, or an attribute has none.
    """
    n_items, names = ratings.n_items, ratings.attributes.to_pylist()
    cell = ratings.item.astype(np.int64) * len(names) + ratings.attribute
    shape = (n_items, len(names))
    weight = np.bincount(cell, ratings.weight, n_items * len(names)).reshape(shape)
    total = np.bincount(cell, ratings.weight * ratings.value, n_items * len(names)).reshape(shape)
    unrated = np.flatnonzero(~(weight > 0).any(axis=0))
    if len(unrated):
        raise DataError(
            f"The attribute {names[unrated[0]]!r} has no rating of positive weight.",
            fix="Leave the attribute out, or check the file with `pluralism check`.",
        )
    # one row for each distinct weight within an item, so that a row's weight is that of all its labels
    items, values, weights = [], [], []
    left = weight.copy()
    while (left > 0).any():
        rows = np.flatnonzero((left > 0).any(axis=1))
        level = left[rows].max(axis=1)
        here = left[rows] == level[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            values.append(np.where(here, total[rows] / weight[rows], np.nan))
        items.append(rows)
        weights.append(level)
        left[rows] = np.where(here, 0.0, left[rows])
    item = np.concatenate(items)
    prompt = ratings.items.prompt_codes().astype(np.int64)
    group = dense_codes(np.where(prompt >= 0, prompt, prompt.max(initial=0) + 1 + np.arange(n_items)))
    return AttributeLabels(item, np.concatenate(values), np.concatenate(weights), group[item])


def rating_features(ratings: Ratings, *, like: Items | None = None) -> Float[np.ndarray, "items dim"]:
    """The features of the rated items.

    Raises
    ------
    DataError
        If there are none, or they are not of the kind of `like`.
    """
    features = ratings.items.features
    if features is None:
        raise DataError(
            "The rated items have no features, and the ratings are predicted from them.",
            fix="Call ratings.embed(encoder), or ratings.with_features(matrix).",
        )
    if like is not None and (
        like.features is None
        or like.features.shape[1] != features.shape[1]
        or (like.feature_space is not None and like.feature_space != ratings.items.feature_space)
    ):
        raise DataError(
            "The ratings and the comparisons are not of the same feature space.",
            where=f"{ratings.items.feature_space!r} and {like.feature_space!r}",
            fix="Embed both with the same encoder.",
        )
    return features


def ratings_digest(ratings: Ratings, features: np.ndarray) -> str:
    """A fingerprint of all that a regression of ratings on features depends on, for checkpoints."""
    h = hashlib.sha256()
    for array in (ratings.user, ratings.item, ratings.attribute, ratings.value, ratings.weight):
        h.update(np.ascontiguousarray(array).data)
    h.update(str(features.dtype).encode())
    h.update(repr((ratings.attributes.to_pylist(), ratings.items.prompt_codes().tobytes())).encode())
    for start in range(0, len(features), 65_536):
        h.update(np.ascontiguousarray(features[start : start + 65_536]).data)
    return h.hexdigest()
