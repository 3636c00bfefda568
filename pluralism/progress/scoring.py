"""Scores between a reference and an oracle, with intervals over histories, and a reason where they mean nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.evaluation.bootstrap import interval, resample_users
from pluralism.random import RNG, as_generator

__all__ = ["NormalisedScore", "mean_interval", "normalised_score"]


@dataclass(frozen=True)
class NormalisedScore:
    """A score with its interval.

    Attributes
    ----------
    value, low, high : float
        1 is the oracle, 0 the reference; not clipped. NaN where it means nothing.
    reason : str
        Why it means nothing; empty otherwise.
    """

    value: float
    low: float
    high: float
    reason: str = ""

    def __repr__(self) -> str:
        if self.reason:
            return f"NormalisedScore(nan: {self.reason})"
        return f"NormalisedScore({self.value:.3f}, {self.low:.3f} to {self.high:.3f})"


def normalised_score(
    cost: Float[np.ndarray, " seeds"],
    reference: Float[np.ndarray, " seeds"],
    oracle: Float[np.ndarray, " seeds"],
    *,
    level: float = 0.95,
    n_bootstrap: int = 2000,
    tolerance: float = 1e-9,
    rng: RNG = 0,
) -> NormalisedScore:
    r""":math:`S = (J_{ref} - J) / (J_{ref} - J_{oracle})`, of mean costs on the same histories.

    Parameters
    ----------
    cost, reference, oracle : arrays of shape (seeds,)
        Costs in the same histories, in the same order.
    level : float
        Of the percentile interval; whole histories are drawn again.
    n_bootstrap : int
    tolerance : float
        A smaller difference between reference and oracle leaves nothing to be scored.
    rng : int, numpy.random.Generator or None

    Examples
    --------
    >>> normalised_score(np.array([2.0]), np.array([3.0]), np.array([3.0]))
    NormalisedScore(nan: the reference is as good as the oracle)
    """
    if not len(cost) == len(reference) == len(oracle) > 0:
        raise UsageError("The costs are not those of the same histories.", fix="Run all agents on the same seeds.")
    if not np.isfinite([cost, reference, oracle]).all():
        return NormalisedScore(math.nan, math.nan, math.nan, "a cost is not finite")
    room = float((reference - oracle).mean())
    if abs(room) <= tolerance:
        return NormalisedScore(math.nan, math.nan, math.nan, "the reference is as good as the oracle")
    if room < 0:
        return NormalisedScore(math.nan, math.nan, math.nan, "the reference is better than the oracle")
    gain = reference - cost
    value = float(gain.mean()) / room
    if len(cost) == 1:
        return NormalisedScore(value, math.nan, math.nan)
    draws = []
    for counts in resample_users(len(cost), n_bootstrap, as_generator(rng, "normalised score")):
        under = counts @ (reference - oracle)
        draws.append(np.divide(counts @ gain, under, out=np.full(len(under), np.nan), where=under > tolerance))
    low, high = interval(np.concatenate(draws), level)
    return NormalisedScore(value, low, high)


def mean_interval(
    values: Float[np.ndarray, " seeds"], *, level: float = 0.95, n_bootstrap: int = 2000, rng: RNG = 0
) -> tuple[float, float, float]:
    """Mean over histories with its bootstrap interval; the interval is NaN for a single one."""
    if len(values) < 2:
        return float(values.mean()), math.nan, math.nan
    blocks = resample_users(len(values), n_bootstrap, as_generator(rng, "mean interval"))
    draws = np.concatenate([counts @ values / len(values) for counts in blocks])
    return float(values.mean()), *interval(draws, level)
