"""Where values stand in a picture: wiser ones higher, neighbours near each other, none on top of another."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

__all__ = ["COLUMN", "ROW", "layered_layout"]

ROW, COLUMN = 190.0, 170.0
SWEEPS = 8


def layered_layout(
    order: Int[np.ndarray, " values"], source: Int[np.ndarray, " edges"], wiser: Int[np.ndarray, " edges"]
) -> Float[np.ndarray, "values two"]:
    """Places in rows of about equal length, the first of the order in the highest.

    Within a row values are sorted by the mean place of those they are judged with, over several sweeps, which shortens
    the lines between them.

    Parameters
    ----------
    order : int array of shape (values,)
        All values, wisest first.
    source, wiser : int arrays of shape (edges,)

    Returns
    -------
    array of shape (values, 2)
        x and y, from (COLUMN, ROW) / 2 on, with y growing downwards.
    """
    n = len(order)
    length = max(1, int(np.ceil(np.sqrt(1.4 * n))))
    rows = [order[start : start + length] for start in range(0, n, length)]
    x, y = np.zeros(n), np.zeros(n)
    for i, row in enumerate(rows):
        y[row] = (i + 0.5) * ROW
        x[row] = _spread(len(row), length)
    total = np.bincount(source, minlength=n) + np.bincount(wiser, minlength=n)
    for _ in range(SWEEPS):
        pulled = np.bincount(source, x[wiser], n) + np.bincount(wiser, x[source], n)
        mean = np.where(total > 0, pulled / np.maximum(total, 1), x)
        for row in rows:
            x[row[np.argsort(mean[row], kind="stable")]] = _spread(len(row), length)
    return np.stack([x, y], axis=1)


def _spread(n: int, length: int) -> Float[np.ndarray, " row"]:
    """Places of n values, centred in a row of so many."""
    return (np.arange(n) + 0.5 + (length - n) / 2.0) * COLUMN
