"""A case: a question on which people differ, the contexts in which it arises, and a few cards to begin with."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from pluralism.elicitation.interview.content import (
    Content,
    Identifier,
    Localised,
    WrongKey,
    check_ids,
    check_languages,
    languages_of,
    read_content,
    said_in,
)
from pluralism.elicitation.values_card import ValuesCard
from pluralism.errors import UsageError

__all__ = ["Case", "CaseCard", "Context", "read_case"]


class Context(Content):
    """When a value applies.

    Attributes
    ----------
    id : str
    text : text
        Begins with "When".
    """

    id: Identifier
    text: Localised


class CaseCard(Content):
    """A values card that is there from the start, so that the first participants have something to compare with.

    Attributes
    ----------
    context : str
        The id of one of the case's contexts.
    title, description : text
    policies : mapping of str to tuple of str
        By language.
    """

    context: Identifier
    title: Localised
    description: Localised
    policies: dict[str, tuple[str, ...]]

    def card(self, language: str, context: str) -> ValuesCard:
        """The card in one language."""
        texts = said_in(self.title, language), said_in(self.description, language)
        return ValuesCard(*texts, self.policies[language], context)


class Case(Content):
    """A question and its contexts; see `elicitation/cases` for the shipped ones.

    Attributes
    ----------
    name, version : str, int
    languages : tuple of str
    title : text
    question : text
        What somebody asks, as they would.
    ask : text
        What the participant is asked about it.
    contexts : tuple of Context
    cards : tuple of CaseCard
    """

    name: Identifier
    version: int = Field(ge=1)
    languages: tuple[str, ...] = Field(min_length=1)
    title: Localised
    question: Localised
    ask: Localised
    contexts: tuple[Context, ...] = Field(min_length=1)
    cards: tuple[CaseCard, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Case:
        check_ids(self.contexts, "contexts")
        names = [context.id for context in self.contexts]
        by_key = languages_of(self)
        for index, card in enumerate(self.cards):
            by_key[f"cards[{index}].policies"] = set(card.policies)
            if card.context not in names:
                raise WrongKey(f"cards[{index}].context", f"The case has no context {card.context!r}")
        check_languages(self.languages, by_key)
        return self

    def context(self, name: str, language: str) -> str:
        """The text of a context.

        Raises
        ------
        UsageError
            There is no such context.
        """
        for context in self.contexts:
            if context.id == name:
                return said_in(context.text, language)
        names = ", ".join(context.id for context in self.contexts)
        raise UsageError(f"The case {self.name!r} has no context {name!r}.", fix=f"It has {names}.")

    def starting_cards(self, language: str) -> tuple[ValuesCard, ...]:
        """The cards that are there from the start."""
        return tuple(card.card(language, self.context(card.context, language)) for card in self.cards)


def read_case(name_or_path: str | Path) -> Case:
    """A shipped case by name, or one of your own by path.

    Raises
    ------
    UsageError
        The error names file and key.

    Examples
    --------
    >>> len(read_case("unruly-child").contexts) > 3
    True
    """
    return read_content(name_or_path, "cases", Case)
