"""The interface of interviewers: what they see of an interview, and what they give back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from pluralism.elicitation.interview.case import Case
from pluralism.elicitation.interview.events import CardText, Guessed, Source
from pluralism.elicitation.interview.protocol import Protocol as InterviewProtocol
from pluralism.elicitation.interview.state import InterviewState, Turn
from pluralism.elicitation.values_card import ValuesCard

__all__ = ["Candidate", "Conversation", "Drafted", "Duplicates", "Guess", "Interviewer", "Question", "Show", "Story"]

Show: TypeAlias = Callable[[str | None], None]
"""Gets the pieces of a question as they are written; None takes back what was shown."""


@dataclass(frozen=True, repr=False)
class Conversation:
    """What an interviewer sees.

    Attributes
    ----------
    protocol, case : Protocol, Case
    language : str
    context : str
        The text of the context.
    turns : tuple of Turn
        All answered.
    guess : Guessed or None
    draft : CardText or None
        The last draft of the card.
    revision : str or None
        What the participant wants changed in it.
    seed : int
    """

    protocol: InterviewProtocol
    case: Case
    language: str
    context: str
    turns: tuple[Turn, ...]
    guess: Guessed | None
    draft: CardText | None
    revision: str | None
    seed: int

    def __repr__(self) -> str:
        return f"Conversation({self.case.name!r}, {len(self.turns)} turns)"

    @classmethod
    def of(cls, state: InterviewState, protocol: InterviewProtocol, case: Case) -> Conversation:
        """What an interviewer sees of a state."""
        answered = tuple(turn for turn in state.turns if turn.answer is not None)
        language, seed = state.begun.language, state.begun.seed
        context = state.context_text or ""
        return cls(protocol, case, language, context, answered, state.guess, state.draft, state.revision, seed)

    @property
    def number(self) -> int:
        """The number of the next question."""
        return len(self.turns) + 1


@dataclass(frozen=True, repr=False)
class Question:
    """A question, the stage that it belongs to, and where it comes from."""

    text: str
    stage: str
    source: Source


@dataclass(frozen=True, repr=False)
class Guess:
    """What the participant seems to attend to, and whether that suffices for a card."""

    policies: tuple[str, ...]
    ready: bool
    source: Source


@dataclass(frozen=True, repr=False)
class Drafted:
    """A draft of a card; fields may be empty where only the participant can fill them."""

    card: CardText
    source: Source


@dataclass(frozen=True)
class Candidate:
    """A card of somebody else's that is near the participant's.

    Attributes
    ----------
    id : str
    card : ValuesCard
    similarity : float
        Cosine, in [-1, 1].
    """

    id: str
    card: ValuesCard
    similarity: float


@dataclass(frozen=True, repr=False)
class Duplicates:
    """Ids of candidates that seem to be the same."""

    ids: tuple[str, ...]
    source: Source


@dataclass(frozen=True, repr=False)
class Story:
    """How somebody came from one value to another, in the first person."""

    text: str
    source: Source


class Interviewer(Protocol):
    """Asks, drafts and compares; it decides nothing.

    Methods may raise `pluralism.errors.LanguageModelError`: the interview then goes on with the scripted interviewer.
    """

    @property
    def name(self) -> str:
        """What to call it in the record."""

    @property
    def revises(self) -> bool:
        """Whether it can change a card by words; else only the participant edits it."""

    def ask(self, conversation: Conversation, show: Show) -> Question:
        """The next question; its pieces go to `show` as they are written."""

    def guess(self, conversation: Conversation) -> Guess:
        """What the participant seems to attend to."""

    def draft(self, conversation: Conversation) -> Drafted:
        """A card, or a new version of it where a revision is asked for."""

    def same(self, card: ValuesCard, candidates: Sequence[Candidate], conversation: Conversation) -> Duplicates:
        """Those of the candidates that seem to be the same value in other words."""

    def story(self, source: ValuesCard, wiser: ValuesCard, context: str, conversation: Conversation) -> Story:
        """A story of somebody who came from `source` to `wiser`."""
