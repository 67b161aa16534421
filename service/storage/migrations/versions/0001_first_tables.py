"""Create the first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "combination",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("dataset", sa.String(length=100), nullable=False),
        sa.Column("sparsifier", sa.String(length=100), nullable=False),
        sa.Column("sparsity", sa.Double(), nullable=False),
        sa.Column("optimizer", sa.String(length=100), nullable=False),
        sa.Column("recipe", sa.String(length=100), nullable=False),
        sa.CheckConstraint(
            "sparsity >= 0 AND sparsity < 1", name=op.f("ck_combination_sparsity_range")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_combination")),
        sa.UniqueConstraint("key", name=op.f("uq_combination_key")),
    )
    with op.batch_alter_table("combination", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_combination_dataset_model_sparsity"),
            ["dataset", "model", "sparsity"],
            unique=False,
        )

    op.create_table(
        "study",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("combination_id", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "running",
                "succeeded",
                "failed",
                name="studystate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(length=200), nullable=True),
        sa.Column("claimable_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["combination_id"], ["combination.id"], name=op.f("fk_study_combination_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study")),
    )
    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_study_combination_id"), ["combination_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_study_claimable_at"),
            ["claimable_at"],
            unique=False,
        )

    op.create_table(
        "idempotency_key",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("study_id", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_idempotency_key_study_id")
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_idempotency_key")),
    )
    op.create_table(
        "recommendation",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("combination_id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "grade",
            sa.Enum(
                "confirmed",
                "no gain",
                name="grade",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("alpha", sa.Double(), nullable=False),
        sa.Column("beta", sa.Double(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["combination_id"], ["combination.id"], name=op.f("fk_recommendation_combination_id")
        ),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_recommendation_study_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recommendation")),
        sa.UniqueConstraint(
            "combination_id", "version", name=op.f("uq_recommendation_combination_id_version")
        ),
        sa.UniqueConstraint("study_id", name=op.f("uq_recommendation_study_id")),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("study_id", sa.String(length=40), nullable=False),
        sa.Column("combination_id", sa.Integer(), nullable=False),
        sa.Column("job", sa.String(length=200), nullable=False),
        sa.Column(
            "purpose",
            sa.Enum(
                "search",
                "screening",
                "confirmation",
                name="purpose",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("trial_number", sa.Integer(), nullable=True),
        sa.Column("alpha", sa.Double(), nullable=False),
        sa.Column("beta", sa.Double(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "running",
                "succeeded",
                "failed",
                name="runstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("epochs_done", sa.Integer(), nullable=False),
        sa.Column("validation_accuracy", sa.Double(), nullable=True),
        sa.Column("test_accuracy", sa.Double(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("measures", sa.JSON(), nullable=False),
        sa.Column("environment", sa.JSON(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state <> 'succeeded' OR (validation_accuracy IS NOT NULL AND epochs_done = epochs)",
            name=op.f("ck_run_succeeded_is_complete"),
        ),
        sa.CheckConstraint(
            "test_accuracy IS NULL OR purpose = 'confirmation'",
            name=op.f("ck_run_test_only_in_confirmation"),
        ),
        sa.CheckConstraint("alpha >= 0 AND beta >= 0", name=op.f("ck_run_setting_range")),
        sa.ForeignKeyConstraint(
            ["combination_id"], ["combination.id"], name=op.f("fk_run_combination_id")
        ),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_run_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        sa.UniqueConstraint("study_id", "job", name=op.f("uq_run_study_id_job")),
    )
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_run_combination_id"), ["combination_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_run_study_id_purpose_state"),
            ["study_id", "purpose", "state"],
            unique=False,
        )

    op.create_table(
        "study_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.String(length=40), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "running",
                "succeeded",
                "failed",
                name="studystate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_study_event_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study_event")),
    )
    with op.batch_alter_table("study_event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_study_event_study_id"), ["study_id"], unique=False)

    op.create_table(
        "run_metric",
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("train_loss", sa.Double(), nullable=False),
        sa.Column("validation_accuracy", sa.Double(), nullable=False),
        sa.Column("learning_rate", sa.Double(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("sign_flips", sa.Double(), nullable=False),
        sa.Column("mask_churn", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_run_metric_run_id")),
        sa.PrimaryKeyConstraint("run_id", "epoch", name=op.f("pk_run_metric")),
    )


def downgrade() -> None:

    op.drop_table("run_metric")
    with op.batch_alter_table("study_event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_study_event_study_id"))

    op.drop_table("study_event")
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_run_study_id_purpose_state"))
        batch_op.drop_index(batch_op.f("ix_run_combination_id"))

    op.drop_table("run")
    op.drop_table("recommendation")
    op.drop_table("idempotency_key")
    with op.batch_alter_table("study", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_study_claimable_at"))
        batch_op.drop_index(batch_op.f("ix_study_combination_id"))

    op.drop_table("study")
    with op.batch_alter_table("combination", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_combination_dataset_model_sparsity"))

    op.drop_table("combination")
