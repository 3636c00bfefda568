"""The leximin policy: the group that has least gets as much as it can, then the one that has least of the others."""

from __future__ import annotations

from typing import Literal

import numpy as np

from pluralism.errors import UsageError
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.leximin import leximin_levels

__all__ = ["leximin"]


def leximin(utilities: Utilities, *, scope: Literal["global", "per_prompt"] = "global") -> FinitePolicy:
    """A policy whose group utilities, sorted from the least, no other policy's exceed lexicographically.

    Unlike MaxMin it does not stop at the group that has least. KL has no price here: the reference policy says only
    which candidates there are. Where several policies bring the same utilities, one of them is returned.

    Parameters
    ----------
    utilities : Utilities
        Raw rewards are compared with a `ComparabilityWarning`.
    scope : {"global", "per_prompt"}
        Whether the means over prompts are compared, or the utilities on each prompt by itself.

    References
    ----------
    A. K. Sen, Collective Choice and Social Welfare, 1970; W. Ogryczak and T. Śliwiński, On solving linear programs with
    the ordered weighted averaging objective, EJOR 2003.
    """
    if scope not in ("global", "per_prompt"):
        raise UsageError(f"scope={scope!r} is not possible.", fix='It is "global" or "per_prompt".')
    utilities.warn_if_raw("leximin")
    if scope == "global":
        found = leximin_levels(utilities.values, utilities.mask, utilities.prompt_weights)
        order = "; then ".join(", ".join(utilities.groups[k] for k in tie) for tie in found.order)
        return FinitePolicy(_logs(found.probs), utilities, "leximin", notes=(f"Levels were fixed for {order}.",))
    one = np.ones(1)
    probs = np.concatenate(
        [leximin_levels(utilities.values[[x]], utilities.mask[[x]], one).probs for x in range(utilities.n_prompts)]
    )
    return FinitePolicy(_logs(probs), utilities, "leximin on each prompt")


def _logs(probs: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(probs)
