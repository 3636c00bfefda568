"""A moral graph from the tables of a study: what counts, without what is hidden, deleted or unfinished."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from pluralism.elicitation.hypothesis import UpgradeHypothesis
from pluralism.elicitation.merges import Merge, MergeLog
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.values_card import ValuesCard
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.database_pool import card_of
from pluralism.elicitation.web.sealed_votes import tombstones_of, vote_rows, vote_table
from pluralism.elicitation.web.study import Study

__all__ = ["BuiltGraph", "build_graph", "counted_people", "study_cards"]


@dataclass(frozen=True)
class BuiltGraph:
    """A graph, and how many cards and votes are not in it because of moderators or deletions."""

    graph: MoralGraph
    withheld_cards: int
    withheld_votes: int


def build_graph(connection: Connection, study: Study) -> BuiltGraph:
    """Build the graph of what counts.

    Votes count where the interview is done, or begun if the study counts partial ones; where the participant is not
    excluded; and where both cards can be shown. Merges with cards that cannot be shown do not hold meanwhile.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        On which everything is read at one moment.
    study : Study
    """
    cards, withheld_cards = study_cards(connection, study.id)
    stories = _hypotheses(connection, study.id, cards)
    votes, withheld_votes = [], 0
    finished, excluded = counted_people(connection, study)
    for row in vote_rows(connection, study.id):
        if row["participant_id"] in finished:
            if row["participant_id"] in excluded or not {row["source_id"], row["wiser_id"]} <= cards.keys():
                withheld_votes += 1
            else:
                story = stories.get(row["hypothesis_id"])
                shown = {"hypothesis_id": None if story is None else story.id, "salt": None, "digest": None}
                votes.append({**row, **shown})
    contexts = {study.case.name: _contexts(study)}
    hypotheses = {story.id: story for story in stories.values()}
    known = {
        *contexts[study.case.name],
        *(row["context"] for row in votes),
        *(one.context for one in hypotheses.values()),
    }
    graph = MoralGraph(
        cards,
        vote_table(votes),
        card_merges=_merges(connection, study.id, "card", cards.keys()),
        context_merges=_merges(connection, study.id, "context", known),
        cases=contexts,
        hypotheses=tuple(hypotheses.values()),
        tombstones=tombstones_of(connection, study.id),
    )
    return BuiltGraph(graph, withheld_cards, withheld_votes)


def study_cards(connection: Connection, study_id: str) -> tuple[dict[str, ValuesCard], int]:
    """The cards that can be shown, by id, and the number of those that cannot."""
    card = tables.cards.c
    rows = connection.execute(
        select(card.id, card.document, card.context, card.hidden)
        .where(card.study_id == study_id)
        .order_by(card.position)
    ).all()
    cards = {row.id: card_of(row.document, row.context) for row in rows if row.document is not None and not row.hidden}
    return cards, len(rows) - len(cards)


def counted_people(connection: Connection, study: Study) -> tuple[set[str], set[str]]:
    """Those whose interview counts, and those among all who are excluded."""
    people = tables.participants.c
    rows = connection.execute(
        select(people.id, people.phase, people.excluded).where(people.study_id == study.id, people.deleted_at.is_(None))
    ).all()
    finished = {row.id for row in rows if study.count_partial or row.phase == "done"}
    return finished, {row.id for row in rows if row.excluded}


def _hypotheses(connection: Connection, study_id: str, cards: dict[str, ValuesCard]) -> dict[str, UpgradeHypothesis]:
    """By their ids in the database; those that people are or were asked about."""
    known = tables.hypotheses.c
    rows = connection.execute(
        select(known.id, known.source_id, known.wiser_id, known.context, known.story, known.model)
        .where(known.study_id == study_id, known.story.is_not(None))
        .order_by(known.position)
    )
    return {row.id: UpgradeHypothesis(*row[1:]) for row in rows if row.source_id in cards and row.wiser_id in cards}


def _contexts(study: Study) -> tuple[str, ...]:
    texts = [context.text[language] for language in study.languages for context in study.case.contexts]
    return tuple(dict.fromkeys(texts))


def _merges(connection: Connection, study_id: str, kind: str, known: Any) -> MergeLog:
    merge = tables.merges.c
    rows = connection.execute(
        select(merge.source, merge.into, merge.made_by, merge.at, merge.undone_by, merge.undone_at)
        .where(merge.study_id == study_id, merge.kind == kind)
        .order_by(merge.number)
    )
    return MergeLog(
        tuple(
            Merge(
                row.source,
                row.into,
                row.made_by or "",
                row.at.isoformat(),
                None if row.undone_at is None else row.undone_by or "",
                None if row.undone_at is None else row.undone_at.isoformat(),
            )
            for row in rows
            if row.source in known and row.into in known
        )
    )
