"""Every field of a record is on its page, except those named here."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from jinja2 import nodes
from pydantic import BaseModel

from ham.client.records import (
    EpochMetrics,
    Evidence,
    LeaderboardEntry,
    NewParetoFront,
    ParetoPoint,
    PublishedResult,
    Recommendation,
    Run,
    StageProgress,
    Study,
)
from ham.results import (
    EarlyStop,
    MeasuredCost,
    MeasuredLayer,
    MeasuredSparsity,
    RunMeasures,
)
from service.web.run import CURVE_COLUMNS
from service.web.templating import FOLDER, templates

SHOWN: list[tuple[Any, str, list[str], set[str]]] = [
    (
        Run,
        "run",
        ["run.html"],
        {
            "sparsity",  # part of its combination
            "measures",  # the next entry
            "environment",
        },
    ),
    (
        RunMeasures,
        "measures.of_run",
        ["run.html"],
        {"dense_inference_flops", "dense_training_flops"}  # the shares are of them
        | {"sparsity", "cost"},  # the next entries
    ),
    (MeasuredSparsity, "measures.sparsity", ["run.html"], {"kept"}),
    (MeasuredCost, "measures.cost", ["run.html"], {"gpu_seconds"}),  # the run has it too
    (EarlyStop, "measures.of_run.early_stopping", ["run.html"], set()),
    (MeasuredLayer, "layer", ["run.html"], set()),
    (
        Study,
        "page.study",
        ["study.html"],
        {"submitter", "priority", "sweep_id", "request", "created_at", "started_at", "ended_at"}
        | {"attempts"},
    ),
    (
        Recommendation,
        "found",
        ["parts/recommendation.html"],
        {
            "candidate",  # it and the control are part of the evidence
            "control",
            "gain_over_recipe",
            "gain_over_paper",
            "learning_rate",  # these three are what `train_with` says
            "weight_decay",
            "tuned_schedules",
            "surface",  # a picture of its own
            "cost",
        },
    ),
    (
        Evidence,
        "tried",
        ["parts/recommendation.html"],
        {"test_accuracies", "sparsity", "environments"},
    ),
    (LeaderboardEntry, "entry", ["parts/leaderboard.html"], {"sparsity", "combination"}),
    (
        PublishedResult,
        "published",
        ["parts/leaderboard.html"],
        {"purpose", "spread", "model", "dataset", "sparsity"},  # the last three: the leaderboard's
    ),
    (NewParetoFront, "front", ["parts/pareto_front.html"], set()),
    (ParetoPoint, "point", ["parts/pareto_front.html"], set()),
    (StageProgress, "progress.search", ["parts/study_card.html"], set()),
]


@pytest.mark.parametrize(("record", "variable", "files", "left_out"), SHOWN)
def test_page_shows_every_field_of_a_record_but_those_named_here(
    record: Any, variable: str, files: list[str], left_out: set[str]
) -> None:
    names = (
        set(record.model_fields)
        if issubclass(record, BaseModel)
        else {field.name for field in fields(record)}
    )
    shown = set().union(*(attributes_of(file, variable) for file in files))
    assert names - shown == left_out


def test_table_of_epochs_has_every_metric() -> None:
    assert [column.field for column in CURVE_COLUMNS] == [
        field.name for field in fields(EpochMetrics)
    ]


def attributes_of(file: str, variable: str) -> set[str]:
    """Return the attributes of a variable, such as "page.study", that a template reads."""
    tree = templates.env.parse((FOLDER / "templates" / file).read_text(encoding="utf-8"))
    return {found.attr for found in tree.find_all(nodes.Getattr) if dotted(found.node) == variable}


def dotted(node: nodes.Node) -> str:
    if isinstance(node, nodes.Getattr):
        return f"{dotted(node.node)}.{node.attr}"
    return node.name if isinstance(node, nodes.Name) else ""
