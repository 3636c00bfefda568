"""Temperature scaling: one number that makes predictions as sure as they should be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from pluralism.calibration._inputs import Rows, as_probabilities, as_rows, refuse
from pluralism.calibration._kernels import sum_over_blocks
from pluralism.calibration.scores import EPSILON
from pluralism.errors import DataError, NotFittedError, UsageError

__all__ = ["Temperature", "fit_temperature"]

SAMPLE = 20_000
MAX_STEPS = 500


class Temperature:
    r"""Divide the log-odds of predictions by one temperature, fitted on rows that are used for nothing else.

    The calibrated probability is :math:`\sigma(\mathrm{logit}(p) / T)` with T of greatest likelihood [1]_. T above 1
    means the predictions were over-confident. Which item is favoured never changes.

    Parameters
    ----------
    min_rows : int
        Fewest decided rows to accept.

    Attributes
    ----------
    temperature_ : float
        The fitted T, above 0.
    standard_error_ : float
        Of T, from the curvature of the likelihood.
    n_rows_ : int
        Rows fitted on.
    n_iter_ : int
        Newton steps.

    References
    ----------
    .. [1] C. Guo et al., "On calibration of modern neural networks", ICML 2017.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.uniform(0.05, 0.95, 4000)
    >>> y = rng.random(4000) < truth
    >>> too_sure = truth**2 / (truth**2 + (1 - truth) ** 2)
    >>> scaler = Temperature().fit(too_sure[:2000], y[:2000])
    >>> round(scaler.temperature_)
    2
    >>> calibrated = scaler.transform(too_sure[2000:])
    """

    temperature_: float
    standard_error_: float
    n_rows_: int
    n_iter_: int

    def __init__(self, *, min_rows: int = 20) -> None:
        self.min_rows = min_rows

    def __repr__(self) -> str:
        fitted = f", temperature_={self.temperature_:.4g}" if hasattr(self, "temperature_") else ""
        return f"Temperature(min_rows={self.min_rows}{fitted})"

    def fit(self, p: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None) -> Temperature:
        """Fit the temperature; parameters as in `log_loss`, ties count as half a win for either side.

        Raises
        ------
        DataError
            If there are too few decided rows, if every one of them is predicted right (any lower temperature would
            be better still), or if the predictions do not favour what is preferred at all.
        """
        rows = as_rows(p, y, weight)
        if self.min_rows < 1:
            raise UsageError(f"min_rows must be at least 1, not {self.min_rows!r}.", fix="Leave it at 20.")
        z, (invalid, decided, total, target) = _log_odds(rows)
        if invalid:
            refuse(rows)
        if decided < self.min_rows:
            raise DataError(
                f"Only {decided:.0f} decided row(s) with an uneven prediction to fit a temperature on.",
                fix=f"Hold out at least {self.min_rows} such rows for calibration.",
            )
        if total <= target * (1 + 1e-12):
            raise DataError(
                "Every row is predicted right, so no finite temperature fits best.",
                fix="Calibrate on more rows, or keep the predictions as they are.",
            )
        if 0.5 * total >= target:
            raise DataError(
                "The predictions do not favour what is preferred on these rows: no positive temperature mends that.",
                fix="Check that outcomes are coded 1 where the left item is preferred, and that the model fits.",
            )
        inverse, curvature, self.n_iter_ = _newton(z, rows.weight, target, _start(rows))
        self.temperature_ = 1 / inverse
        self.standard_error_ = float(1 / (np.sqrt(curvature) * inverse**2))
        self.n_rows_ = len(z)
        return self

    def transform(self, p: ArrayLike) -> Float[np.ndarray, " pairs"]:
        """Calibrated probabilities, in [0, 1]; 0 and 1 stay what they are."""
        if not hasattr(self, "temperature_"):
            raise NotFittedError("This temperature has not been fitted.", fix="Call fit(p, y) first.")
        return expit(logit(as_probabilities(p).astype(float, copy=False)) / self.temperature_)

    def to_dict(self) -> dict[str, Any]:
        """What was fitted."""
        return {
            "kind": "temperature",
            "temperature": self.temperature_,
            "standard_error": self.standard_error_,
            "n_rows": self.n_rows_,
        }


def fit_temperature(p: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None) -> Temperature:
    """`Temperature().fit(p, y)`.

    Examples
    --------
    >>> p, y = np.repeat([0.9, 0.2], 50), np.repeat([1, 0, 0, 1], [40, 10, 35, 15])
    >>> fit_temperature(p, y).temperature_ > 1
    True
    """
    return Temperature().fit(p, y, weight=weight)


def _log_odds(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of each row, read from the side it favours, and the sums that `_orient` returns."""
    z = np.empty(len(rows.p))
    sums = sum_over_blocks(
        lambda s: _orient(rows.p[s], rows.y[s], None if rows.weight is None else rows.weight[s], EPSILON, z[s]), len(z)
    )
    return z, sums


