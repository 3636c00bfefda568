"""Validators of raw columns, shared by the containers (which stop at the first fault) and by `check` (which lists all).

A validator looks at one column and gives back a `Fault` or None. It never raises for
what is in the data and never changes a value.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Int

__all__ = [
    "Fault",
    "bad_range",
    "likely_misspellings",
    "not_numbers",
    "number_faults",
    "to_numbers",
]

_NUMBER = r"^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$"
_NOT_A_NUMBER = r"(?i)^\s*([+-]?nan|n/a|null|none)?\s*$"
_INFINITE = r"(?i)^\s*[+-]?inf(inity)?\s*$"


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault in one column.

    Parameters
    ----------
    kind : str
        Name of the check that it fails, such as ``"outcome range"``.
    column : str
        The column, or the columns joined by a comma.
    rows : (faulty,) int64
        Zero-based rows at fault; never empty.
    values : tuple
        The values found in the first few of these rows.
    what, fix : str
        What is wrong and what to do, without row numbers.
    """

    kind: str
    column: str
    rows: Int[np.ndarray, " faulty"]
    values: tuple[Any, ...]
    what: str
    fix: str


def likely_misspellings(names: Iterable[str], known: Sequence[str]) -> dict[str, str]:
    """Unknown column names that are close to a known one which is absent: found name -> meant name.

    Examples
    --------
    >>> likely_misspellings(["user", "Left", "rigth", "mood"], ["user", "left", "right", "outcome"])
    {'Left': 'left', 'rigth': 'right'}
    """
    found = list(names)
    absent = [name for name in known if name not in found]
    meant: dict[str, str] = {}
    for name in found:
        if name in known:
            continue
        plain = name.strip().strip("\ufeff").lower()
        close = difflib.get_close_matches(plain, [a for a in absent if a not in meant.values()], n=1, cutoff=0.75)
        if close:
            meant[name] = close[0]
    return meant


def not_numbers(column: pa.ChunkedArray, name: str) -> Fault | None:
    """Rows whose cell is text that cannot be read as a number; empty cells and NaN are left to the caller."""
    if not _is_text(column.type):
        if _is_number(column.type):
            return None
        at_fault = ~_null(column)
    else:
        readable = pc.or_(pc.match_substring_regex(column, _NUMBER), pc.match_substring_regex(column, _NOT_A_NUMBER))
        readable = pc.or_(readable, pc.match_substring_regex(column, _INFINITE))
        at_fault = ~_to_bool(pc.fill_null(readable, True))
    return _fault(
        "numbers",
        name,
        at_fault,
        column,
        f"Column {name!r} must hold numbers.",
        f"Write {name!r} as plain numbers, with a point and without units.",
    )


def to_numbers(column: pa.ChunkedArray) -> Float[np.ndarray, " rows"]:
    """The column as float64, with NaN wherever the cell is empty or cannot be read as a number."""
    if _is_text(column.type):
        finite = pc.match_substring_regex(column, _NUMBER)
        numbers = pc.cast(
            pc.utf8_trim_whitespace(pc.if_else(finite, column, pa.scalar(None, column.type))), pa.float64()
        )
        values = _to_float(numbers)
        infinite = _to_bool(pc.fill_null(pc.match_substring_regex(column, _INFINITE), False))
        values[infinite] = np.inf
        return values
    if not _is_number(column.type):
        return np.full(len(column), np.nan)
    return _to_float(pc.cast(column, pa.float64(), safe=False))


def number_faults(
    column: pa.ChunkedArray, name: str, *, low: float = -np.inf, high: float = np.inf
) -> tuple[Float[np.ndarray, " rows"], list[Fault]]:
    """All that can be wrong with a column of numbers: text, empty cells, NaN, infinities, values outside [low, high].

    Returns
    -------
    values : (rows,) float64
        NaN where there is no number.
    faults : list of Fault
    """
    values = to_numbers(column)
    unreadable = not_numbers(column, name)
    missing = np.isnan(values)
    if unreadable is not None:
        missing[unreadable.rows] = False
    absent = _fault(
        "missing values",
        name,
        missing,
        column,
        f"Column {name!r} has empty cells or NaN.",
        f"Fill in {name!r} or remove these rows.",
    )
    found = (unreadable, absent, bad_range(values, name, low=low, high=high))
    return values, [fault for fault in found if fault is not None]


def bad_range(
    values: Float[np.ndarray, " rows"], name: str, *, low: float, high: float, kind: str | None = None
) -> Fault | None:
    """Rows outside [low, high], infinities included; NaN is left to the caller."""
    with np.errstate(invalid="ignore"):
        at_fault = (values < low) | (values > high) | np.isinf(values)
    span = "finite"
    if np.isfinite(low):
        span = f"between {low:g} and {high:g}" if np.isfinite(high) else f"finite and at least {low:g}"
    return _fault(
        kind or f"{name} range",
        name,
        at_fault,
        values,
        f"Column {name!r} must be {span}.",
        f"Rescale {name!r} or remove these rows.",
    )


def _fault(
    kind: str,
    column: str,
    at_fault: Bool[np.ndarray, " rows"],
    values: pa.ChunkedArray | np.ndarray,
    what: str,
    fix: str,
    *,
    n_values: int = 5,
) -> Fault | None:
    rows = np.flatnonzero(at_fault)
    if len(rows) == 0:
        return None
    picked = [values[int(row)] for row in rows[:n_values]]
    plain = tuple(value.as_py() if isinstance(value, pa.Scalar) else value.item() for value in picked)
    return Fault(kind, column, rows, plain, what, fix)


def _null(column: pa.ChunkedArray) -> Bool[np.ndarray, " rows"]:
    if _is_text(column.type) or not pa.types.is_floating(column.type):
        return _to_bool(pc.is_null(column))
    return _to_bool(pc.is_null(column, nan_is_null=True))


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
    )


def _to_bool(column: pa.ChunkedArray | pa.Array) -> Bool[np.ndarray, " rows"]:
    return np.asarray(
        column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy(), bool
    )


def _to_float(column: pa.ChunkedArray | pa.Array) -> Float[np.ndarray, " rows"]:
    filled = pc.fill_null(column, float("nan"))
    values = filled.to_numpy(zero_copy_only=False) if isinstance(filled, pa.Array) else filled.to_numpy()
    return np.array(values, dtype=np.float64)
