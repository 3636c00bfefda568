"""Vectors as an encoder returns them: none is used, or stored, before it has been looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from pluralism.errors import EncoderError

__all__ = ["RowsError", "bad_rows", "check_vectors", "normalise"]

_NAMED = 8


class RowsError(EncoderError):
    """An encoder error that knows which rows it is about.

    Attributes
    ----------
    rows : tuple of int
        Positions in the list of texts.
    """

    rows: tuple[int, ...] = ()


def bad_rows(what: str, rows: Sequence[int] | Int[np.ndarray, " rows"], fix: str) -> RowsError:
    """Make an error about some rows: ``what`` is continued by their number and their places."""
    positions = tuple(int(row) for row in sorted(rows))
    named = ", ".join(f"texts[{row}]" for row in positions[:_NAMED])
    more = f" and {len(positions) - _NAMED} more" if len(positions) > _NAMED else ""
    error = RowsError(what, where=named + more or None, fix=fix)
    error.rows = positions
    return error


def check_vectors(
    raw: Any, rows: Int[np.ndarray, " batch"], name: str, *, dim: int | None = None
) -> Float32[np.ndarray, "batch dim"]:
    """Return the vectors of some rows as float32, or name the rows that cannot be used.

    Parameters
    ----------
    raw : array-like, (batch, dim)
        What the encoder returned.
    rows : int array
        Positions of these texts in the job.
    name : str
        The encoder, for the message.
    dim : int, optional
        The dimension that is expected.

    Raises
    ------
    EncoderError
        Wrong number or length of vectors, NaN, infinity (also by overflow), zero norm.
    """
    try:
        given = np.asarray(raw)
        if given.dtype.kind not in "fiub":
            given = given.astype(np.float64)
    except (TypeError, ValueError) as cause:
        raise bad_rows(
            f"{name} returned vectors of unequal length, or no numbers at all.", rows, "Return an array (texts, dim)."
        ) from cause
    if given.ndim != 2 or given.shape[0] != len(rows):
        raise bad_rows(
            f"{name} returned an array of shape {given.shape} for {len(rows)} texts; ({len(rows)}, dim) is needed.",
            rows,
            "One vector a text, in the order of the texts.",
        )
    if given.shape[1] == 0 or (dim is not None and given.shape[1] != dim):
        expected = f", and {dim} is expected" if dim else ""
        raise bad_rows(
            f"{name} returned vectors of length {given.shape[1]}{expected}.",
            rows,
            "All vectors of one encoder have the same length.",
        )
    with np.errstate(over="ignore"):
        features = given.astype(np.float32, copy=False)
        squares = np.einsum("id,id->i", features, features, dtype=np.float64)
    if not np.isfinite(squares).all():
        raise bad_rows(
            f"{name} returned NaN, infinite or overflowing vectors.",
            rows[~np.isfinite(squares)],
            "Try dtype='float32'; if that does not help, look at those texts.",
        )
    if not squares.all():
        raise bad_rows(
            f"{name} returned zero vectors, which have no direction.",
            rows[squares == 0],
            "Look at those texts: they may be empty. Drop them, or use another encoder.",
        )
    return features


def normalise(features: Float32[np.ndarray, "texts dim"]) -> Float32[np.ndarray, "texts dim"]:
    """Scale every row to length one; zero rows, NaN and infinity stay, for `check_vectors` to find."""
    norms = np.sqrt(np.einsum("id,id->i", features, features, dtype=np.float64))
    with np.errstate(invalid="ignore"):
        return (features / np.where(norms > 0, norms, 1.0)[:, None]).astype(np.float32)
