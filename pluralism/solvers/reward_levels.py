"""Candidates of a prompt grouped by equal reward, in ascending order, with the reference's mass on each level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

__all__ = ["RewardLevels", "log_cdf", "log_one_minus_exp", "mid_cdf", "reward_levels"]

Matrix = Float[np.ndarray, "prompts candidates"]
Levels = Float[np.ndarray, "prompts levels"]


@dataclass(frozen=True)
class RewardLevels:
    """The levels of every prompt; prompts with fewer levels than others are padded at the top with levels of no mass.

    Attributes
    ----------
    index : int array of shape (prompts, candidates)
        Level of each candidate, 0 the lowest reward. Candidates that a prompt lacks are above all, on a level of no
        mass.
    log_mass : array of shape (prompts, levels)
        Log of the reference's mass.
    log_share : array of shape (prompts, candidates)
        Log of a candidate's share of its level's mass.
    """

    index: Int[np.ndarray, "prompts candidates"]
    log_mass: Levels
    log_share: Matrix

    def spread(self, log_mass: Levels) -> Matrix:
        """Candidates' log-probabilities under another mass of the levels, shared inside a level as by the reference."""
        return np.take_along_axis(log_mass, self.index, axis=1) + self.log_share

    def mass_of(self, log_policy: Matrix) -> Levels:
        """Log-mass of each level under another policy."""
        top = log_policy.max(axis=1, keepdims=True)
        mass = np.zeros_like(self.log_mass)
        np.add.at(mass, (np.arange(len(mass))[:, None], self.index), np.exp(log_policy - top))
        with np.errstate(divide="ignore"):
            return np.log(mass) + top


def reward_levels(reward: Matrix, log_reference: Matrix) -> RewardLevels:
    """Group candidates by exactly equal reward.

    Parameters
    ----------
    reward, log_reference : arrays of shape (prompts, candidates)
    """
    there = log_reference > -np.inf
    key = np.where(there, reward, np.inf)
    order = np.argsort(key, axis=1, kind="stable")
    key = np.take_along_axis(key, order, axis=1)
    opens = np.ones(key.shape, dtype=bool)
    opens[:, 1:] = key[:, 1:] != key[:, :-1]
    level = np.cumsum(opens, axis=1) - 1
    index = np.empty_like(level)
    np.put_along_axis(index, order, level, axis=1)
    # segments never cross rows: each row opens with one
    log_p = np.take_along_axis(log_reference, order, axis=1).ravel()
    starts = np.flatnonzero(opens.ravel())
    top = np.maximum.reduceat(log_p, starts)
    segment = np.cumsum(opens.ravel()) - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        mass = np.add.reduceat(np.where(log_p > -np.inf, np.exp(log_p - top[segment]), 0.0), starts)
        mass = np.where(mass > 0, top + np.log(mass), -np.inf)
    log_mass = np.full((len(key), int(level[:, -1].max()) + 1), -np.inf)
    log_mass[np.repeat(np.arange(len(key)), opens.sum(axis=1)), level[opens]] = mass
    with np.errstate(invalid="ignore"):
        share = np.where(there, log_reference - np.take_along_axis(log_mass, index, axis=1), -np.inf)
    return RewardLevels(index, log_mass, share)


def log_one_minus_exp(x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """log(1 - e^x) for x <= 0, without loss of figures at either end (Maechler 2012)."""
    with np.errstate(divide="ignore"):
        return np.where(x > -np.log(2.0), np.log(-np.expm1(x)), np.log1p(-np.exp(x)))


def log_cdf(log_mass: Levels) -> Levels:
    """Log of the mass on a level and those below; each figure is good even where 1 - F is far below rounding."""
    below = np.logaddexp.accumulate(log_mass, axis=1)
    above = np.full_like(log_mass, -np.inf)
    above[:, :-1] = np.logaddexp.accumulate(log_mass[:, :0:-1], axis=1)[:, ::-1]
    return np.where(above < below, log_one_minus_exp(np.minimum(above, 0.0)), np.minimum(below, 0.0))


def mid_cdf(log_mass: Levels) -> Levels:
    """Mass below a level plus half its own: the chance to beat a draw, ties half."""
    mass = np.exp(log_mass)
    return np.cumsum(mass, axis=1) - 0.5 * mass
