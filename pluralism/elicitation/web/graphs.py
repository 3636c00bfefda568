"""The moral graph of a study: built from its tables, kept until something changes."""

from __future__ import annotations

import json
import threading
import zlib
from collections import Counter, OrderedDict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, insert, select

from pluralism.elicitation.aggregators.aggregator import Aggregator
from pluralism.elicitation.difference import GraphDifference, graph_difference
from pluralism.elicitation.exports.whole_graph import graph_from_dict, graph_to_dict
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.built_graph import BuiltGraph, build_graph
from pluralism.elicitation.web.database import Database
from pluralism.elicitation.web.keyed_locks import KeyedLocks
from pluralism.elicitation.web.studies import load_study
from pluralism.elicitation.web.study_transaction import Clock, new_id, study_transaction
from pluralism.errors import NotFoundError, UsageError

__all__ = ["SMALLEST_GROUP", "Graphs", "StoredGraph", "purges_of"]

SMALLEST_GROUP = 5
"""Fewer people are never shown as a group: somebody might recognise them."""

_KIND, _KEPT = "graph", 8


@dataclass(frozen=True)
class StoredGraph:
    """A graph and how old it is.

    Attributes
    ----------
    graph : MoralGraph
    version : int
        Of the study when it was built.
    made_at : datetime
    stale : bool
        Whether something has changed since.
    withheld_cards, withheld_votes : int
        Cards that are hidden or deleted; votes on them, or of people who are excluded, which do not count.
    """

    graph: MoralGraph
    version: int
    made_at: datetime
    stale: bool
    withheld_cards: int
    withheld_votes: int

    def __repr__(self) -> str:
        return f"StoredGraph({self.graph!r}, version {self.version}{', stale' if self.stale else ''})"


