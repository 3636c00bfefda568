"""The reference restricted to what is allowed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pluralism.errors import DataError
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.log_policies import log_normalise

__all__ = ["binary_target"]


def binary_target(utilities: Utilities, allowed: ArrayLike) -> FinitePolicy:
    """The policy nearest to the reference, in KL(t||p), of those that choose allowed candidates alone.

    Parameters
    ----------
    utilities : Utilities
    allowed : bool array of shape (prompts, candidates)

    Raises
    ------
    DataError
        If a prompt has no allowed candidate.

    References
    ----------
    M. Khalifa et al., "A distributional approach to controlled text generation", arXiv:2012.11635 (pointwise
    constraints).

    Examples
    --------
    >>> utilities = Utilities.from_matrix([[1.0, 2.0, 0.0]], reference=[0.2, 0.6, 0.2])
    >>> binary_target(utilities, [[True, True, False]]).probs
    array([[0.25, 0.75, 0.  ]])
    """
    mask = np.asarray(allowed)
    if mask.dtype != bool or mask.shape != utilities.log_reference.shape:
        raise DataError(
            f"What is allowed is a bool array of shape {utilities.log_reference.shape}, not {mask.dtype} {mask.shape}.",
            fix="Give one True or False for each prompt and candidate.",
        )
    log_weights = np.where(mask, utilities.log_reference, -np.inf)
    empty = np.flatnonzero(np.isneginf(log_weights).all(axis=1))
    if len(empty):
        raise DataError(
            "No candidate of a prompt is allowed.",
            where=f"prompt {utilities.prompts[empty[0]]!r}",
            fix="Allow one at least, or leave the prompt out (Utilities.take).",
        )
    return FinitePolicy(log_normalise(log_weights), utilities, "binary target")
