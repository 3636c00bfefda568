"""The original's lottery: each question is the most popular, the most convergent or the sparsest one, by chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pluralism.elicitation.query_selection.question_state import Choice, QuestionState, Selector
from pluralism.elicitation.query_selection.simple import convergence, popular, sparsest
from pluralism.errors import UsageError

__all__ = ["SHARES", "lottery", "lottery_of"]

SHARES: Mapping[str, float] = {"popular": 0.3, "convergence": 0.3, "sparsest": 0.4}
"""Chances of the three criteria."""

_CRITERIA: Mapping[str, Selector] = {"popular": popular, "convergence": convergence, "sparsest": sparsest}


def lottery(state: QuestionState, n: int, rng: np.random.Generator) -> list[Choice]:
    """Draw a criterion for each question with the original's chances; each choice notes which it was."""
    return lottery_of(SHARES)(state, n, rng)


def lottery_of(shares: Mapping[str, float]) -> Selector:
    """A lottery with other chances.

    Parameters
    ----------
    shares : mapping of str to float
        Chances of "popular", "convergence" and "sparsest", which sum to 1.
    """
    names = list(shares)
    chances = np.array([shares[name] for name in names], dtype=np.float64)
    if not set(names) <= set(_CRITERIA) or (chances < 0).any() or not np.isclose(chances.sum(), 1.0):
        raise UsageError(f"The shares {dict(shares)} are not possible.", fix=f"Use {dict(SHARES)}, say.")

    def select(state: QuestionState, n: int, rng: np.random.Generator) -> list[Choice]:
        still = state.open.copy()
        chosen: list[Choice] = []
        for name in rng.choice(names, size=n, p=chances / chances.sum()):
            found = _CRITERIA[str(name)](replace(state, open=still), 1, rng)
            if not found:
                break
            chosen += found
            still[found[0].question] = False
        return chosen

    return select
