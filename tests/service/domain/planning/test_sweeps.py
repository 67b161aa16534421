"""A sweep hands its fields on to its studies."""

from __future__ import annotations

from typing import Any

from ham.client.records import Budget, StudyRequest, SweepRequest
from service.domain.planning.sweeps import SHARED, expand

LISTS = {"models", "datasets", "sparsifiers", "sparsities", "optimizers"}
"""Fields of a sweep whose values become the combinations of its studies."""

SWEEP_ALONE = {"force"}
STUDY_ALONE = {
    "objectives": "a Pareto front is of one combination at several sparsities",
    "sparsities": "the levels of sparsity of a Pareto front",
}
"""Fields of a study request that a sweep leaves out, each with the reason."""

OTHER: dict[str, Any] = {
    "recipe": "digits@1",
    "budget": Budget(trials=5, early_stopping="median", max_epochs=9999),
    "priority": 3,
    "sampler": "random",
    "tune": ("learning_rate",),
    "alpha_schedule": "linear",
    "beta_schedule": "cosine",
    "transfer": False,
    "replicate": True,
}
"""A value that is not the default for every shared field."""


def test_every_field_of_a_study_can_be_set_in_a_sweep() -> None:
    combination = {"model", "dataset", "sparsifier", "sparsity", "optimizer"}
    assert {*StudyRequest.model_fields} == SHARED | combination | {*STUDY_ALONE}
    assert {*SweepRequest.model_fields} == SHARED | LISTS | SWEEP_ALONE


def test_every_study_of_a_sweep_has_its_fields() -> None:
    request = SweepRequest(
        models=("digits_cnn", "digits_mlp"), datasets=("digits",), sparsifiers=("dense",), **OTHER
    )
    studies = [study for study, _ in expand(request).planned]
    assert [study.model for study in studies] == ["digits_cnn", "digits_mlp"]
    assert OTHER.keys() == SHARED
    for study in studies:
        assert {name: getattr(study, name) for name in SHARED} == OTHER
