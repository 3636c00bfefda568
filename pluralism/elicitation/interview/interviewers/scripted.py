"""An interview without any language model: the questions of the protocol, and a card made of the answers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pluralism.elicitation.interview.content import fill
from pluralism.elicitation.interview.events import CardText, Source
from pluralism.elicitation.interview.interviewers.interviewer import (
    Candidate,
    Conversation,
    Drafted,
    Duplicates,
    Guess,
    Question,
    Show,
    Story,
)
from pluralism.elicitation.values_card import ValuesCard

__all__ = ["ScriptedInterviewer"]

_BULLET = re.compile(r"^\s*(?:[-*•–]|\d{1,2}[.)])\s+")
_NAME = "scripted"


class ScriptedInterviewer:
    """Asks the protocol's questions in order, and puts the answers into the form of a card.

    Each line of the answer to the stage that fills the policies is one policy. The participant completes and corrects
    the form. Cards that are near are all proposed as duplicates: whether they are the same only the participant says.
    """

    name = _NAME
    revises = False

    def ask(self, conversation: Conversation, show: Show) -> Question:
        """The question of the next stage; after the last, that of the last again."""
        stages = conversation.protocol.stages
        stage = stages[min(conversation.number, len(stages)) - 1]
        text = fill(
            stage.question[conversation.language],
            context=conversation.context,
            question=conversation.case.question[conversation.language],
        )
        show(text)
        return Question(text, stage.id, Source(by=_NAME))

    def guess(self, conversation: Conversation) -> Guess:
        """The policies so far; ready after the last stage."""
        policies = _policies(conversation)
        return Guess(policies, len(conversation.turns) >= len(conversation.protocol.stages), Source(by=_NAME))

    def draft(self, conversation: Conversation) -> Drafted:
        """The answers in the form of a card; what a revision asks for stands in the participant's own hands."""
        if conversation.draft is not None:
            return Drafted(conversation.draft, Source(by=_NAME))
        limits = conversation.protocol.limits
        card = CardText(
            title=_line(_answer(conversation, "title"), limits.title_characters),
            description=_line(_answer(conversation, "description"), limits.description_characters),
            policies=_policies(conversation),
            context=conversation.context or None,
        )
        return Drafted(card, Source(by=_NAME))

    def same(self, card: ValuesCard, candidates: Sequence[Candidate], conversation: Conversation) -> Duplicates:
        """All candidates."""
        return Duplicates(tuple(candidate.id for candidate in candidates), Source(by=_NAME))

    def story(self, source: ValuesCard, wiser: ValuesCard, context: str, conversation: Conversation) -> Story:
        """The protocol's plain story, with the titles of the cards in it."""
        text = conversation.protocol.text("plain_story", conversation.language)
        return Story(fill(text, source=source.title, wiser=wiser.title, context=context), Source(by=_NAME))


def _answer(conversation: Conversation, field: str) -> str:
    """The last answer to the stage that fills a field."""
    stages = [stage.id for stage in conversation.protocol.stages if stage.fills == field]
    answers = [turn.answer or "" for turn in conversation.turns if turn.stage in stages]
    return answers[-1] if answers else ""


def _policies(conversation: Conversation) -> tuple[str, ...]:
    limits = conversation.protocol.limits
    lines = re.split(r"[\n;]+", _answer(conversation, "policies"))
    found = [_line(_BULLET.sub("", line), limits.policy_characters) for line in lines]
    return tuple(dict.fromkeys(line for line in found if line))[: limits.policies]


def _line(text: str, most: int) -> str:
    """On one line, and cut at a word: the form shows it, and the participant sees what is missing."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rsplit(" ", 1)[0] + "…"
