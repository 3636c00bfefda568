"""The wisest values as principles: system messages for a model that answers, or that judges answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pluralism.elicitation.aggregators.ranking import GraphRanking
from pluralism.elicitation.exports.whole_graph import parsed
from pluralism.elicitation.values_card import ValuesCard
from pluralism.errors import DataError, UsageError
from pluralism.printable import printable

__all__ = ["Principle", "Principles", "principles_of"]

_ANSWER = "When you answer{when}, attend to what follows, because a community found it wise to."
_JUDGE = "When you judge an answer{when}, ask whether it attends to what follows, which a community found wise."


@dataclass(frozen=True)
class Principle:
    """One value as a system message.

    Attributes
    ----------
    value : str
        Id of the value.
    title : str
    rank : int
    tier : int or None
        None where no bootstrap told tiers.
    message : str
    """

    value: str
    title: str
    rank: int
    tier: int | None
    message: str


@dataclass(frozen=True, repr=False)
class Principles:
    """Principles, the wisest first.

    Attributes
    ----------
    principles : tuple of Principle
    context : str or None
    answer : str
        What may be said of how sure the order is.
    """

    principles: tuple[Principle, ...]
    context: str | None
    answer: str

    def __len__(self) -> int:
        return len(self.principles)

    def to_messages(self) -> list[dict[str, str]]:
        """One system message each, in the form that chat models take."""
        return [{"role": "system", "content": principle.message} for principle in self.principles]

    def to_frame(self) -> pa.Table:
        """Columns `value, title, rank, tier, message`."""
        names = ("value", "title", "rank", "tier", "message")
        return pa.table({name: [getattr(principle, name) for principle in self.principles] for name in names})

    def to_dict(self) -> dict[str, Any]:
        """The principles, their context, and how sure their order is."""
        return {"context": self.context, "answer": self.answer, "principles": self.to_frame().to_pylist()}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str = "the document") -> Principles:
        """Inverse of `to_json`.

        Raises
        ------
        DataError
            If a field is missing or of the wrong kind.
        """
        document = parsed(text, where)
        try:
            listed = tuple(_principle(one) for one in document["principles"])
            context, answer = document["context"], document["answer"]
        except (KeyError, TypeError) as error:
            raise DataError(
                f"These are no principles: {type(error).__name__}: {error}.", where=where, fix="Export them again."
            ) from error
        if not isinstance(context, str | None) or not isinstance(answer, str):
            raise DataError("Context or answer of principles is no text.", where=where, fix="Export them again.")
        return cls(listed, context, answer)

    def __repr__(self) -> str:
        return f"Principles({', '.join(principle.title for principle in self.principles)}; {self.answer})"


def principles_of(
    ranking: GraphRanking,
    cards: Mapping[str, ValuesCard],
    *,
    k: int | None = None,
    judge: bool = False,
) -> Principles:
    """Turn the wisest values of a ranking into system messages.

    Parameters
    ----------
    ranking : GraphRanking
        Of one context, so that the message can say when; or of all.
    cards : mapping of str to ValuesCard
    k : int, optional
        How many; left out, the first tier, or where no bootstrap told tiers the values ranked first. Values of the
        largest component alone are taken, as others are not comparable with them.
    judge : bool
        Whether the message is for a model that judges answers.

    Notes
    -----
    Cards are words of participants. Check them with `lint_cards` before a model reads them: an error of the linter is a
    card that tries to instruct its reader, and such a card is refused here.
    """
    from pluralism.elicitation.card_lint import lint_card

    if k is not None and k < 1:
        raise UsageError(f"k={k!r} is not possible.", fix="Use a whole number of at least 1.")
    rows = [row for row in ranking.to_frame().to_pylist() if row["component"] == 0 and row["rank"] is not None]
    tiered = "tier" in (rows[0] if rows else {})
    if k is not None:
        chosen = rows[:k]
    else:
        chosen = [row for row in rows if (row["tier"] if tiered else row["rank"]) == 1]
    principles = []
    for row in chosen:
        card = cards[row["id"]]
        errors = lint_card(card).errors
        if errors:
            raise UsageError(
                f"The card {row['id']!r} may instruct its reader: {errors[0].found!r}.",
                where=errors[0].field,
                fix="Mend the card, or leave it out of the graph.",
            )
        tier = row["tier"] if tiered else None
        principles.append(Principle(row["id"], card.title, row["rank"], tier, _message(card, ranking.context, judge)))
    return Principles(tuple(principles), ranking.context, ranking.answer)


def _principle(one: Mapping[str, Any]) -> Principle:
    kinds = {"value": str, "title": str, "rank": int, "tier": int | None, "message": str}
    for name, kind in kinds.items():
        if not isinstance(one[name], kind):
            raise TypeError(f"{name}={one[name]!r:.40}")
    return Principle(**{name: one[name] for name in kinds})


def _message(card: ValuesCard, context: str | None, judge: bool) -> str:
    when = context or card.context
    said = f" ({printable(when)})" if when else ""
    head = (_JUDGE if judge else _ANSWER).format(when=said)
    lines = [head, "", f"{printable(card.title)}: {printable(card.description)}".rstrip(": ")]
    return "\n".join([*lines, *(f"- {printable(policy)}" for policy in card.policies)])
