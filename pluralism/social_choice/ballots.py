"""Arrays of ballots: checked, dense, with whole counts; what all profiles are made of."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int16, Int64
from numpy.typing import ArrayLike

from pluralism.data.arrays import refuse_rows
from pluralism.errors import DataError, UsageError
from pluralism.social_choice.ballot_kernels import make_dense

__all__ = ["dense_levels", "merged", "whole_counts"]

LARGEST = 2**62
"""Counts times candidates stay below this, so that sums of sums fit into 64 bits."""


def dense_levels(levels: ArrayLike, n_candidates: int) -> Int16[np.ndarray, "ballots candidates"]:
    """Levels as 0, 1, 2, ... in each ballot and -1 for unlisted candidates; every ballot must list somebody."""
    array = np.asarray(levels)
    if array.ndim != 2 or array.shape[1] != n_candidates or array.dtype.kind not in "iu":
        raise DataError(
            f"Levels are whole numbers of shape (ballots, {n_candidates}), not {array.dtype} of shape {array.shape}.",
            fix="Give one level for each ballot and candidate; a negative one where the candidate is not listed.",
        )
    if n_candidates > np.iinfo(np.int16).max:
        raise DataError(
            f"{n_candidates:,} candidates are more than a profile holds ({np.iinfo(np.int16).max:,}).",
            fix="Choose among fewer candidates.",
        )
    largest = int(array.max(initial=0))
    if largest < np.iinfo(np.int16).max:
        dense = array.astype(np.int16)
        dense[array < 0] = -1
    else:
        dense = np.stack([np.unique(row, return_inverse=True)[1] for row in np.maximum(array, -1)]).astype(np.int16)
        dense -= (array < 0).any(axis=1, keepdims=True).astype(np.int16)
    make_dense(dense)
    refuse_rows(dense.max(axis=1, initial=-1) < 0, "A ballot lists no candidate", "Leave out empty ballots.")
    return dense


def whole_counts(
    counts: ArrayLike | None, n: int, denominator: int, n_candidates: int
) -> Int64[np.ndarray, " ballots"]:
    """Counts as int64, not negative, whose sums cannot overflow."""
    if not isinstance(denominator, int | np.integer) or denominator < 1:
        raise UsageError(f"denominator={denominator!r} is not possible.", fix="It is a whole number of at least 1.")
    if counts is None:
        return np.full(n, denominator, dtype=np.int64)
    array = np.asarray(counts)
    if array.shape != (n,) or (array.dtype.kind not in "iuf" and array.size):
        raise DataError(
            f"Counts are {n:,} whole numbers, not {array.dtype} of shape {array.shape}.",
            fix="Give one count for each ballot.",
        )
    if array.dtype.kind == "f":
        refuse_rows(
            ~(np.isfinite(array) & (array == np.floor(array))),
            "A count is not a whole number",
            "Give Fractions to from_orders, or shares to from_utilities.",
        )
    refuse_rows(array < 0, "A count is negative", "Counts are 0 or more.")
    if sum(map(int, array.tolist())) * max(n_candidates, 1) >= LARGEST:
        raise DataError("The counts add up to more than 64 bits hold.", fix="Use larger units.")
    return array.astype(np.int64)


def merged(
    rows: np.ndarray, counts: Int64[np.ndarray, " ballots"]
) -> tuple[np.ndarray, Int64[np.ndarray, " distinct"]]:
    """Distinct rows in a fixed order with the sums of their counts; rows of no count are left out."""
    cast = counts > 0
    distinct, where = np.unique(rows[cast], axis=0, return_inverse=True)
    sums = np.zeros(len(distinct), dtype=np.int64)
    np.add.at(sums, where.reshape(-1), counts[cast])
    return distinct, sums
