"""Scores of predicted probabilities: accuracy, log loss, Brier score and the signed confidence gap."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.calibration._inputs import as_rows, check_values
from pluralism.errors import DataError, UsageError

__all__ = ["EPSILON", "accuracy", "brier", "log_loss", "signed_confidence_gap"]

EPSILON = 1e-12
"""Probabilities are clipped to [EPSILON, 1 - EPSILON] before a logarithm is taken."""


def accuracy(p: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None) -> float:
    """Share of decided rows whose preferred item was predicted.

    Parameters
    ----------
    p : array of shape (pairs,)
        Probability that the left item is preferred, in [0, 1].
    y : array of shape (pairs,)
        Outcome in [0, 1]: above 0.5 left is preferred, below 0.5 right. Rows of exactly 0.5 (ties) are left out.
    weight : array of shape (pairs,), optional
        Weights, at least 0.

    Returns
    -------
    float
        In [0, 1]. A prediction of exactly 0.5 counts half.

    Raises
    ------
    DataError
        If nothing is decided, or a value lies outside its range.

    Examples
    --------
    >>> accuracy([0.9, 0.4, 0.5, 0.7], [1, 1, 0, 0.5])
    0.5
    """
    rows = check_values(as_rows(p, y, weight))
    correct = row_correct(rows.p, rows.y)
    decided = ~np.isnan(correct)
    w = decided.astype(float) if rows.weight is None else rows.weight * decided
    if w.sum() <= 0:
        raise DataError(
            "Accuracy is undefined: every row is a tie.", fix="Pass rows with a preference, or use log_loss or brier."
        )
    return float(w @ np.where(decided, correct, 0.0) / w.sum())


def log_loss(p: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None, epsilon: float = EPSILON) -> float:
    """Mean negative log-likelihood, in nats; outcomes between 0 and 1 count as soft labels.

    Parameters
    ----------
    p, y, weight
        As in `accuracy`; ties take part, as half a win for either side.
    epsilon : float
        Probabilities are clipped to [epsilon, 1 - epsilon], so that one certain mistake costs -log(epsilon).

    Examples
    --------
    >>> round(log_loss([0.5, 0.5], [1, 0.5]), 4)
    0.6931
    """
    rows = check_values(as_rows(p, y, weight))
    if not 0 < epsilon < 0.5:
        raise UsageError(f"epsilon must lie in (0, 0.5), not {epsilon!r}.", fix="Pass epsilon=1e-12.")
    return float(np.average(row_log_loss(rows.p, rows.y, epsilon), weights=rows.weight))


def brier(p: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None) -> float:
    """Mean of (p - y) squared, in [0, 1] [1]_; parameters as in `accuracy`, ties take part as y = 0.5.

    References
    ----------
    .. [1] G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review, 1950.

    Examples
    --------
    >>> brier([0.5, 1.0], [1, 1])
    0.125
    """
    rows = check_values(as_rows(p, y, weight))
    return float(np.average(row_brier(rows.p, rows.y), weights=rows.weight))


def signed_confidence_gap(p: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None) -> float:
    """How often predictions are right minus how sure they are, in [-1, 0.5]; negative means over-confident.

    With outcomes 0 and 1 this is accuracy - mean confidence, known as the balance score [1]_. Over-confidence here
    and under-confidence there cancel, so 0 does not mean calibrated, and the score is not proper: read it beside
    `ece`, whose size it never exceeds. Parameters as in `accuracy`; ties take part, as half right.

    References
    ----------
    .. [1] "Balance score", arXiv:2309.06248.

    Examples
    --------
    >>> round(signed_confidence_gap([0.9, 0.9, 0.2], [1, 0, 0]), 4)
    -0.2
    """
    rows = check_values(as_rows(p, y, weight))
    left = rows.p.astype(float, copy=False)
    gap = np.sign(left - 0.5) * (rows.y - left)
    return float(np.average(gap, weights=rows.weight))


def row_correct(p: np.ndarray, y: np.ndarray) -> Float[np.ndarray, " pairs"]:
    """1 where the preferred item was predicted, 0.5 for a prediction of exactly 0.5, NaN where the outcome is a tie."""
    side, told = np.sign(p - 0.5), np.sign(y - 0.5)
    return np.where(told == 0, np.nan, 0.5 + 0.5 * side * told)


def row_log_loss(p: np.ndarray, y: np.ndarray, epsilon: float = EPSILON) -> Float[np.ndarray, " pairs"]:
    """Negative log-likelihood of each row."""
    left = p.astype(float, copy=False)
    return -(
        y * np.log(np.clip(left, epsilon, 1 - epsilon)) + (1 - y) * np.log(np.clip(1 - left, epsilon, 1 - epsilon))
    )


def row_brier(p: np.ndarray, y: np.ndarray) -> Float[np.ndarray, " pairs"]:
    """Squared error of each row."""
    return np.square(p.astype(float, copy=False) - y)
