"""Allow pruned runs, and runs that reuse the result of another run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BEFORE = ("running", "succeeded", "failed", "cancelled")
_AFTER = ("running", "succeeded", "pruned", "failed", "cancelled")


def _states(values: tuple[str, ...]) -> str:
    return f"state IN ({', '.join(repr(value) for value in values)})"


def upgrade() -> None:
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_run_runstate"), type_="check")
        batch_op.create_check_constraint(batch_op.f("ck_run_runstate"), _states(_AFTER))
        batch_op.create_check_constraint(
            batch_op.f("ck_run_pruned_is_partial"),
            "state <> 'pruned' OR (purpose = 'search' AND epochs_done < epochs)",
        )
        batch_op.add_column(sa.Column("joint", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("reused_from", sa.String(length=40), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_run_reused_from"), "run", ["reused_from"], ["id"]
        )


def downgrade() -> None:
    op.execute(
        "DELETE FROM run_metric WHERE run_id IN (SELECT id FROM run WHERE state = 'pruned')"
    )
    op.execute("DELETE FROM run WHERE state = 'pruned'")
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_run_reused_from"), type_="foreignkey")
        batch_op.drop_column("reused_from")
        batch_op.drop_column("joint")
        batch_op.drop_constraint(batch_op.f("ck_run_pruned_is_partial"), type_="check")
        batch_op.drop_constraint(batch_op.f("ck_run_runstate"), type_="check")
        batch_op.create_check_constraint(batch_op.f("ck_run_runstate"), _states(_BEFORE))
