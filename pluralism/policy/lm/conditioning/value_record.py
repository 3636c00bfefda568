"""A value as a record: a place in a hierarchy of dimensions, a name, and what it asks of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pluralism.errors import DataError
from pluralism.printable import printable

__all__ = ["ValueRecord", "one_line"]


@dataclass(frozen=True)
class ValueRecord:
    """What a person wants of an answer, in one respect.

    Parameters
    ----------
    dimension : str
        Such as "style" or "informativeness".
    subdimension : str
        Such as "formality" or "depth"; may be empty.
    value : str
        A few words: "concise, without pleasantries".
    description : str
        What that asks of an answer, in a sentence or two; may be empty.

    Raises
    ------
    DataError
        If the dimension or the value is empty, or a field is no text.

    References
    ----------
    S. Lee et al., "Aligning to thousands of preferences via system message generalization", arXiv:2405.17977 (Janus).

    Examples
    --------
    >>> ValueRecord("style", "length", "brief", "Say it in one sentence.").line
    'style, length: brief. Say it in one sentence.'
    """

    dimension: str
    subdimension: str
    value: str
    description: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            text = getattr(self, field.name)
            if not isinstance(text, str):
                raise DataError(
                    f"The field {field.name!r} of a value record must be a text, not {text!r}.", fix="Give a string."
                )
            if field.name in ("dimension", "value") and not text.strip():
                raise DataError(f"The field {field.name!r} of a value record is empty.", fix="Say it in a few words.")

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> ValueRecord:
        """A record from a mapping of its fields.

        Raises
        ------
        DataError
            If a field is missing, unknown, or of the wrong kind.
        """
        names = [field.name for field in fields(cls)]
        given = set(document) if isinstance(document, Mapping) else set()
        if not {"dimension", "value"} <= given <= set(names):
            found = ", ".join(sorted(map(str, given))) or "none"
            raise DataError(
                f"A value record has the fields {', '.join(names)}, not {found}.",
                fix="Give a mapping with dimension and value at least.",
            )
        return cls(**{"subdimension": "", **document})

    def to_dict(self) -> dict[str, str]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def line(self) -> str:
        """The record as one line."""
        place = ", ".join(one_line(part) for part in (self.dimension, self.subdimension) if part.strip())
        said = [one_line(part).rstrip(".") for part in (self.value, self.description) if part.strip()]
        return f"{place}: {'. '.join(said)}{'.' if len(said) > 1 else ''}"


def one_line(text: str) -> str:
    """Somebody's text as one line, without hidden controls: in a list it cannot pretend to be another entry."""
    return " ".join(printable(text).split())
