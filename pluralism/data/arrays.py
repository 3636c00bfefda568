"""Checked, read-only vectors: the columns of all containers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64, Int, Int32

from pluralism.errors import DataError, UsageError

__all__ = ["Column", "as_indices", "code_vector", "finite_vector", "frozen", "refuse_rows"]

Column: TypeAlias = Sequence[Any] | np.ndarray | pa.Array | pa.ChunkedArray
"""What users may pass for one column."""


def code_vector(values: Any, name: str, n: int, n_codes: int, *, lowest: int = 0) -> Int32[np.ndarray, " rows"]:
    """Values as read-only int32 codes in [lowest, n_codes); anything else is a `DataError`."""
    vector = np.asarray(values)
    if vector.shape != (n,) or (vector.dtype.kind not in "iu" and n):
        raise DataError(
            f"{name!r} must be {n:,} integer codes, not {vector.dtype} of shape {vector.shape}.",
            fix="Give one integer code for each row.",
        )
    bad = np.flatnonzero((vector < lowest) | (vector >= n_codes))
    if len(bad):
        raise DataError(
            f"{name!r} has the code {int(vector[bad[0]])}, which is not between {lowest} and {n_codes - 1}.",
            where=f"rows {', '.join(str(row + 1) for row in bad[:5])}",
            fix=f"Codes of {name!r} count from {lowest}; check that they belong to these labels.",
        )
    return frozen(vector.astype(np.int32, copy=True))


def finite_vector(values: Any, name: str, n: int) -> Float64[np.ndarray, " rows"]:
    """Values as a read-only float64 vector of length n; anything else is a `DataError`."""
    try:
        vector = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name!r} must hold numbers.", fix="Convert it to floats first.") from None
    if vector.shape != (n,):
        raise DataError(f"{name!r} has shape {vector.shape}, not ({n},).", fix="Give one number for each row.")
    bad = np.flatnonzero(~np.isfinite(vector))
    if len(bad):
        raise DataError(
            f"{name!r} has {len(bad):,} NaN or infinite values.",
            where=f"rows {', '.join(str(row + 1) for row in bad[:5])}",
            fix="Fill these values or remove these rows.",
        )
    return frozen(vector)


def as_indices(index: Any, n: int) -> Int[np.ndarray, " taken"]:
    """Turn a boolean mask, a slice or integers into row indices; indices outside [0, n) are refused."""
    if isinstance(index, slice):
        return np.arange(n)[index]
    rows = np.asarray(index)
    if rows.dtype == bool:
        if rows.shape != (n,):
            raise UsageError(
                f"A mask of shape {rows.shape} does not fit {n:,} rows.", fix="Give one bool for each row."
            )
        return np.flatnonzero(rows)
    if rows.size == 0:
        return np.zeros(0, dtype=np.int64)
    if rows.ndim != 1 or rows.dtype.kind not in "iu":
        raise UsageError("Rows are taken by a mask, a slice or a 1-D array of integers.", fix="Pass one of these.")
    if rows.min() < 0 or rows.max() >= n:
        raise UsageError(
            f"Row {int(rows.min() if rows.min() < 0 else rows.max())} is not between 0 and {n - 1}.",
            fix="Count rows from 0; negative rows are not understood as counted from the end.",
        )
    return rows.astype(np.int64, copy=False)


def frozen(array: np.ndarray) -> np.ndarray:
    """Forbid writing to an array that is ours, and return it."""
    array.flags.writeable = False
    return array


def refuse_rows(bad: Bool[np.ndarray, " rows"], what: str, fix: str) -> None:
    """Raise a `DataError` that names the first bad rows, if there are any."""
    rows = np.flatnonzero(bad)
    if len(rows):
        places = ", ".join(str(row + 1) for row in rows[:5])
        raise DataError(f"{what} in {len(rows):,} row{'s' * (len(rows) > 1)}.", where=f"rows {places}", fix=fix)
