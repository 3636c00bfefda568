"""Probabilities, outcomes and weights as arrays the kernels take, or an error that names the row."""

from __future__ import annotations

from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from pluralism.errors import DataError, UsageError


class Rows(NamedTuple):
    """Checked input: probabilities `p`, outcomes `y` and weights (None where all weigh 1), all one-dimensional."""

    p: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None

    @property
    def total(self) -> float:
        """Sum of the weights."""
        return float(len(self.p) if self.weight is None else self.weight.sum())


def as_rows(p: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None) -> Rows:
    """Check the shapes and the weights; the values of `p` and `y` are left to `check_values` or to a kernel."""
    rows = Rows(_column(p, "p"), _column(y, "y"), None if weight is None else _weights(weight))
    if len(rows.p) == 0:
        raise DataError("There are no rows to score.", fix="Pass at least one probability and outcome.")
    for name, column in (("y", rows.y), ("weight", rows.weight)):
        if column is not None and len(column) != len(rows.p):
            raise UsageError(
                f"p has {len(rows.p)} rows and {name} has {len(column)}.", fix="Pass arrays of one length."
            )
    if rows.total <= 0:
        raise DataError("All weights are zero.", fix="Pass at least one row of positive weight.")
    return rows


def check_values(rows: Rows) -> Rows:
    """Refuse probabilities and outcomes that are not in [0, 1]."""
    for column in (rows.p, rows.y):
        if not ((column >= 0) & (column <= 1)).all():
            refuse(rows)
    return rows


def refuse(rows: Rows) -> NoReturn:
    """Say which row holds the first probability, or else the first outcome, outside [0, 1]."""
    name, column, fix = "probability", rows.p, "Pass probabilities, not logits."
    if ((column >= 0) & (column <= 1)).all():
        name, column, fix = "outcome", rows.y, "Code outcomes as 1 (left), 0 (right) or 0.5 (tie)."
    bad = np.flatnonzero(~((column >= 0) & (column <= 1)))
    raise DataError(
        f"{len(bad)} {name} value(s) are not in [0, 1]; the first is {column[bad[:1]]!s}.",
        where=f"row {', '.join(str(row + 1) for row in bad[:5])}",
        fix=fix,
    )


def as_probabilities(p: ArrayLike) -> np.ndarray:
    """One column of probabilities, all in [0, 1]."""
    column = _column(p, "p")
    check_values(Rows(column, column, None))
    return column


def as_n_bins(n_bins: int) -> int:
    """A usable number of bins."""
    if n_bins < 1 or n_bins != int(n_bins):
        raise UsageError(f"n_bins must be a whole number of at least 1, not {n_bins!r}.", fix="15 is a usual choice.")
    return int(n_bins)


def as_level(level: float) -> float:
    """A usable coverage level."""
    if not 0 < level < 1:
        raise UsageError(f"level must lie strictly between 0 and 1, not {level!r}.", fix="Pass level=0.95.")
    return float(level)


def _column(values: ArrayLike, name: str) -> np.ndarray:
    column = np.asarray(values)
    if column.ndim != 1 or column.dtype.kind not in "fiub":
        raise UsageError(
            f"{name} must be one column of numbers, not an array of shape {column.shape} and type {column.dtype}.",
            fix="Pass one probability and one outcome a row; a column of a matrix is matrix[:, k].",
        )
    if column.dtype == np.bool_:
        return column.view(np.uint8)
    return column if column.dtype in (np.float64, np.float32, np.int64, np.uint8) else column.astype(np.float64)


def _weights(weight: ArrayLike) -> np.ndarray:
    column = _column(weight, "weight").astype(np.float64, copy=False)
    bad = np.flatnonzero(~(np.isfinite(column) & (column >= 0)))
    if len(bad):
        raise DataError(
            f"{len(bad)} weight(s) are negative or not finite; the first is {column[bad[0]]!s}.",
            where=f"row {bad[0] + 1}",
            fix="Weights are finite and at least 0.",
        )
    return column
