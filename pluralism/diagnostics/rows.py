"""Rows in groups, and shares with their intervals: what several instruments need."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from pluralism.calibration.reliability import wilson_interval
from pluralism.errors import DataError, UsageError

__all__ = ["ALL", "as_flags", "as_numbers", "as_token_rows", "by_position", "shares_with_intervals", "splits"]

ALL = "all"
"""The name of the rows taken together."""


def splits(groups: Sequence[Hashable] | None, n: int) -> dict[str, Bool[np.ndarray, " rows"]]:
    """Which rows are meant by "all", and by each group in alphabetical order.

    Raises
    ------
    DataError
        If there are no rows, or not one group for each.
    """
    if n == 0:
        raise DataError("There are no rows.", fix="Pass at least one.")
    found = {ALL: np.ones(n, dtype=bool)}
    if groups is None:
        return found
    labels = np.array([str(group) for group in groups])
    if len(labels) != n:
        raise DataError(f"There are {n:,} rows and {len(labels):,} groups.", fix="Name the group of each row.")
    if ALL in labels:
        raise DataError(f"{ALL!r} is the name of all rows together.", fix="Give the group another name.")
    return found | {str(name): labels == name for name in np.unique(labels)}


def as_numbers(values: ArrayLike, name: str, shape: tuple[int, ...] | None = None) -> Float[np.ndarray, "*shape"]:
    """Finite float64 numbers of a shape; without one, of one axis.

    Raises
    ------
    DataError
        If they are not.
    """
    array = np.asarray(values, dtype=np.float64)
    fits = array.ndim == 1 if shape is None else array.shape == shape
    if not fits:
        wanted = "one axis" if shape is None else f"shape {shape}"
        raise DataError(f"{name} has shape {array.shape}, not {wanted}.", fix="Give one number for each row.")
    if not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))[0]
        raise DataError(
            f"{name} has NaN or infinite values.", where=f"row {int(bad[0]) + 1}", fix="Leave these rows out."
        )
    return array


def as_token_rows(
    values: Sequence[ArrayLike], name: str, low: float = -np.inf, high: float = np.inf
) -> list[Float[np.ndarray, " tokens"]]:
    """Finite float64 numbers in a range, one array of one axis for each answer, none empty.

    Raises
    ------
    DataError
        If they are not.
    """
    rows = [np.asarray(row, dtype=np.float64) for row in values]
    for k, row in enumerate(rows):
        # Numbers of a language model are sums in float32.
        if row.ndim != 1 or not row.size or not ((row >= low - 1e-5) & (row <= high + 1e-5) & np.isfinite(row)).all():
            raise DataError(
                f"{name} of an answer are finite numbers from {low:g} to {high:g}, one for each token.",
                where=f"answer {k + 1}",
                fix="Leave out answers without tokens, or that the model cannot give.",
            )
    return rows


def as_flags(values: ArrayLike, name: str, n: int) -> Bool[np.ndarray, " rows"]:
    """Booleans, or numbers 0 and 1.

    Raises
    ------
    DataError
        If they are not, or not one for each of the `n` rows.
    """
    array = np.asarray(values)
    if array.shape != (n,) or not (array.dtype == np.bool_ or np.isin(array, (0, 1)).all()):
        raise DataError(f"{name} must be {n:,} booleans.", fix="Give True or False for each row.")
    return array.astype(bool)


def shares_with_intervals(
    hits: Sequence[float] | np.ndarray, counts: Sequence[float] | np.ndarray, level: float
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """Shares hits / counts and their Wilson intervals; NaN where nothing is counted.

    Raises
    ------
    UsageError
        If the level is not strictly between 0 and 1.
    """
    if not 0 < level < 1:
        raise UsageError(f"level={level!r} is no coverage.", fix="Pass level=0.95.")
    n = np.asarray(counts, dtype=np.float64)
    share = np.divide(np.asarray(hits, dtype=np.float64), n, out=np.full(n.shape, np.nan), where=n > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = wilson_interval(share, n, level)
    return share, low, high


def by_position(
    values: Sequence[Float[np.ndarray, " tokens"]],
) -> tuple[Float[np.ndarray, " positions"], Int[np.ndarray, " positions"]]:
    """Means of rows of different lengths at each position, and how many rows reach it."""
    places = np.concatenate([np.arange(len(row)) for row in values])
    counts = np.bincount(places)
    return np.bincount(places, weights=np.concatenate(values)) / counts, counts
