"""An interview protocol: stages, prompts, limits, and the texts that a participant reads, in several languages."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from pluralism.elicitation.interview.content import (
    Content,
    Identifier,
    Localised,
    WrongKey,
    check_ids,
    check_languages,
    check_places,
    languages_of,
    read_content,
    said_in,
)

__all__ = ["Limits", "Protocol", "Scope", "Stage", "SurveyQuestion", "read_protocol"]

PROMPT_PLACES: dict[str, frozenset[str]] = {
    "interviewer": frozenset({"question", "context", "goal", "guess"}),
    "opening": frozenset({"question", "context"}),
    "guess": frozenset({"question", "context"}),
    "card": frozenset({"question", "context"}),
    "duplicate": frozenset(),
    "story": frozenset({"context"}),
}
TEXT_PLACES: dict[str, frozenset[str]] = {
    name: frozenset()
    for name in (
        "welcome", "consent", "consent_yes", "consent_no", "question", "choose_context", "thinking", "taken_back",
        "card", "advice", "fill_in", "edit", "revise", "confirm", "form_title", "form_description", "form_policies",
        "wish", "your_card", "other_card", "duplicate", "same", "different", "not_sure", "first", "then", "vote",
        "upgrade", "no_upgrade", "comment", "survey", "done", "paused", "withdrawn", "expired",
        "hint_text", "hint_choice", "hint_keep", "hint_skip",
    )
} | {"plain_story": frozenset({"source", "wiser", "context"}), "model_notice": frozenset({"model"})}  # fmt: skip


class Limits(Content):
    """What bounds an interview; a copy is kept in its record, so that editing the file changes no interview.

    Attributes
    ----------
    min_turns, max_turns : int
        Answers before a card may be drafted, and after which it is.
    answer_characters : int
        Longest answer or comment.
    title_characters, description_characters, policy_characters, policies : int
        Of a card.
    card_versions : int
        Drafts of one card.
    proposals : int
        Cards of others that are shown as possibly the same.
    votes : int
    expire_hours : float
        Without a word of the participant.
    """

    min_turns: int = Field(default=3, ge=1, le=50)
    max_turns: int = Field(default=8, ge=1, le=50)
    answer_characters: int = Field(default=4000, ge=100, le=100_000)
    title_characters: int = Field(default=80, ge=10, le=200)
    description_characters: int = Field(default=600, ge=50, le=4000)
    policy_characters: int = Field(default=240, ge=40, le=1000)
    policies: int = Field(default=9, ge=3, le=20)
    card_versions: int = Field(default=20, ge=1, le=100)
    proposals: int = Field(default=3, ge=0, le=10)
    votes: int = Field(default=4, ge=0, le=50)
    expire_hours: float = Field(default=24.0 * 14, gt=0)

    @model_validator(mode="after")
    def _in_order(self) -> Limits:
        if self.min_turns > self.max_turns:
            raise WrongKey("limits.min_turns", "It is larger than max_turns")
        return self


class Stage(Content):
    """One part of the conversation.

    Attributes
    ----------
    id : str
    goal : text
        What an interviewer should find out, for a language model.
    question : text
        What the scripted interviewer asks.
    fills : {"title", "description", "policies"}, optional
        Which field of the card the answer to `question` goes into.
    """

    id: Identifier
    goal: Localised
    question: Localised
    fills: Literal["title", "description", "policies"] | None = None


class Scope(Content):
    """Something that a participant may consent to.

    Attributes
    ----------
    id : str
    required : bool
        Whether there is no interview without it.
    text : text
    """

    id: Identifier
    required: bool
    text: Localised


class SurveyQuestion(Content):
    """A question after the votes.

    Attributes
    ----------
    id : str
    kind : {"scale", "text"}
        A scale has the answers 1 (not at all) to 5 (fully); a text may be left out.
    text : text
    """

    id: Identifier
    kind: Literal["scale", "text"]
    text: Localised


class Protocol(Content):
    """How an interview goes; see `elicitation/protocols` for the shipped ones.

    Attributes
    ----------
    name, version : str, int
    title : text
    languages : tuple of str
        Every text is there in each of them.
    limits : Limits
    consent_version : str
    consent : tuple of Scope
    stages : tuple of Stage
        In the order of the scripted interview.
    prompts : mapping of str to text
        For language models: ``interviewer``, ``opening``, ``guess``, ``card``, ``duplicate``, ``story``.
    texts : mapping of str to text
        For participants.
    survey : tuple of SurveyQuestion
    """

    name: Identifier
    version: int = Field(ge=1)
    title: Localised
    languages: tuple[str, ...] = Field(min_length=1)
    limits: Limits = Limits()
    consent_version: str = Field(min_length=1)
    consent: tuple[Scope, ...] = ()
    stages: tuple[Stage, ...] = Field(min_length=1)
    prompts: dict[str, Localised]
    texts: dict[str, Localised]
    survey: tuple[SurveyQuestion, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Protocol:
        for places, given, table in ((PROMPT_PLACES, self.prompts, "prompts"), (TEXT_PLACES, self.texts, "texts")):
            for name in places:
                if name not in given:
                    raise WrongKey(f"{table}.{name}", "This table is missing")
            for name, text in given.items():
                check_places(text, places.get(name, ()), f"{table}.{name}")
        for name in self.prompts:
            if name not in PROMPT_PLACES:
                raise WrongKey(f"prompts.{name}", f"There is no such prompt; there is {', '.join(PROMPT_PLACES)}")
        filled: set[str] = set()
        for index, stage in enumerate(self.stages):
            check_places(stage.question, ("question", "context"), f"stages[{index}].question")
            if stage.fills in filled:
                raise WrongKey(f"stages[{index}].fills", f"Another stage fills the {stage.fills} too")
            filled |= {stage.fills} if stage.fills else set()
        check_ids(self.consent, "consent")
        check_ids(self.stages, "stages")
        check_ids(self.survey, "survey")
        if self.limits.max_turns < len(self.stages):
            raise WrongKey("limits.max_turns", f"The scripted interview has {len(self.stages)} stages")
        check_languages(self.languages, languages_of(self) | self._texts_by_key())
        return self

    def _texts_by_key(self) -> dict[str, set[str]]:
        tables = {"prompts": self.prompts, "texts": self.texts}
        return {f"{table}.{name}": set(text) for table, texts in tables.items() for name, text in texts.items()}

    def text(self, name: str, language: str) -> str:
        """A text for participants."""
        return said_in(self.texts[name], language)

    def prompt(self, name: str, language: str) -> str:
        """A prompt for language models, with its places."""
        return said_in(self.prompts[name], language)


def read_protocol(name_or_path: str | Path) -> Protocol:
    """A shipped protocol by name, or one of your own by path.

    Raises
    ------
    UsageError
        The error names file and key.

    Examples
    --------
    >>> read_protocol("moral-graph").languages
    ('en', 'de')
    """
    return read_content(name_or_path, "protocols", Protocol)
