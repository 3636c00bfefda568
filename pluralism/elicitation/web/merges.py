"""Merges of cards and contexts by organisers and participants, each of which can be undone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from sqlalchemy import Connection, select, update

from pluralism.elicitation.duplicates import DuplicateProposal, find_duplicates
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.built_graph import study_cards
from pluralism.elicitation.web.database import Database
from pluralism.elicitation.web.graphs import Graphs
from pluralism.elicitation.web.recording import add_merge
from pluralism.elicitation.web.studies import load_study
from pluralism.elicitation.web.study_transaction import Clock, study_transaction
from pluralism.errors import NotFoundError, UsageError

__all__ = ["MergeKind", "Merges", "StudyMerge"]

MergeKind: TypeAlias = Literal["card", "context"]


@dataclass(frozen=True)
class StudyMerge:
    """A merge.

    Attributes
    ----------
    kind : {"card", "context"}
    number : int
        By which it is undone.
    source, into : str
        Ids of cards, or contexts.
    by : str or None
        A participant, the id of an organiser's link, or "service"; None where they were deleted.
    at : datetime
    undone_by : str or None
    undone_at : datetime or None
    """

    kind: MergeKind
    number: int
    source: str
    into: str
    by: str | None
    at: datetime
    undone_by: str | None
    undone_at: datetime | None

    @property
    def active(self) -> bool:
        """Whether it holds."""
        return self.undone_at is None


class Merges:
    """The merges of a database.

    Parameters
    ----------
    database : Database
    clock : callable
    graphs : Graphs
    """

    def __init__(self, database: Database, clock: Clock, graphs: Graphs) -> None:
        self._database, self._clock, self._graphs = database, clock, graphs

    def of_study(self, study_id: str, kind: MergeKind = "card") -> tuple[StudyMerge, ...]:
        """All merges of one kind, also those undone, in order."""
        with self._database.read() as connection:
            load_study(connection, study_id)
            return _merges(connection, study_id, kind)

    def make(self, study_id: str, source: str, into: str, *, by: str, kind: MergeKind = "card") -> StudyMerge:
        """Let one card or context count as another.

        Raises
        ------
        UsageError
            They are the same.
        NotFoundError
            The study has no such card or context.
        """
        if source == into:
            raise UsageError("Something cannot be merged with itself.", fix="Name two.")
        known = self._labels(study_id, kind)
        for name in (source, into):
            if name not in known:
                raise NotFoundError(f"The study has no {kind} {name!r}.", fix="Was it hidden or deleted?")
        with study_transaction(self._database, study_id, self._clock()) as study:
            number = add_merge(study, kind, source, into, by)
            study.log(by, f"{kind} merged", source if kind == "card" else None, {"number": number, "into": into})
            return _merges(study.connection, study_id, kind)[number]

    def undo(self, study_id: str, number: int, *, by: str, kind: MergeKind = "card") -> StudyMerge:
        """Undo a merge: votes are as if it had never been.

        Raises
        ------
        NotFoundError
            There is no such merge.
        UsageError
            It was undone before.
        """
        merge = tables.merges.c
        with study_transaction(self._database, study_id, self._clock()) as study:
            found = _merges(study.connection, study_id, kind)
            if not 0 <= number < len(found):
                raise NotFoundError(f"There is no merge {number}.", fix=f"There are {len(found)}, numbered from 0.")
            if not found[number].active:
                raise UsageError(f"Merge {number} was undone before.", fix="Merge the two again if they are the same.")
            study.connection.execute(
                update(tables.merges)
                .where(merge.study_id == study_id, merge.kind == kind, merge.number == number)
                .values(undone_by=by, undone_at=study.at)
            )
            study.log(by, f"merge of {kind}s undone", None, {"number": number})
            study.changed()
            return _merges(study.connection, study_id, kind)[number]

    def proposals(self, study_id: str, *, threshold: float = 0.8) -> tuple[DuplicateProposal, ...]:
        """Values that may be the same, the most alike first, merged ones left out."""
        return find_duplicates(self._graphs.get(study_id, fresh=True).graph, threshold=threshold)

    def _labels(self, study_id: str, kind: MergeKind) -> set[str]:
        if kind == "context":
            return set(self._graphs.get(study_id, fresh=True).graph.all_contexts)
        with self._database.read() as connection:
            load_study(connection, study_id)
            return set(study_cards(connection, study_id)[0])


def _merges(connection: Connection, study_id: str, kind: MergeKind) -> tuple[StudyMerge, ...]:
    merge = tables.merges.c
    rows = connection.execute(
        select(
            merge.kind,
            merge.number,
            merge.source,
            merge.into,
            merge.made_by,
            merge.at,
            merge.undone_by,
            merge.undone_at,
        )
        .where(merge.study_id == study_id, merge.kind == kind)
        .order_by(merge.number)
    )
    return tuple(StudyMerge(*row) for row in rows)
