"""Studies, links, interviews, cards, votes and their chains."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "downgrade", "revision", "upgrade"]

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "contents",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_contents"),
    )
    op.create_table(
        "service_values",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_service_values"),
    )
    op.create_table(
        "studies",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("protocol_digest", sa.String(64), nullable=False),
        sa.Column("case_digest", sa.String(64), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("purges", sa.Integer(), nullable=False),
        sa.Column("n_entries", sa.Integer(), nullable=False),
        sa.Column("entries_head", sa.LargeBinary(32), nullable=False),
        sa.Column("n_votes", sa.Integer(), nullable=False),
        sa.Column("votes_head", sa.LargeBinary(32), nullable=False),
        sa.ForeignKeyConstraint(["case_digest"], ["contents.digest"], name="fk_studies_case_digest_contents"),
        sa.ForeignKeyConstraint(["protocol_digest"], ["contents.digest"], name="fk_studies_protocol_digest_contents"),
        sa.PrimaryKeyConstraint("id", name="pk_studies"),
    )
    op.create_table(
        "audit",
        sa.Column("study_id", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(40)),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(40)),
        sa.Column("details", sa.Text()),
        sa.Column("salt", sa.LargeBinary(16)),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_audit_study_id_studies"),
        sa.PrimaryKeyConstraint("study_id", "number", name="pk_audit"),
    )
    op.create_index("ix_audit_study_id_actor", "audit", ["study_id", "actor"])
    op.create_index("ix_audit_study_id_subject", "audit", ["study_id", "subject"])
    op.create_table(
        "links",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("study_id", sa.String(32)),
        sa.Column("role", sa.String(12), nullable=False),
        sa.Column("token_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(40), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.Column("max_uses", sa.Integer()),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_links_study_id_studies"),
        sa.PrimaryKeyConstraint("id", name="pk_links"),
        sa.UniqueConstraint("token_digest", name="uq_links_token_digest"),
    )
    op.create_index("ix_links_study_id", "links", ["study_id"])
    op.create_table(
        "merges",
        sa.Column("study_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("into", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(40)),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("undone_by", sa.String(40)),
        sa.Column("undone_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_merges_study_id_studies"),
        sa.PrimaryKeyConstraint("study_id", "kind", "number", name="pk_merges"),
    )
    op.create_table(
        "participants",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("study_id", sa.String(32), nullable=False),
        sa.Column("link_id", sa.String(32)),
        sa.Column("join_key", sa.String(100)),
        sa.Column("token_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("joined_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("phase", sa.String(20), nullable=False),
        sa.Column("consent_version", sa.Text()),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("fallbacks", sa.Integer(), nullable=False),
        sa.Column("excluded", sa.Boolean(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["link_id"], ["links.id"], name="fk_participants_link_id_links"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_participants_study_id_studies"),
        sa.PrimaryKeyConstraint("id", name="pk_participants"),
        sa.UniqueConstraint("link_id", "join_key", name="uq_participants_link_id_join_key"),
        sa.UniqueConstraint("token_digest", name="uq_participants_token_digest"),
    )
    op.create_index("ix_participants_study_id", "participants", ["study_id"])
    op.create_table(
        "cards",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("study_id", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("participant_id", sa.String(32)),
        sa.Column("content_id", sa.String(32)),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("context", sa.Text()),
        sa.Column("document", sa.Text()),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("hidden", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["participant_id"], ["participants.id"], name="fk_cards_participant_id_participants"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_cards_study_id_studies"),
        sa.PrimaryKeyConstraint("id", name="pk_cards"),
    )
    op.create_index("ix_cards_participant_id", "cards", ["participant_id"])
    op.create_index("ix_cards_study_id_position", "cards", ["study_id", "position"])
    op.create_table(
        "events",
        sa.Column("participant_id", sa.String(32), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(30), nullable=False),
        sa.Column("key", sa.String(200)),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("salt", sa.LargeBinary(16), nullable=False),
        sa.ForeignKeyConstraint(["participant_id"], ["participants.id"], name="fk_events_participant_id_participants"),
        sa.PrimaryKeyConstraint("participant_id", "seq", name="pk_events"),
        sa.UniqueConstraint("participant_id", "key", name="uq_events_participant_id_key"),
    )
    op.create_table(
        "votes",
        sa.Column("study_id", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("participant_id", sa.String(32)),
        sa.Column("seq", sa.Integer()),
        sa.Column("source_id", sa.String(32)),
        sa.Column("wiser_id", sa.String(32)),
        sa.Column("context", sa.Text()),
        sa.Column("answer", sa.String(12)),
        sa.Column("at", sa.BigInteger()),
        sa.Column("reason", sa.Text()),
        sa.Column("hypothesis_id", sa.String(32)),
        sa.Column("salt", sa.LargeBinary(16)),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.ForeignKeyConstraint(["participant_id"], ["participants.id"], name="fk_votes_participant_id_participants"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_votes_study_id_studies"),
        sa.PrimaryKeyConstraint("study_id", "number", name="pk_votes"),
        sa.UniqueConstraint("participant_id", "seq", name="uq_votes_participant_id_seq"),
    )
    op.create_index("ix_votes_hypothesis_id", "votes", ["hypothesis_id"])
    op.create_table(
        "hypotheses",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("study_id", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("from_ballot", sa.Boolean(), nullable=False),
        sa.Column("source_id", sa.String(32), nullable=False),
        sa.Column("wiser_id", sa.String(32), nullable=False),
        sa.Column("context", sa.Text(), nullable=False),
        sa.Column("story", sa.Text()),
        sa.Column("salt", sa.LargeBinary(16)),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["cards.id"], name="fk_hypotheses_source_id_cards"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_hypotheses_study_id_studies"),
        sa.ForeignKeyConstraint(["wiser_id"], ["cards.id"], name="fk_hypotheses_wiser_id_cards"),
        sa.PrimaryKeyConstraint("id", name="pk_hypotheses"),
    )
    op.create_index("ix_hypotheses_source_id", "hypotheses", ["source_id"])
    op.create_index("ix_hypotheses_study_id", "hypotheses", ["study_id"])
    op.create_index("ix_hypotheses_wiser_id", "hypotheses", ["wiser_id"])


def downgrade() -> None:
    """Remove the tables, with what is in them."""
    for table in (
        "hypotheses",
        "votes",
        "events",
        "cards",
        "participants",
        "merges",
        "links",
        "audit",
        "studies",
        "service_values",
        "contents",
    ):
        op.drop_table(table)
