"""Platt scaling: a slope and an intercept on the log-odds."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from pluralism.calibration._inputs import as_probabilities, as_rows, check_values
from pluralism.calibration.scores import EPSILON
from pluralism.errors import DataError, NotFittedError, UsageError

__all__ = ["Platt", "fit_platt"]

MAX_STEPS = 200
LARGEST = 1e4


class Platt:
    r"""Calibrated probability :math:`\sigma(a \, \mathrm{logit}(p) + b)`, with a and b of greatest likelihood [1]_.

    The slope is one over a temperature. The intercept is what standing on the left adds in logits: unlike
    `Temperature`, this calibrator may change which item is favoured, so it suits predictions whose two sides differ
    in kind (shown first and second, "safe" and "unsafe"). Fit it on rows that are used for nothing else.

    Parameters
    ----------
    min_rows : int
        Fewest decided rows to accept.

    Attributes
    ----------
    slope_, intercept_ : float
    covariance_ : array of shape (2, 2)
        Of slope and intercept, from the curvature of the likelihood.
    n_rows_, n_iter_ : int
        Rows fitted on; Newton steps.

    References
    ----------
    .. [1] J. C. Platt, "Probabilistic outputs for support vector machines", 1999; here without the smoothing of the
       targets.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.uniform(0.05, 0.95, 4000)
    >>> y = rng.random(4000) < truth
    >>> Platt().fit(expit(2 * logit(truth) - 1), y)
    Platt(min_rows=20, slope_=0.4883, intercept_=0.5398)
    """

    slope_: float
    intercept_: float
    covariance_: Float[np.ndarray, "2 2"]
    n_rows_: int
    n_iter_: int

    def __init__(self, *, min_rows: int = 20) -> None:
        self.min_rows = min_rows

    def __repr__(self) -> str:
        fitted = ""
        if hasattr(self, "slope_"):
            fitted = f", slope_={self.slope_:.4g}, intercept_={self.intercept_:.4g}"
        return f"Platt(min_rows={self.min_rows}{fitted})"

    def fit(self, p: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None) -> Platt:
        """Fit slope and intercept; parameters as in `log_loss`, ties count as half a win for either side.

        Raises
        ------
        DataError
            If there are too few decided rows, all predictions are the same, or a threshold on p parts the outcomes,
            so that a steeper slope is always better.
        """
        rows = check_values(as_rows(p, y, weight))
        if self.min_rows < 1:
            raise UsageError(f"min_rows must be at least 1, not {self.min_rows!r}.", fix="Leave it at 20.")
        w = np.ones(len(rows.p)) if rows.weight is None else rows.weight
        decided = int(((rows.y != 0.5) & (w > 0)).sum())
        if decided < self.min_rows:
            raise DataError(
                f"Only {decided} decided row(s) to fit a slope and an intercept on.",
                fix=f"Hold out at least {self.min_rows} such rows for calibration.",
            )
        z = logit(np.clip(rows.p.astype(float), EPSILON, 1 - EPSILON))
        spread = np.ptp(z[w > 0])
        if spread == 0:
            raise DataError(
                "All predictions are the same, so no slope can be fitted.",
                fix="Check the model; predictions that never differ need no calibration.",
            )
        design = np.column_stack([z, np.ones(len(z))])
        found, information, self.n_iter_ = _newton(design, rows.y.astype(float), w)
        if found is None or abs(found[0]) * spread > LARGEST:
            raise DataError(
                "A threshold on the prediction parts the outcomes, so no finite slope fits best.",
                fix="Calibrate on more rows, or keep the predictions as they are.",
            )
        self.slope_, self.intercept_ = float(found[0]), float(found[1])
        self.covariance_ = np.linalg.inv(information)
        self.n_rows_ = len(z)
        return self

    def transform(self, p: ArrayLike) -> Float[np.ndarray, " pairs"]:
        """Calibrated probabilities, in [0, 1]."""
        if not hasattr(self, "slope_"):
            raise NotFittedError("This calibrator has not been fitted.", fix="Call fit(p, y) first.")
        z = logit(np.clip(as_probabilities(p).astype(float), EPSILON, 1 - EPSILON))
        return expit(self.slope_ * z + self.intercept_)

    def to_dict(self) -> dict[str, Any]:
        """What was fitted."""
        return {"kind": "platt", "slope": self.slope_, "intercept": self.intercept_, "n_rows": self.n_rows_}


def fit_platt(p: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None) -> Platt:
    """`Platt().fit(p, y)`.

    Examples
    --------
    >>> p, y = np.repeat([0.9, 0.2], 50), np.repeat([1, 0, 0, 1], [40, 10, 35, 15])
    >>> fit_platt(p, y).transform([0.9, 0.2]).round(2)
    array([0.8, 0.3])
    """
    return Platt().fit(p, y, weight=weight)


def _newton(
    design: Float[np.ndarray, "pairs 2"], y: Float[np.ndarray, " pairs"], w: Float[np.ndarray, " pairs"]
) -> tuple[Float[np.ndarray, " 2"] | None, Float[np.ndarray, "2 2"], int]:
    """Newton's method with halved steps on a concave likelihood; None where it runs away."""
    at = np.array([1.0, 0.0])
    value = _loss(design @ at, y, w)
    for step in range(1, MAX_STEPS + 1):
        q = expit(design @ at)
        gradient = design.T @ (w * (q - y))
        information = design.T @ (design * (w * q * (1 - q))[:, None])
        if not np.isfinite(information).all() or np.linalg.cond(information) > 1e14:
            return None, information, step
        move = np.linalg.solve(information, gradient)
        size = 1.0
        while (new := _loss(design @ (at - size * move), y, w)) > value + 1e-12 * abs(value) and size > 1e-8:
            size *= 0.5
        at, value = at - size * move, new
        if np.abs(size * move).max() <= 1e-10 * (1 + np.abs(at).max()):
            return at, information, step
    return None, information, MAX_STEPS


def _loss(z: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    return float(w @ (np.logaddexp(0.0, z) - y * z))
