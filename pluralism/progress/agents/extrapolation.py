"""Baselines that continue the past: differences of order M, a straight line, a damped trend."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from pluralism.errors import UsageError
from pluralism.progress.agents.agent import Estimator
from pluralism.progress.published_score import extrapolation_weights

__all__ = ["DampedTrend", "Extrapolative", "StraightLine", "extrapolate_votes", "extrapolated"]


class Extrapolative(Estimator):
    """Assumes that the difference of order M + 1 vanishes (the published baseline).

    Parameters
    ----------
    order : int
        M, at least 0; shortened to what the past allows.
    """

    label: ClassVar[str] = "extrapolative"

    def __init__(self, order: int = 1) -> None:
        extrapolation_weights(order)
        self.order = order

    def forecast(self, past: Float[np.ndarray, "batch periods dim"], ahead: int) -> Float[np.ndarray, "batch dim"]:
        """The published rule, once for each period ahead."""
        return extrapolated(past, self.order, ahead)


class StraightLine(Estimator):
    """Least squares through the last estimates.

    Parameters
    ----------
    window : int
        How many, at least 2.
    """

    label: ClassVar[str] = "straight_line"

    def __init__(self, window: int = 8) -> None:
        if window < 2:
            raise UsageError(f"A line needs two points, not {window}.", fix="Use window>=2.")
        self.window = window

    def forecast(self, past: Float[np.ndarray, "batch periods dim"], ahead: int) -> Float[np.ndarray, "batch dim"]:
        """The line, so many periods on."""
        recent = past[:, -self.window :]
        times = np.arange(recent.shape[1], dtype=float)
        centred = times - times.mean()
        # A single point has no slope.
        slope = np.einsum("t,btd->bd", centred, recent) / (float(centred @ centred) or 1.0)
        return recent.mean(axis=1) + slope * (times[-1] + ahead - times.mean())


class DampedTrend(Estimator):
    r"""Level and damped trend, both smoothed exponentially (Gardner and McKenzie 1985).

    .. math:: l_t = \alpha y_t + (1 - \alpha)(l_{t-1} + \phi b_{t-1}), \quad
       b_t = \gamma (l_t - l_{t-1}) + (1 - \gamma) \phi b_{t-1}, \quad
       \hat y_{t+K} = l_t + \textstyle\sum_{j=1}^K \phi^j b_t

    Parameters
    ----------
    level, trend : float
        :math:`\alpha, \gamma`, in (0, 1] and [0, 1].
    damping : float
        :math:`\phi`, in [0, 1].
    """

    label: ClassVar[str] = "damped_trend"

    def __init__(self, level: float = 0.6, trend: float = 0.3, damping: float = 0.85) -> None:
        if not (0 < level <= 1 and 0 <= trend <= 1 and 0 <= damping <= 1):
            raise UsageError("level, trend or damping is out of range.", fix="Use (0, 1], [0, 1] and [0, 1].")
        self.level, self.trend, self.damping = level, trend, damping

    def forecast(self, past: Float[np.ndarray, "batch periods dim"], ahead: int) -> Float[np.ndarray, "batch dim"]:
        """The level and what is left of the trend."""
        level, trend = past[:, 0], np.zeros_like(past[:, 0])
        for t in range(1, past.shape[1]):
            before = level
            level = self.level * past[:, t] + (1 - self.level) * (before + self.damping * trend)
            trend = self.trend * (level - before) + (1 - self.trend) * self.damping * trend
        return level + sum(self.damping**j for j in range(1, ahead + 1)) * trend


def extrapolated(
    past: Float[np.ndarray, "*batch periods dim"], order: int, ahead: int
) -> Float[np.ndarray, "*batch dim"]:
    """Apply the published rule `ahead` times; the order is shortened to the length of the past less one."""
    weights = extrapolation_weights(min(order, past.shape[-2] - 1))
    window = past[..., -len(weights) :, :]
    for _ in range(ahead):
        following = np.einsum("t,...td->...d", weights, window)
        window = np.concatenate([window[..., 1:, :], following[..., None, :]], axis=-2)
    return window[..., -1, :]


def extrapolate_votes(
    share: Float[np.ndarray, "pairs periods"], order: int, ahead: int = 1, *, cap: int = 5
) -> tuple[Int[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]:
    r"""The published rule on the votes of pairs, safe where it comes to nothing.

    Each period votes +1 if it agrees with the last ordering of the pair that is known, -1 if it does not, and 0 if it
    is tied or was not asked. The sign of the extrapolated vote is the ordering to learn, its size how often to repeat
    the pair. Where it is 0, as with M = 2 and votes (0, 1, 1), nothing is to be learned: the weight is 0.

    Parameters
    ----------
    share : array of shape (pairs, periods)
        Of the votes that prefer the first; NaN where nobody was asked.
    order, ahead : int
    cap : int
        The largest weight.

    Returns
    -------
    ordering : array of shape (pairs,)
        1 if the first is to be preferred, -1 if the second, 0 for neither.
    weight : array of shape (pairs,)
    """
    signs = np.sign(np.nan_to_num(share - 0.5))
    latest = np.zeros(len(signs))
    for column in signs.T:
        latest = np.where(column != 0, column, latest)
    votes = signs * latest[:, None]
    vote = extrapolated(votes[..., None], order, ahead)[..., 0]
    return (np.sign(vote) * latest).astype(np.int64), np.minimum(np.abs(vote), cap)
