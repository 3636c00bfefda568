"""Linear-Gaussian systems: exact filtering, forecasting, and the errors that nobody can go below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError

__all__ = ["LinearGaussian"]


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    r"""A system :math:`x_{t+1} = F_t x_t + w_t`, :math:`y_t = H x_t + v_t`, alike and independent in every dimension.

    Attributes
    ----------
    transition : array of shape (steps, state, state)
        :math:`F_t`.
    noise : array of shape (steps, state, state)
        Covariance of :math:`w_t`.
    start_mean : array of shape (state,)
    start_covariance : array of shape (state, state)
        Of the state at period 0, before anything is observed.
    observe : array of shape (state,)
        H: what a survey measures.
    observation_variance : float
        Variance of :math:`v_t`; 0 is a survey without error.
    target : array of shape (state,)
        What is to be estimated, as a combination of the state.
    """

    transition: Float[np.ndarray, "steps state state"]
    noise: Float[np.ndarray, "steps state state"]
    start_mean: Float[np.ndarray, " state"]
    start_covariance: Float[np.ndarray, "state state"]
    observe: Float[np.ndarray, " state"]
    observation_variance: float
    target: Float[np.ndarray, " state"]

    @property
    def n_periods(self) -> int:
        """Periods, the first included."""
        return len(self.transition) + 1

    def covariances(
        self,
    ) -> tuple[Float[np.ndarray, "periods state state"], Float[np.ndarray, "periods state"]]:
        r"""Covariance :math:`P_{t|t}` after the survey of each period, and the gain that the survey is weighed with."""
        h, n = self.observe, len(self.start_mean)
        after, gains = np.empty((self.n_periods, n, n)), np.empty((self.n_periods, n))
        before = self.start_covariance
        for t in range(self.n_periods):
            seen = before @ h
            variance = float(h @ seen) + self.observation_variance
            # A survey of what is known exactly, without error, has nothing to say.
            gain = seen / variance if variance > 0.0 else np.zeros(n)
            left = np.eye(n) - np.outer(gain, h)
            # Joseph's form stays positive semi-definite.
            after[t] = left @ before @ left.T + self.observation_variance * np.outer(gain, gain)
            gains[t] = gain
            if t < self.n_periods - 1:
                before = self.transition[t] @ after[t] @ self.transition[t].T + self.noise[t]
        return after, gains

    def filter(self, surveys: Float[np.ndarray, "*batch periods dim"]) -> Float[np.ndarray, "*batch periods dim state"]:
        """Posterior means of the state after the survey of each period (Kalman's filter)."""
        _, gains = self.covariances()
        means = np.empty((*surveys.shape, len(self.start_mean)))
        before = np.broadcast_to(self.start_mean, (*surveys.shape[:-2], surveys.shape[-1], len(self.start_mean)))
        for t in range(surveys.shape[-2]):
            means[..., t, :, :] = self.update(before, surveys[..., t, :], gains[t])
            if t < surveys.shape[-2] - 1:
                before = means[..., t, :, :] @ self.transition[t].T
        return means

    def update(
        self,
        before: Float[np.ndarray, "*batch dim state"],
        survey: Float[np.ndarray, "*batch dim"],
        gain: Float[np.ndarray, " state"],
    ) -> Float[np.ndarray, "*batch dim state"]:
        """Posterior mean after one survey."""
        return before + (survey - before @ self.observe)[..., None] * gain

    def power(self, period: int, horizon: int) -> Float[np.ndarray, "state state"]:
        r""":math:`F_{t+K-1} \cdots F_t`.

        Raises
        ------
        UsageError
            If the horizon leads beyond the last period.
        """
        if horizon < 0 or period + horizon >= self.n_periods:
            raise UsageError(
                f"Period {period} plus {horizon} is not one of {self.n_periods} periods.",
                fix="Use a shorter horizon or more periods.",
            )
        product = np.eye(len(self.start_mean))
        for t in range(period, period + horizon):
            product = self.transition[t] @ product
        return product

    def forecast_variance(self, period: int, horizon: int) -> float:
        r"""Variance of :math:`H x_{t+K}` given :math:`x_t`: the error of whoever knows the state."""
        covariance = np.zeros_like(self.start_covariance)
        for t in range(period, period + horizon):
            covariance = self.transition[t] @ covariance @ self.transition[t].T + self.noise[t]
        return float(self.target @ covariance @ self.target)

    def least_mse(self, period: int, horizon: int = 0) -> float:
        r"""Expected squared error, per dimension, of the best forecast from the surveys until a period.

        :math:`H (F^K P_{t|t} F^{K\top} + \sum_j F^j Q F^{j\top}) H^\top`.
        """
        after, _ = self.covariances()
        along = self.target @ self.power(period, horizon)
        return float(along @ after[period] @ along) + self.forecast_variance(period, horizon)
