"""One convention for randomness: `rng` is an int, a Generator or None; nothing touches a global generator."""

from __future__ import annotations

from numbers import Integral
from typing import TypeAlias

import numpy as np

from pluralism.errors import UsageError

__all__ = ["RNG", "as_generator", "as_seed"]

RNG: TypeAlias = "int | np.random.Generator | None"


def as_generator(rng: RNG, purpose: str = "") -> np.random.Generator:
    """Turn `rng` into a generator.

    Parameters
    ----------
    rng : int, numpy.random.Generator or None
        An int seeds a new generator; a generator is used (and advanced) as it is; None draws fresh entropy.
    purpose : str
        Mixed into an int seed. Two functions that are both called with rng=0 must not draw the same numbers: data
        simulated with seed 0 and split with seed 0 would be split by the noise they were made with.

    Examples
    --------
    >>> int(as_generator(0).integers(100)) == int(as_generator(0).integers(100))
    True
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is None or (isinstance(rng, Integral) and not isinstance(rng, bool) and rng >= 0):
        return np.random.default_rng(None if rng is None else [int(rng), *purpose.encode()])
    raise UsageError(
        f"rng must be a non-negative int, a numpy Generator or None, not {rng!r}.",
        fix="Pass rng=0 for a reproducible run, or rng=None for a fresh one.",
    )


def as_seed(rng: RNG) -> int:
    """One 63-bit seed drawn from `rng`, for code that must start several independent, resumable streams."""
    if isinstance(rng, Integral) and not isinstance(rng, bool) and rng >= 0:
        return int(rng)
    return int(as_generator(rng).integers(2**63 - 1))
