"""Cards whose duplicates are known: values built from word banks, each told by several people in their own words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from pluralism.elicitation.values_card import ValuesCard
from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator

__all__ = ["MergeQuality", "SimulatedCards", "merge_quality", "simulate_cards"]

# what is attended to, what happens, in which way, with whom; words in one tuple are synonyms
_HEADS: tuple[tuple[str, ...], ...] = (
    ("MOMENTS", "TIMES", "OCCASIONS"),
    ("SIGNS", "SIGNALS", "CUES"),
    ("OPENINGS", "CHANCES", "OPPORTUNITIES"),
    ("QUESTIONS", "INQUIRIES", "DOUBTS"),
    ("MEMORIES", "RECOLLECTIONS"),
    ("GESTURES", "MOVEMENTS"),
    ("HOPES", "WISHES", "LONGINGS"),
    ("LIMITS", "BOUNDARIES", "EDGES"),
)
_EVENTS: tuple[tuple[str, ...], ...] = (
    ("trust grows", "confidence builds"),
    ("grief surfaces", "sorrow appears"),
    ("curiosity awakens", "wonder stirs"),
    ("courage arrives", "bravery shows"),
    ("anger softens", "rage cools"),
    ("laughter spreads", "humour bubbles up"),
    ("a decision ripens", "a choice matures"),
    ("loyalty is tested", "allegiance is tried"),
    ("a talent unfolds", "a gift develops"),
    ("faith deepens", "belief strengthens"),
    ("silence speaks", "quiet says much"),
    ("justice is done", "fairness prevails"),
    ("a body rests", "a tired frame recovers"),
    ("knowledge is shared", "learning is passed on"),
    ("beauty surprises", "loveliness startles"),
    ("freedom expands", "independence widens"),
)
_WAYS: tuple[tuple[str, ...], ...] = (
    ("slowly", "step by step", "gradually"),
    ("openly", "in plain sight"),
    ("gently", "with tenderness", "softly"),
    ("unexpectedly", "out of nowhere", "suddenly"),
    ("together", "side by side", "jointly"),
    ("steadily", "without haste"),
)
_PEOPLE: tuple[tuple[str, ...], ...] = (
    ("between friends", "among companions"),
    ("in a family", "among relatives"),
    ("at work", "among colleagues"),
    ("with strangers", "among newcomers"),
    ("in a community", "among neighbours"),
    ("across generations", "between young and old"),
)


@dataclass(frozen=True, eq=False)
class SimulatedCards:
    """Cards, and which value each of them tells.

    Attributes
    ----------
    cards : mapping of str to ValuesCard
    value : int array of shape (cards,)
    """

    cards: dict[str, ValuesCard]
    value: Int[np.ndarray, " cards"]


@dataclass(frozen=True)
class MergeQuality:
    """How well groups of cards match the truth.

    Attributes
    ----------
    adjusted_rand : float
        Hubert and Arabie's index: 1 for the same groups, 0 on average for random ones.
    false_merges : float
        Share of the pairs put together that tell different values; 0 where none was put together.
    missed : float
        Share of the pairs that tell the same value and were left apart.
    """

    adjusted_rand: float
    false_merges: float
    missed: float


def simulate_cards(
    n_values: int,
    *,
    tellings: int = 4,
    change: float = 0.2,
    shared: float = 0.0,
    rng: RNG = 0,
) -> SimulatedCards:
    """Values, each told by several people.

    Parameters
    ----------
    n_values : int
    tellings : int
        Most cards of a value; each has between one and so many.
    change : float
        Chance, for each phrase, of being said by a synonym, and for each telling of leaving a policy out.
    shared : float
        Chance, for each policy, of being taken from another value: values that are close and still differ.
    rng : int, Generator or None
    """
    if n_values < 1 or tellings < 1 or not 0 <= change < 1 or not 0 <= shared < 1:
        raise UsageError("These cards cannot be made.", fix="Give a value, a telling, and chances from 0 to below 1.")
    generator = as_generator(rng, "cards")
    values: list[list[tuple[int, ...]]] = []
    for _ in range(n_values):
        policies = [_policy(generator) for _ in range(4)]
        for k in range(4):
            if values and generator.random() < shared:
                other = values[generator.integers(len(values))]
                policies[k] = other[generator.integers(len(other))]
        values.append(list(dict.fromkeys(policies)))
    cards: dict[str, ValuesCard] = {}
    truth = []
    for value, policies in enumerate(values):
        for telling in range(1 + int(generator.integers(tellings))):
            told = [_told(policy, change, generator) for policy in policies]
            if len(told) > 3 and generator.random() < change:
                told.pop(int(generator.integers(len(told))))
            order = generator.permutation(len(told))
            title = f"Value {value} in words {telling}"
            cards[f"v{value}t{telling}"] = ValuesCard(title, "", [told[i] for i in order])
            truth.append(value)
    return SimulatedCards(cards, np.array(truth))


def merge_quality(found: Sequence[int] | Int[np.ndarray, " cards"], truth: Int[np.ndarray, " cards"]) -> MergeQuality:
    """Compare groups of cards with the truth.

    Parameters
    ----------
    found, truth : int sequences of shape (cards,)
        Group of each card.
    """
    from sklearn.metrics import adjusted_rand_score

    label = np.asarray(found)
    first, second = np.triu_indices(len(truth), 1)
    together, same = label[first] == label[second], truth[first] == truth[second]
    return MergeQuality(
        float(adjusted_rand_score(truth, label)),
        float((together & ~same).sum() / max(int(together.sum()), 1)),
        float((~together & same).sum() / max(int(same.sum()), 1)),
    )


def _policy(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(rng.integers(len(bank))) for bank in (_HEADS, _EVENTS, _WAYS, _PEOPLE))


def _told(policy: tuple[int, ...], change: float, rng: np.random.Generator) -> str:
    """A policy in the words of one person."""
    words = []
    for bank, entry in zip((_HEADS, _EVENTS, _WAYS, _PEOPLE), policy, strict=True):
        synonyms = bank[entry]
        words.append(synonyms[int(rng.integers(1, len(synonyms)))] if rng.random() < change else synonyms[0])
    head, event, way, people = words
    return f"{head} when {event} {way} {people}"
