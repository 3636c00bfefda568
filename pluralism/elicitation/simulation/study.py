"""A simulated study: people come one after the other, are asked what a selector chooses, and vote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int, Int8

from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.query_selection.question_state import QuestionState, Selector
from pluralism.elicitation.query_selection.select_questions import find_selector
from pluralism.elicitation.simulation.people import SimulatedPeople
from pluralism.elicitation.vote_log import ANSWERS, VoteLog
from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator

__all__ = ["Questions", "simulate_study"]

Questions = Literal["all", "one-way"]
"""Whether every ordered pair may be asked, or each pair in one random direction alone."""

START = np.datetime64("2024-01-01T00:00:00", "us")


@dataclass(frozen=True)
class _Asked:
    """The questions there are."""

    source: Int[np.ndarray, " questions"]
    wiser: Int[np.ndarray, " questions"]
    context: Int[np.ndarray, " questions"]


def simulate_study(
    people: SimulatedPeople,
    votes_per_person: int,
    *,
    method: str | Selector = "random",
    questions: Questions = "all",
    rng: RNG = 0,
) -> MoralGraph:
    """Let people vote.

    Parameters
    ----------
    people : SimulatedPeople
    votes_per_person : int
    method : str or selector
        How questions are chosen; see `pluralism.elicitation.query_selection`. Nobody is asked about a pair twice in one
        context, in whatever direction.
    questions : {"all", "one-way"}
    rng : int, Generator or None

    Returns
    -------
    MoralGraph
        With the cliques as groups.
    """
    generator = as_generator(rng, "study")
    asked = _questions(len(people.cards), len(people.contexts), questions, generator)
    n = len(asked.source)
    if not 1 <= votes_per_person <= n // (1 if questions == "one-way" else 2):
        raise UsageError(
            f"votes_per_person={votes_per_person!r} is not possible with {n} questions.",
            fix="Ask for fewer.",
        )
    selector = find_selector(method)
    counts = np.zeros((n, len(ANSWERS)))
    pair = _pairs(asked, len(people.cards))
    rows: list[tuple[Int[np.ndarray, " asked"], Int8[np.ndarray, " asked"], list[str]]] = []
    for person in range(len(people)):
        chosen, reasons = _choose(selector, asked, counts, pair, len(people.cards), votes_per_person, generator)
        who = np.full(len(chosen), person)
        answer = people.answer(who, asked.source[chosen], asked.wiser[chosen], asked.context[chosen], generator)
        np.add.at(counts, (chosen, answer), 1.0)
        rows.append((chosen, answer, reasons))
    return _graph(people, asked, rows)


def _questions(n_values: int, n_contexts: int, questions: Questions, rng: np.random.Generator) -> _Asked:
    if questions not in ("all", "one-way"):
        raise UsageError(f"questions={questions!r} is not possible.", fix='Use "all" or "one-way".')
    first, second = np.triu_indices(n_values, 1)
    if questions == "all":
        first, second = np.concatenate([first, second]), np.concatenate([second, first])
    else:
        swap = rng.random(len(first)) < 0.5
        first, second = np.where(swap, second, first), np.where(swap, first, second)
    context = np.repeat(np.arange(n_contexts), len(first))
    return _Asked(np.tile(first, n_contexts), np.tile(second, n_contexts), context)


def _pairs(asked: _Asked, n: int) -> Int[np.ndarray, " questions"]:
    """A number for each unordered pair and context."""
    low, high = np.minimum(asked.source, asked.wiser), np.maximum(asked.source, asked.wiser)
    return (asked.context * n + low) * n + high


def _choose(
    selector: Selector,
    asked: _Asked,
    counts: Float[np.ndarray, "questions answers"],
    pair: Int[np.ndarray, " questions"],
    n_values: int,
    n: int,
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, " asked"], list[str]]:
    """Questions for one person: a selector is asked until it has chosen enough different pairs."""
    still = np.ones(len(pair), dtype=bool)
    chosen: list[int] = []
    reasons: list[str] = []
    while len(chosen) < n:
        state = QuestionState(asked.source, asked.wiser, asked.context, counts, still, n_values)
        for choice in selector(state, n - len(chosen), rng):
            if still[choice.question]:
                chosen.append(choice.question)
                reasons.append(choice.reason)
                still[pair == pair[choice.question]] = False
    return np.array(chosen, dtype=np.int64), reasons


def _graph(
    people: SimulatedPeople,
    asked: _Asked,
    rows: list[tuple[Int[np.ndarray, " asked"], Int8[np.ndarray, " asked"], list[str]]],
) -> MoralGraph:
    names, ids = people.participants, np.array(list(people.cards))
    question = np.concatenate([chosen for chosen, _, _ in rows])
    who = np.repeat(np.arange(len(rows)), [len(chosen) for chosen, _, _ in rows])
    table = pa.table(
        {
            "participant": pa.array(np.array(names)[who]),
            "source": pa.array(ids[asked.source[question]]),
            "wiser": pa.array(ids[asked.wiser[question]]),
            "context": pa.array(np.array(people.contexts)[asked.context[question]]),
            "answer": pa.array(np.array(ANSWERS)[np.concatenate([answer for _, answer, _ in rows])]),
            "time": pa.array(START + np.arange(len(question)) * np.timedelta64(1, "s")),
            "reason": pa.array([reason for _, _, reasons in rows for reason in reasons]),
        }
    )
    cases = {"study": people.contexts} if any(people.contexts) else {}
    return MoralGraph(people.cards, VoteLog.from_frame(table), cases=cases, groups=people.groups)
