"""Isotonic calibration: any non-decreasing function of the prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.calibration._inputs import as_probabilities, as_rows, check_values
from pluralism.calibration.isotonic_fit import both_orders, pooled_means
from pluralism.errors import DataError, NotFittedError, UsageError

__all__ = ["Isotonic", "fit_isotonic"]


class Isotonic:
    r"""Calibrate by the non-decreasing function of p that is closest to the outcomes [1]_.

    Between fitted values the function is linear, beyond them it is constant. It assumes nothing about the shape and
    needs more rows than a temperature: below some 1,000 a temperature is mostly the better choice. Fit it on rows
    that are used for nothing else.

    Parameters
    ----------
    mirrored : bool
        Enter each pair in both orders, so that the calibrated probabilities of (left, right) and (right, left) sum
        to 1. False where the two sides differ in kind.
    min_rows : int
        Fewest decided rows to accept.

    Attributes
    ----------
    values_, fitted_ : array of shape (values,)
        The function: fitted value at each distinct prediction.
    margin_ : float
        Calibrated probabilities are kept in [margin, 1 - margin] with margin 1 / (rows + 2): no rate can be known to
        be nearer to certain from so many rows (Laplace's rule), and one exception would cost an infinite loss.
    n_rows_ : int

    References
    ----------
    .. [1] B. Zadrozny and C. Elkan, "Transforming classifier scores into accurate multiclass probability estimates",
       KDD 2002.

    Examples
    --------
    >>> p, y = np.repeat([0.9, 0.6], 50), np.repeat([1, 0, 1, 0], [35, 15, 35, 15])
    >>> Isotonic().fit(p, y).transform([0.95, 0.75, 0.5, 0.1]).round(2)
    array([0.7, 0.7, 0.5, 0.3])
    """

    values_: Float[np.ndarray, " values"]
    fitted_: Float[np.ndarray, " values"]
    margin_: float
    n_rows_: int

    def __init__(self, *, mirrored: bool = True, min_rows: int = 20) -> None:
        self.mirrored = mirrored
        self.min_rows = min_rows

    def __repr__(self) -> str:
        fitted = f", {len(self.values_)} values" if hasattr(self, "values_") else ""
        return f"Isotonic(mirrored={self.mirrored}, min_rows={self.min_rows}{fitted})"

    def fit(self, p: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None) -> Isotonic:
        """Fit the function; parameters as in `log_loss`, ties count as half a win for either side.

        Raises
        ------
        DataError
            If there are too few decided rows.
        """
        rows = check_values(as_rows(p, y, weight))
        if self.min_rows < 1:
            raise UsageError(f"min_rows must be at least 1, not {self.min_rows!r}.", fix="Leave it at 20.")
        heavy = np.ones(len(rows.p), bool) if rows.weight is None else rows.weight > 0
        decided = int((heavy & (rows.y != 0.5)).sum())
        if decided < self.min_rows:
            raise DataError(
                f"Only {decided} decided row(s) to fit a calibration function on.",
                fix=f"Hold out at least {self.min_rows} such rows for calibration.",
            )
        values, fitted, _ = pooled_means(both_orders(rows) if self.mirrored else rows)
        self.margin_ = 1.0 / (float(heavy.sum()) + 2.0)
        self.values_, self.fitted_ = values, np.clip(fitted, self.margin_, 1 - self.margin_)
        self.n_rows_ = len(rows.p)
        return self

    def transform(self, p: ArrayLike) -> Float[np.ndarray, " pairs"]:
        """Calibrated probabilities, in [margin, 1 - margin]."""
        if not hasattr(self, "values_"):
            raise NotFittedError("This calibrator has not been fitted.", fix="Call fit(p, y) first.")
        q = as_probabilities(p).astype(float)
        return np.interp(q, self.values_, self.fitted_)

    def to_dict(self) -> dict[str, Any]:
        """What was fitted."""
        return {
            "kind": "isotonic",
            "mirrored": self.mirrored,
            "values": self.values_.tolist(),
            "fitted": self.fitted_.tolist(),
            "n_rows": self.n_rows_,
        }


def fit_isotonic(p: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None) -> Isotonic:
    """`Isotonic().fit(p, y)`.

    Examples
    --------
    >>> p, y = np.repeat([0.9, 0.2], 50), np.repeat([1, 0, 0, 1], [40, 10, 40, 10])
    >>> fit_isotonic(p, y).transform([0.9, 0.1]).round(2)
    array([0.8, 0.2])
    """
    return Isotonic().fit(p, y, weight=weight)
