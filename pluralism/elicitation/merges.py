"""Merges of cards, or of contexts, that can be undone: union-find over a log of events.

A merge says that one label is the same as another; undoing it adds an event and changes no vote. Labels that active
merges join, directly or through others, are one. Which of them speaks for all does not depend on the order of the
merges: it is the first, in the order of the labels, of those that no active merge gave up; where each was given up
(merges in a circle), it is the first of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Int32
from scipy.cluster.hierarchy import DisjointSet

from pluralism.errors import DataError, UsageError

__all__ = ["Merge", "MergeLog"]


@dataclass(frozen=True)
class Merge:
    """One merge.

    Attributes
    ----------
    source, into : str
        The label that is given up, and the one that it is the same as.
    by : str
        Who decided it.
    time : str
        When, in ISO 8601; empty where unknown.
    undone_by, undone_at : str or None
        Who undid it, and when; None while it holds.
    """

    source: str
    into: str
    by: str = ""
    time: str = ""
    undone_by: str | None = None
    undone_at: str | None = None

    @property
    def active(self) -> bool:
        """Whether the merge holds."""
        return self.undone_by is None


@dataclass(frozen=True)
class MergeLog:
    """Merges in the order in which they were made; each is known by its number, from 0."""

    merges: tuple[Merge, ...] = field(default=())

    def merge(self, source: str, into: str, *, by: str = "", time: str = "") -> MergeLog:
        """The log with one more merge.

        Raises
        ------
        UsageError
            If both labels are the same.
        """
        if source == into:
            raise UsageError(f"{source!r} cannot be merged with itself.", fix="Name two labels.")
        return MergeLog((*self.merges, Merge(source, into, by, time)))

    def undo(self, number: int, *, by: str = "", time: str = "") -> MergeLog:
        """The log in which one merge is undone.

        Raises
        ------
        UsageError
            If there is no such merge, or it was undone before.
        """
        if not 0 <= number < len(self.merges):
            raise UsageError(f"There is no merge {number}.", fix=f"There are {len(self.merges)}, numbered from 0.")
        if not self.merges[number].active:
            raise UsageError(f"Merge {number} was undone before.", fix="Merge the two again if they are the same.")
        undone = replace(self.merges[number], undone_by=by, undone_at=time)
        return MergeLog((*self.merges[:number], undone, *self.merges[number + 1 :]))

    def representatives(self, labels: Sequence[str]) -> Int32[np.ndarray, " labels"]:
        """Position, for each label, of the one that speaks for it.

        Raises
        ------
        DataError
            If an active merge names a label that is not among them.
        """
        place = {label: i for i, label in enumerate(labels)}
        sets: DisjointSet[int] = DisjointSet(range(len(place)))
        given_up = set()
        for merge in self.merges:
            for label in (merge.source, merge.into):
                if merge.active and label not in place:
                    raise DataError(f"A merge names {label!r}, which is not there.", fix="Add it, or undo the merge.")
            if merge.active:
                sets.merge(place[merge.source], place[merge.into])
                given_up.add(place[merge.source])
        speaks = np.arange(len(place), dtype=np.int32)
        for members in sets.subsets():
            speaks[list(members)] = min(members, key=lambda i: (i in given_up, i))
        return speaks

    def lineage(self, labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Each label that speaks for others, and these others."""
        found: dict[str, list[str]] = {}
        for i, spokesman in enumerate(self.representatives(labels)):
            if spokesman != i:
                found.setdefault(labels[spokesman], []).append(labels[i])
        return {name: tuple(others) for name, others in found.items()}

    def to_list(self) -> list[dict[str, Any]]:
        """The merges as mappings."""
        return [asdict(merge) for merge in self.merges]

    @classmethod
    def from_list(cls, documents: Sequence[Mapping[str, Any]]) -> MergeLog:
        """Inverse of `to_list`.

        Raises
        ------
        DataError
            If an entry is no merge.
        """
        try:
            return cls(tuple(Merge(**document) for document in documents))
        except TypeError as error:
            raise DataError(f"A merge cannot be read: {error}.", fix="A merge has source, into, by and time.") from None
