"""Rewards of candidates as arrays of one shape, or an error that says which shapes there are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.errors import DataError, UsageError

__all__ = ["Rewards", "as_reference", "as_rewards", "as_weights"]

SHAPES = "(candidates,), (candidates, objectives) or (prompts, candidates, objectives)"


class Rewards(NamedTuple):
    """Rewards with all three axes, and how many of them the caller gave."""

    values: Float[np.ndarray, "prompts candidates objectives"]
    ndim: int

    def like_given(self, values: Float[np.ndarray, "prompts candidates objectives"]) -> np.ndarray:
        """An array of the three axes in the form in which the rewards came."""
        return values if self.ndim == 3 else values[0] if self.ndim == 2 else values[0, :, 0]

    def per_candidate(self, values: Float[np.ndarray, "prompts candidates"]) -> np.ndarray:
        """One number a candidate in the form in which the rewards came."""
        return values if self.ndim == 3 else values[0]


def as_rewards(rewards: ArrayLike, name: str = "rewards") -> Rewards:
    """Check rewards; they must be finite."""
    values = _numbers(rewards, name)
    if not np.isfinite(values).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise DataError(f"The {name} are not all finite.", where=f"entry {where}", fix="Leave such candidates out.")
    return _three(values, name)


def as_reference(
    reference: ArrayLike, rewards: Rewards | None = None
) -> Float[np.ndarray, "prompts references objectives"]:
    """Check reference rewards; NaN stands for a reference that is not there.

    With rewards given, references without a prompt axis serve every prompt.
    """
    values = _numbers(reference, "reference")
    if np.isinf(values).any():
        raise DataError("A reference reward is infinite.", fix="Leave such references out (NaN).")
    three = _three(values, "reference").values
    if not (~np.isnan(three)).any(axis=(0, 1)).all():
        raise DataError("An objective has no reference reward at all.", fix="Pass at least one reference.")
    if rewards is None:
        return three
    n_prompts, _, n_objectives = rewards.values.shape
    if three.shape[2] != n_objectives:
        raise UsageError(
            f"The rewards have {n_objectives} objectives, the reference has {three.shape[2]}.",
            fix="Reward the references by the same objectives.",
        )
    if len(three) == 1:
        return np.broadcast_to(three, (n_prompts, *three.shape[1:]))
    if len(three) != n_prompts:
        raise UsageError(
            f"The rewards are of {n_prompts} prompts, the reference of {len(three)}.",
            fix="References belong to a prompt: pass those of the same prompts, in the same order.",
        )
    return three


def as_weights(
    weights: ArrayLike | None, n_objectives: int, default: float, *, signed: bool = False
) -> Float[np.ndarray, " objectives"]:
    """Check one weight an objective."""
    if weights is None:
        return np.full(n_objectives, default)
    w = np.asarray(weights, dtype=float)
    allowed = "finite" if signed else "at least 0"
    if w.shape != (n_objectives,) or not np.isfinite(w).all() or not np.any(w) or (not signed and (w < 0).any()):
        raise UsageError(
            f"weights={weights!r} is not possible for {n_objectives} objectives.",
            fix=f"Pass one number for each objective, {allowed}, not all 0.",
        )
    return w


def _numbers(values: ArrayLike, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "fiub" or not 1 <= array.ndim <= 3 or array.size == 0:
        raise UsageError(
            f"{name} must be numbers, not an array of shape {array.shape} and type {array.dtype}.",
            fix=f"Possible shapes are {SHAPES}.",
        )
    return array.astype(float)


def _three(values: np.ndarray, name: str) -> Rewards:
    if values.ndim == 1:
        return Rewards(values[None, :, None], 1)
    return Rewards(values[None] if values.ndim == 2 else values, values.ndim)
