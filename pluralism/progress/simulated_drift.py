"""Simulated histories of values: groups whose means move with a trend, exactly linear and Gaussian."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from pluralism.errors import UsageError
from pluralism.progress.linear_gaussian import LinearGaussian
from pluralism.progress.numeric_settings import require_numbers
from pluralism.progress.value_process import Paths

__all__ = ["PRESETS", "SimulatedDrift"]

Trend = Literal["damped", "s_curve", "cycle"]

PRESETS: dict[str, dict[str, Any]] = {
    "static": {},
    "random_walk": {"mean_noise": 0.15},
    "damped_trend": {"damping": 0.9, "trend_noise": 0.05, "mean_noise": 0.02, "start_trend": 0.05},
    "s_curve": {"trend": "s_curve", "start_trend": 1.0, "mean_noise": 0.02},
    "cycle": {"trend": "cycle", "start_trend": 0.5, "mean_noise": 0.02, "trend_noise": 0.02},
    "regime_shift": {"mean_noise": 0.03, "shock": 0.8},
    "polarise": {
        "shares": (0.5, 0.5),
        "cohesion": -0.2,
        "group_start": 0.2,
        "group_noise": 0.03,
        "mean_noise": 0.05,
    },
}


@dataclass(frozen=True)
class SimulatedDrift:
    r"""Means of groups that move by a trend, by noise, and towards or away from each other.

    In each dimension, with :math:`\bar\mu` the mean over groups by their shares,

    .. math::

        \mu_{g,t+1} = \mu_{g,t} + b_{g,t} + \alpha (\bar\mu_t - \mu_{g,t}) + \epsilon_t + \epsilon_{g,t}

        b_{g,t+1} = \rho_t\, b_{g,t} + \eta_t + \eta_{g,t}

    so that the mean of everybody follows a linear-Gaussian law with two states, whatever the cohesion. With
    ``trend="cycle"`` (mean, trend) turn like a pendulum; with ``"s_curve"`` the trend follows the slope of a logistic
    curve whose height is random.

    Parameters
    ----------
    n_periods : int
        At least 3.
    dims : int
    shares : tuple of float
        Of the groups; they sum to 1.
    trend : {"damped", "s_curve", "cycle"}
    damping : float
        :math:`\rho`, for the damped trend, in [0, 1].
    cycle_length : float
        Periods of one turn, above 2.
    curve_width : float
        Periods in which the logistic curve goes from 27 % to 73 % of its height, roughly twice its scale.
    cohesion : float
        :math:`\alpha`, in (-1, 1); below 0 groups drift apart.
    mean_noise, trend_noise : float
        Standard deviations of :math:`\epsilon_t, \eta_t`, common to all groups.
    group_noise, group_trend_noise : float
        The same, of each group for itself.
    start, group_start, start_trend : float
        Standard deviations at period 0: of the common mean, of groups around it, of the common trend (for an s-curve:
        of its height).
    shock : float
        Standard deviation of one jump of the common mean.
    shock_period : int, optional
        The period in which the jump shows, known to all; left out, it is drawn for each history and known to nobody,
        and the law of the mean is then not Gaussian (`exact` is false).
    spread : float
        Standard deviation of people around the mean of their group.

    Raises
    ------
    UsageError
        If a parameter is out of range.

    Examples
    --------
    >>> SimulatedDrift.preset("damped_trend", dims=3).n_periods
    9
    """

    n_periods: int = 9
    dims: int = 19
    shares: tuple[float, ...] = (1.0,)
    trend: Trend = "damped"
    damping: float = 0.0
    cycle_length: float = 8.0
    curve_width: float = 2.0
    cohesion: float = 0.0
    mean_noise: float = 0.0
    trend_noise: float = 0.0
    group_noise: float = 0.0
    group_trend_noise: float = 0.0
    start: float = 0.5
    group_start: float = 0.0
    start_trend: float = 0.0
    shock: float = 0.0
    shock_period: int | None = None
    spread: float = 0.3
    name: str = field(default="simulated", compare=False)

    def __post_init__(self) -> None:
        noises = ("mean_noise", "trend_noise", "group_noise", "group_trend_noise")
        scales = (*noises, "start", "group_start", "start_trend", "shock", "spread")
        rates = ("damping", "cohesion", "cycle_length", "curve_width")
        require_numbers(self, whole=("n_periods", "dims"), real=(*scales, *rates))
        if self.n_periods < 3 or self.dims < 1:
            raise UsageError(
                f"{self.n_periods} periods of {self.dims} dimensions are too few.", fix="Use n_periods>=3 and dims>=1."
            )
        if not self.shares or min(self.shares) <= 0 or not math.isclose(sum(self.shares), 1.0, abs_tol=1e-9):
            raise UsageError(
                f"Shares must be positive and sum to 1, not {self.shares}.", fix="Divide them by their sum."
            )
        if self.trend not in ("damped", "s_curve", "cycle"):
            raise UsageError(f"There is no trend {self.trend!r}.", fix="Use damped, s_curve or cycle.")
        for name in scales:
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must be at least 0, not {getattr(self, name)}.", fix=f"Raise {name}.")
        if not 0 <= self.damping <= 1 or not -1 < self.cohesion < 1:
            raise UsageError(
                f"damping {self.damping} or cohesion {self.cohesion} is out of range.",
                fix="Use 0 <= damping <= 1 and -1 < cohesion < 1.",
            )
        if self.cycle_length <= 2 or self.curve_width <= 0:
            raise UsageError("cycle_length or curve_width is out of range.", fix="Use above 2, and above 0.")
        if self.shock_period is not None and not 1 <= self.shock_period < self.n_periods:
            raise UsageError(
                f"There is no period {self.shock_period} for a jump to show in.", fix=f"Use 1 to {self.n_periods - 1}."
            )

    @classmethod
    def preset(cls, name: str, **changes: Any) -> SimulatedDrift:
        """A named process: static, random_walk, damped_trend, s_curve, cycle, regime_shift or polarise.

        Raises
        ------
        UsageError
            If the name is unknown.
        """
        if name not in PRESETS:
            raise UsageError(f"There is no preset {name!r}.", fix=f"Use one of {', '.join(PRESETS)}.")
        return cls(**{**PRESETS[name], "name": name, **changes})

    @property
    def exact(self) -> bool:
        """Whether the law of the mean is linear and Gaussian."""
        return self.shock == 0.0 or self.shock_period is not None

    @cached_property
    def _blocks(self) -> dict[str, tuple[slice, tuple[int, ...]]]:
        """Where the noise of each kind lies in a row, and its shape; noise that does nothing is not drawn."""
        n, wide = self.n_periods, (self.n_periods, len(self.shares), self.dims)
        wanted: dict[str, tuple[int, ...]] = {"level": (n, self.dims)}
        if self.trend_noise or self.start_trend:
            wanted["trend"] = (n, self.dims)
        if self.group_noise or self.group_start:
            wanted["group_level"] = wide
        if self.group_trend_noise:
            wanted["group_trend"] = wide
        if self.shock:
            wanted |= {"jump": (self.dims,), "date": (1,)}
        found, start = {}, 0
        for name, shape in wanted.items():
            found[name] = (slice(start, start + math.prod(shape)), shape)
            start += math.prod(shape)
        return found

    @property
    def n_noise(self) -> int:
        """Standard normal numbers of one history."""
        return max(part.stop for part, _ in self._blocks.values())

    @cached_property
    def transition(self) -> Float[np.ndarray, "steps 2 2"]:
        """How (mean, trend) of a group becomes the next, without noise and cohesion."""
        steps = self.n_periods - 1
        made = np.zeros((steps, 2, 2))
        if self.trend == "cycle":
            turn = 2 * math.pi / self.cycle_length
            made[:] = [[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]
            return made
        made[:, 0] = 1.0
        if self.trend == "damped":
            made[:, 1, 1] = self.damping
            return made
        slopes = self._slopes()
        made[:-1, 1, 1] = slopes[1:] / slopes[:-1]
        return made

    def _slopes(self) -> Float[np.ndarray, " steps"]:
        """By how much a logistic curve of height 1 rises in each step."""
        times = np.arange(self.n_periods) - (self.n_periods - 1) / 2
        return np.diff(1.0 / (1.0 + np.exp(-2.0 * times / self.curve_width)))

    @property
    def _start_trend(self) -> float:
        return self.start_trend * (float(self._slopes()[0]) if self.trend == "s_curve" else 1.0)

    def paths(self, noise: Float[np.ndarray, "batch noise"]) -> Paths:
        """Histories from standard normal noise, one a row."""
        part = {name: noise[:, at].reshape(-1, *shape) for name, (at, shape) in self._blocks.items()}
        pushes, bends = self._shocks(part, "level"), self._shocks(part, "trend")
        if self.shock:
            steps = self.n_periods - 1
            drawn = 1.0 + np.minimum(np.floor(ndtr(part["date"][:, 0]) * steps), steps - 1.0)
            date = drawn if self.shock_period is None else np.full(len(noise), float(self.shock_period))
            shown = date[:, None] == np.arange(self.n_periods)
            pushes += self.shock * shown[..., None, None] * part["jump"][:, None, None]
        groups = np.empty((len(noise), self.n_periods, len(self.shares), self.dims))
        trends = np.zeros_like(groups)
        groups[:, 0] = self.start * part["level"][:, 0, None]
        if "group_level" in part:
            groups[:, 0] += self.group_start * part["group_level"][:, 0]
        if "trend" in part:
            trends[:, 0] = self._start_trend * part["trend"][:, 0, None]
        for t, ((mm, mb), (bm, bb)) in enumerate(self.transition):
            now, trend = groups[:, t], trends[:, t]
            groups[:, t + 1] = mm * now + mb * trend + pushes[:, t + 1]
            if self.cohesion:
                groups[:, t + 1] += self.cohesion * (self._mean(now)[:, None] - now)
            trends[:, t + 1] = bm * now + bb * trend + bends[:, t + 1]
        return Paths(groups, self._mean(groups), self._mean(trends))

    def _shocks(self, part: dict[str, np.ndarray], kind: str) -> Float[np.ndarray, "batch periods #groups #dim"]:
        """What noise adds to the level or the trend of each group in each period."""
        common, own = (
            (self.mean_noise, self.group_noise) if kind == "level" else (self.trend_noise, self.group_trend_noise)
        )
        made = np.zeros((len(part["level"]), self.n_periods, 1, 1))
        if kind in part:
            made = common * part[kind][:, :, None]
        return made + own * part[f"group_{kind}"] if f"group_{kind}" in part else made

    def _mean(self, values: Float[np.ndarray, "*shape groups dim"]) -> Float[np.ndarray, "*shape dim"]:
        """Of everybody, from that of each group."""
        return values[..., 0, :] if len(self.shares) == 1 else np.einsum("...gd,g->...d", values, np.array(self.shares))

    def system(self, observation_variance: float = 0.0) -> LinearGaussian:
        """The law of the mean of everybody; for a jump at a date unknown, the Gaussian law of the same variances."""
        squares = float(np.square(self.shares).sum())
        noise = np.zeros((self.n_periods - 1, 2, 2))
        noise[:, 0, 0] = self.mean_noise**2 + squares * self.group_noise**2
        noise[:, 1, 1] = self.trend_noise**2 + squares * self.group_trend_noise**2
        if self.shock_period is None:
            noise[:, 0, 0] += self.shock**2 / (self.n_periods - 1)
        else:
            noise[self.shock_period - 1, 0, 0] += self.shock**2
        start = np.diag([self.start**2 + squares * self.group_start**2, self._start_trend**2])
        survey = np.array([1.0, 0.0])
        return LinearGaussian(self.transition, noise, np.zeros(2), start, survey, observation_variance, survey)
