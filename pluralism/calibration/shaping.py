"""The family of reward shapings that methods are compared with, each by its exact definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import expit

from pluralism.calibration.reward_arrays import as_reference, as_rewards
from pluralism.errors import UsageError

__all__ = ["SHAPINGS", "shape_rewards"]

Values = Float[np.ndarray, "prompts candidates objectives"]
References = Float[np.ndarray, "prompts references objectives"]
Shaping = Literal["mean_std", "clip", "ceiling", "min_max", "sigmoid", "slow_fast", "tanh", "arctan", "polynomial"]

EDGE = 5.0
"""The polynomial is fitted on [-5, 5], and constant beyond."""


def shape_rewards(
    rewards: ArrayLike,
    kind: Shaping,
    *,
    reference: ArrayLike | None = None,
    over: Literal["all", "prompt"] = "all",
) -> Float[np.ndarray, "*shape"]:
    r"""Shape rewards by a fixed function of their distance from the reference rewards.

    With m, s, l and h the mean, standard deviation, minimum and maximum of the reference rewards of an objective:

    ==============  ===================================================  ==============
    kind            definition                                           range
    ==============  ===================================================  ==============
    ``mean_std``    (r - m) / s                                          unbounded
    ``clip``        r, but at least m - s and at most m + s              [m - s, m + s]
    ``ceiling``     r, but at most h                                     at most h
    ``min_max``     (r - l) / (h - l), clipped                           [0, 1]
    ``sigmoid``     sigma(r - m)                                         (0, 1)
    ``slow_fast``   sigma(r - m - 3)                                     (0, 1)
    ``tanh``        tanh(r - m)                                          (-1, 1)
    ``arctan``      (2 / pi) arctan(pi (r - m) / 2)                      (-1, 1)
    ``polynomial``  1/2 + a d + b d^3 + c d^5, d = r - m clipped to 5,   [0, 1]
                    the least-squares fit to sigma on [-5, 5], clipped
    ==============  ===================================================  ==============

    Where the references of an objective are all equal, ``mean_std`` is r - m, and ``min_max`` is 0 below, 1/2 at and 1
    above them. The statistics are those of the reference, never running ones, so a reward does not change while it is
    used.

    Parameters
    ----------
    rewards : array of shape (candidates,), (candidates, objectives) or (prompts, candidates, objectives)
    kind : str
        See the table.
    reference : array, optional
        As in `par`; the rewards themselves by default.
    over : {"all", "prompt"}
        Statistics of all prompts together, or of each prompt.

    Returns
    -------
    array
        Of the shape of `rewards`.

    Notes
    -----
    All kinds are non-decreasing (`polynomial` between its clipped ends too): by themselves they do not change which
    candidate of a prompt is best, except for making some equal.

    Examples
    --------
    >>> shape_rewards([0.0, 1.0, 2.0], "min_max")
    array([0. , 0.5, 1. ])
    >>> shape_rewards([3.0, 3.0], "mean_std")
    array([0., 0.])
    """
    if kind not in SHAPINGS:
        raise UsageError(f"kind={kind!r} is not possible.", fix=f"kind is one of {', '.join(SHAPINGS)}.")
    if over not in ("all", "prompt"):
        raise UsageError(f"over={over!r} is not possible.", fix='over is "all" or "prompt".')
    given = as_rewards(rewards)
    references = given.values if reference is None else as_reference(reference, given)
    axes = (0, 1) if over == "all" else (1,)
    if not (~np.isnan(references)).any(axis=axes).all():
        raise UsageError("A prompt has no reference.", fix='Pass over="all", or references for each prompt.')
    return given.like_given(SHAPINGS[kind](given.values, references, axes))


def _mean(references: References, axes: tuple[int, ...]) -> np.ndarray:
    return np.nanmean(references, axis=axes, keepdims=True)


def _mean_std(r: Values, references: References, axes: tuple[int, ...]) -> Values:
    spread = np.nanstd(references, axis=axes, keepdims=True)
    return (r - _mean(references, axes)) / np.where(_constant(references, axes), 1.0, spread)


def _clip(r: Values, references: References, axes: tuple[int, ...]) -> Values:
    mean, spread = _mean(references, axes), np.nanstd(references, axis=axes, keepdims=True)
    return np.clip(r, mean - spread, mean + spread)


def _ceiling(r: Values, references: References, axes: tuple[int, ...]) -> Values:
    return np.minimum(r, np.nanmax(references, axis=axes, keepdims=True))


def _min_max(r: Values, references: References, axes: tuple[int, ...]) -> Values:
    low, high = np.nanmin(references, axis=axes, keepdims=True), np.nanmax(references, axis=axes, keepdims=True)
    flat = _constant(references, axes)
    inside = np.clip((r - low) / np.where(flat, 1.0, high - low), 0.0, 1.0)
    return np.where(flat, 0.5 + 0.5 * np.sign(r - low), inside)


def _sigmoid(r: Values, references: References, axes: tuple[int, ...]) -> Values:
    return expit(r - _mean(references, axes))


def _slow_fast(r: Values, references: References, axes: tuple[int, ...]) -> Values:
    return expit(r - _mean(references, axes) - 3.0)


def _tanh(r: Values, references: References, axes: tuple[int, ...]) -> Values:
    return np.tanh(r - _mean(references, axes))


def _arctan(r: Values, references: References, axes: tuple[int, ...]) -> Values:
    return 2 / np.pi * np.arctan(np.pi / 2 * (r - _mean(references, axes)))


def _polynomial(r: Values, references: References, axes: tuple[int, ...]) -> Values:
    d = np.clip(r - _mean(references, axes), -EDGE, EDGE)
    a, b, c = polynomial_coefficients()
    return np.clip(0.5 + a * d + b * d**3 + c * d**5, 0.0, 1.0)


def _constant(references: References, axes: tuple[int, ...]) -> np.ndarray:
    # a standard deviation of equal numbers may be rounding instead of 0
    return np.nanmax(references, axis=axes, keepdims=True) == np.nanmin(references, axis=axes, keepdims=True)


def polynomial_coefficients() -> tuple[float, float, float]:
    """Of d, d^3 and d^5 in the least-squares fit to sigma(d) - 1/2, uniformly on [-5, 5]."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    d = EDGE * nodes
    powers = np.column_stack([d, d**3, d**5]) * np.sqrt(weights)[:, None]
    a, b, c = np.linalg.lstsq(powers, (expit(d) - 0.5) * np.sqrt(weights), rcond=None)[0]
    return float(a), float(b), float(c)


SHAPINGS: dict[str, Callable[[Values, References, tuple[int, ...]], Values]] = {
    "mean_std": _mean_std,
    "clip": _clip,
    "ceiling": _ceiling,
    "min_max": _min_max,
    "sigmoid": _sigmoid,
    "slow_fast": _slow_fast,
    "tanh": _tanh,
    "arctan": _arctan,
    "polynomial": _polynomial,
}
"""Every kind by name."""
