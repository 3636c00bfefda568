"""Cards of other people: which may be the same as a new one, and which pairs to ask about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pluralism.elicitation.hypothesis import UpgradeHypothesis
from pluralism.elicitation.interview.case import Case
from pluralism.elicitation.interview.interviewers.interviewer import Candidate
from pluralism.elicitation.values_card import ValuesCard
from pluralism.embeddings import Encoder, HashingEncoder
from pluralism.random import as_generator

if TYPE_CHECKING:
    from pluralism.elicitation.moral_graph import MoralGraph

__all__ = ["Pair", "Pool", "StaticPool"]


@dataclass(frozen=True)
class Pair:
    """Two values and a context to ask about.

    Attributes
    ----------
    source, wiser : str
        Ids of the value that the story begins with, and of the one that it arrives at.
    context : str
    reason : str
        Why it was drawn.
    story : str
        Empty where one is to be written.
    model : str
        What wrote the story.
    """

    source: str
    wiser: str
    context: str
    reason: str
    story: str = ""
    model: str = ""


class Pool(Protocol):
    """Where an interview gets the cards of others from; any object with these members will do."""

    @property
    def cards(self) -> Mapping[str, ValuesCard]:
        """Cards by id."""

    def near(self, card: ValuesCard, most: int) -> Sequence[Candidate]:
        """Cards that may be the same, the nearest first."""

    def draw(self, card: ValuesCard, context: str, n: int, seed: int) -> Sequence[Pair]:
        """Pairs to ask somebody about whose own card is `card`."""


class StaticPool:
    """A fixed set of cards, with hypotheses about them where there are any.

    Parameters
    ----------
    cards : mapping of str to ValuesCard
    hypotheses : sequence of UpgradeHypothesis
        Asked about first, where their context is that of the interview.
    encoder : Encoder, optional
        What makes vectors of cards. Default: hashed words, which needs nothing and finds cards that share words.
    threshold : float
        Cosine from which on a card may be the same.
    """

    def __init__(
        self,
        cards: Mapping[str, ValuesCard],
        hypotheses: Sequence[UpgradeHypothesis] = (),
        *,
        encoder: Encoder | None = None,
        threshold: float = 0.5,
    ) -> None:
        self.cards, self.hypotheses = dict(cards), tuple(hypotheses)
        self.encoder: Encoder = HashingEncoder(1024, ngrams=1) if encoder is None else encoder
        self.threshold = threshold

    @classmethod
    def of_case(cls, case: Case, language: str) -> StaticPool:
        """The cards that a case begins with."""
        return cls({card.id: card for card in case.starting_cards(language)})

    @classmethod
    def of_graph(cls, graph: MoralGraph) -> StaticPool:
        """The values and hypotheses of a moral graph."""
        return cls(graph.values, graph.hypotheses)

    def near(self, card: ValuesCard, most: int) -> Sequence[Candidate]:
        """Cards whose policies and title have a cosine above the threshold, the nearest first."""
        others = {name: other for name, other in self.cards.items() if name != card.id}
        if not others or most < 1:
            return ()
        texts = [f"{one.title}\n{one.text}" for one in (card, *others.values())]
        vectors = np.asarray(self.encoder.encode(texts), dtype=np.float64)
        norms = np.linalg.norm(vectors, axis=1)
        # A zero vector has no direction: it is near to nothing.
        with np.errstate(invalid="ignore"):
            cosines = np.nan_to_num(vectors[1:] @ vectors[0] / (norms[1:] * norms[0]), nan=-1.0)
        found = [Candidate(name, other, float(c)) for (name, other), c in zip(others.items(), cosines, strict=True)]
        close = [candidate for candidate in found if candidate.similarity >= self.threshold]
        return sorted(close, key=lambda candidate: (-candidate.similarity, candidate.id))[:most]

    def draw(self, card: ValuesCard, context: str, n: int, seed: int) -> Sequence[Pair]:
        """Pairs in random order and direction: hypotheses of the context first, then pairs of its cards, then others.

        Where there is room for it, the first pair is asked about a second time the other way round: whoever agrees to
        both agrees to everything.
        """
        rng = as_generator(seed, "ballot")
        pairs = [
            Pair(one.source, one.wiser, one.context, "hypothesis", one.story, one.model)
            for one in self.hypotheses
            if one.context == context and {one.source, one.wiser} <= set(self.cards)
        ]
        rng.shuffle(pairs)
        asked = {frozenset((pair.source, pair.wiser)) for pair in pairs}
        here = [name for name, other in self.cards.items() if other.context == context and name != card.id]
        elsewhere = [name for name in self.cards if name not in here and name != card.id]
        for first, second, reason in (
            (here, here, "same context"),
            ([card.id], here, "own card"),
            ([*here, card.id], elsewhere, "other context"),
        ):
            drawn = [(a, b) for a in first for b in second if a != b and (first is not second or a < b)]
            for k in rng.permutation(len(drawn)):
                a, b = drawn[k] if rng.random() < 0.5 else drawn[k][::-1]
                if frozenset((a, b)) not in asked:
                    asked.add(frozenset((a, b)))
                    pairs.append(Pair(a, b, context, reason))
        chosen = pairs[:n]
        if n >= 3 and len(chosen) >= 2:
            first_pair = chosen[0]
            control = Pair(first_pair.wiser, first_pair.source, first_pair.context, "reversed control")
            chosen = [*chosen[: n - 1], control]
        return chosen
