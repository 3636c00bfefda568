"""What is known when the next questions are chosen: the questions there are, the answers so far, and whom one asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from pluralism.elicitation.hypothesis import UpgradeHypothesis
from pluralism.elicitation.moral_graph import MoralGraph

__all__ = ["Choice", "QuestionState", "Selector", "question_state"]


@dataclass(frozen=True, eq=False)
class QuestionState:
    """Questions, each about an ordered pair of values in a context, and the answers so far.

    Attributes
    ----------
    source, wiser, context : int arrays of shape (questions,)
        Codes of values and contexts.
    counts : array of shape (questions, 3)
        Answers upgrade, no_upgrade and not_sure on each question.
    open : bool array of shape (questions,)
        Which may be asked.
    n_values : int
    """

    source: Int[np.ndarray, " questions"]
    wiser: Int[np.ndarray, " questions"]
    context: Int[np.ndarray, " questions"]
    counts: Float[np.ndarray, "questions answers"]
    open: Bool[np.ndarray, " questions"]
    n_values: int

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class Choice:
    """A question that was chosen: its number, and why."""

    question: int
    reason: str


Selector = Callable[[QuestionState, int, np.random.Generator], list[Choice]]
"""Chooses up to n open questions, the first to be asked first."""


def question_state(
    graph: MoralGraph,
    hypotheses: Sequence[UpgradeHypothesis],
    participant: str | None = None,
    *,
    each_end_once: bool = True,
) -> QuestionState:
    """The state of a graph for one participant.

    Parameters
    ----------
    hypotheses : sequence of UpgradeHypothesis
        The questions.
    participant : str, optional
        Who will be asked; questions that the person has answered are not open.
    each_end_once : bool
        Whether questions whose first value the person has judged as first before, or whose second as second, are left
        out too, as in the original, so that nobody judges one value over and over.
    """
    ids = {name: i for i, name in enumerate(graph.values)}
    contexts = {name: i for i, name in enumerate(graph.contexts)}
    source = np.array([ids[graph.value_of(h.source)] for h in hypotheses], dtype=np.int64)
    wiser = np.array([ids[graph.value_of(h.wiser)] for h in hypotheses], dtype=np.int64)
    spoken = [(graph.chosen_contexts(context=h.context) or ("",))[0] for h in hypotheses]
    context = np.array([contexts[name] for name in spoken], dtype=np.int64)
    counted = graph.counted()
    place = {key: i for i, key in enumerate(zip(counted.source, counted.wiser, counted.context, strict=True))}
    rows = [place.get(key, -1) for key in zip(source, wiser, context, strict=True)]
    padded = np.concatenate([counted.counts.astype(np.float64), np.zeros((1, 3))])
    still = source != wiser
    if participant is not None:
        still &= ~_answered(graph, participant, source, wiser, context, each_end_once)
    return QuestionState(source, wiser, context, padded[rows], still, len(ids))


def _answered(
    graph: MoralGraph, participant: str, source: np.ndarray, wiser: np.ndarray, context: np.ndarray, each_end: bool
) -> Bool[np.ndarray, " questions"]:
    ballots = graph.ballots()
    people = ballots.participants.to_pylist()
    if participant not in people:
        return np.zeros(len(source), dtype=bool)
    mine = ballots.participant == people.index(participant)
    if each_end:
        return np.isin(source, ballots.source[mine]) | np.isin(wiser, ballots.wiser[mine])
    done = set(zip(ballots.source[mine], ballots.wiser[mine], ballots.context[mine], strict=True))
    return np.array([key in done for key in zip(source, wiser, context, strict=True)], dtype=bool)
