"""Small moral graphs that several tests of elicitation share."""

from __future__ import annotations

from typing import Any

import numpy as np

from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.values_card import ValuesCard
from pluralism.elicitation.vote_log import ANSWERS


def make_card(name: str) -> ValuesCard:
    return ValuesCard(f"Value {name}", f"About {name}.", [f"MOMENTS of {name}", f"SIGNS of {name}"])


def make_graph(names: str | list[str] = "abcde") -> MoralGraph:
    return MoralGraph({name: make_card(name) for name in names})


def vote(participant: str, source: str, wiser: str, answer: str = "upgrade", **more: Any) -> dict[str, Any]:
    return {"participant": participant, "source": source, "wiser": wiser, "answer": answer, **more}


def counted_votes(counts: dict[tuple[str, str], tuple[int, int, int]], context: str = "") -> list[dict[str, Any]]:
    """Votes of people who each answer once a pair, so that the counts (upgrade, no_upgrade, not_sure) come out."""
    votes = []
    for (source, wiser), numbers in counts.items():
        person = 0
        for answer, number in zip(ANSWERS, numbers, strict=True):
            for _ in range(number):
                votes.append(vote(f"p{person}", source, wiser, answer, context=context))
                person += 1
    return votes


def random_votes(
    rng: np.random.Generator,
    n: int,
    names: str = "abcde",
    n_people: int = 8,
    contexts: tuple[str, ...] = ("", "x", "y"),
) -> list[dict[str, Any]]:
    votes = []
    for i in range(n):
        source, wiser = rng.choice(list(names), 2, replace=False)
        person, answer = f"p{rng.integers(n_people)}", ANSWERS[rng.integers(3)]
        time = None if rng.random() < 0.1 else int(1_700_000_000 + rng.integers(50))
        votes.append(vote(person, source, wiser, answer, context=str(rng.choice(contexts)), time=time, comment=f"c{i}"))
    return votes
