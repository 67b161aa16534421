"""Add the number of ended runs of a study; count runs from an index alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_OLD = ("ix_run_study_id_purpose_state", ["study_id", "purpose", "state"])
_NEW = ("ix_run_study_id_purpose_state_started_at", ["study_id", "purpose", "state", "started_at"])


def upgrade() -> None:
    op.add_column(
        "study", sa.Column("runs_ended", sa.Integer(), nullable=False, server_default="0")
    )
    op.execute(
        "UPDATE study SET runs_ended = (SELECT count(*) FROM run "
        "WHERE run.study_id = study.id AND run.state <> 'running')"
    )
    op.create_index(_NEW[0], "run", _NEW[1])
    op.drop_index(_OLD[0], table_name="run")


def downgrade() -> None:
    op.create_index(_OLD[0], "run", _OLD[1])
    op.drop_index(_NEW[0], table_name="run")
    # Batch mode would copy the table and lose the triggers of studies.
    op.execute("ALTER TABLE study DROP COLUMN runs_ended")
