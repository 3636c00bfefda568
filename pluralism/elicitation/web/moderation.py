"""What moderators do about cards and participants: each act with its reason, in the log, and none beyond undoing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update

from pluralism.elicitation.card_lint import CardFinding, lint_card
from pluralism.elicitation.interview.participant_text import clean
from pluralism.elicitation.values_card import ValuesCard
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.audit_log import AuditLog, LogEntry
from pluralism.elicitation.web.database import Database
from pluralism.elicitation.web.database_pool import card_of
from pluralism.elicitation.web.graphs import Graphs
from pluralism.elicitation.web.study_transaction import Clock, study_transaction
from pluralism.errors import NotFoundError

__all__ = ["CardRow", "Moderation"]

_REASON = 1000


@dataclass(frozen=True)
class CardRow:
    """A card for moderators.

    Attributes
    ----------
    id : str
    card : ValuesCard
    participant_id : str or None
        None for cards that the case begins with.
    confirmed_at : datetime
    hidden : bool
    findings : tuple of CardFinding
        Breaches of the rules of `pluralism.elicitation.card_lint`.
    n_votes : int
        On pairs with this card, as they were cast.
    value_id : str or None
        The value that it stands for, or is merged into; None where it is hidden.
    """

    id: str
    card: ValuesCard
    participant_id: str | None
    confirmed_at: datetime
    hidden: bool
    findings: tuple[CardFinding, ...]
    n_votes: int
    value_id: str | None


class Moderation:
    """Moderation of a database.

    Parameters
    ----------
    database : Database
    clock : callable
    graphs : Graphs
    """

    def __init__(self, database: Database, clock: Clock, graphs: Graphs) -> None:
        self._database, self._clock, self._graphs = database, clock, graphs

    def hide_card(self, study_id: str, card_id: str, *, reason: str, by: str) -> None:
        """Show a card to nobody, and leave votes on it out of the graph, until it is restored.

        Raises
        ------
        InterviewError
            There is no reason, or it is too long.
        NotFoundError
            There is no such card in the study.
        """
        self._set_hidden(study_id, card_id, True, reason, by)

    def restore_card(self, study_id: str, card_id: str, *, reason: str, by: str) -> None:
        """Show a card again; otherwise as `hide_card`."""
        self._set_hidden(study_id, card_id, False, reason, by)

    def exclude(self, participant_id: str, *, reason: str, by: str) -> None:
        """Leave a participant's votes out of the graph, until they are readmitted; their card stays.

        Raises
        ------
        InterviewError
            There is no reason, or it is too long.
        NotFoundError
            There is no such participant.
        """
        self._set_excluded(participant_id, True, reason, by)

    def readmit(self, participant_id: str, *, reason: str, by: str) -> None:
        """Let a participant's votes count again; otherwise as `exclude`."""
        self._set_excluded(participant_id, False, reason, by)

    def cards(self, study_id: str) -> tuple[CardRow, ...]:
        """The cards of a study that were not deleted, in the order in which they came.

        Raises
        ------
        NotFoundError
            There is no such study.
        """
        graph = self._graphs.get(study_id, fresh=True).graph
        card, vote = tables.cards.c, tables.votes.c
        with self._database.read() as connection:
            rows = connection.execute(
                select(card.id, card.document, card.context, card.participant_id, card.at, card.hidden)
                .where(card.study_id == study_id, card.document.is_not(None))
                .order_by(card.position)
            ).all()
            counts: dict[str | None, int] = {}
            for column in (vote.source_id, vote.wiser_id):
                for name, n in connection.execute(
                    select(column, func.count()).where(vote.study_id == study_id).group_by(column)
                ):
                    counts[name] = counts.get(name, 0) + n
        ids = list(graph.cards)
        speaks = graph.card_merges.representatives(ids).tolist()
        values = {name: ids[place] for name, place in zip(ids, speaks, strict=True)}
        found = []
        for row in rows:
            written = card_of(row.document, row.context)
            findings = lint_card(written).findings
            found.append(
                CardRow(
                    row.id,
                    written,
                    row.participant_id,
                    row.at,
                    row.hidden,
                    findings,
                    counts.get(row.id, 0),
                    values.get(row.id),
                )
            )
        return tuple(found)

    def log(self, study_id: str, *, limit: int = 100, before: int | None = None) -> tuple[LogEntry, ...]:
        """What was done in the study, the newest first; see `AuditLog.entries`."""
        return AuditLog(self._database).entries(study_id, limit=limit, before=before)

    def _set_hidden(self, study_id: str, card_id: str, hidden: bool, reason: str, by: str) -> None:
        why, card = _reason(reason), tables.cards.c
        with study_transaction(self._database, study_id, self._clock()) as study:
            mine = (card.id == card_id, card.study_id == study_id, card.document.is_not(None))
            known = study.connection.scalar(select(card.hidden).where(*mine))
            if known is None:
                raise NotFoundError("There is no such card in this study.", fix="Was it deleted?")
            if known != hidden:
                study.connection.execute(update(tables.cards).where(*mine).values(hidden=hidden))
                study.log(by, "card hidden" if hidden else "card restored", card_id, {"reason": why})
                study.purge()

    def _set_excluded(self, participant_id: str, excluded: bool, reason: str, by: str) -> None:
        why, people = _reason(reason), tables.participants.c
        with self._database.read() as connection:
            study_id = connection.scalar(
                select(people.study_id).where(people.id == participant_id, people.deleted_at.is_(None))
            )
        if study_id is None:
            raise NotFoundError("There is no such participant.", fix="Were they deleted?")
        with study_transaction(self._database, study_id, self._clock()) as study:
            change = update(tables.participants).where(
                people.id == participant_id, people.deleted_at.is_(None), people.excluded.is_not(excluded)
            )
            if study.connection.execute(change.values(excluded=excluded)).rowcount:
                action = "participant excluded" if excluded else "participant readmitted"
                study.log(by, action, participant_id, {"reason": why})
                study.purge()


def _reason(reason: str) -> str:
    return clean(reason, most=_REASON, what="The reason")
