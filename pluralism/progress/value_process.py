"""What a source of values over time offers to environments: paths of group means, drawn from noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from pluralism.progress.linear_gaussian import LinearGaussian

__all__ = ["Paths", "ValueProcess"]


@dataclass(frozen=True, eq=False)
class Paths:
    """Values over time, of several independent histories.

    Attributes
    ----------
    groups : array of shape (batch, periods, groups, dim)
        Mean values of each group.
    mean : array of shape (batch, periods, dim)
        Mean values of everybody.
    trend : array of shape (batch, periods, dim)
        The second part of the state: by how much the mean is about to move. 0 where the process has none.
    """

    groups: Float[np.ndarray, "batch periods groups dim"]
    mean: Float[np.ndarray, "batch periods dim"]
    trend: Float[np.ndarray, "batch periods dim"]


@runtime_checkable
class ValueProcess(Protocol):
    """How values move by themselves; an outside package may register its own under `pluralism.value_processes`."""

    @property
    def n_periods(self) -> int:
        """Periods."""

    @property
    def dims(self) -> int:
        """Dimensions of the values."""

    @property
    def shares(self) -> tuple[float, ...]:
        """Shares of the groups; they sum to 1."""

    @property
    def spread(self) -> float:
        """Standard deviation, in each dimension, of people around the mean of their group."""

    @property
    def n_noise(self) -> int:
        """How many standard normal numbers one history is made of."""

    def paths(self, noise: Float[np.ndarray, "batch noise"]) -> Paths:
        """Histories from standard normal noise, one a row."""

    def system(self, observation_variance: float) -> LinearGaussian | None:
        """The law of the mean, if it is linear and Gaussian; None where no such law is known."""
