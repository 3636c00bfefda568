"""The optional columns that all containers share: labels with gaps, times, strengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int32

from pluralism.data.arrays import code_vector, finite_vector, frozen, refuse_rows
from pluralism.data.faults import FaultLog
from pluralism.data.labels import clean_labels, encode_labels, string_column
from pluralism.data.sources import raw_column
from pluralism.errors import DataError

__all__ = ["arrow_labels", "arrow_times", "label_pair", "strength_vector", "time_vector", "weight_vector"]


def label_pair(
    codes: Any, labels: Any, name: str, n: int
) -> tuple[Int32[np.ndarray, " rows"] | None, pa.LargeStringArray | None]:
    """Codes (-1 unknown) and their labels, from both or from a column of labels with gaps; None without any."""
    if codes is None:
        return None, None
    if labels is not None:
        known = string_column(labels, name)
        return code_vector(codes, name, n, len(known), lowest=-1), known
    raw = raw_column(codes)
    log = FaultLog(f"argument {name!r}", len(raw))
    strings = clean_labels(raw, log, name, nullable=True)
    log.settle()
    found, known = encode_labels(strings)
    known = known.drop_null()
    if len(known) == 0 and n:
        return None, None
    return code_vector(found, name, n, len(known), lowest=-1), known


def time_vector(values: Any, n: int) -> np.ndarray:
    """Times as read-only float64 or datetime64; NaN or NaT where unknown."""
    times = np.asarray(values)
    if times.dtype.kind != "M":
        try:
            times = times.astype(np.float64)
        except (TypeError, ValueError):
            raise DataError("'time' must hold numbers or datetimes.", fix="Convert it to datetime64.") from None
    if times.shape != (n,):
        raise DataError(f"'time' has shape {times.shape}, not ({n},).", fix="Give one time for each row.")
    if times.dtype.kind == "f" and np.isinf(times).any():
        raise DataError("'time' has infinite values.", fix="Use NaN where the time is unknown.")
    return frozen(times.copy())


def strength_vector(values: Any, n: int) -> Float64[np.ndarray, " rows"]:
    """Strengths as read-only float64: finite and not negative, or NaN where unknown."""
    strength = np.array(values, dtype=np.float64)
    if strength.shape != (n,):
        raise DataError(f"'strength' has shape {strength.shape}, not ({n},).", fix="Give one strength for each row.")
    bad = np.flatnonzero((strength < 0) | np.isinf(strength))
    if len(bad):
        raise DataError(
            "A strength is negative or infinite.",
            where=f"rows {', '.join(str(row + 1) for row in bad[:5])}",
            fix="Give the preferred item's lead as a number from 0 on; the outcome says which item leads.",
        )
    return frozen(strength)


def weight_vector(values: Any, n: int) -> Float64[np.ndarray, " rows"]:
    """Weights as read-only float64, finite and not negative; 1 where none are given."""
    weight = finite_vector(np.ones(n) if values is None else values, "weight", n)
    refuse_rows(weight < 0, "A weight is negative", "Use weight 0 for rows that shall not count.")
    return weight


def arrow_labels(codes: Int32[np.ndarray, " rows"], labels: pa.LargeStringArray | None) -> pa.LargeStringArray:
    """Column of labels, null for -1."""
    known = pa.array([], pa.large_string()) if labels is None else labels
    return known.take(pa.array(codes, mask=codes < 0))


def arrow_times(time: np.ndarray) -> pa.Array:
    """Column of times, null where unknown."""
    return pa.array(time, mask=np.isnan(time)) if time.dtype.kind == "f" else pa.array(time)
