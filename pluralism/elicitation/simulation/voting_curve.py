"""How fast a moral graph is learnt when the questions of a vote are chosen: each way against the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pluralism.elicitation.aggregators.aggregate import aggregate
from pluralism.elicitation.query_selection.curve import LearningCurve
from pluralism.elicitation.query_selection.select_questions import selectors
from pluralism.elicitation.simulation.people import SimulatedPeople
from pluralism.elicitation.simulation.recovery import recovery
from pluralism.elicitation.simulation.study import Questions, simulate_study
from pluralism.errors import UsageError
from pluralism.random import RNG, as_seed

__all__ = ["voting_curve"]


def voting_curve(
    make_people: Callable[[int], SimulatedPeople],
    *,
    methods: Sequence[str] = ("random", "sparsest", "lottery", "information-gain"),
    votes: Sequence[int] = (2, 4, 6, 8),
    repeats: int = 6,
    rule: str = "bradley-terry",
    measure: str = "tau",
    questions: Questions = "all",
    rng: RNG = 0,
) -> LearningCurve:
    """Let simulated people vote on questions that are chosen in several ways, and compare with what was planted.

    Parameters
    ----------
    make_people : callable
        Gives a population for a seed; each repeat has one, the same for all methods.
    methods : sequence of str
        Of `pluralism.elicitation.query_selection.select_questions.selectors()`.
    votes : sequence of int
        Votes of each person. Each is a study of its own, as no way to choose looks back beyond the counts.
    repeats : int
    rule : str
        By which values are ranked.
    measure : {"tau", "top_regret", "edge_f1"}
        Of `Recovery`; regret is better where it is lower.
    questions : {"all", "one-way"}
        As in `simulate_study`.
    rng : int, Generator or None

    Returns
    -------
    LearningCurve
        Over answers of everybody together.
    """
    names = tuple(name.replace("_", "-") for name in methods)
    unknown = [name for name in names if name not in selectors()]
    if unknown or not names:
        raise UsageError(f"There is no way to choose {unknown}.", fix=f"Use {', '.join(selectors())}.")
    if measure not in ("tau", "top_regret", "edge_f1"):
        raise UsageError(f"measure={measure!r} is not possible.", fix="Use tau, top_regret or edge_f1.")
    if repeats < 1 or not votes or min(votes) < 1 or list(votes) != sorted(set(votes)):
        raise UsageError(f"{repeats} repeats with {list(votes)} votes are not possible.", fix="Let votes rise from 1.")
    seed = as_seed(rng)
    value = np.empty((len(names), repeats, len(votes)))
    sizes = set()
    for repeat in range(repeats):
        people = make_people(seed + repeat)
        sizes.add(len(people))
        for i, method in enumerate(names):
            for j, each in enumerate(votes):
                graph = simulate_study(people, each, method=method, questions=questions, rng=seed + repeat)
                value[i, repeat, j] = getattr(recovery(aggregate(graph, rule, n_bootstrap=0), people), measure)
    if len(sizes) > 1:
        raise UsageError("The populations differ in size.", fix="Let make_people give as many people for every seed.")
    return LearningCurve(names, np.array(votes) * sizes.pop(), value, measure, measure != "top_regret")
