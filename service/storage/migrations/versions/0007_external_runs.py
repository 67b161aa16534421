"""Add external runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "external_run",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("combination_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=300), nullable=False),
        sa.Column("submitter", sa.String(length=40), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("alpha", sa.Double(), nullable=False),
        sa.Column("beta", sa.Double(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("validation_accuracy", sa.Double(), nullable=True),
        sa.Column("test_accuracy", sa.Double(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("measures", sa.JSON(), nullable=False),
        sa.Column("environment", sa.JSON(), nullable=False),
        sa.Column("curve", sa.JSON(), nullable=False),
        sa.CheckConstraint("alpha >= 0 AND beta >= 0", name=op.f("ck_external_run_setting_range")),
        sa.CheckConstraint("length(source) >= 3", name=op.f("ck_external_run_names_its_source")),
        sa.ForeignKeyConstraint(
            ["combination_id"], ["combination.id"], name=op.f("fk_external_run_combination_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_external_run")),
    )
    op.create_index(
        "ix_external_run_combination_id", "external_run", ["combination_id"], unique=False
    )


def downgrade() -> None:
    op.drop_table("external_run")
