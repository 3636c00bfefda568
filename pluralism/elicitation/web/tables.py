"""The tables of the service.

What participants wrote is in three columns: `events.payload`, `cards.document`, and `hypotheses.story`, which may be
made of it. Other tables name cards and stories by random ids, so that a deletion empties these columns and throws
away what is derived from them.

Chains (`pluralism.elicitation.hash_chain`) cover what is deleted: `votes` and `audit` keep the digests of rows of which
salt and content are gone.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

__all__ = [
    "METADATA",
    "Moment",
    "audit",
    "cards",
    "contents",
    "demographics",
    "derived",
    "events",
    "hypotheses",
    "links",
    "merges",
    "microseconds",
    "participants",
    "service_values",
    "studies",
    "votes",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(moment: datetime) -> int:
    """Whole microseconds since 1970, in UTC."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


class Moment(TypeDecorator[datetime]):
    """A moment, kept as whole microseconds since 1970: exact, and the same in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        """From a datetime with a time zone."""
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: Any) -> datetime | None:
        """To a datetime in UTC."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_ID, _DIGEST = String(32), LargeBinary(32)


def _of_study(**options: Any) -> Column[str]:
    return Column("study_id", _ID, ForeignKey("studies.id"), nullable=False, **options)


service_values = Table(
    "service_values",
    METADATA,
    Column("name", String(40), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
"""What a database keeps for itself: the secret of cookies, and whether its files may still hold what was deleted."""

contents = Table(
    "contents",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("kind", String(10), nullable=False),
    Column("document", Text, nullable=False),
)
"""Protocols and cases, under the digest of their content: interviews go on with the version that they began with."""

studies = Table(
    "studies",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("title", Text, nullable=False),
    Column("status", String(10), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("protocol_digest", String(64), ForeignKey("contents.digest"), nullable=False),
    Column("case_digest", String(64), ForeignKey("contents.digest"), nullable=False),
    Column("settings", Text, nullable=False),
    # Grows with everything that changes the moral graph.
    Column("version", Integer, nullable=False),
    # Grows with everything after which a graph that is kept must not be shown any more.
    Column("purges", Integer, nullable=False),
    Column("n_entries", Integer, nullable=False),
    Column("entries_head", _DIGEST, nullable=False),
    Column("n_votes", Integer, nullable=False),
    Column("votes_head", _DIGEST, nullable=False),
)
"""Studies, with the ends of their chains; whoever writes to a study locks its row first."""

links = Table(
    "links",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("study_id", _ID, ForeignKey("studies.id"), index=True),
    Column("role", String(12), nullable=False),
    Column("token_digest", _DIGEST, nullable=False, unique=True),
    Column("label", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_by", String(40), nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Column("max_uses", Integer),
    Column("uses", Integer, nullable=False),
)
"""Links that open a study to participants or organisers."""

participants = Table(
    "participants",
    METADATA,
    Column("id", _ID, primary_key=True),
    _of_study(index=True),
    Column("link_id", _ID, ForeignKey("links.id")),
    Column("join_key", String(100)),
    Column("token_digest", _DIGEST, nullable=False, unique=True),
    Column("language", String(8), nullable=False),
    Column("joined_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("phase", String(20), nullable=False),
    Column("consent_version", Text),
    Column("scopes", Text, nullable=False),
    Column("fallbacks", Integer, nullable=False),
    Column("excluded", Boolean, nullable=False),
    Column("deleted_at", Moment),
    UniqueConstraint("link_id", "join_key"),
)
"""Participants, under a random pseudonym."""

events = Table(
    "events",
    METADATA,
    Column("participant_id", _ID, ForeignKey("participants.id"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("kind", String(30), nullable=False),
    Column("key", String(200)),
    Column("payload", Text, nullable=False),
    Column("salt", LargeBinary(16), nullable=False),
    UniqueConstraint("participant_id", "key"),
)
"""The events of interviews; texts of other people's cards and stories are named in them, not copied."""

cards = Table(
    "cards",
    METADATA,
    Column("id", _ID, primary_key=True),
    _of_study(),
    Column("position", Integer, nullable=False),
    Column("participant_id", _ID, ForeignKey("participants.id"), index=True),
    Column("content_id", _ID),
    Column("language", String(8), nullable=False),
    Column("context", Text),
    Column("document", Text),
    Column("at", Moment, nullable=False),
    Column("hidden", Boolean, nullable=False),
    Index("ix_cards_study_id_position", "study_id", "position"),
)
"""Confirmed cards, and those that the case begins with (these have a content id)."""

hypotheses = Table(
    "hypotheses",
    METADATA,
    Column("id", _ID, primary_key=True),
    _of_study(index=True),
    Column("position", Integer, nullable=False),
    Column("from_ballot", Boolean, nullable=False),
    Column("source_id", _ID, ForeignKey("cards.id"), nullable=False, index=True),
    Column("wiser_id", _ID, ForeignKey("cards.id"), nullable=False, index=True),
    Column("context", Text, nullable=False),
    Column("story", Text),
    Column("salt", LargeBinary(16)),
    Column("model", Text, nullable=False),
    Column("active", Boolean, nullable=False),
)
"""Pairs that people are asked about, with the stories: of organisers, or drawn for a ballot."""

votes = Table(
    "votes",
    METADATA,
    _of_study(primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("participant_id", _ID, ForeignKey("participants.id")),
    Column("seq", Integer),
    Column("source_id", _ID),
    Column("wiser_id", _ID),
    Column("context", Text),
    Column("answer", String(12)),
    Column("at", Moment),
    Column("reason", Text),
    Column("hypothesis_id", _ID, index=True),
    Column("salt", LargeBinary(16)),
    Column("digest", _DIGEST, nullable=False),
    UniqueConstraint("participant_id", "seq"),
)
"""Votes in the order in which they came, as a chain; comments stay in the events."""

merges = Table(
    "merges",
    METADATA,
    _of_study(primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("source", Text, nullable=False),
    Column("into", Text, nullable=False),
    Column("made_by", String(40)),
    Column("at", Moment, nullable=False),
    Column("undone_by", String(40)),
    Column("undone_at", Moment),
)
"""Cards, or contexts, that are the same as others."""

audit = Table(
    "audit",
    METADATA,
    _of_study(primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("actor", String(40)),
    Column("action", String(40), nullable=False),
    Column("subject", String(40)),
    Column("details", Text),
    Column("salt", LargeBinary(16)),
    Column("digest", _DIGEST, nullable=False),
    Index("ix_audit_study_id_actor", "study_id", "actor"),
    Index("ix_audit_study_id_subject", "study_id", "subject"),
)
"""Everything that anybody did in a study, as a chain."""

demographics = Table(
    "demographics",
    METADATA,
    Column("participant_id", _ID, ForeignKey("participants.id"), primary_key=True),
    Column("question", String(64), primary_key=True),
    Column("option", String(64), nullable=False),
)
"""What participants say about themselves, by ids of options."""

derived = Table(
    "derived",
    METADATA,
    Column("id", _ID, primary_key=True),
    _of_study(index=True),
    Column("kind", String(20), nullable=False),
    Column("version", Integer, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("made_by", String(40)),
    Column("document", LargeBinary),
    # Whether text that was deleted since is in it.
    Column("outdated_by_deletion", Boolean, nullable=False),
)
"""Graphs that are kept, and the exports that were made: what a deletion makes stale."""
