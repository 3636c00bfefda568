"""What ratings say of a reward head: the direction that a regression of the ratings on the features finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.models.attribute_ratings import attribute_labels, rating_features
from pluralism.solvers import FeatureMatrix
from pluralism.solvers.multi_ridge import fit_multi_ridge, group_folds

if TYPE_CHECKING:
    from pluralism.data import Items, Ratings

__all__ = ["ratings_direction"]

N_FOLDS = 5


def ratings_direction(ratings: Ratings, items: Items, attribute: str | None, seed: int) -> Float[np.ndarray, " dim"]:
    """Coefficients of one attribute, or of the mean of all in units of their standard deviations.

    The ridge is chosen with whole prompts held out (items, where there are no prompts).

    Raises
    ------
    UsageError
        If there is no such attribute, or too few rated prompts.
    DataError
        If there are no features, or those of another space.
    """
    features = rating_features(ratings, like=items)
    names = ratings.attributes.to_pylist()
    if attribute is not None and attribute not in names:
        raise UsageError(
            f"There is no attribute {attribute!r}.", where="rating", fix=f"Rated are {', '.join(map(repr, names))}."
        )
    labels = attribute_labels(ratings)
    fold = group_folds(labels.group, N_FOLDS, np.random.default_rng([seed, 5]))
    if fold is None:
        raise UsageError(
            "The ratings are of one prompt alone, so the regression cannot be validated.",
            fix="Give ratings of several prompts or items, or fit without ratings.",
        )
    found = fit_multi_ridge(FeatureMatrix(features), labels.value, item=labels.item, weight=labels.weight, fold=fold)
    if attribute is not None:
        return found.coef[:, names.index(attribute)]
    spread = np.sqrt(np.nanvar(labels.value, axis=0))
    return (found.coef / np.where(spread > 0, spread, 1.0)).mean(axis=1)
