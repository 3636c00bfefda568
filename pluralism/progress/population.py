"""People whose values move under the influence of a policy, beside their untouched twin on the same noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from pluralism.errors import UsageError
from pluralism.progress.numeric_settings import require_numbers
from pluralism.progress.population_run import PopulationRun
from pluralism.progress.simulated_drift import SimulatedDrift
from pluralism.random import RNG, as_generator

__all__ = ["POPULATION_PRESETS", "Adviser", "Population"]

Adviser: TypeAlias = Callable[[int, Float[np.ndarray, "users dim"]], Float[np.ndarray, " dim"]]
"""What a policy stands for in a period, given the period and the values of everybody."""

POPULATION_PRESETS: dict[str, dict[str, Any]] = {
    "feedback": {"drift": "random_walk", "influence": 0.3},
    "bounded_confidence": {"drift": "static", "cohesion": 0.5, "confidence": 2.0, "user_noise": 0.02},
    "cohorts": {"drift": "damped_trend", "replacement": 0.2},
}


@dataclass(frozen=True)
class Population:
    r"""People around the means of their groups.

    .. math:: w_{u,t+1} = w_{u,t} + \Delta_{g,t} + \alpha (\bar w_{u,t} - w_{u,t})
       + \kappa_g (a_t - w_{u,t}) + \epsilon_u

    where :math:`\Delta_{g,t}` is how the group's mean moves by itself, :math:`\bar w_{u,t}` the mean of everybody or,
    with bounded confidence (Hegselmann and Krause 2002), of those within reach of u, and :math:`a_t` what the policy
    stands for. Afterwards everybody is replaced, with the given probability, by a newcomer around the group's mean as
    it would be by itself: influence is unlearned as cohorts follow each other.

    Parameters
    ----------
    drift : SimulatedDrift
        How group means move by themselves; its `cohesion` is that of the groups before anybody is drawn.
    n_users : int
        At least one for each group.
    influence : float or tuple of float
        :math:`\kappa`, one for all or one for each group, in [0, 1].
    cohesion : float
        :math:`\alpha`, in (-1, 1].
    confidence : float, optional
        Only those within this Euclidean distance count as neighbours; the dynamics are then not linear and no exact
        oracle exists (`exact` is false).
    user_noise : float
        Standard deviation of :math:`\epsilon_u`.
    replacement : float
        Chance of each person to be replaced in each period, in [0, 1].

    Raises
    ------
    UsageError
        If a parameter is out of range.

    Examples
    --------
    >>> run = Population.preset("feedback", n_users=50).simulate(lambda t, values: np.ones(19), rng=0)
    >>> run.users.shape
    (9, 50, 19)
    """

    drift: SimulatedDrift
    n_users: int = 200
    influence: float | tuple[float, ...] = 0.0
    cohesion: float = 0.0
    confidence: float | None = None
    user_noise: float = 0.0
    replacement: float = 0.0

    def __post_init__(self) -> None:
        require_numbers(self, whole=("n_users",), real=("cohesion", "user_noise", "replacement"))
        if self.n_users < len(self.drift.shares):
            raise UsageError(f"{self.n_users} people cannot fill the groups.", fix="Raise n_users.")
        rates = np.atleast_1d(self.influence)
        if rates.shape not in ((1,), (len(self.drift.shares),)) or not ((rates >= 0) & (rates <= 1)).all():
            raise UsageError(f"influence {self.influence} is out of range.", fix="Give one number of [0, 1] a group.")
        if not 0 <= self.replacement <= 1 or not -1 < self.cohesion <= 1 or not self.user_noise >= 0:
            raise UsageError(
                f"replacement {self.replacement}, cohesion {self.cohesion} or user_noise {self.user_noise} is out of "
                "range.",
                fix="Use 0 <= replacement <= 1, -1 < cohesion <= 1, user_noise >= 0.",
            )
        if self.confidence is not None and not self.confidence > 0:
            raise UsageError(f"confidence must be above 0, not {self.confidence}.", fix="Give a distance, or None.")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Population:
        """A named population: feedback, bounded_confidence or cohorts, or any preset of `SimulatedDrift`.

        Settings of the drift (`n_periods`, `dims`, ...) and of the population may both be changed.
        """
        settings = dict(POPULATION_PRESETS.get(name, {"drift": name}))
        own = {key: changes.pop(key) for key in tuple(changes) if key in cls.__dataclass_fields__}
        preset = settings.pop("drift")
        return cls(**{"drift": SimulatedDrift.preset(preset, **changes), **settings, **own})

    @property
    def exact(self) -> bool:
        """Whether the mean of everybody follows a linear law."""
        uniform = len(set(np.atleast_1d(self.influence).tolist())) == 1
        return self.drift.exact and uniform and self.confidence is None and self.replacement == 0.0

    @property
    def groups(self) -> Int[np.ndarray, " users"]:
        """The group of each person: as close to the shares as whole people can be."""
        quota = np.array(self.drift.shares) * self.n_users
        counts = np.maximum(np.floor(quota).astype(int), 1)
        while counts.sum() != self.n_users:
            step = 1 if counts.sum() < self.n_users else -1
            # Nobody leaves a group of one.
            gap = np.where((step < 0) & (counts == 1), -np.inf, (quota - counts) * step)
            counts[int(np.argmax(gap))] += step
        return np.repeat(np.arange(len(counts)), counts)

    def simulate(self, adviser: Adviser | None = None, *, rng: RNG = None) -> PopulationRun:
        """Let the population live through all periods, with the policy and, on the same noise, without it.

        Parameters
        ----------
        adviser : callable, optional
            Gives :math:`a_t` of each period but the last from the period and the values of everybody; without it the
            population is its own twin.
        rng : int, numpy.random.Generator or None

        Raises
        ------
        UsageError
            If the adviser gives something other than one finite number for each dimension.
        """
        drawn = as_generator(rng, "population")
        drift, groups = self.drift, self.groups
        # People cohere one by one, below; groups by themselves keep the cohesion of the drift.
        paths = drift.paths(drawn.standard_normal((1, drift.n_noise)))
        own = paths.groups[0][:, groups]
        users = np.empty((drift.n_periods, self.n_users, drift.dims))
        twin = np.empty_like(users)
        users[0] = twin[0] = own[0] + drift.spread * drawn.standard_normal((self.n_users, drift.dims))
        rate = np.broadcast_to(np.atleast_1d(np.asarray(self.influence, dtype=float)), (len(drift.shares),))
        actions = np.full((drift.n_periods - 1, drift.dims), np.nan)
        for t in range(drift.n_periods - 1):
            noise = self.user_noise * drawn.standard_normal((self.n_users, drift.dims))
            leaves = drawn.random(self.n_users) < self.replacement
            newcomers = own[t + 1] + drift.spread * drawn.standard_normal((self.n_users, drift.dims))
            moved = own[t + 1] - own[t] + noise
            twin[t + 1] = self._next(twin[t], moved, leaves, newcomers)
            pull = 0.0
            if adviser is not None:
                actions[t] = self._asked(adviser, t, users[t])
                pull = rate[groups, None] * (actions[t] - users[t])
            users[t + 1] = self._next(users[t], moved + pull, leaves, newcomers)
        return PopulationRun(users, twin, groups, actions, paths.mean[0])

    def _next(
        self,
        values: Float[np.ndarray, "users dim"],
        moved: Float[np.ndarray, "users dim"],
        leaves: Bool[np.ndarray, " users"],
        newcomers: Float[np.ndarray, "users dim"],
    ) -> Float[np.ndarray, "users dim"]:
        stays = values + moved
        if self.cohesion:
            stays += self.cohesion * (self._heard(values) - values)
        return np.where(leaves[:, None], newcomers, stays)

    def _heard(self, values: Float[np.ndarray, "users dim"]) -> Float[np.ndarray, "#users dim"]:
        """The mean of those to whom each person listens."""
        if self.confidence is None or math.isinf(self.confidence):
            return values.mean(axis=0, keepdims=True)
        squares = (values**2).sum(axis=1)
        near = squares[:, None] + squares - 2 * values @ values.T <= self.confidence**2
        np.fill_diagonal(near, True)
        return near @ values / near.sum(axis=1)[:, None]

    def _asked(
        self, adviser: Adviser, period: int, values: Float[np.ndarray, "users dim"]
    ) -> Float[np.ndarray, " dim"]:
        given = np.asarray(adviser(period, values.copy()), dtype=float)
        if given.shape != (self.drift.dims,) or not np.isfinite(given).all():
            raise UsageError(
                f"The adviser must give {self.drift.dims} finite numbers, not an array of shape {given.shape}.",
                where=f"period {period}",
                fix="Return one value for each dimension.",
            )
        return given
