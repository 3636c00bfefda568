"""A co-evolution small enough to solve by dynamic programming over all states: a check of everything else."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float, Int

from pluralism.errors import UsageError

__all__ = ["ToyChain"]


@dataclass(frozen=True)
class ToyChain:
    r"""People, their twin and history on a line of n places.

    History takes a step up or down with a given chance each (none beyond the ends). In each period people take one
    step: with chance :math:`\kappa` towards what the policy stands for (their twin then stays), else towards history
    (and so does the twin). The cost is that of `Task`: :math:`(a - h)^2 + \omega (h' - \mu')^2 + \lambda (h' - c')^2`.

    Parameters
    ----------
    n_places, n_periods : int
    move : float
        Chance of history to go up, and to go down; at most 1/2.
    influence : float
        :math:`\kappa`, in [0, 1].
    history_weight, influence_weight : float
    """

    n_places: int = 5
    n_periods: int = 6
    move: float = 0.3
    influence: float = 0.5
    history_weight: float = 1.0
    influence_weight: float = 0.5

    def __post_init__(self) -> None:
        if self.n_places < 2 or self.n_periods < 1 or not 0 <= self.move <= 0.5 or not 0 <= self.influence <= 1:
            raise UsageError(
                "n_places, n_periods, move or influence is out of range.", fix="Use >= 2, >= 1, [0, 1/2] and [0, 1]."
            )

    def solve(self) -> tuple[Int[np.ndarray, "rounds h c mu"], Float[np.ndarray, "h c mu"]]:
        """The best policy of each period in each state (h, c, mu), and the expected total cost from each state."""
        value = np.zeros((self.n_places,) * 3)
        policy = np.empty((self.n_periods, *value.shape), dtype=np.int64)
        for t in reversed(range(self.n_periods)):
            costs = self._costs(value)
            policy[t] = costs.argmin(axis=-1)
            value = costs.min(axis=-1)
        return policy, value

    def evaluate(self, policy: Int[np.ndarray, "rounds h c mu"]) -> Float[np.ndarray, "h c mu"]:
        """Expected total cost of any policy from each state."""
        value = np.zeros((self.n_places,) * 3)
        for chosen in policy[::-1]:
            value = np.take_along_axis(self._costs(value), chosen[..., None], axis=-1)[..., 0]
        return value

    def _costs(self, following: Float[np.ndarray, "h c mu"]) -> Float[np.ndarray, "h c mu actions"]:
        """Cost of each action in each state, with what is to come."""
        n = self.n_places
        h, c, mu, a = np.meshgrid(*[np.arange(n)] * 4, indexing="ij")
        costs = np.square(a - h).astype(float)
        for heard, (step, chance) in product((True, False), self._moves()):
            people = h + np.sign((a if heard else mu) - h)
            twin = c if heard else c + np.sign(mu - c)
            then = np.clip(mu + step, 0, n - 1)
            weight = chance * (self.influence if heard else 1 - self.influence)
            apart = self.history_weight * np.square(people - then) + self.influence_weight * np.square(people - twin)
            costs += weight * (apart + following[people, twin, then])
        return costs

    def _moves(self) -> tuple[tuple[int, float], ...]:
        return ((1, self.move), (-1, self.move), (0, 1 - 2 * self.move))
