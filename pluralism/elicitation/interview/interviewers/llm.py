"""A language model as interviewer, hosted or local: it asks, guesses, drafts and compares, and decides nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator

from pluralism.elicitation.interview.card_form import CardFields, advice, card_schema
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
from pluralism.elicitation.interview.participant_text import quoted, seen, suspicious
from pluralism.elicitation.interview.protocol import Stage
from pluralism.elicitation.values_card import ValuesCard
from pluralism.errors import LanguageModelError, ReplyFormatError
from pluralism.llm import ChatModel, Message, Reply, Usage

__all__ = ["LLMInterviewer"]

QUESTION_CHARACTERS, STORY_CHARACTERS = 1500, 1500


class LLMInterviewer:
    """Interviews by the prompts of the protocol.

    What the participant says, and what other participants wrote on their cards, stands in the prompts as quoted data.
    What the model says is checked by a schema and is only ever a question, a guess, a draft, a list of the ids that
    it was offered, or a story: there is no reply that votes or changes a rule.

    Parameters
    ----------
    model : ChatModel
        Hosted, local or scripted.
    temperature : float, optional
        Of questions. Default: the model's own, as for everything else that it is asked.
    max_tokens : int
        Of each answer; models that think before they speak need many.
    """

    revises = True

    def __init__(self, model: ChatModel, *, temperature: float | None = None, max_tokens: int = 2048) -> None:
        self.model, self.temperature, self.max_tokens = model, temperature, max_tokens

    def __repr__(self) -> str:
        return f"LLMInterviewer({self.model!r})"

    @property
    def name(self) -> str:
        """What to call it in the record."""
        return self.model.name

    def ask(self, conversation: Conversation, show: Show) -> Question:
        """The next question, streamed; taken back where it cannot be shown."""
        stages = _stages(conversation)
        stage = stages[min(conversation.number, len(stages)) - 1]
        guess = "\n".join(f"- {policy}" for policy in conversation.guess.policies) if conversation.guess else ""
        messages = [
            Message(
                "system",
                _prompt(
                    conversation,
                    "interviewer",
                    goal=stage.goal[conversation.language],
                    guess=quoted(guess or "-", "guess"),
                ),
            ),
            Message("user", _prompt(conversation, "opening")),
        ]
        for turn in conversation.turns:
            messages += [Message("assistant", turn.question), Message("user", quoted(turn.answer or "", "answer"))]
        shown = False
        try:
            with self.model.stream(
                messages, temperature=self.temperature, max_tokens=self.max_tokens, seed=self._seed(conversation)
            ) as stream:
                for piece in stream:
                    shown = True
                    show(piece)
                reply = stream.reply
            text = seen(reply.text)
            if reply.finish == "length" or not text or len(text) > QUESTION_CHARACTERS or suspicious(text):
                raise ReplyFormatError(
                    f"{self.name} did not ask a question that can be shown.", fix="Use a stronger model."
                )
        except LanguageModelError:
            if shown:
                show(None)
            raise
        return Question(text, stage.id, self._source(messages, reply.usage))

    def guess(self, conversation: Conversation) -> Guess:
        """What the participant seems to attend to, by the whole conversation."""
        messages = [Message("system", _prompt(conversation, "guess")), Message("user", _transcript(conversation))]
        reply = self._fill(messages, _guess_schema(conversation), conversation)
        found = cast("_GuessFields", reply.value)
        policies = tuple(" ".join(seen(policy).split()) for policy in found.policies)
        return Guess(tuple(filter(None, policies)), found.ready, self._source(messages, reply.usage))

    def draft(self, conversation: Conversation) -> Drafted:
        """A card; where the linter has something to say about it, the model hears that once, and the better one counts.

        Raises
        ------
        ReplyFormatError
            No card after two repairs.
        """
        said = _transcript(conversation)
        if conversation.draft is not None:
            said += "\n" + _card(conversation.draft, "card")
        if conversation.revision is not None:
            said += "\n" + quoted(conversation.revision, "wish")
        messages = [Message("system", _prompt(conversation, "card")), Message("user", said)]
        schema = card_schema(conversation.protocol.limits)
        reply = self._fill(messages, schema, conversation)
        card = cast("CardFields", reply.value).text(conversation.context)
        usage, findings = reply.usage, advice(card, conversation.language)
        if findings and reply.repairs < 2:
            heard = "\n".join(f"- {finding.field}: {finding.fix}" for finding in findings)
            again = [*messages, Message("assistant", reply.text), Message("user", heard)]
            try:
                second = self._fill(again, schema, conversation)
            except LanguageModelError:
                return Drafted(card, self._source(messages, usage))
            usage += second.usage
            better = cast("CardFields", second.value).text(conversation.context)
            if len(advice(better, conversation.language)) < len(findings):
                card = better
        return Drafted(card, self._source(messages, usage))

    def same(self, card: ValuesCard, candidates: Sequence[Candidate], conversation: Conversation) -> Duplicates:
        """Those of the candidates that the model takes for the same value; it can name no others."""
        marks = {f"c{number}": candidate.id for number, candidate in enumerate(candidates, 1)}
        offered = [_card(CardText.of(one.card), mark) for mark, one in zip(marks, candidates, strict=True)]
        said = "\n".join([_card(CardText.of(card), "card"), *offered])
        messages = [Message("system", _prompt(conversation, "duplicate")), Message("user", said)]
        one_of: Any = Literal[tuple(marks)]
        schema = create_model("SameFields", __base__=_Fields, same=(list[one_of], Field(max_length=len(marks))))
        reply = self._fill(messages, schema, conversation)
        named = dict.fromkeys(cast("Any", reply.value).same)
        return Duplicates(tuple(marks[mark] for mark in named), self._source(messages, reply.usage))

    def story(self, source: ValuesCard, wiser: ValuesCard, context: str, conversation: Conversation) -> Story:
        """A story that says what became of each policy of the first value."""
        said = "\n".join([_card(CardText.of(source), "source"), _card(CardText.of(wiser), "wiser")])
        prompt = fill(conversation.protocol.prompt("story", conversation.language), context=quoted(context, "context"))
        messages = [Message("system", prompt), Message("user", said)]
        reply = self._fill(messages, _story_schema(len(source.policies)), conversation)
        return Story(cast("_StoryFields", reply.value).story, self._source(messages, reply.usage))

    def _fill(self, messages: Sequence[Message], schema: type[BaseModel], conversation: Conversation) -> Reply:
        return self.model.chat(messages, schema=schema, max_tokens=self.max_tokens, seed=self._seed(conversation))

    def _seed(self, conversation: Conversation) -> int | None:
        """Of models that keep to one; servers refuse parameters that they do not know."""
        return conversation.seed + len(conversation.turns) if self.model.deterministic else None

    def _source(self, messages: Sequence[Message], usage: Usage) -> Source:
        said = json.dumps([[message.role, message.content] for message in messages])
        return Source(
            by=self.name,
            prompt=hashlib.sha256(said.encode()).hexdigest(),
            calls=usage.calls,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
        )


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _GuessFields(_Fields):
    policies: list[str]
    ready: bool


class _StoryFields(_Fields):
    story: str


def _guess_schema(conversation: Conversation) -> type[_GuessFields]:
    limits = conversation.protocol.limits
    policy: Any = Annotated[str, Field(max_length=limits.policy_characters)]
    return create_model(
        "GuessFields",
        __base__=_GuessFields,
        policies=(list[policy], Field(max_length=2 * limits.policies)),
        ready=(bool, Field(description="Whether there is enough for a card")),
    )


def _story_schema(policies: int) -> type[_StoryFields]:
    class Step(_Fields):
        """What became of one policy of the first value."""

        policy: int = Field(ge=1, le=policies, description="Its number on the first card")
        becomes: str
        how: Literal["it saw only a part", "its motive was mixed", "this looks more skilfully"]

    def all_of_them(steps: list[Step]) -> list[Step]:
        missing = sorted(set(range(1, policies + 1)) - {step.policy for step in steps})
        if missing:
            raise ValueError(f"say what becomes of policy {missing[0]} too")
        return steps

    def fit_to_show(text: str) -> str:
        kept = seen(text)
        if not kept or suspicious(kept):
            raise ValueError("a story is plain text, without links and markup")
        return kept

    checks: dict[str, Any] = {
        "all_of_them": field_validator("steps")(all_of_them),
        "fit_to_show": field_validator("story")(fit_to_show),
    }
    return create_model(
        "StoryFields",
        __base__=_StoryFields,
        __validators__=checks,
        steps=(list[Step], Field(max_length=2 * policies)),
        story=(str, Field(min_length=1, max_length=STORY_CHARACTERS)),
    )


def _stages(conversation: Conversation) -> tuple[Stage, ...]:
    """A model finds the title itself."""
    stages = conversation.protocol.stages
    return tuple(stage for stage in stages if stage.fills != "title") or stages


def _prompt(conversation: Conversation, name: str, **values: str) -> str:
    language = conversation.language
    question = quoted(conversation.case.question[language], "question")
    context = quoted(conversation.context, "context")
    return fill(conversation.protocol.prompt(name, language), question=question, context=context, **values)


def _transcript(conversation: Conversation) -> str:
    parts = []
    for turn in conversation.turns:
        parts += [quoted(turn.question, "asked"), quoted(turn.answer or "", "answer")]
    return "\n".join(parts)


def _card(card: CardText, tag: str) -> str:
    lines = [card.title, card.description, *(f"{k}. {policy}" for k, policy in enumerate(card.policies, 1))]
    return quoted("\n".join(line for line in lines if line), tag)
