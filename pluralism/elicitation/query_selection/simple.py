"""Questions chosen by their counts alone: at random, the least answered, the most agreed with, the least convergent."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from pluralism.elicitation.query_selection.question_state import Choice, QuestionState

__all__ = ["convergence", "popular", "random_questions", "sparsest"]


def random_questions(state: QuestionState, n: int, rng: np.random.Generator) -> list[Choice]:
    """Open questions at random."""
    return _highest(state, np.zeros(len(state)), n, rng, "random")


def sparsest(state: QuestionState, n: int, rng: np.random.Generator) -> list[Choice]:
    """The open questions with the fewest answers."""
    return _highest(state, -state.counts.sum(axis=1), n, rng, "sparsest")


def popular(state: QuestionState, n: int, rng: np.random.Generator) -> list[Choice]:
    """The open questions with the most upgrade votes."""
    return _highest(state, state.counts[:, 0], n, rng, "popular")


def convergence(state: QuestionState, n: int, rng: np.random.Generator) -> list[Choice]:
    """The open questions whose second value is called wiser than others, but not yet than this one.

    The score is (m - y) / m, with y the upgrade votes of the question and m the most that any question about the same
    second value has; 0 where m is 0.
    """
    most = np.zeros(state.n_values)
    np.maximum.at(most, state.wiser, state.counts[:, 0])
    best = most[state.wiser]
    score = np.divide(best - state.counts[:, 0], best, out=np.zeros(len(state)), where=best > 0)
    return _highest(state, score, n, rng, "convergence")


def _highest(
    state: QuestionState, score: Float[np.ndarray, " questions"], n: int, rng: np.random.Generator, reason: str
) -> list[Choice]:
    """The open questions of the highest scores; equal ones in random order."""
    still = np.flatnonzero(state.open)
    order = np.lexsort((rng.random(len(still)), -score[still]))
    return [Choice(int(question), reason) for question in still[order[:n]]]
