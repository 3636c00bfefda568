"""Weights of groups' rewards that answer to how the groups fare: MaxMin by exponentiated gradient, Nash, or shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.welfare_weights import Welfare

__all__ = ["DualWeights", "WeightState", "exponentiated_gradient", "nash_weights"]


def exponentiated_gradient(
    weights: Float[np.ndarray, " groups"], gains: Float[np.ndarray, " groups"], *, rate: float
) -> Float[np.ndarray, " groups"]:
    r"""One step down the dual of MaxMin, :math:`w_k \propto w_k e^{-\eta u_k}`: who fares worse counts for more.

    Parameters
    ----------
    weights : array of shape (groups,)
        On the simplex. A weight of 0 stays 0.
    gains : array of shape (groups,)
        Mean utility of each group under the policy, in comparable units.
    rate : float
        eta, in the inverse of the unit of utility.

    Examples
    --------
    >>> exponentiated_gradient(np.array([0.5, 0.5]), np.array([np.log(3.0), 0.0]), rate=1.0).round(6)
    array([0.25, 0.75])
    """
    with np.errstate(divide="ignore"):
        logs = np.log(weights) - rate * gains
    raised = np.exp(logs - logs.max())
    return raised / raised.sum()


def nash_weights(
    shares: Float[np.ndarray, " groups"], gains: Float[np.ndarray, " groups"], *, floor: float
) -> Float[np.ndarray, " groups"]:
    r"""Slope of Nash welfare :math:`\sum_k s_k \log a_k` in the groups' gains, :math:`w_k \propto s_k / a_k`.

    Parameters
    ----------
    shares : array of shape (groups,)
    gains : array of shape (groups,)
        Over the point of disagreement.
    floor : float
        Gains below this count as this, above 0: at the start nobody has gained, and some may have lost.

    Examples
    --------
    >>> nash_weights(np.array([0.5, 0.5]), np.array([0.3, 0.1]), floor=0.01).round(6)
    array([0.25, 0.75])
    """
    raw = shares / np.maximum(gains, floor)
    return raw / raw.sum()


@dataclass(frozen=True, kw_only=True)
class DualWeights:
    r"""A rule that turns what groups gain into the weights of their rewards in the next step of a policy.

    Parameters
    ----------
    welfare : {"maxmin", "nash", "utilitarian"}
        The weights of MaxMin move by `exponentiated_gradient`, those of Nash welfare are `nash_weights`, those of the
        utilitarian mean are the shares, always.
    shares : tuple of float, optional
        How large each group is; equal by default. MaxMin begins with them.
    rate : float
        Step of MaxMin, in the inverse of the unit of utility. In the theory eta = beta / range(R)^2 converges; a policy
        that is learnt lags behind its weights, so small steps are safer.
    memory : float
        Gains are averaged over steps with this weight on the past, from 0 and below 1.
    floor : float
        As in `nash_weights`.

    References
    ----------
    S. Chakraborty et al., MaxMin-RLHF, ICML 2024, arXiv:2402.08925; M. Kaneko and K. Nakamura, Econometrica 1979.
    """

    welfare: Welfare = "maxmin"
    shares: tuple[float, ...] | None = None
    rate: float = 0.5
    memory: float = 0.0
    floor: float = 0.01

    def __post_init__(self) -> None:
        if self.welfare not in get_args(Welfare):
            raise UsageError(
                f"welfare={self.welfare!r} is not possible.", fix=f"It is one of {', '.join(get_args(Welfare))}."
            )
        if not (0 < self.rate < np.inf and 0 < self.floor < np.inf and 0 <= self.memory < 1):
            raise UsageError(
                f"rate={self.rate!r}, floor={self.floor!r}, memory={self.memory!r} are not possible.",
                fix="rate and floor are above 0, memory from 0 and below 1.",
            )
        if self.shares is not None and not (np.isfinite(self.shares).all() and min(self.shares) > 0):
            raise UsageError(f"shares={self.shares!r} are not possible.", fix="Give each group a number above 0.")

    def begin(self, groups: tuple[str, ...]) -> WeightState:
        """The weights before anything is known about how groups fare.

        Raises
        ------
        UsageError
            There are not as many shares as groups.
        """
        given = np.ones(len(groups)) if self.shares is None else np.array(self.shares, dtype=np.float64)
        if given.shape != (len(groups),):
            raise UsageError(f"{len(given)} shares do not fit {len(groups)} groups.", fix="Give one for each group.")
        return WeightState(self, groups, given / given.sum())


@dataclass(eq=False)
class WeightState:
    """The weights of a run, which `update` moves.

    Attributes
    ----------
    rule : DualWeights
    groups : tuple of str
    weights : array of shape (groups,)
        On the simplex.
    gains : array of shape (groups,) or None
        The average so far.
    steps : int
    """

    rule: DualWeights
    groups: tuple[str, ...]
    weights: Float[np.ndarray, " groups"]
    gains: Float[np.ndarray, " groups"] | None = None
    steps: int = 0
    _shares: Float[np.ndarray, " groups"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._shares = self.weights.copy()

    def update(self, gains: ArrayLike) -> Float[np.ndarray, " groups"]:
        """The next weights, from what each group gained of late.

        Parameters
        ----------
        gains : array of shape (groups,)
            Mean utility over the point of disagreement, in comparable units.
        """
        found = np.asarray(gains, dtype=np.float64)
        if found.shape != self.weights.shape or not np.isfinite(found).all():
            raise DataError(
                f"Gains of shape {found.shape} do not fit {len(self.groups)} groups, or are not finite.",
                fix="A reward gives a finite number for each response.",
            )
        memory = 0.0 if self.gains is None else self.rule.memory
        self.gains = found if self.gains is None else memory * self.gains + (1 - memory) * found
        self.steps += 1
        if self.rule.welfare == "maxmin":
            self.weights = exponentiated_gradient(self.weights, self.gains, rate=self.rule.rate)
        elif self.rule.welfare == "nash":
            self.weights = nash_weights(self._shares, self.gains, floor=self.rule.floor)
        return self.weights

    def to_dict(self) -> dict[str, Any]:
        """Where the weights stand, as JSON."""
        gains = None if self.gains is None else self.gains.tolist()
        return {
            "groups": list(self.groups),
            "weights": self.weights.tolist(),
            "gains": gains,
            "steps": self.steps,
        }

    def restore(self, held: dict[str, Any]) -> None:
        """Go on from what `to_dict` gave.

        Raises
        ------
        DataError
            It is of other groups.
        """
        if tuple(held.get("groups", ())) != self.groups:
            raise DataError("The weights that were kept are of other groups.", fix="Train in another folder.")
        self.weights = np.array(held["weights"], dtype=np.float64)
        self.gains = None if held["gains"] is None else np.array(held["gains"], dtype=np.float64)
        self.steps = int(held["steps"])
