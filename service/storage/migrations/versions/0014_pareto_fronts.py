"""Add Pareto fronts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "front",
        sa.Column("study_id", sa.String(40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_front_study_id")),
        sa.PrimaryKeyConstraint("study_id", name=op.f("pk_front")),
    )


def downgrade() -> None:
    op.drop_table("front")
