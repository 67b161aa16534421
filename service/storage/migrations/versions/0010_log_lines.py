"""Add log lines by study and by run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_LEVELS = "'debug', 'info', 'warning', 'error'"


def upgrade() -> None:
    op.create_table(
        "log_line",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("study_id", sa.String(40), nullable=False),
        sa.Column("run_id", sa.String(40), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("level", sa.String(32), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.CheckConstraint(f"level IN ({_LEVELS})", name=op.f("ck_log_line_loglevel")),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_log_line_study_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_log_line_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_line")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_log_line_study_id_id"), "log_line", ["study_id", "id"])
    op.create_index(op.f("ix_log_line_run_id_id"), "log_line", ["run_id", "id"])


def downgrade() -> None:
    op.drop_table("log_line")
