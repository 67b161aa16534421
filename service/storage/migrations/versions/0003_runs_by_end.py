"""Index runs by their end, for the metrics."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_run_ended_at", "run", ["ended_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_run_ended_at", table_name="run")
