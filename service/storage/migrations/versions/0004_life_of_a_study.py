"""Add transitions, submitters, priorities, sweeps and all kinds of events of studies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

OLD_STATES = ("queued", "running", "succeeded", "failed")
STATES = (
    "queued",
    "running",
    "pausing",
    "paused",
    "draining",
    "succeeded",
    "failed",
    "cancelled",
)
OLD_RUN_STATES = ("running", "succeeded", "failed")
RUN_STATES = (*OLD_RUN_STATES, "cancelled")
WAYS = ", ".join(
    f"'{source}>{target}'"
    for source, targets in {
        "queued": ("running", "paused", "failed", "cancelled"),
        "running": (
            "running",
            "queued",
            "pausing",
            "draining",
            "succeeded",
            "failed",
            "cancelled",
        ),
        "pausing": ("running", "paused", "draining", "succeeded", "failed", "cancelled"),
        "paused": ("queued", "cancelled"),
        "draining": ("succeeded", "failed", "cancelled"),
    }.items()
    for target in targets
)
REFUSED = "a study cannot go that way"
SQLITE = (
    f"""CREATE TRIGGER study_begins_queued BEFORE INSERT ON study
WHEN NEW.state <> 'queued'
BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END""",
    f"""CREATE TRIGGER study_transition BEFORE UPDATE OF state ON study
WHEN NEW.state <> OLD.state AND (OLD.state || '>' || NEW.state) NOT IN ({WAYS})
BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END""",
)
POSTGRESQL = (
    f"""CREATE OR REPLACE FUNCTION refuse_study_transition() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{REFUSED}'; END $$""",
    """CREATE TRIGGER study_begins_queued BEFORE INSERT ON study
FOR EACH ROW WHEN (NEW.state <> 'queued') EXECUTE FUNCTION refuse_study_transition()""",
    f"""CREATE TRIGGER study_transition BEFORE UPDATE OF state ON study
FOR EACH ROW WHEN (NEW.state <> OLD.state AND (OLD.state || '>' || NEW.state) NOT IN ({WAYS}))
EXECUTE FUNCTION refuse_study_transition()""",
)


