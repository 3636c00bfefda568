"""Principles: questions about two responses, as sets in TOML files that are shipped, copied and edited."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import Field, StringConstraints, model_validator

from pluralism.elicitation.card_lint import lint_card
from pluralism.elicitation.interview.content import Content, Identifier, WrongKey, available, check_ids, read_content
from pluralism.elicitation.values_card import ValuesCard
from pluralism.errors import UsageError
from pluralism.files import atomic_write
from pluralism.printable import printable

__all__ = ["Principle", "PrincipleSet", "principle_sets", "read_principles", "values_as_principles"]

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
PrincipleId = Annotated[str, StringConstraints(pattern=r"^\S(.{0,126}\S)?$")]


class Principle(Content):
    """One principle.

    Attributes
    ----------
    id : str
    title : str
        A few words.
    text : str
        The question that decides between two responses, such as "Which response is more helpful?".
    factor : str or None
        Where the principle is counted and not judged: the factor of the text, or covariate of the data, that decides.
    prefer : {"more", "less"}
        Which of it is better.
    """

    id: PrincipleId
    title: Text
    text: Text
    factor: Text | None = None
    prefer: Literal["more", "less"] = "more"


class PrincipleSet(Content):
    """Principles by which responses are compared.

    Attributes
    ----------
    name : str
    version : int
    language : str
        Of the texts.
    title : str
    source : str
        Where they come from.
    principles : tuple of Principle
        One or more, with different ids.

    Examples
    --------
    >>> read_principles("helpful-honest-harmless").ids
    ('helpful', 'honest', 'harmless')
    """

    name: Identifier
    version: Annotated[int, Field(ge=1)] = 1
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")] = "en"
    title: Text
    source: str = ""
    principles: tuple[Principle, ...]

    @model_validator(mode="after")
    def _check(self) -> PrincipleSet:
        # not by Field, which counts a principle with a wrong key as missing, as a second problem
        if not self.principles:
            raise WrongKey("principles", "There is no principle")
        check_ids(self.principles, "principles")
        return self

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids in order."""
        return tuple(principle.id for principle in self.principles)

    @property
    def titles(self) -> tuple[str, ...]:
        """Titles in order."""
        return tuple(principle.title for principle in self.principles)

    def __len__(self) -> int:
        return len(self.principles)

    def only(self, ids: Sequence[str]) -> PrincipleSet:
        """The same set with these principles alone, in this order; an unknown id is a `UsageError`."""
        known = dict(zip(self.ids, self.principles, strict=True))
        unknown = [name for name in ids if name not in known]
        if unknown:
            raise UsageError(f"There is no principle {unknown[0]!r}.", fix=f"There are {', '.join(known)}.")
        return self.model_copy(update={"principles": tuple(known[name] for name in ids)})

    def to_frame(self) -> pa.Table:
        """Columns `id, title, text, factor, prefer`."""
        names = ("id", "title", "text", "factor", "prefer")
        columns = {name: [getattr(principle, name) for principle in self.principles] for name in names}
        return pa.table({name: pa.array(column, pa.string()) for name, column in columns.items()})

    def to_json(self, *, indent: int | None = None) -> str:
        """The set as JSON."""
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=False, indent=indent)

    def to_toml(self) -> str:
        """The set as a TOML file, to be edited and read again."""
        head = ("name", "version", "language", "title", "source")
        parts = [[f"{key} = {_toml(getattr(self, key))}" for key in head]]
        for principle in self.principles:
            keys = ("id", "title", "text", *(() if principle.factor is None else ("factor", "prefer")))
            parts.append(["[[principles]]", *(f"{key} = {_toml(getattr(principle, key))}" for key in keys)])
        return "\n\n".join("\n".join(lines) for lines in parts) + "\n"

    def write(self, path: str | Path) -> None:
        """Write `to_toml`, whole or not at all.

        Raises
        ------
        UsageError
            If the file has another suffix.
        """
        if Path(path).suffix != ".toml":
            raise UsageError(f"A set cannot be written as {str(path)!r}.", fix="Use the suffix .toml.")
        atomic_write(Path(path), self.to_toml())

    def __repr__(self) -> str:
        return f"PrincipleSet({self.name!r}, {len(self)} principles: {', '.join(self.ids)})"


def _toml(value: str | int) -> str:
    """A number or a text; texts of JSON are texts of TOML, but for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def principle_sets() -> dict[str, Path]:
    """Shipped sets by name."""
    return available("principles")


def read_principles(name_or_path: str | Path) -> PrincipleSet:
    """A shipped set by name, or one of your own by the path of its TOML file.

    Raises
    ------
    UsageError
        There is no such file, it is no TOML, or a key is missing, unknown or wrong; the error names file and key.
    """
    return read_content(name_or_path, "principles", PrincipleSet)


def values_as_principles(cards: Mapping[str, ValuesCard], *, name: str = "values") -> PrincipleSet:
    """The values of a moral graph as principles, under the ids that they have there.

    Parameters
    ----------
    cards : mapping of str to ValuesCard
        Such as ``graph.cards``.
    name : str

    Raises
    ------
    UsageError
        A card may instruct its reader: cards are words of participants, and a model will read them.
    """
    made = []
    for value, card in cards.items():
        errors = lint_card(card).errors
        if errors:
            raise UsageError(
                f"The card {value!r} may instruct its reader: {errors[0].found!r}.",
                where=errors[0].field,
                fix="Mend the card, or leave it out.",
            )
        policies = "; ".join(printable(policy) for policy in card.policies)
        text = f"Which response comes more from attending to: {policies}?"
        made.append(Principle(id=value, title=printable(card.title), text=text))
    return PrincipleSet(name=name, title="Values of a moral graph", principles=tuple(made))
