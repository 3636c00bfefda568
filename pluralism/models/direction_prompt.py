"""A direction as a conditioned policy reads it: signed integer weights in the system prompt (arXiv:2402.18571)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError

__all__ = ["direction_prompt"]


def direction_prompt(
    direction: Float[np.ndarray, " attributes"],
    names: Sequence[str],
    *,
    shown: Sequence[str] | None = None,
    persona: str = "You are a helpful assistant.",
) -> str:
    """Write a unit direction with weights times 100, rounded.

    Parameters
    ----------
    direction : array of shape (attributes,)
    names : sequence of str
        Of all attributes.
    shown : sequence of str, optional
        Only these are named; left out, those whose rounded weight is not 0.
    persona : str
        What comes before.

    Raises
    ------
    UsageError
        If an attribute to be shown does not exist.

    Examples
    --------
    >>> direction_prompt(np.array([0.97, -0.26]), ["helpfulness", "verbosity"], persona="Be kind.")
    'Be kind. Your response should maximize weighted rating = helpfulness*97 + verbosity*-26'
    """
    weights = dict(zip(names, np.rint(100 * direction).astype(int).tolist(), strict=True))
    chosen = [name for name, weight in weights.items() if weight] if shown is None else list(shown)
    unknown = [name for name in chosen if name not in weights]
    if unknown:
        raise UsageError(f"There is no attribute {unknown[0]!r}.", fix=f"Choose among {', '.join(map(repr, names))}.")
    terms = " + ".join(f"{name}*{weights[name]}" for name in chosen)
    return f"{persona} Your response should maximize weighted rating = {terms}"
