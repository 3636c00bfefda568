"""Votes: each rating as one comparison of the item with the threshold of the person who rates it.

Somebody who agrees puts the statement above a threshold of their own, and somebody who finds a reply unsafe puts it
below one. With the threshold as one more item, every model of comparisons is a model of votes; its `threshold`
covariate carries how strict people are on the whole, a group is, or one person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from pluralism.errors import DataError, UsageError

if TYPE_CHECKING:
    from pluralism.data.comparisons import Comparisons
    from pluralism.data.items import Items
    from pluralism.data.ratings import Ratings

__all__ = ["THRESHOLD", "votes_from_ratings"]

THRESHOLD = "threshold"
THRESHOLD_ID = "(threshold)"
THRESHOLD_TEXT = "(the threshold of the person who votes)"


def votes_from_ratings(
    ratings: Ratings,
    *,
    attribute: str | None = None,
    threshold: float | None = None,
    undecided: Literal["tie", "drop"] = "tie",
) -> Comparisons:
    """Compare each rated item with a threshold; see `Ratings.to_votes`."""
    from pluralism.data.comparisons import Comparisons

    if undecided not in ("tie", "drop"):
        raise UsageError(f"undecided={undecided!r} is not possible.", fix='Use undecided="tie" or "drop".')
    ratings = ratings.on_one_attribute(attribute)
    if threshold is None:
        threshold = _middle(ratings)
    outcome = (np.sign(ratings.value - threshold) + 1) / 2
    keep = np.ones(len(outcome), dtype=bool) if undecided == "tie" else outcome != 0.5
    items = _with_threshold(ratings.items)
    return Comparisons(
        items=items,
        users=ratings.users,
        user=ratings.user[keep],
        left=ratings.item[keep],
        right=np.full(int(keep.sum()), len(items) - 1),
        outcome=outcome[keep],
        weight=ratings.weight[keep],
        group=None if ratings.group is None else ratings.group[keep],
        groups=ratings.groups,
        time=None if ratings.time is None else ratings.time[keep],
        strength=np.abs(ratings.value - threshold)[keep],
        origin="votes",
        faults=ratings.faults,
    )


def _middle(ratings: Ratings) -> float:
    """The middle of the scale, or of the lowest and the highest value given."""
    counted = ratings.value[ratings.weight > 0]
    if len(counted) == 0:
        return 0.0
    seen = float(counted.min()), float(counted.max())
    low, high = ratings.scale.get(str(ratings.attributes[int(ratings.attribute[0])]), seen)
    if low == high:
        raise DataError(
            f"All ratings have the value {low:g}, so nothing says where votes for and against part.",
            fix="Pass threshold=..., or the scale of the ratings when they are read.",
        )
    return 0.5 * (low + high)


def _with_threshold(items: Items) -> Items:
    from pluralism.data.items import Items

    if THRESHOLD_ID in items.ids.to_pylist():
        raise DataError(
            f"An item has the id {THRESHOLD_ID!r}, which stands for the threshold of votes.",
            fix="Rename the item.",
        )
    if THRESHOLD in items.covariates:
        raise DataError(
            f"The items have a covariate {THRESHOLD!r}, which stands for the threshold of votes.",
            fix="Rename the covariate.",
        )

    def more(column: pa.Array | None, value: str | None) -> pa.Array | None:
        return None if column is None else pa.concat_arrays([column, pa.array([value], column.type)])

    covariates = {name: np.append(values, 0.0) for name, values in items.covariates.items()}
    covariates[THRESHOLD] = np.append(np.zeros(len(items)), 1.0)
    extended = Items(
        ids=more(items.ids, THRESHOLD_ID),
        texts=more(items.texts, THRESHOLD_TEXT),
        prompts=more(items.prompts, None),
        covariates=covariates,
    )
    if items.features is None:
        return extended
    # any vector would do, for the effect of the threshold makes up for it; the mean leaves least to make up for
    mean = items.features.mean(axis=0, dtype=np.float64, keepdims=True).astype(items.features.dtype)
    features = np.concatenate([items.features, mean if np.any(mean) else items.features[:1]])
    return extended.with_features(features, str(items.feature_space))
