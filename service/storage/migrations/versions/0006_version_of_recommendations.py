"""Index successful studies: the newest is the version of the recommendations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    where = sa.text("state = 'succeeded'")
    op.create_index(
        "ix_study_event_success", "study_event", ["id"], sqlite_where=where, postgresql_where=where
    )


def downgrade() -> None:
    op.drop_index("ix_study_event_success", "study_event")
