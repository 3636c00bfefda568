"""Temperature scaling: one number that makes predictions as sure as they should be."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from pluralism.calibration._inputs import as_probabilities, as_rows, check_values
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
        rows = check_values(as_rows(p, y, weight))
        if self.min_rows < 1:
            raise UsageError(f"min_rows must be at least 1, not {self.min_rows!r}.", fix="Leave it at 20.")
        clipped = np.clip(rows.p.astype(float, copy=False), EPSILON, 1 - EPSILON)
        z = np.log(clipped / (1 - clipped))
        # Read each row from the side it favours: the likelihood stays the same and all log-odds are positive.
        wins = np.where(z < 0, 1 - rows.y, rows.y)
        z = np.abs(z)
        w = np.ones(len(z)) if rows.weight is None else rows.weight
        decided = int(np.count_nonzero((wins != 0.5) & (z > 0) & (w > 0)))
        if decided < self.min_rows:
            raise DataError(
                f"Only {decided} decided row(s) with an uneven prediction to fit a temperature on.",
                fix=f"Hold out at least {self.min_rows} such rows for calibration.",
            )
        wzy = w * z * wins
        soft_target = wzy.sum()
        if w @ z <= soft_target * (1 + 1e-12):
            raise DataError(
                "Every row is predicted right, so no finite temperature fits best.",
                fix="Calibrate on more rows, or keep the predictions as they are.",
            )
        if 0.5 * (w @ z) >= soft_target:
            raise DataError(
                "The predictions do not favour what is preferred on these rows: no positive temperature mends that.",
                fix="Check that outcomes are coded 1 where the left item is preferred, and that the model fits.",
            )
        inverse, curvature, self.n_iter_ = _minimise(z, w, wzy)
        self.temperature_ = 1 / inverse
        self.standard_error_ = float(1 / (np.sqrt(curvature) * inverse**2))
        self.n_rows_ = len(z)
        return self

    def transform(self, p: ArrayLike) -> Float[np.ndarray, " pairs"]:
        """Calibrated probabilities, in [0, 1]; 0 and 1 stay what they are."""
        if not hasattr(self, "temperature_"):
            raise NotFittedError("This temperature has not been fitted.", fix="Call fit(p, y) first.")
        return expit(logit(as_probabilities(p).astype(float, copy=False)) / self.temperature_)


def fit_temperature(p: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None) -> Temperature:
    """`Temperature().fit(p, y)`.

    Examples
    --------
    >>> p, y = np.repeat([0.9, 0.2], 50), np.repeat([1, 0, 0, 1], [40, 10, 35, 15])
    >>> fit_temperature(p, y).temperature_ > 1
    True
    """
    return Temperature().fit(p, y, weight=weight)


def _minimise(z: np.ndarray, w: np.ndarray, wzy: np.ndarray) -> tuple[float, float, int]:
    """Root of the gradient in the inverse temperature, its curvature there, and the passes over all rows.

    A sample of the rows gives the start, so that the full data are read two or three times.
    """
    inverse = 1.0
    if len(z) > 8 * SAMPLE:
        part = slice(None, None, len(z) // SAMPLE)
        inverse, _, _ = _newton(np.ascontiguousarray(z[part]), np.ascontiguousarray(w[part]), wzy[part].sum(), inverse)
        inverse = inverse if 1e-3 < inverse < 1e3 else 1.0
    return _newton(z, w, wzy.sum(), inverse)


def _newton(z: np.ndarray, w: np.ndarray, target: float, inverse: float) -> tuple[float, float, int]:
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


def _pass_over(z: np.ndarray, w: np.ndarray, inverse: float) -> Callable[[slice], np.ndarray]:
    return lambda rows: _derivatives(z[rows], w[rows], inverse)


@numba.njit(nogil=True, cache=True)
def _derivatives(z: np.ndarray, w: np.ndarray, inverse: float) -> np.ndarray:
    """Sums of w z sigma(inverse z) and of its derivative in `inverse`; all z are at least 0."""
    value, curvature = 0.0, 0.0
    for i in range(len(z)):
        miss = np.exp(-inverse * z[i])
        hit = 1.0 / (1.0 + miss)
        value += w[i] * z[i] * hit
        curvature += w[i] * z[i] * z[i] * hit * hit * miss
    return np.array([value, curvature])
