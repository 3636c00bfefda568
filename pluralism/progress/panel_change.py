"""Who changed? Three answers of the same people: real change told apart from errors of measurement."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtr, ndtri

from pluralism.calibration.text import json_ready
from pluralism.errors import DataError
from pluralism.evaluation.bootstrap import interval
from pluralism.random import RNG, as_generator

__all__ = ["Changes", "ThreeWaves", "three_waves"]


@dataclass(frozen=True, eq=False)
class Changes:
    """What is known of each person's real change from the first to the third wave.

    Attributes
    ----------
    mean, deviation : arrays of shape (users,)
        Of the change given the three answers, in units of the answers.
    up : array of shape (users,)
        Probability that the person moved up.
    """

    mean: Float[np.ndarray, " users"]
    deviation: Float[np.ndarray, " users"]
    up: Float[np.ndarray, " users"]

    def sure(self, level: float = 0.95) -> Bool[np.ndarray, " users"]:
        """Who moved, in a direction that is this probable."""
        return np.maximum(self.up, 1 - self.up) >= level


@dataclass(frozen=True, eq=False, repr=False)
class ThreeWaves:
    r"""Answers with errors, and true values that change.

    The model is :math:`y_t = \tau_t + e_t`, :math:`\tau_{t+1} = \beta_t \tau_t + \zeta_t`, about the means of waves.
    Three waves tell error from change, if errors are independent and of one variance, and real change has no memory:
    error lowers the correlations of all pairs of waves alike, change lowers that of the distant pair.

    Attributes
    ----------
    n : int
        People.
    means, variances : arrays of shape (3,)
        Of the answers.
    covariances : tuple of float
        Of the answers of waves 1 and 2, 2 and 3, 1 and 3.
    error_variance : float
    true_variances : array of shape (3,)
    reliability : array of shape (3,)
        True over total variance.
    stability : float
        Correlation of the true values of waves 1 and 3: 1 if nobody changes but all alike.
    interval : dict of str to tuple of float
        Bootstrap intervals over people of `reliability` (of wave 2) and `stability`, from the resamples that the model
        fits.
    fitted : float
        Share of the resamples that it fits; where that is low the intervals are too narrow.
    reason : str
        Why the model does not fit these answers; its estimates are then NaN.

    References
    ----------
    D. R. Heise, "Separating reliability and stability in test-retest correlation", 1969. D. E. Wiley and J. A. Wiley,
    "The estimation of measurement error in panel data", 1970.
    """

    n: int
    means: Float[np.ndarray, " waves"]
    variances: Float[np.ndarray, " waves"]
    covariances: tuple[float, float, float]
    error_variance: float
    true_variances: Float[np.ndarray, " waves"]
    reliability: Float[np.ndarray, " waves"]
    stability: float
    interval: dict[str, tuple[float, float]]
    fitted: float
    reason: str = ""

    def changes(self, answers: Float[np.ndarray, "users waves"]) -> Changes:
        """Real change from wave 1 to wave 3, given each person's answers (normal true values and errors).

        Raises
        ------
        DataError
            If the model does not fit, or an answer is missing.
        """
        self._refuse_unfit()
        if not np.isfinite(answers).all():
            raise DataError("An answer is missing.", fix="Keep people who answered in all three waves.")
        true, noisy = self._true_covariance(), self._true_covariance() + self.error_variance * np.eye(3)
        along = np.array([-1.0, 0.0, 1.0])
        weights = np.linalg.solve(noisy, true @ along)
        mean = (answers - self.means) @ weights + along @ self.means
        variance = max(float(along @ true @ along - along @ true @ weights), 0.0)
        deviation = np.full(len(answers), math.sqrt(variance))
        # With no variance left the mean itself is the change.
        up = ndtr(mean / deviation) if variance > 0 else np.where(mean > 0, 1.0, np.where(mean < 0, 0.0, 0.5))
        return Changes(mean, deviation, up)

    def forecast(self, answers: Float[np.ndarray, "users 2"], shift: float = 0.0) -> Float[np.ndarray, " users"]:
        """Expected third answer from the first two.

        Parameters
        ----------
        answers : array of shape (users, 2)
        shift : float
            Added to the mean of wave 2 as the mean of wave 3, which may not be known to the forecaster.
        """
        self._refuse_unfit()
        seen = self._true_covariance()[:2, :2] + self.error_variance * np.eye(2)
        weights = np.linalg.solve(seen, self._true_covariance()[:2, 2])
        return (answers - self.means[:2]) @ weights + self.means[1] + shift

    def beyond_error(self, answers: Float[np.ndarray, "users waves"], level: float = 0.95) -> float:
        """Share of people whose first and third answer differ by more than two errors of measurement allow."""
        self._refuse_unfit()
        reach = float(ndtri((1 + level) / 2)) * math.sqrt(2 * self.error_variance)
        return float((np.abs(answers[:, 2] - answers[:, 0]) > reach).mean())

    def to_json(self, *, indent: int | None = None) -> str:
        """The attributes as JSON."""
        return json.dumps(json_ready(self.__dict__), allow_nan=False, indent=indent)

    def __repr__(self) -> str:
        if self.reason:
            return f"ThreeWaves({self.n:,} people: {self.reason})"
        low, high = self.interval["reliability"]
        below, above = self.interval["stability"]
        return (
            f"ThreeWaves({self.n:,} people: reliability {self.reliability[1]:.2f} ({low:.2f} to {high:.2f}), "
            f"stability {self.stability:.2f} ({below:.2f} to {above:.2f}))"
        )

    def _true_covariance(self) -> Float[np.ndarray, "waves waves"]:
        first, second, far = self.covariances
        made = np.diag(self.true_variances)
        made[0, 1] = made[1, 0] = first
        made[1, 2] = made[2, 1] = second
        made[0, 2] = made[2, 0] = far
        return made

    def _refuse_unfit(self) -> None:
        if self.reason:
            raise DataError(f"The model does not fit these answers: {self.reason}.", fix="Use another item.")


def three_waves(
    answers: Float[np.ndarray, "users waves"],
    *,
    weights: Float[np.ndarray, " users"] | None = None,
    n_bootstrap: int = 500,
    level: float = 0.95,
    rng: RNG = 0,
) -> ThreeWaves:
    """Fit the model by moments, which are as many as its parameters.

    Parameters
    ----------
    answers : array of shape (users, 3)
        Of people who answered in all three waves.
    weights : array of shape (users,), optional
    n_bootstrap : int
        Resamples of people; 0 leaves the intervals NaN.
    level : float
    rng : int, numpy.random.Generator or None

    Raises
    ------
    DataError
        If there are fewer than 10 people, or an answer is missing.
    """
    if len(answers) < 10 or not np.isfinite(answers).all():
        raise DataError(
            "There are fewer than 10 people, or an answer is missing.",
            fix="Keep people who answered in all three waves.",
        )
    people = np.ones(len(answers)) if weights is None else weights
    means, moments = _moments(answers, people)
    error, true, stability, reason = _solve(moments)
    rows: list[tuple[float, float]] = []
    for counts in _resamples(len(answers), n_bootstrap, as_generator(rng, "three waves")):
        noise, values, stable, wrong = _solve(_moments(answers, people * counts)[1])
        if not wrong:
            rows.append((float(values[1] / (values[1] + noise)), stable))
    drawn = np.array(rows).reshape(-1, 2)
    spans = {
        name: interval(drawn[:, column], level) if not reason else (math.nan, math.nan)
        for column, name in enumerate(("reliability", "stability"))
    }
    variances = np.diag(moments).copy()
    return ThreeWaves(
        len(answers),
        means,
        variances,
        (float(moments[0, 1]), float(moments[1, 2]), float(moments[0, 2])),
        error,
        true,
        true / variances if not reason else np.full(3, np.nan),
        stability,
        spans,
        len(rows) / n_bootstrap if n_bootstrap else math.nan,
        reason,
    )


def _resamples(n: int, n_draws: int, drawn: np.random.Generator) -> Iterator[Float[np.ndarray, " users"]]:
    for _ in range(n_draws):
        yield np.bincount(drawn.integers(n, size=n), minlength=n).astype(float)


def _moments(
    answers: Float[np.ndarray, "users waves"], weights: Float[np.ndarray, " users"]
) -> tuple[Float[np.ndarray, " waves"], Float[np.ndarray, "waves waves"]]:
    total = weights.sum()
    means = weights @ answers / total
    centred = answers - means
    return means, (centred * weights[:, None]).T @ centred / total


def _solve(moments: Float[np.ndarray, "waves waves"]) -> tuple[float, Float[np.ndarray, " waves"], float, str]:
    """Error variance, true variances, stability, and what is wrong."""
    nothing = (math.nan, np.full(3, np.nan), math.nan)
    first, second, far = moments[0, 1], moments[1, 2], moments[0, 2]
    if min(first, second, far) <= 0:
        return *nothing, "answers of two waves are not positively related"
    middle = float(first * second / far)
    error = float(moments[1, 1]) - middle
    if error < 0:
        return *nothing, "distant waves are as alike as they would be without any error"
    true = np.array([moments[0, 0] - error, middle, moments[2, 2] - error])
    if (true <= 0).any():
        return *nothing, "one wave varies less than its errors"
    stability = float(far / math.sqrt(true[0] * true[2]))
    if stability > 1 or first**2 > true[0] * true[1] or second**2 > true[1] * true[2]:
        return *nothing, "true values would be more than perfectly related"
    return error, true, stability, ""