def upgrade() -> None:

    op.create_table(
        "submitter",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("served_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_submitter")),
    )
    op.execute("INSERT INTO submitter (name) VALUES ('local')")
    op.create_table(
        "sweep",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("submitter", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("left_out", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["submitter"], ["submitter.name"], name=op.f("fk_sweep_submitter")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweep")),
    )
    _add_to_studies()
    _allow_states("run", "runstate", RUN_STATES)
    _add_to_events()
    _key_by_submitter()


def downgrade() -> None:

    dialect = op.get_context().dialect.name
    for trigger in ("study_begins_queued", "study_transition"):
        op.execute(f"DROP TRIGGER {trigger}{'' if dialect == 'sqlite' else ' ON study'}")
    if dialect == "postgresql":
        op.execute("DROP FUNCTION refuse_study_transition()")
    op.execute("DELETE FROM idempotency_key WHERE study_id IS NULL OR submitter <> 'local'")
    with op.batch_alter_table("idempotency_key") as table:
        table.drop_constraint(op.f("pk_idempotency_key"), type_="primary")
        table.drop_index(op.f("ix_idempotency_key_created_at"))
        table.drop_constraint(op.f("ck_idempotency_key_stands_for_one"), type_="check")
        table.drop_constraint(op.f("fk_idempotency_key_submitter"), type_="foreignkey")
        table.drop_constraint(op.f("fk_idempotency_key_sweep_id"), type_="foreignkey")
        table.drop_column("submitter")
        table.drop_column("sweep_id")
        table.alter_column("study_id", existing_type=sa.String(40), nullable=False)
        table.create_primary_key(op.f("pk_idempotency_key"), ["key"])
    _remove_from_events()
    op.execute("UPDATE run SET state = 'failed' WHERE state = 'cancelled'")
    _allow_states("run", "runstate", OLD_RUN_STATES)
    _remove_from_studies()
    op.drop_table("sweep")
    op.drop_table("submitter")


def _add_to_studies() -> None:
    with op.batch_alter_table("study") as table:
        table.add_column(
            sa.Column("submitter", sa.String(100), nullable=False, server_default="local")
        )
        table.add_column(sa.Column("sweep_id", sa.String(40), nullable=True))
        table.add_column(sa.Column("place", sa.Integer(), nullable=False, server_default="0"))
        table.drop_index(op.f("ix_study_claimable_at"))
    # SQLite copies the table for each new default or constraint.
    op.execute("UPDATE study SET claimable_at = NULL WHERE state IN ('succeeded', 'failed')")
    with op.batch_alter_table("study") as table:
        table.alter_column("submitter", existing_type=sa.String(100), server_default=None)
        table.alter_column("place", existing_type=sa.Integer(), server_default=None)
        table.create_foreign_key(op.f("fk_study_submitter"), "submitter", ["submitter"], ["name"])
        table.create_foreign_key(op.f("fk_study_sweep_id"), "sweep", ["sweep_id"], ["id"])
        table.create_index(op.f("ix_study_sweep_id"), ["sweep_id"])
        table.create_check_constraint(
            op.f("ck_study_place_range"), "place >= -100 AND place <= 100"
        )
        table.drop_constraint(op.f("ck_study_studystate"), type_="check")
        table.create_check_constraint(op.f("ck_study_studystate"), _one_of(STATES))
        table.create_check_constraint(
            op.f("ck_study_claimable_unless_at_rest"),
            "(claimable_at IS NULL) = (state IN ('paused', 'succeeded', 'failed', 'cancelled'))",
        )
    _create_partial_index("ix_study_queue", ["submitter", "place", "id"], "state = 'queued'")
    _create_partial_index(
        "ix_study_held",
        ["submitter", "claimable_at"],
        "state IN ('running', 'pausing', 'draining')",
    )
    for text in SQLITE if op.get_context().dialect.name == "sqlite" else POSTGRESQL:
        op.execute(text)


def _remove_from_studies() -> None:
    for index in ("ix_study_queue", "ix_study_held"):
        op.drop_index(index, "study")
    with op.batch_alter_table("study") as table:
        table.drop_constraint(op.f("ck_study_claimable_unless_at_rest"), type_="check")
    op.execute("UPDATE study SET state = 'failed' WHERE state = 'cancelled'")
    op.execute("UPDATE study SET state = 'running' WHERE state IN ('pausing', 'draining')")
    op.execute(
        "UPDATE study SET state = 'queued', claimable_at = created_at WHERE state = 'paused'"
    )
    with op.batch_alter_table("study") as table:
        table.drop_index(op.f("ix_study_sweep_id"))
        table.drop_constraint(op.f("ck_study_place_range"), type_="check")
        table.drop_constraint(op.f("fk_study_submitter"), type_="foreignkey")
        table.drop_constraint(op.f("fk_study_sweep_id"), type_="foreignkey")
        for column in ("submitter", "sweep_id", "place"):
            table.drop_column(column)
        table.create_index(op.f("ix_study_claimable_at"), ["claimable_at"])
    _allow_states("study", "studystate", OLD_STATES)


def _add_to_events() -> None:
    with op.batch_alter_table("study_event") as table:
        table.add_column(sa.Column("kind", sa.String(32), nullable=False, server_default="state"))
        table.add_column(sa.Column("source", sa.String(32), nullable=True))
        table.add_column(sa.Column("details", sa.JSON(), nullable=False, server_default="{}"))
    op.execute(
        "UPDATE study_event SET source = (SELECT earlier.state FROM study_event earlier WHERE "
        "earlier.study_id = study_event.study_id AND earlier.id < study_event.id "
        "ORDER BY earlier.id DESC LIMIT 1)"
    )
    with op.batch_alter_table("study_event", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.alter_column("kind", existing_type=sa.String(32), server_default=None)
        table.alter_column("details", existing_type=sa.JSON(), server_default=None)
        table.create_check_constraint(
            op.f("ck_study_event_eventkind"), _one_of(("state", "change", "run"), "kind")
        )
        table.create_check_constraint(
            op.f("ck_study_event_known_transition"),
            "kind <> 'state' OR (source IS NULL AND state = 'queued') "
            f"OR (source || '>' || state) IN ({WAYS})",
        )
        table.drop_constraint(op.f("ck_study_event_studystate"), type_="check")
        table.create_check_constraint(op.f("ck_study_event_studystate"), _one_of(STATES))
        table.drop_index(op.f("ix_study_event_study_id"))
        table.create_index(op.f("ix_study_event_study_id_id"), ["study_id", "id"])


def _remove_from_events() -> None:
    op.execute("DELETE FROM study_event WHERE kind <> 'state'")
    with op.batch_alter_table("study_event") as table:
        table.drop_index(op.f("ix_study_event_study_id_id"))
        table.create_index(op.f("ix_study_event_study_id"), ["study_id"])
        table.drop_constraint(op.f("ck_study_event_eventkind"), type_="check")
        table.drop_constraint(op.f("ck_study_event_known_transition"), type_="check")
        for column in ("kind", "source", "details"):
            table.drop_column(column)
    op.execute("UPDATE study_event SET state = 'failed' WHERE state = 'cancelled'")
    op.execute("UPDATE study_event SET state = 'running' WHERE state IN ('pausing', 'draining')")
    op.execute("UPDATE study_event SET state = 'queued' WHERE state = 'paused'")
    _allow_states("study_event", "studystate", OLD_STATES)


def _key_by_submitter() -> None:
    with op.batch_alter_table("idempotency_key") as table:
        table.add_column(
            sa.Column("submitter", sa.String(100), nullable=False, server_default="local")
        )
        table.add_column(sa.Column("sweep_id", sa.String(40), nullable=True))
    with op.batch_alter_table("idempotency_key") as table:
        table.alter_column("submitter", existing_type=sa.String(100), server_default=None)
        table.alter_column("study_id", existing_type=sa.String(40), nullable=True)
        table.drop_constraint(op.f("pk_idempotency_key"), type_="primary")
        table.create_primary_key(op.f("pk_idempotency_key"), ["submitter", "key"])
        table.create_foreign_key(
            op.f("fk_idempotency_key_submitter"), "submitter", ["submitter"], ["name"]
        )
        table.create_foreign_key(
            op.f("fk_idempotency_key_sweep_id"), "sweep", ["sweep_id"], ["id"]
        )
        table.create_check_constraint(
            op.f("ck_idempotency_key_stands_for_one"), "(study_id IS NULL) <> (sweep_id IS NULL)"
        )
        table.create_index(op.f("ix_idempotency_key_created_at"), ["created_at"])


def _allow_states(table_name: str, check: str, states: tuple[str, ...]) -> None:
    with op.batch_alter_table(table_name) as table:
        name = op.f(f"ck_{table_name}_{check}")
        table.drop_constraint(name, type_="check")
        table.create_check_constraint(name, _one_of(states))


def _one_of(values: tuple[str, ...], column: str = "state") -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


def _create_partial_index(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "study", columns, sqlite_where=where, postgresql_where=where)