def _start(rows: Rows) -> float:
    """The optimum on a sample of many rows, so that all of them are read two or three times only; 1 for few rows."""
    if len(rows.p) <= 8 * SAMPLE:
        return 1.0
    part = slice(None, None, len(rows.p) // SAMPLE)
    sample = Rows(rows.p[part], rows.y[part], None if rows.weight is None else rows.weight[part])
    z, (_, _, _, target) = _log_odds(sample)
    inverse, _, _ = _newton(z, sample.weight, target, 1.0)
    return inverse if 1e-3 < inverse < 1e3 else 1.0


def _newton(z: np.ndarray, w: np.ndarray | None, target: float, inverse: float) -> tuple[float, float, int]:
    """Newton steps kept inside a shrinking bracket; the last step is below 1e-7, its square below rounding."""
    low, high = 0.0, np.inf
    for step in range(1, MAX_STEPS + 1):
        value, curvature = sum_over_blocks(_pass_over(z, w, inverse), len(z))
        low, high = (inverse, high) if value < target else (low, inverse)
        proposal = inverse - (value - target) / curvature if curvature > 0 else np.inf
        if abs(proposal - inverse) <= 1e-7 * inverse:
            return float(proposal), float(curvature), step
        if not low <= proposal <= high or not np.isfinite(proposal):
            proposal = 0.5 * (low + high) if np.isfinite(high) else 2 * inverse
        inverse = proposal
    return float(inverse), float(curvature), step


def _pass_over(z: np.ndarray, w: np.ndarray | None, inverse: float) -> Callable[[slice], np.ndarray]:
    return lambda rows: _derivatives(z[rows], None if w is None else w[rows], inverse)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _orient(p: np.ndarray, y: np.ndarray, weight: np.ndarray | None, epsilon: float, z: np.ndarray) -> np.ndarray:
    """Fill `z`; returns invalid rows, decided rows with an uneven prediction, sum of w z, sum of w z wins.

    Read from the side it favours, a row has the same likelihood and log-odds of at least 0.
    """
    invalid, decided, total, target = 0.0, 0.0, 0.0, 0.0
    for i in range(len(p)):
        left, outcome = np.float64(p[i]), np.float64(y[i])
        invalid += not ((left >= 0.0) & (left <= 1.0) & (outcome >= 0.0) & (outcome <= 1.0))
        wins = outcome if left > 0.5 else 1.0 - outcome
        sure = min(max(left, 1.0 - left), 1.0 - epsilon)
        z[i] = np.log(sure / (1.0 - sure))
        w = 1.0 if weight is None else weight[i]
        decided += (wins != 0.5) & (z[i] > 0.0) & (w > 0.0)
        total += w * z[i]
        target += w * z[i] * wins
    return np.array([invalid, decided, total, target])


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _derivatives(z: np.ndarray, weight: np.ndarray | None, inverse: float) -> np.ndarray:
    """Sums of w z sigma(inverse z) and of its derivative in `inverse`; all z are at least 0."""
    value, curvature = 0.0, 0.0
    for i in range(len(z)):
        miss = np.exp(-inverse * z[i])
        hit = 1.0 / (1.0 + miss)
        w = 1.0 if weight is None else weight[i]
        value += w * z[i] * hit
        curvature += w * z[i] * z[i] * hit * hit * miss
    return np.array([value, curvature])
