"""What participants say about themselves, and what is derived from a study."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "downgrade", "revision", "upgrade"]

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "derived",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("study_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("made_by", sa.String(40)),
        sa.Column("document", sa.LargeBinary()),
        sa.Column("outdated_by_deletion", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_derived_study_id_studies"),
        sa.PrimaryKeyConstraint("id", name="pk_derived"),
    )
    op.create_index("ix_derived_study_id", "derived", ["study_id"])
    op.create_table(
        "demographics",
        sa.Column("participant_id", sa.String(32), nullable=False),
        sa.Column("question", sa.String(64), nullable=False),
        sa.Column("option", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(
            ["participant_id"], ["participants.id"], name="fk_demographics_participant_id_participants"
        ),
        sa.PrimaryKeyConstraint("participant_id", "question", name="pk_demographics"),
    )


def downgrade() -> None:
    """Remove the tables, with what is in them."""
    for table in ("demographics", "derived"):
        op.drop_table(table)
