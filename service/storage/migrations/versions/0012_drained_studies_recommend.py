"""Index cancelled studies too, since drained studies may have recommendations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _replace("ix_study_event_success", "ix_study_event_end", "state IN ('succeeded', 'cancelled')")


def downgrade() -> None:
    _replace("ix_study_event_end", "ix_study_event_success", "state = 'succeeded'")


def _replace(old: str, new: str, condition: str) -> None:
    op.drop_index(old, table_name="study_event")
    where = sa.text(condition)
    op.create_index(new, "study_event", ["id"], sqlite_where=where, postgresql_where=where)
