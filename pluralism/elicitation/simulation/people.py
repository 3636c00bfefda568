"""Simulated participants: latent wisdom of each value in each context, and the ways in which people answer otherwise.

Somebody who is asked whether b is wiser than a, then, is not sure with the probability `unsure`; else says yes with

    P(yes) = q + (1 - q) sigmoid(sharpness (w_b - w_a)),

where w are the wisdoms as the person's clique sees them and q is how readily the person says yes to any story
(acquiescence). Adversaries say yes where a target value is the wiser one and no where it is not, or invert every
answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int, Int8
from scipy.special import expit

from pluralism.elicitation.values_card import ValuesCard
from pluralism.elicitation.vote_log import NO_UPGRADE, NOT_SURE, UPGRADE
from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator

__all__ = ["Adversary", "SimulatedPeople", "simulate_people"]

Adversary = Literal["push", "invert"]
"""Whether adversaries push a target value, or say the opposite of what they think."""

_NOUNS = ("MOMENTS", "SIGNS", "PLACES", "WORDS", "CHOICES", "QUESTIONS", "GESTURES", "MEMORIES")


@dataclass(frozen=True, eq=False, repr=False)
class SimulatedPeople:
    """A population, and what it thinks.

    Attributes
    ----------
    cards : mapping of str to ValuesCard
        The values, by id.
    contexts : tuple of str
    wisdom : array of shape (contexts, values)
        What is true; each row has mean 0.
    views : array of shape (cliques, contexts, values)
        What each clique sees; without cliques the truth.
    clique : int array of shape (participants,)
    sharpness : float
    acquiescence, unsure : arrays of shape (participants,)
        In [0, 1].
    adversary : bool array of shape (participants,)
    adversary_kind : {"push", "invert"}
    target : int
        The value that adversaries push.
    """

    cards: dict[str, ValuesCard]
    contexts: tuple[str, ...]
    wisdom: Float[np.ndarray, "contexts values"]
    views: Float[np.ndarray, "cliques contexts values"]
    clique: Int[np.ndarray, " participants"]
    sharpness: float
    acquiescence: Float[np.ndarray, " participants"]
    unsure: Float[np.ndarray, " participants"]
    adversary: Bool[np.ndarray, " participants"]
    adversary_kind: Adversary
    target: int

    def __len__(self) -> int:
        return len(self.clique)

    @property
    def participants(self) -> tuple[str, ...]:
        """Names: p0, p1, ..."""
        return tuple(f"p{i}" for i in range(len(self)))

    @property
    def groups(self) -> dict[str, str]:
        """The clique of each participant, as a group."""
        return {name: f"clique {k}" for name, k in zip(self.participants, self.clique.tolist(), strict=True)}

    @property
    def pooled_wisdom(self) -> Float[np.ndarray, " values"]:
        """Mean wisdom over contexts."""
        return self.wisdom.mean(axis=0)

    def probabilities(
        self,
        participant: Int[np.ndarray, " rows"],
        source: Int[np.ndarray, " rows"],
        wiser: Int[np.ndarray, " rows"],
        context: Int[np.ndarray, " rows"],
    ) -> Float[np.ndarray, "rows answers"]:
        """Probabilities of upgrade, no_upgrade and not_sure."""
        view = self.views[self.clique[participant], context]
        rows = np.arange(len(participant))
        honest = expit(self.sharpness * (view[rows, wiser] - view[rows, source]))
        eager = self.acquiescence[participant]
        yes = eager + (1.0 - eager) * honest
        unsure = self.unsure[participant]
        p = np.stack([(1.0 - unsure) * yes, (1.0 - unsure) * (1.0 - yes), unsure], axis=1)
        hostile = self.adversary[participant]
        if self.adversary_kind == "invert":
            p[hostile] = p[hostile][:, [1, 0, 2]]
        else:
            p[hostile & (wiser == self.target)] = (1.0, 0.0, 0.0)
            p[hostile & (source == self.target)] = (0.0, 1.0, 0.0)
        return p

    def answer(
        self,
        participant: Int[np.ndarray, " rows"],
        source: Int[np.ndarray, " rows"],
        wiser: Int[np.ndarray, " rows"],
        context: Int[np.ndarray, " rows"],
        rng: np.random.Generator,
    ) -> Int8[np.ndarray, " rows"]:
        """Answers: 0 upgrade, 1 no_upgrade, 2 not_sure."""
        p = self.probabilities(participant, source, wiser, context)
        draw = rng.random(len(p))
        answers = np.select([draw < p[:, 0], draw < p[:, 0] + p[:, 1]], [UPGRADE, NO_UPGRADE], NOT_SURE)
        return answers.astype(np.int8)

    def __repr__(self) -> str:
        cliques = len(self.views)
        notes = [
            f"{len(self):,} people",
            f"{len(self.cards):,} values",
            *([f"{len(self.contexts)} contexts"] if len(self.contexts) > 1 else []),
            *([f"{cliques} cliques"] if cliques > 1 else []),
            *([f"{int(self.adversary.sum())} adversaries"] if self.adversary.any() else []),
        ]
        return f"SimulatedPeople({', '.join(notes)})"


def simulate_people(
    n: int,
    n_values: int,
    *,
    contexts: Sequence[str] = ("",),
    spread: float = 1.0,
    drift: float = 0.0,
    sharpness: float = 1.0,
    acquiescence: float = 0.0,
    unsure: float = 0.0,
    n_cliques: int = 1,
    clique_spread: float = 0.0,
    adversaries: float = 0.0,
    adversary: Adversary = "push",
    target: int | None = None,
    rng: RNG = 0,
) -> SimulatedPeople:
    """Draw a population.

    Parameters
    ----------
    n, n_values : int
    contexts : sequence of str
    spread : float
        Standard deviation of the wisdoms, in log-odds at sharpness 1.
    drift : float
        Standard deviation of what each context adds to each wisdom.
    sharpness : float
        How clearly people see differences.
    acquiescence, unsure : float
        Probabilities in [0, 1).
    n_cliques : int
        Of equal size; each sees the wisdoms with an error of its own of standard deviation `clique_spread`.
    adversaries : float
        Share of the people who are adversaries, in [0, 1).
    adversary : {"push", "invert"}
    target : int, optional
        The value pushed; left out, the least wise one.
    rng : int, Generator or None
    """
    shares = {"acquiescence": acquiescence, "unsure": unsure, "adversaries": adversaries}
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise UsageError(f"{name}={share!r} is not possible.", fix="Use a number from 0 to below 1.")
    if n < 1 or n_values < 2 or n_cliques < 1 or min(spread, drift, sharpness, clique_spread) < 0 or not contexts:
        raise UsageError("Sizes and spreads are not possible.", fix="Give people, two values and a context.")
    if adversary not in get_args(Adversary) or not (target is None or 0 <= target < n_values):
        raise UsageError(
            f"adversary={adversary!r}, target={target!r} are not possible.", fix='Use "push" or "invert", and a value.'
        )
    generator = as_generator(rng, "people")
    common = spread * generator.normal(size=n_values)
    wisdom = common[None] + drift * generator.normal(size=(len(contexts), n_values))
    wisdom -= wisdom.mean(axis=1, keepdims=True)
    error = clique_spread * generator.normal(size=(n_cliques, 1, n_values))
    hostile = np.zeros(n, dtype=bool)
    hostile[generator.permutation(n)[: round(adversaries * n)]] = True
    return SimulatedPeople(
        cards=_cards(n_values),
        contexts=tuple(contexts),
        wisdom=wisdom,
        views=wisdom[None] + error - error.mean(axis=2, keepdims=True),
        clique=generator.permutation(np.arange(n) % n_cliques),
        sharpness=sharpness,
        acquiescence=np.full(n, acquiescence),
        unsure=np.full(n, unsure),
        adversary=hostile,
        adversary_kind=adversary,
        target=int(np.argmin(wisdom.mean(axis=0))) if target is None else target,
    )


def _cards(n: int) -> dict[str, ValuesCard]:
    """Cards of no meaning, with ids v0, v1, ... of equal width."""
    width = len(str(n - 1))
    cards = {}
    for i in range(n):
        policies = [f"{_NOUNS[(i + k) % len(_NOUNS)]} that belong to theme {i}, side {k + 1}" for k in range(3)]
        cards[f"v{i:0{width}}"] = ValuesCard(f"Theme {i} seen whole", f"Living by theme {i}.", policies)
    return cards
