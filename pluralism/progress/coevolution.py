"""The linear law of people who learn from history and from a policy, beside their twin who learn from history alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float

from pluralism.progress.linear_gaussian import LinearGaussian

__all__ = ["Influence", "coevolving", "joined"]

Influence: TypeAlias = Literal["proxy", "direct"]


def joined(own: LinearGaussian, influence: Influence) -> Float[np.ndarray, "4 2"]:
    """How (mean, trend) of period 0 becomes the expected (h, c, mean, trend) of period 1.

    People are then where history was at period 0, or, if they are history, where it is now.
    """
    made = np.zeros((4, 2))
    made[2:] = own.transition[0]
    made[:2] = own.transition[0][0] if influence == "direct" else np.array([1.0, 0.0])
    return made


def coevolving(
    own: LinearGaussian, rates: tuple[float, float], influence: Influence, *, heard: bool = False
) -> LinearGaussian:
    """The law of (h, c, mean, trend) from period 1 on, where the policy stands for 0.

    Parameters
    ----------
    own : LinearGaussian
        The law of (mean, trend).
    rates : tuple of float
        How far a period moves people towards history, and towards the policy.
    influence : {"proxy", "direct"}
    heard : bool
        Whether the survey of period 0 is known.
    """
    first, second = rates
    steps = own.n_periods - 2
    transition = np.zeros((steps, 4, 4))
    transition[:, 2:, 2:] = own.transition[1:]
    transition[:, 0, 0] = (1 - second) * (1 - first)
    transition[:, 0, 2] = (1 - second) * first
    transition[:, 1, 1] = 1 - first
    transition[:, 1, 2] = first
    load = np.zeros((4, 2))
    load[2:] = np.eye(2)
    if influence == "direct":
        # People move as history does.
        transition[:, :2, 2:] += (own.transition[1:, 0] - np.array([1.0, 0.0]))[:, None]
        load[:2, 0] = 1.0
    noise = np.einsum("is,tsr,jr->tij", load, own.noise[1:], load)
    before = own.covariances()[0][0] if heard else own.start_covariance
    join = joined(own, influence)
    start = join @ before @ join.T + load @ own.noise[0] @ load.T
    survey = np.array([1.0, 0.0, 0.0, 0.0])
    return replace(
        own,
        transition=transition,
        noise=noise,
        start_mean=join @ own.start_mean,
        start_covariance=start,
        observe=survey,
        target=survey,
    )
