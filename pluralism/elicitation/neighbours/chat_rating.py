"""A number from a language model: the mean of what it might answer on a scale, by the probabilities of the answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pluralism.errors import UsageError
from pluralism.llm import ChatModel, Message

__all__ = ["SCALES", "expected_rating", "seed_for"]

SCALES = range(2, 10)
"""Scales go from 1 to one of these; each rating is one digit."""


def expected_rating(model: ChatModel, messages: Sequence[Message], scale: int, *, seed: int | None = None) -> float:
    """The expected rating, from 1 to `scale`.

    Raises
    ------
    UsageError
        If the scale is not possible.
    LanguageModelError
        As `ChatModel.choose` raises it.
    """
    if scale not in SCALES:
        raise UsageError(f"scale={scale!r} is not possible.", fix="Use a whole number from 2 to 9.")
    choice = model.choose(messages, [str(k) for k in range(1, scale + 1)], seed=seed)
    return float(np.arange(1, scale + 1) @ choice.probabilities)


def seed_for(model: ChatModel, rng: np.random.Generator) -> int | None:
    """A seed for models that keep to one; servers refuse parameters that they do not know."""
    return int(rng.integers(2**31)) if model.deterministic else None