class Graphs:
    """The moral graphs of a database.

    Parameters
    ----------
    database : Database
    clock : callable
    seconds : float
        A graph that is stale is shown no longer than that after it was made.
    """

    def __init__(self, database: Database, clock: Clock, seconds: float = 30.0) -> None:
        self._database, self._clock, self._seconds = database, clock, seconds
        self._read: OrderedDict[str, BuiltGraph] = OrderedDict()
        self._reading, self._building = threading.Lock(), KeyedLocks()

    def get(
        self, study_id: str, *, fresh: bool = False, group_by: str | None = None, k: int = SMALLEST_GROUP
    ) -> StoredGraph:
        """The graph of a study: the one that is kept, or a new one where that is missing, or stale and old.

        Parameters
        ----------
        study_id : str
        fresh : bool
            Whether one that is stale will not do, however new it is.
        group_by : str, optional
            The id of a demographic question: participants are grouped by their answers.
        k : int
            Groups of fewer people who count are left out.

        Raises
        ------
        NotFoundError
            There is no such study.
        UsageError
            There is no such question, or `k` is too small.
        """
        found = self._kept(study_id, fresh)
        if found is None:
            # One at a time for each study: the others find what the first has built.
            with self._building.of(study_id):
                found = self._kept(study_id, fresh) or self._build(study_id)
        return found if group_by is None else self._grouped(found, study_id, group_by, k)

    def difference(
        self,
        study_id: str,
        *,
        before: datetime | None = None,
        after: datetime | None = None,
        group_by: str | None = None,
        groups: tuple[str, str] | None = None,
        context: str | None = None,
        rule: str | Aggregator = "bradley-terry",
        n_bootstrap: int = 500,
    ) -> GraphDifference:
        """What changed between two moments, or what differs between two groups.

        Parameters
        ----------
        study_id : str
        before, after : datetime, optional
            Votes until then, with time zones; `after` is now by default.
        group_by, groups : str, tuple of two str, optional
            A demographic question, and two options of it.
        context, rule, n_bootstrap
            As for `pluralism.elicitation.difference.graph_difference`.

        Raises
        ------
        UsageError
            Neither or both are given, or nobody (or too few people) are in a group.
        """
        if (before is None) == (groups is None):
            raise UsageError("A difference is of two moments or of two groups.", fix="Give before, or groups.")
        graph = self.get(study_id, fresh=True, group_by=group_by).graph
        if groups is not None:
            first, second = (graph.of_group(name) for name in groups)
        else:
            first, second = (_until(graph, moment) for moment in (before, after))
        return graph_difference(first, second, context=context, rule=rule, n_bootstrap=n_bootstrap)

    def _kept(self, study_id: str, fresh: bool) -> StoredGraph | None:
        kept = tables.derived.c
        with self._database.read() as connection:
            version = load_study(connection, study_id).version
            row = connection.execute(
                select(kept.id, kept.version, kept.made_at)
                .where(kept.study_id == study_id, kept.kind == _KIND, kept.document.is_not(None))
                .order_by(kept.made_at.desc())
                .limit(1)
            ).one_or_none()
            if row is None:
                return None
            stale = row.version != version
            old = self._clock() - row.made_at > timedelta(seconds=self._seconds)
            if stale and (fresh or old):
                return None
            return _stored(self._load(connection, row.id), row.version, row.made_at, stale)

    def _load(self, connection: Connection, name: str) -> BuiltGraph:
        with self._reading:
            if name in self._read:
                self._read.move_to_end(name)
                return self._read[name]
        written = connection.execute(select(tables.derived.c.document).where(tables.derived.c.id == name)).scalar_one()
        document = json.loads(zlib.decompress(written))
        built = BuiltGraph(graph_from_dict(document["graph"]), document["cards"], document["votes"])
        self._remember(name, built)
        return built

    def _remember(self, name: str, built: BuiltGraph) -> None:
        with self._reading:
            self._read[name] = built
            while len(self._read) > _KEPT:
                self._read.popitem(last=False)

    def _build(self, study_id: str) -> StoredGraph:
        kept, name = tables.derived.c, new_id()
        while True:
            with self._database.read() as connection:
                study, purges = load_study(connection, study_id), purges_of(connection, study_id)
                built = build_graph(connection, study)
            document = {
                "graph": graph_to_dict(built.graph),
                "cards": built.withheld_cards,
                "votes": built.withheld_votes,
            }
            written = zlib.compress(json.dumps(document).encode(), 1)
            with study_transaction(self._database, study_id, self._clock()) as transaction:
                # What was deleted while it was built must not come back.
                if transaction.purges != purges:
                    continue
                transaction.connection.execute(
                    delete(tables.derived).where(kept.study_id == study_id, kept.kind == _KIND)
                )
                transaction.connection.execute(
                    insert(tables.derived).values(
                        id=name,
                        study_id=study_id,
                        kind=_KIND,
                        version=study.version,
                        made_at=transaction.at,
                        document=written,
                        outdated_by_deletion=False,
                    )
                )
                made_at, stale = transaction.at, transaction.version != study.version
            self._remember(name, built)
            return _stored(built, study.version, made_at, stale)

    def _grouped(self, found: StoredGraph, study_id: str, group_by: str, k: int) -> StoredGraph:
        if k < SMALLEST_GROUP:
            raise UsageError(f"k={k!r} is too small.", fix=f"Groups have at least {SMALLEST_GROUP} people.")
        said, people = tables.demographics.c, tables.participants.c
        with self._database.read() as connection:
            questions = [question.id for question in load_study(connection, study_id).demographics]
            if group_by not in questions:
                raise UsageError(
                    f"The study does not ask {group_by!r}.", fix=f"It asks {', '.join(questions) or 'nothing'}."
                )
            rows = connection.execute(
                select(said.participant_id, said.option)
                .join_from(tables.demographics, tables.participants, said.participant_id == people.id)
                .where(people.study_id == study_id, said.question == group_by)
            )
            answers: dict[str, str] = {name: option for name, option in rows}
        voters = set(found.graph.participants.to_pylist())
        sizes = Counter(option for name, option in answers.items() if name in voters)
        groups = {name: option for name, option in answers.items() if name in voters and sizes[option] >= k}
        return replace(found, graph=replace(found.graph, groups=groups))


def _stored(built: BuiltGraph, version: int, made_at: datetime, stale: bool) -> StoredGraph:
    return StoredGraph(built.graph, version, made_at, stale, built.withheld_cards, built.withheld_votes)


def purges_of(connection: Connection, study_id: str) -> int:
    """How often something happened after which no graph that is kept may be shown.

    Raises
    ------
    NotFoundError
        There is no such study.
    """
    found = connection.scalar(select(tables.studies.c.purges).where(tables.studies.c.id == study_id))
    if found is None:
        raise NotFoundError(f"There is no study {study_id!r}.", fix="Check its address.")
    return found


def _until(graph: MoralGraph, moment: datetime | None) -> MoralGraph:
    if moment is None:
        return graph
    try:
        in_utc = moment.astimezone(UTC)
    except OverflowError:
        raise UsageError(f"{moment.isoformat()} is no moment of this calendar.", fix="Give another.") from None
    return graph.until(in_utc.replace(tzinfo=None).isoformat())
