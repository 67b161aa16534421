"""Add costs of runs, studies and recommendations, and limits of API keys."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


_COLUMNS: tuple[tuple[str, str, type[sa.types.TypeEngine[Any]], str | None], ...] = (
    ("api_key", "max_queued_studies", sa.Integer, None),
    ("api_key", "gpu_hours", sa.Double, None),
    ("run", "gpu_seconds", sa.Double, None),
    ("study", "seconds", sa.Double, "0"),
    ("study", "gpu_seconds", sa.Double, "0"),
    ("recommendation", "seconds", sa.Double, "0"),
    ("recommendation", "gpu_seconds", sa.Double, "0"),
)


def upgrade() -> None:
    for table, name, kind, default in _COLUMNS:
        column = sa.Column(name, kind(), nullable=default is None, server_default=default)
        op.add_column(table, column)
    op.execute(
        "UPDATE study SET seconds = (SELECT coalesce(sum(run.seconds), 0) FROM run "
        "WHERE run.study_id = study.id)"
    )
    op.execute(
        "UPDATE recommendation SET seconds = (SELECT coalesce(sum(run.seconds), 0) FROM run WHERE "
        "run.combination_id = recommendation.combination_id AND "
        "run.ended_at <= recommendation.created_at)"
    )
    where = sa.text("gpu_seconds > 0")
    op.create_index(
        "ix_study_gpu_use",
        "study",
        ["submitter", "ended_at"],
        sqlite_where=where,
        postgresql_where=where,
    )


def downgrade() -> None:
    op.drop_index("ix_study_gpu_use", table_name="study")
    for table, name, _, _ in reversed(_COLUMNS):
        # Batch mode would copy the table and lose the triggers of studies.
        op.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
