"""Add response surfaces of recommendations, and three grades."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_BEFORE = ("confirmed", "no gain")
_AFTER = ("confirmed", "no gain", "provisional", "transferred", "paper")


def _grades(values: tuple[str, ...]) -> str:
    return f"grade IN ({', '.join(repr(value) for value in values)})"


def upgrade() -> None:
    with op.batch_alter_table("recommendation", schema=None) as batch_op:
        batch_op.add_column(sa.Column("surface", sa.JSON(), nullable=True))
        batch_op.drop_constraint(batch_op.f("ck_recommendation_grade"), type_="check")
        batch_op.create_check_constraint(batch_op.f("ck_recommendation_grade"), _grades(_AFTER))


def downgrade() -> None:
    op.execute(f"DELETE FROM recommendation WHERE NOT {_grades(_BEFORE)}")
    with op.batch_alter_table("recommendation", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_recommendation_grade"), type_="check")
        batch_op.create_check_constraint(batch_op.f("ck_recommendation_grade"), _grades(_BEFORE))
        batch_op.drop_column("surface")
