"""One call to choose what a participant is asked next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pluralism.elicitation.hypothesis import UpgradeHypothesis
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.query_selection.information_gain import information_gain
from pluralism.elicitation.query_selection.lottery import lottery
from pluralism.elicitation.query_selection.question_state import Selector, question_state
from pluralism.elicitation.query_selection.simple import convergence, popular, random_questions, sparsest
from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator

__all__ = ["Question", "find_selector", "select_questions", "selectors"]

_SELECTORS: Mapping[str, Selector] = {
    "random": random_questions,
    "sparsest": sparsest,
    "popular": popular,
    "convergence": convergence,
    "lottery": lottery,
    "information-gain": information_gain,
}


@dataclass(frozen=True)
class Question:
    """A hypothesis to ask about, and why it was chosen: the `reason` to note with the vote."""

    hypothesis: UpgradeHypothesis
    reason: str


def selectors() -> dict[str, Selector]:
    """All ways to choose, by name."""
    return dict(_SELECTORS)


def find_selector(method: str | Selector) -> Selector:
    """A way to choose by its name; underscores count as hyphens.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    if not isinstance(method, str):
        return method
    name = method.replace("_", "-")
    if name not in _SELECTORS:
        raise UsageError(f"There is no way to choose {method!r}.", fix=f"Use one of {', '.join(_SELECTORS)}.")
    return _SELECTORS[name]


def select_questions(
    graph: MoralGraph,
    participant: str | None = None,
    *,
    n: int = 3,
    method: str | Selector = "information-gain",
    hypotheses: Sequence[UpgradeHypothesis] | None = None,
    context: str | None = None,
    each_end_once: bool = True,
    rng: RNG = None,
) -> list[Question]:
    """Choose what to ask.

    Parameters
    ----------
    participant : str, optional
        Who will be asked; what the person has answered is not asked again.
    n : int
        How many questions; fewer are chosen where there are no more.
    method : str or callable
        One of `selectors()`, or a function as they are.
    hypotheses : sequence of UpgradeHypothesis, optional
        The questions there are; left out, the graph's.
    context : str, optional
        Ask about this context alone.
    each_end_once : bool
        As in `question_state`.
    rng : int, Generator or None

    Raises
    ------
    UsageError
        If there are no hypotheses, or no such method.
    """
    asked = list(graph.hypotheses if hypotheses is None else hypotheses)
    if context is not None:
        graph.chosen_contexts(context=context)
        asked = [hypothesis for hypothesis in asked if hypothesis.context == context]
    if not asked or n < 1:
        raise UsageError(
            "There is nothing to choose from." if not asked else f"n={n!r} is not possible.",
            fix="Give hypotheses, or graph.with_hypotheses(...), and n of at least 1.",
        )
    state = question_state(graph, asked, participant, each_end_once=each_end_once)
    choices = find_selector(method)(state, n, as_generator(rng, "questions"))
    return [Question(asked[choice.question], choice.reason) for choice in choices]
