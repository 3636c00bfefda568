"""Isotonic regression of outcomes on predictions, with tied predictions pooled and both orders of a pair entered."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from pluralism.calibration._inputs import Rows

__all__ = ["both_orders", "pooled_means"]


def both_orders(rows: Rows) -> Rows:
    """Each pair as (p, y) and as (1 - p, 1 - y), each of half the weight: what stood on the left no longer matters.

    Both orders are made from the distance of p to 1/2, so that p = 0.3 and the other order of p = 0.7 are one value.
    """
    y = rows.y.astype(float)
    weight = np.ones(len(y)) if rows.weight is None else rows.weight
    half = rows.p.astype(float) - 0.5
    return Rows(
        np.concatenate([0.5 + half, 0.5 - half]),
        np.concatenate([y, 1.0 - y]),
        0.5 * np.concatenate([weight, weight]),
    )


def pooled_means(
    rows: Rows,
) -> tuple[Float[np.ndarray, " values"], Float[np.ndarray, " values"], np.ndarray]:
    """The non-decreasing function of p that is closest to y in weighted squares, by pool adjacent violators.

    Returns
    -------
    tuple
        Distinct values of p, ascending; the fitted value at each; for each row the index of its p. Values that only
        rows of weight 0 have take the fit of their neighbours.
    """
    from scipy.optimize import isotonic_regression

    weight = np.ones(len(rows.p)) if rows.weight is None else rows.weight
    values, where = np.unique(rows.p.astype(float), return_inverse=True)
    total = np.bincount(where, weight, len(values))
    sums = np.bincount(where, weight * rows.y, len(values))
    heavy = total > 0
    fitted = isotonic_regression(sums[heavy] / total[heavy], weights=total[heavy]).x
    if heavy.all():
        return values, fitted, where
    return values, np.interp(values, values[heavy], fitted), where
