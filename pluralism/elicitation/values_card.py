"""A values card: what somebody attends to when choosing well, in words that the person recognises as their own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from pluralism.data.content_ids import content_ids
from pluralism.errors import DataError

__all__ = ["ValuesCard"]


@dataclass(frozen=True)
class ValuesCard:
    """One value, as a title, a description and attention policies.

    Parameters
    ----------
    title : str
        A few words.
    description : str
        One or two sentences; may be empty.
    policies : sequence of str
        Attention policies: what a person attends to because attending to it is part of living well, such as "MOMENTS
        where somebody needs to be heard". At least one.
    context : str, optional
        When the value applies, such as "When a friend is in distress".

    Raises
    ------
    DataError
        If the title is empty, there is no policy, one is empty, or a field is no text.

    References
    ----------
    O. Klingefjord, R. Lowe, J. Edelman, What are human values, and how do we align AI to them? arXiv 2404.10636, 2024.

    Examples
    --------
    >>> card = ValuesCard("Honest care", "Telling the truth kindly.", ["MOMENTS where truth helps", "SIGNS of hurt"])
    >>> card
    ValuesCard('Honest care', 2 policies)
    >>> card.id
    'd743356760cc245df730bdab513becf7'
    """

    title: str
    description: str
    policies: tuple[str, ...]
    context: str | None = None

    def __init__(
        self, title: str, description: str = "", policies: Sequence[str] = (), context: str | None = None
    ) -> None:
        listed = (policies,) if isinstance(policies, str) else tuple(policies)
        for name, text in (("title", title), ("description", description), *(("policies", p) for p in listed)):
            _check_text(name, text, empty=name == "description")
        if context is not None:
            _check_text("context", context, empty=False)
        if not listed:
            raise DataError(
                "A values card needs an attention policy.",
                where=f"card {title!r}",
                fix='Say what a person attends to, such as policies=["MOMENTS where ..."].',
            )
        object.__setattr__(self, "title", title)
        object.__setattr__(self, "description", description)
        object.__setattr__(self, "policies", listed)
        object.__setattr__(self, "context", context)

    @cached_property
    def id(self) -> str:
        """32 hexadecimal digits made of the content: the same card has the same id everywhere."""
        text = json.dumps([self.title, self.description, list(self.policies), self.context], ensure_ascii=False)
        return str(content_ids(pa.array([text], pa.large_string()))[0].as_py())

    @property
    def text(self) -> str:
        """The policies in alphabetical order, one a line: what is compared to find cards that say the same."""
        return "\n".join(sorted(self.policies))

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return {
            "title": self.title,
            "description": self.description,
            "policies": list(self.policies),
            "context": self.context,
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def to_frame(self) -> pa.Table:
        """One row a policy: `id, title, description, context, policy`."""
        n = len(self.policies)
        columns = {
            "id": [self.id] * n,
            "title": [self.title] * n,
            "description": [self.description] * n,
            "context": pa.array([self.context] * n, pa.string()),
            "policy": list(self.policies),
        }
        return pa.table(columns)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> ValuesCard:
        """A card from a mapping, also of the original's older names (`instructionsShort`, `evaluationCriteria`).

        Raises
        ------
        DataError
            If a field is missing or of the wrong kind.
        """
        if not isinstance(document, Mapping):
            raise DataError("A values card is an object with title and policies.", fix="Give a mapping of its fields.")
        policies = document.get("policies", document.get("evaluationCriteria", ()))
        description = document.get("description", document.get("instructionsShort", ""))
        if not isinstance(policies, Sequence):
            raise DataError(
                "The policies of a card are a list of texts.",
                where="field 'policies'",
                fix="Give a list, one text each.",
            )
        return cls(document.get("title", ""), description or "", policies, document.get("context"))

    def __repr__(self) -> str:
        n = len(self.policies)
        when = f", {self.context!r}" if self.context else ""
        return f"ValuesCard({self.title!r}, {n} {'policy' if n == 1 else 'policies'}{when})"


def _check_text(name: str, text: Any, *, empty: bool) -> None:
    if not isinstance(text, str):
        raise DataError(f"The field {name!r} of a card must be a text, not {text!r}.", fix="Give a string.")
    if not empty and not text.strip():
        raise DataError(f"The field {name!r} of a card is empty.", fix=f"Write the {name}.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise DataError(f"The field {name!r} of a card is not valid Unicode.", fix="Remove the damaged characters.")
