"""What ensembles are made of: columns of features a member sees, weights of resampled people, members inside a file."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from pluralism.errors import DataError, UsageError
from pluralism.models.base import PreferenceModel, model_document, model_from_document, part_of

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items

__all__ = ["Columns", "member_arrays", "members_from", "own_weights", "stack_spaces", "warn_once", "with_columns"]

Columns = Int[np.ndarray, " columns"] | None
"""The feature columns that a member sees; None for all."""


def stack_spaces(items: Items, spaces: Mapping[str, Float[np.ndarray, "items _"]]) -> Items:
    """Items with the features of several encoders side by side, for members that see one encoder each.

    Parameters
    ----------
    items : Items
    spaces : mapping of str to array of shape (items, dim)
        Features by the name of their space, such as `embedded.feature_space`.

    Examples
    --------
    >>> from pluralism.data import Items
    >>> items = stack_spaces(Items.from_texts(["Yes.", "No."]), {"a": np.eye(2), "b": np.ones((2, 3))})
    >>> items.dim, items.feature_space
    (5, 'a + b')
    """
    if not spaces:
        raise UsageError("There are no features to stack.", fix="Pass at least one space.")
    return items.with_features(np.hstack(list(spaces.values())), " + ".join(spaces))


def with_columns(items: Items, columns: Columns, space: str | None = None) -> Items:
    """The items with some columns of their features, under the name of that part of the space."""
    if columns is None:
        return items
    if items.features is None:
        raise DataError("The items have no features.", fix="Call .embed(encoder) first.")
    name = space or f"{items.feature_space} of {len(columns)}/{hashlib.sha256(columns.tobytes()).hexdigest()[:8]}"
    return items._replace(features=np.ascontiguousarray(items.features[:, columns]), feature_space=name)


def own_weights(labels: Sequence[str], key: str) -> Float[np.ndarray, " labels"]:
    """Exponential weights of mean 1, each drawn from the label and the key alone: the Bayesian bootstrap.

    A label has its weight whatever the order of the data and whoever else is there, so that data with some people more
    give the same draws for the others.
    """
    digests = [hashlib.blake2b(f"{key}/{label}".encode(), digest_size=8).digest() for label in labels]
    whole = np.frombuffer(b"".join(digests), dtype=">u8").astype(np.float64)
    return -np.log((whole + 0.5) / 2.0**64)


def resampled(comparisons: Comparisons, by: str | None, key: str) -> Comparisons:
    """The comparisons with the weights of a Bayesian bootstrap over people or prompts; the total weight is kept.

    Raises
    ------
    UsageError
        For prompts of items that have none.
    """
    if by is None:
        return comparisons
    if by == "user":
        weight = own_weights(comparisons.users.to_pylist(), key)[comparisons.user]
    else:
        prompts = comparisons.items.prompts
        if prompts is None:
            raise UsageError(
                'resample="prompt" needs prompts, and the items have none.', fix='Pass resample="user", or prompts.'
            )
        names = np.array([prompt or "" for prompt in prompts.to_pylist()], dtype=object)
        distinct, codes = np.unique(names, return_inverse=True)
        # a pair across prompts belongs to the one that comes first by name, whichever side it stands on
        code = np.minimum(codes[comparisons.left], codes[comparisons.right])
        weight = own_weights(list(distinct), key)[code]
    weight = weight * comparisons.weight
    return comparisons._replace(weight=weight * (comparisons.weight.sum() / weight.sum()))


@contextmanager
def warn_once() -> Iterator[None]:
    """Let each kind of warning of several fits through once."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        yield
    said: set[type[Warning]] = set()
    for warning in heard:
        if warning.category not in said:
            said.add(warning.category)
            warnings.warn(warning.message, warning.category, stacklevel=4)


def member_arrays(
    members: Sequence[PreferenceModel], columns: Sequence[Columns]
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Members as documents and arrays of one file."""
    documents: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    for number, (member, seen) in enumerate(zip(members, columns, strict=True)):
        document, own = model_document(member)
        documents.append({**document, "all_columns": seen is None})
        arrays |= {f"member{number}/{name}": value for name, value in own.items()}
        if seen is not None:
            arrays[f"columns{number}"] = seen
    return documents, arrays


def members_from(
    documents: Sequence[Mapping[str, Any]], arrays: Mapping[str, np.ndarray], dim: int | None
) -> tuple[list[PreferenceModel], list[Columns]]:
    """Inverse of `member_arrays`; raises ValueError for columns that the features do not have."""
    members: list[PreferenceModel] = []
    columns: list[Columns] = []
    for number, document in enumerate(documents):
        members.append(model_from_document(document, part_of(arrays, f"member{number}")))
        seen = None if document["all_columns"] else arrays[f"columns{number}"]
        if seen is not None:
            fits = seen.dtype == np.int64 and seen.ndim == 1 and len(seen) == members[-1].dim_ and dim is not None
            if not fits or seen.min() < 0 or seen.max() >= (dim or 0):
                raise ValueError(f"the columns of member {number} do not fit the features")
        columns.append(seen)
    return members, columns
