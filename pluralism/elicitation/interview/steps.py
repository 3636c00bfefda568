"""What the interviewer does next: calls that may fail, each of which ends in events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from pluralism.elicitation.interview.case import Case
from pluralism.elicitation.interview.events import (
    Asked,
    BallotDrawn,
    BallotItem,
    Body,
    CardDrafted,
    CardText,
    DuplicatesProposed,
    FellBack,
    Guessed,
    Proposal,
    Source,
)
from pluralism.elicitation.interview.interviewers import Conversation, Interviewer, ScriptedInterviewer, Story
from pluralism.elicitation.interview.interviewers.interviewer import Show
from pluralism.elicitation.interview.pool import Pair, Pool
from pluralism.elicitation.interview.protocol import Protocol
from pluralism.elicitation.interview.state import InterviewState
from pluralism.elicitation.values_card import ValuesCard
from pluralism.errors import LanguageModelError, UsageError

__all__ = ["GIVE_UP_AFTER", "Steps"]

T = TypeVar("T")
Task = Literal["question", "guess", "card", "duplicates", "story"]

GIVE_UP_AFTER = 3
"""Failures of a model in one interview, after which it is not asked again."""


@dataclass(frozen=True)
class Steps:
    """Everything that the next steps of an interview need.

    Attributes
    ----------
    protocol, case : Protocol, Case
    interviewer : Interviewer
    pool : Pool
    """

    protocol: Protocol
    case: Case
    interviewer: Interviewer
    pool: Pool

    def next(self, state: InterviewState, show: Show) -> list[Body]:
        """The events of the step that is due; none where nothing is."""
        tasks: dict[str, Callable[[InterviewState, Show], list[Body]]] = {
            "question": self._question,
            "guess": self._guess,
            "card": self._card,
            "duplicates": self._duplicates,
            "ballot": self._ballot,
        }
        return [] if state.due is None else tasks[state.due](state, show)

    def _question(self, state: InterviewState, show: Show) -> list[Body]:
        talk = self._conversation(state)
        failures, found = self._try("question", state, lambda who: who.ask(talk, show))
        return [*failures, Asked(turn=talk.number, stage=found.stage, text=found.text, source=found.source)]

    def _guess(self, state: InterviewState, show: Show) -> list[Body]:
        talk = self._conversation(state)
        failures, found = self._try("guess", state, lambda who: who.guess(talk))
        guess = Guessed(turn=state.answered, policies=found.policies, ready=found.ready, source=found.source)
        return [*failures, guess]

    def _card(self, state: InterviewState, show: Show) -> list[Body]:
        talk = self._conversation(state)
        failures, found = self._try("card", state, lambda who: who.draft(talk))
        return [*failures, CardDrafted(version=len(state.drafts) + 1, card=found.card, source=found.source)]

    def _duplicates(self, state: InterviewState, show: Show) -> list[Body]:
        card = _confirmed(state)
        near = {one.id: one for one in self.pool.near(card, state.begun.limits.proposals)}
        if not near:
            return [DuplicatesProposed(proposals=(), source=Source(by="pool"))]
        talk = self._conversation(state)
        failures, found = self._try("duplicates", state, lambda who: who.same(card, tuple(near.values()), talk))
        proposals = tuple(
            Proposal(card_id=name, card=CardText.of(near[name].card), similarity=near[name].similarity)
            for name in found.ids
            if name in near
        )
        return [*failures, DuplicatesProposed(proposals=proposals, source=found.source)]

    def _ballot(self, state: InterviewState, show: Show) -> list[Body]:
        card, limits = _confirmed(state), state.begun.limits
        cards = {**self.pool.cards, card.id: card}
        pairs = self.pool.draw(card, state.context_text or "", limits.votes, state.begun.seed)
        talk, failures, items = self._conversation(state), list[Body](), []
        for pair in pairs[: limits.votes]:
            if pair.source not in cards or pair.wiser not in cards or pair.source == pair.wiser:
                raise UsageError("The pool draws a pair of cards that it does not have.", fix="Mend the pool.")
            told, source = pair.story, Source(by=pair.model or "pool")
            if not told:
                failed, story = self._try("story", state, _telling(cards, pair, talk), failures)
                failures += failed
                told, source = story.text, story.source
            items.append(
                BallotItem(
                    source_id=pair.source,
                    wiser_id=pair.wiser,
                    source=CardText.of(cards[pair.source]),
                    wiser=CardText.of(cards[pair.wiser]),
                    context=pair.context,
                    story=told,
                    story_source=source,
                    reason=pair.reason,
                )
            )
        return [*failures, BallotDrawn(items=tuple(items))]

    def _try(
        self, task: Task, state: InterviewState, do: Callable[[Interviewer], T], failures: Sequence[Body] = ()
    ) -> tuple[list[Body], T]:
        """What the interviewer gives, or the scripted one where it fails, with the events that say so."""
        scripted = ScriptedInterviewer()
        if failures or state.fallbacks >= GIVE_UP_AFTER:
            return [], do(scripted)
        try:
            return [], do(self.interviewer)
        except LanguageModelError as error:
            return [FellBack(task=task, reason=error.code)], do(scripted)

    def _conversation(self, state: InterviewState) -> Conversation:
        return Conversation.of(state, self.protocol, self.case)


def _telling(cards: dict[str, ValuesCard], pair: Pair, talk: Conversation) -> Callable[[Interviewer], Story]:
    return lambda who: who.story(cards[pair.source], cards[pair.wiser], pair.context, talk)


def _confirmed(state: InterviewState) -> ValuesCard:
    if state.card is None:
        raise UsageError("There is no confirmed card.", fix="Let the participant confirm one.")
    return state.card.card()
