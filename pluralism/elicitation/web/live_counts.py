"""How a study goes: counts that organisers look at while it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, func, select

from pluralism.elicitation.interview.state import PHASES
from pluralism.elicitation.web import tables

__all__ = ["LiveCounts", "live_counts"]


@dataclass(frozen=True)
class LiveCounts:
    """Counts of one study at one moment.

    Attributes
    ----------
    joined : int
        Participants, without those who were deleted.
    by_phase : mapping of str to int
        Of these, in the order of an interview; see `pluralism.elicitation.interview.state.PHASES`.
    cards, hidden_cards : int
        Cards that others see, and those that moderators hide.
    votes, voters : int
        Votes, also those that a later one replaces, and the people who cast them.
    merges, hypotheses : int
        Those that hold; and pairs that people are asked about.
    excluded, deleted : int
        Participants whose votes do not count, and those who were deleted.
    fallbacks : int
        How often a language model failed and the scripted interviewer went on.
    last_event_at : datetime or None
    """

    joined: int
    by_phase: Mapping[str, int]
    cards: int
    hidden_cards: int
    votes: int
    voters: int
    merges: int
    hypotheses: int
    excluded: int
    deleted: int
    fallbacks: int
    last_event_at: datetime | None

    def to_dict(self) -> dict[str, Any]:
        """The counts by name."""
        moment = None if self.last_event_at is None else self.last_event_at.isoformat()
        return {**asdict(self), "by_phase": dict(self.by_phase), "last_event_at": moment}

    def to_frame(self) -> pa.Table:
        """One row a count: `name` (such as "votes" or "phase: voting") and `count`."""
        rows = {name: value for name, value in asdict(self).items() if isinstance(value, int)}
        rows |= {f"phase: {name}": n for name, n in self.by_phase.items()}
        return pa.table({"name": pa.array(rows, pa.string()), "count": pa.array(rows.values(), pa.int64())})

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict())

    def __repr__(self) -> str:
        done = self.by_phase.get("done", 0)
        return f"LiveCounts({self.joined:,} joined, {done:,} done, {self.cards:,} cards, {self.votes:,} votes)"


def live_counts(connection: Connection, study_id: str) -> LiveCounts:
    """Count what is in the tables of a study."""
    people, card, vote = tables.participants.c, tables.cards.c, tables.votes.c
    merge, asked = tables.merges.c, tables.hypotheses.c
    by_phase = connection.execute(
        select(people.phase, func.count())
        .where(people.study_id == study_id, people.deleted_at.is_(None))
        .group_by(people.phase)
    )
    phases: dict[str, int] = {phase: n for phase, n in by_phase}
    mine = people.study_id == study_id
    excluded, deleted, fallbacks, last = connection.execute(
        select(
            func.count().filter(people.excluded.is_(True), people.deleted_at.is_(None)),
            func.count(people.deleted_at),
            func.coalesce(func.sum(people.fallbacks), 0),
            func.max(people.last_at),
        ).where(mine)
    ).one()
    shown = (card.study_id == study_id, card.document.is_not(None))
    votes, voters = connection.execute(
        select(func.count(vote.participant_id), func.count(vote.participant_id.distinct())).where(
            vote.study_id == study_id
        )
    ).one()

    def count(*where: Any) -> int:
        return connection.scalar(select(func.count()).where(*where)) or 0

    return LiveCounts(
        joined=sum(phases.values()),
        by_phase={phase: phases[phase] for phase in PHASES if phase in phases},
        cards=count(*shown, card.hidden.is_(False)),
        hidden_cards=count(*shown, card.hidden.is_(True)),
        votes=votes,
        voters=voters,
        merges=count(merge.study_id == study_id, merge.undone_at.is_(None)),
        hypotheses=count(asked.study_id == study_id, asked.active.is_(True)),
        excluded=excluded,
        deleted=deleted,
        fallbacks=int(fallbacks),
        last_event_at=last,
    )
