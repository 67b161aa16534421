"""Index lists by their filters, newest first."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_LISTS = {
    "study": ("combination_id", "submitter", "sweep_id", "state"),
    "run": ("combination_id", "state", "purpose"),
    "external_run": ("combination_id",),
}
_BEFORE = (
    ("study", "combination_id"),
    ("study", "sweep_id"),
    ("run", "combination_id"),
    ("external_run", "combination_id"),
)


def upgrade() -> None:
    for table, columns in _LISTS.items():
        for column in columns:
            op.create_index(f"ix_{table}_{column}_newest", table, [column, "id"])
    op.create_index("ix_run_combination_state_newest", "run", ["combination_id", "state", "id"])
    for table, column in _BEFORE:
        op.drop_index(f"ix_{table}_{column}", table_name=table)


def downgrade() -> None:
    for table, column in _BEFORE:
        op.create_index(f"ix_{table}_{column}", table, [column])
    op.drop_index("ix_run_combination_state_newest", table_name="run")
    for table, columns in _LISTS.items():
        for column in columns:
            op.drop_index(f"ix_{table}_{column}_newest", table_name=table)
