"""Baselines without a model of how values move."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.progress.agents.agent import Estimator

__all__ = ["Frozen", "Lifelong", "Persistence", "Pooled", "Uniform"]


class Uniform(Estimator):
    """Stands for nothing: a uniform choice."""

    label: ClassVar[str] = "uniform"

    def forecast(self, past: Float[np.ndarray, "batch periods dim"], ahead: int) -> Float[np.ndarray, "batch dim"]:
        """0."""
        return np.zeros_like(past[:, 0])


class Frozen(Estimator):
    """Stands for what people said in period 0, for ever."""

    label: ClassVar[str] = "frozen"

    def forecast(self, past: Float[np.ndarray, "batch periods dim"], ahead: int) -> Float[np.ndarray, "batch dim"]:
        """The first estimate."""
        return past[:, 0]


class Persistence(Estimator):
    """Stands for what people said last; in "coevolve" it follows the people whom it influences."""

    label: ClassVar[str] = "persistence"

    def forecast(self, past: Float[np.ndarray, "batch periods dim"], ahead: int) -> Float[np.ndarray, "batch dim"]:
        """The last estimate."""
        return past[:, -1]


class Pooled(Estimator):
    """Stands for the mean of all that people ever said."""

    label: ClassVar[str] = "pooled"

    def forecast(self, past: Float[np.ndarray, "batch periods dim"], ahead: int) -> Float[np.ndarray, "batch dim"]:
        """The mean of all estimates."""
        return past.mean(axis=1)


class Lifelong(Estimator):
    """Learns on from what it stood for, a share of the way each period: exponential smoothing.

    Parameters
    ----------
    rate : float
        In (0, 1]; with 1 it is persistence.
    """

    label: ClassVar[str] = "lifelong"

    def __init__(self, rate: float = 0.5) -> None:
        if not 0 < rate <= 1:
            raise UsageError(f"rate must be in (0, 1], not {rate}.", fix="Use 1 to forget at once.")
        self.rate = rate

    def forecast(self, past: Float[np.ndarray, "batch periods dim"], ahead: int) -> Float[np.ndarray, "batch dim"]:
        """The smoothed estimate."""
        weights = self.rate * (1 - self.rate) ** np.arange(past.shape[1])[::-1]
        weights[0] /= self.rate
        return np.einsum("t,btd->bd", weights, past)
