"""A hypothesis that one value is wiser than another in a context, with the story that people judge it by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from pluralism.data.content_ids import content_ids
from pluralism.errors import DataError

__all__ = ["UpgradeHypothesis"]


@dataclass(frozen=True)
class UpgradeHypothesis:
    """A pair of values that participants may be asked about.

    Parameters
    ----------
    source, wiser : str
        Ids of the value that the story begins with and of the one that it arrives at.
    context : str
        When; empty for none.
    story : str
        In the first person, how somebody came from one value to the other; empty for none.
    model : str
        What wrote the story: a person, or a model with its version; empty where unknown.

    Raises
    ------
    DataError
        If both values are the same.
    """

    source: str
    wiser: str
    context: str = ""
    story: str = ""
    model: str = ""

    def __post_init__(self) -> None:
        if self.source == self.wiser:
            raise DataError(f"A hypothesis leads from {self.source!r} to itself.", fix="Name two values.")

    @cached_property
    def id(self) -> str:
        """32 hexadecimal digits made of the content: votes name the very story that was shown."""
        text = json.dumps([self.source, self.wiser, self.context, self.story], ensure_ascii=False)
        return str(content_ids(pa.array([text], pa.large_string()))[0].as_py())

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        names = ("source", "wiser", "context", "story", "model")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> UpgradeHypothesis:
        """Inverse of `to_dict`.

        Raises
        ------
        DataError
            If the fields are not those of a hypothesis.
        """
        try:
            return cls(**document)
        except TypeError as error:
            raise DataError(f"A hypothesis cannot be read: {error}.", fix="It has source and wiser.") from None
