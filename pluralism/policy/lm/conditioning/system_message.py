"""A system message that says what a group wants, in several wordings of the same content."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from pluralism.errors import DataError, LanguageModelError, UsageError
from pluralism.policy.lm.conditioning.value_record import ValueRecord, one_line

if TYPE_CHECKING:
    from pluralism.elicitation.exports.principles import Principles
    from pluralism.elicitation.values_card import ValuesCard
    from pluralism.llm.chat_model import ChatModel
    from pluralism.social_choice.representative_statements import RepresentativeStatement

__all__ = ["WORDINGS", "Content", "SystemMessage"]

Content: TypeAlias = Literal["values", "principles", "taste", "text"]

WORDINGS: dict[str, tuple[str, ...]] = {
    "values": (
        "You answer somebody who values the following.",
        "Write each answer for a reader with these preferences.",
        "What matters to the person you are talking to:",
        "Your answers are good here so far as they do this:",
        "Take these wishes of the reader to heart in everything that you write.",
    ),
    "principles": (
        "When you answer{when}, attend to what follows, because a community found it wise to.",
        "A community asks those who answer{when} to pay attention to this:",
        "Before you answer{when}, look for the following; people agreed that it is wise to.",
        "These are the things that wise people here notice when they answer{when}.",
        "Let your answer{when} be guided by what a community came to value:",
    ),
    "taste": (
        "You answer people with the following taste.",
        "Write answers that people with this taste would choose:",
        "What your readers have chosen and rejected before:",
        "Match the taste of your readers, which shows in what they say of other texts.",
        "The people you write for differ from others in what they like:",
    ),
}
_MARKS = ("- ", "* ", "{k}. ", "({k}) ", "• ")
"""How a wording marks the entries of its list."""

_REWRITE = (
    "Say the following instructions to an assistant in other words. Keep every point, add none, and answer with the "
    "new instructions and nothing else."
)


@dataclass(frozen=True)
class SystemMessage:
    """What stands before the conversation.

    Parameters
    ----------
    lines : sequence of str
        The points, each one line.
    content : {"values", "principles", "taste", "text"}
        What the points are; it decides the sentence before them. A "text" is its lines and nothing else.
    wording : int
        Which of the sentences, from 0.
    when : str, optional
        The context that principles are for.

    Raises
    ------
    UsageError
        There are no lines, or no such wording.

    Examples
    --------
    >>> message = SystemMessage.of_values([ValueRecord("style", "length", "brief", "Say it in one sentence.")])
    >>> print(message.text)
    You answer somebody who values the following.
    - style, length: brief. Say it in one sentence.
    >>> print(message.paraphrases()[0].text)
    Write each answer for a reader with these preferences.
    * style, length: brief. Say it in one sentence.
    """

    lines: tuple[str, ...]
    content: Content = "text"
    wording: int = 0
    when: str | None = None

    def __post_init__(self) -> None:
        lines = (self.lines,) if isinstance(self.lines, str) else tuple(self.lines)
        if not lines or not all(isinstance(line, str) and line.strip() for line in lines):
            raise UsageError("A system message has no lines, or an empty one.", fix="Give texts, one at least.")
        if self.content not in get_args(Content):
            raise UsageError(
                f"content={self.content!r} is not possible.", fix=f"Use one of {', '.join(get_args(Content))}."
            )
        object.__setattr__(self, "lines", lines)
        if not (isinstance(self.wording, int) and 0 <= self.wording < self.n_wordings):
            raise UsageError(
                f"There is no wording {self.wording!r} of {self.content}.", fix=f"There are {self.n_wordings}, from 0."
            )

    @classmethod
    def of_values(cls, records: Sequence[ValueRecord | Mapping[str, Any]]) -> SystemMessage:
        """From value records: a person's or a group's, usually one of each dimension.

        Raises
        ------
        DataError
            A mapping is no record.
        """
        made = [one if isinstance(one, ValueRecord) else ValueRecord.from_dict(one) for one in records]
        return cls(tuple(record.line for record in made), "values")

    @classmethod
    def of_cards(cls, cards: Sequence[ValuesCard], *, when: str | None = None) -> SystemMessage:
        """From values cards, all in one message: title, description and attention policies.

        Cards are words of participants; `pluralism.elicitation.lint_cards` finds those that try to instruct a reader.
        """
        lines = tuple(_card_line(card.title, card.description, card.policies) for card in cards)
        return cls(lines, "principles", when=None if when is None else one_line(when))

    @classmethod
    def of_principles(cls, principles: Principles, cards: Mapping[str, ValuesCard]) -> SystemMessage:
        """From the wisest values of a moral graph, as `pluralism.elicitation.principles_of` chose and checked them.

        For the values of one group, rank `graph.of_group(group)`.

        Parameters
        ----------
        principles : pluralism.elicitation.exports.principles.Principles
        cards : mapping of str to ValuesCard
            Those of the graph.

        Raises
        ------
        DataError
            A principle names a value that has no card.
        """
        missing = [one.value for one in principles.principles if one.value not in cards]
        if missing:
            raise DataError(f"The value {missing[0]!r} has no card.", fix="Give the cards of the same graph.")
        return cls.of_cards([cards[one.value] for one in principles.principles], when=principles.context)

    @classmethod
    def of_taste(cls, liked: Sequence[str], disliked: Sequence[str] = ()) -> SystemMessage:
        """From texts that a group likes and dislikes, such as `taste_messages` finds in a fitted model."""
        lines = [f"They like: {one_line(text)}" for text in liked]
        return cls((*lines, *(f"They dislike: {one_line(text)}" for text in disliked)), "taste")

    @classmethod
    def of_statements(cls, statements: Sequence[RepresentativeStatement]) -> SystemMessage:
        """From the statements that represent an opinion group (`pluralism.social_choice`)."""
        return cls(tuple(f"They {one.side} that: {one_line(one.statement)}" for one in statements), "taste")

    @property
    def text(self) -> str:
        """The message as a model reads it."""
        if self.content == "text":
            return "\n".join(self.lines)
        when = f" ({self.when})" if self.when else ""
        mark = _MARKS[self.wording]
        head = WORDINGS[self.content][self.wording].replace("{when}", when)
        return "\n".join([head, *(f"{mark.format(k=k)}{line}" for k, line in enumerate(self.lines, 1))])

    @property
    def n_wordings(self) -> int:
        """In how many ways the message can be said without a language model."""
        return 1 if self.content == "text" else len(WORDINGS[self.content])

    def paraphrases(self) -> tuple[SystemMessage, ...]:
        """The same content in the other wordings: what a check of robustness compares with.

        Raises
        ------
        UsageError
            The message is free text, which only `rewritten` can say otherwise.
        """
        if self.content == "text":
            raise UsageError(
                "Free text has no other wordings.", fix="Use message.rewritten(chat), or give value records."
            )
        return tuple(replace(self, wording=k) for k in range(self.n_wordings) if k != self.wording)

    def rewritten(
        self, chat: ChatModel, n: int = 4, *, seed: int = 0, temperature: float = 1.0
    ) -> tuple[SystemMessage, ...]:
        """Paraphrases by a chat model, as free text, none equal to another or to the message.

        Parameters
        ----------
        chat : pluralism.llm.ChatModel
        n : int
        seed : int
        temperature : float

        Raises
        ------
        LanguageModelError
            The model repeats itself: after three tries for each paraphrase there are fewer than n.
        """
        if not isinstance(n, int) or n < 1:
            raise UsageError(f"n={n!r} is not possible.", fix="Ask for one paraphrase or more.")
        found: dict[str, None] = {}
        asked = [{"role": "system", "content": _REWRITE}, {"role": "user", "content": self.text}]
        for k in range(3 * n):
            said = chat.chat(asked, seed=seed + k, temperature=temperature).text.strip()
            if said and said != self.text:
                found[said] = None
            if len(found) == n:
                return tuple(SystemMessage((text,)) for text in found)
        raise LanguageModelError(
            f"{chat.name} gave {len(found)} different paraphrases, not {n}.",
            fix="Raise the temperature, or ask for fewer.",
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, and `text`."""
        return {
            "lines": list(self.lines),
            "content": self.content,
            "wording": self.wording,
            "when": self.when,
            "text": self.text,
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> SystemMessage:
        """Inverse of `to_dict`.

        Raises
        ------
        DataError
            A field is missing.
        """
        try:
            return cls(tuple(document["lines"]), document["content"], document["wording"], document["when"])
        except (KeyError, TypeError) as cause:
            raise DataError(f"This is no system message: {cause}.", fix="Give what to_dict gave.") from cause


def _card_line(title: str, description: str, policies: Sequence[str]) -> str:
    said = one_line(title) + (f": {one_line(description)}" if description.strip() else "")
    return f"{said.rstrip('.')}. Attend to: {'; '.join(one_line(policy).rstrip('.') for policy in policies)}."
