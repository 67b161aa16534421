"""Studies of two objectives through the real execution, Optuna and storage, without Ray."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.study import StudyDirection
from optuna.trial import TrialState

from ham.client.records import Budget, Plan, Purpose, RunState, StoredMeasures, StudyRequest
from ham.client.records.studies import PARETO_SAMPLERS
from ham.config import RECIPE_BASELINE, RunConfig
from service.domain.evidence.pareto_fronts import build_pareto_front
from service.domain.planning.plans import resolve
from service.domain.search.objectives import generation_size
from service.records import Job, Outcome
from service.workers.study.optuna_search import OptunaSearch
from tests.service.workers.conftest import outcome_of
from tests.service.workers.study_harness import LEASE, StudyHarness

LEVELS = (0.5, 0.8, 0.9)
SMALL = Budget(trials=8, finalists=2, screening_seeds=2, confirmation_seeds=3)


def a_pareto_request(budget: Budget = SMALL, **changes: Any) -> StudyRequest:
    fields: dict[str, Any] = dict(
        model="digits_mlp",
        dataset="digits",
        sparsifier="random",
        objectives=("accuracy", "sparsity"),
        sparsities=LEVELS,
        budget=budget,
    )
    return StudyRequest(**(fields | changes))


def outcome(config: RunConfig, measure_test: bool) -> Outcome:
    """Return an outcome whose accuracy falls with the sparsity."""
    found = outcome_of(config, measure_test)
    sparsity = config.combination.sparsity
    accuracy = (found.validation_accuracy or 0.0) - 0.2 * sparsity**4
    return found.model_copy(
        update={
            "validation_accuracy": accuracy,
            "test_accuracy": accuracy - 0.01 if measure_test else None,
            "measures": StoredMeasures.read(
                {
                    "sparsity": {"target": sparsity, "realised": sparsity},
                    "training_flops": round(1e9 * (1 - sparsity)),
                }
            ),
        }
    )


def harness_of(folder: Path, request: StudyRequest) -> StudyHarness:
    return StudyHarness(folder, request, resolve(request), outcome)


def test_a_study_of_two_objectives_runs_its_stages_at_every_sparsity(tmp_path: Path) -> None:
    harness = harness_of(tmp_path, a_pareto_request())
    harness.drive(harness.new_runner())
    runs = harness.runs()
    assert {run.state for run in runs} == {RunState.SUCCEEDED}
    assert len(runs) <= harness.plan.expected_runs
    searched = [run for run in runs if run.purpose == Purpose.SEARCH]
    assert [(run.setting, run.sparsity) for run in searched[:3]] == [
        (RECIPE_BASELINE, level) for level in LEVELS
    ]
    assert len(searched) == SMALL.trials
    for run in runs:
        assert run.combination == harness.plan.combination_at(run.sparsity).key
        assert run.measures.sparsity is not None
        assert run.measures.sparsity.target == run.sparsity, "it was trained at that sparsity"
        assert (run.test_accuracy is not None) == (run.purpose == Purpose.CONFIRMATION)
    first_candidate = next(
        index
        for index, run in enumerate(runs)
        if run.purpose == Purpose.SCREENING and not run.setting.is_baseline
    )
    assert all(run.purpose != Purpose.SEARCH for run in runs[first_candidate:])
    found = build_pareto_front(harness.plan, runs)
    assert found.points and not found.provisional


def test_the_known_pareto_front_is_found(tmp_path: Path) -> None:
    budget = Budget(trials=40, finalists=8, screening_seeds=4, confirmation_seeds=8)
    harness = harness_of(tmp_path, a_pareto_request(budget))
    harness.drive(harness.new_runner())
    found = build_pareto_front(harness.plan, harness.runs())
    assert {point.combination.sparsity for point in found.points} == set(LEVELS)
    accuracies = [point.validation_accuracy for point in found.points]
    assert accuracies == sorted(accuracies, reverse=True)
    for point in found.points:
        assert 5 <= point.setting.alpha <= 200, "the peak is at 30"
        assert point.gain_shown and point.gain is not None and point.gain.mean > 0.01


def test_optuna_has_the_objectives_and_the_pareto_front(tmp_path: Path) -> None:
    harness = harness_of(tmp_path, a_pareto_request(objectives=("accuracy", "training_flops")))
    harness.drive(harness.new_runner())
    study = optuna.load_study(study_name="study", storage=harness._optuna)
    assert study.directions == [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
    assert study.metric_names == ["accuracy", "training_flops"]
    assert study.best_trials
    for trial, run in zip(study.trials, harness.runs(), strict=False):
        assert trial.params["sparsity"] == run.sparsity
        assert trial.values == [run.validation_accuracy, run.measures.training_flops]


def test_a_trial_without_a_value_of_an_objective_fails_only_in_optuna(tmp_path: Path) -> None:
    harness = harness_of(tmp_path, a_pareto_request())
    execution = harness.new_runner()
    for error in (None, "diverged"):
        assignment = execution.next()
        assert assignment is not None
        ended = outcome(assignment.config, assignment.measure_test).model_copy(
            update={"measures": StoredMeasures(), "error": error}
        )
        execution.end(assignment.run_id, ended)
    unmeasured, failed = harness.optuna_trials()[:2]
    assert unmeasured.state == failed.state == TrialState.FAIL
    assert "'sparsity': None" in unmeasured.user_attrs["fail_reason"]
    assert failed.user_attrs["fail_reason"] == "diverged"


def propose(plan: Plan, trials: int, reopen: bool) -> list[tuple[float, float, float | None]]:
    storage = optuna.storages.InMemoryStorage()
    search = OptunaSearch(storage, "study", plan)
    found: list[tuple[float, float, float | None]] = []
    for _ in range(trials):
        if reopen:
            search = OptunaSearch(storage, "study", plan)
        number, ham_config, sparsity = search.ask()
        assert plan.space.contains(ham_config) and sparsity in plan.sparsities
        found.append((ham_config.alpha, ham_config.beta, sparsity))
        accuracy = 0.9 - abs(math.log10(max(ham_config.alpha, 1) / 30)) / 10 - (sparsity or 0) / 5
        measures = StoredMeasures.read({"sparsity": {"realised": sparsity}})
        search.tell(number, Outcome(validation_accuracy=accuracy, measures=measures))
    if plan.sampler == "nsga2":
        study = optuna.load_study(study_name="study", storage=storage)
        generations = Counter(
            trial.system_attrs["NSGAIISampler:generation"] for trial in study.trials
        )
        assert generations == {number: generation_size(plan) for number in range(4)}
    return found


@pytest.mark.parametrize("sampler", PARETO_SAMPLERS)
def test_proposals_depend_only_on_seed_and_history(sampler: str) -> None:
    plan = resolve(a_pareto_request(Budget(trials=32), sampler=sampler))
    found = propose(plan, 32, reopen=False)
    assert found == propose(plan, 32, reopen=True)
    assert found[:3] == [(0.0, 0.0, sparsity) for sparsity in LEVELS]
    assert len({level for _, _, level in found[3:]}) == len(LEVELS)
    assert len(set(found)) > 16
    other = plan.model_copy(update={"sampler_seed": plan.sampler_seed + 1000})
    assert propose(other, 32, reopen=False) != found


@settings(max_examples=6, deadline=None)
@given(cuts=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), max_size=5))
def test_an_execution_of_two_objectives_cut_short_at_any_point_ends_with_the_same_runs(
    cuts: list[tuple[int, int]],
) -> None:
    """A cut is a lost runner: the trainings that it finished, and those that ran at its loss."""
    with TemporaryDirectory() as folder, TemporaryDirectory() as other:
        whole, cut = (
            harness_of(Path(folder), a_pareto_request()),
            harness_of(Path(other), a_pareto_request()),
        )
        whole.drive(whole.new_runner(), slots=1)
        cut.drive_cut_short(cuts)
        assert Counter(run.state for run in cut.runs()) == {RunState.SUCCEEDED: len(cut.runs())}
        searched = [run for run in cut.runs() if run.purpose == Purpose.SEARCH]
        assert Counter(run.trial_number for run in searched) == Counter(range(SMALL.trials))
        if all(running < 2 for _, running in cuts):  # then trials are asked one by one

            def facts(harness: StudyHarness) -> set[tuple[object, ...]]:
                runs = harness.runs()
                return {
                    (run.purpose, run.trial_number, run.setting, run.sparsity, run.seed)
                    for run in runs
                }

            assert facts(cut) == facts(whole)
            assert build_pareto_front(cut.plan, cut.runs()) == build_pareto_front(
                whole.plan, whole.runs()
            )


def test_a_study_of_two_objectives_with_an_epoch_limit_is_still_confirmed(tmp_path: Path) -> None:
    plan = resolve(a_pareto_request())
    later = plan.expected_runs - SMALL.trials
    limit = (later + 5) * plan.run_epochs
    harness = harness_of(
        tmp_path, a_pareto_request(SMALL.model_copy(update={"max_epochs": limit}))
    )
    harness.drive(harness.new_runner(), slots=1)
    runs = harness.runs()
    assert sum(run.purpose == Purpose.SEARCH for run in runs) == 5
    assert sum(run.epochs_done for run in runs) <= limit == harness.plan.expected_epochs
    assert not build_pareto_front(harness.plan, runs).provisional


def test_a_later_study_of_one_sparsity_reuses_the_runs_at_that_sparsity(
    tmp_path: Path,
) -> None:
    """A run belongs to the combination that it trained, which differs from its study's."""
    harness = harness_of(tmp_path, a_pareto_request())
    harness.drive(harness.new_runner())
    earlier_runs = harness.runs()
    harness.storage.queue.succeed_with_pareto_front(
        harness.lease, build_pareto_front(harness.plan, earlier_runs)
    )
    for sparsity in (0.9, 0.5):
        request = StudyRequest(
            model="digits_mlp",
            dataset="digits",
            sparsifier="random",
            sparsity=sparsity,
            budget=SMALL,
        )
        plain = harness.storage.studies.submit(request, resolve(request))[0]
        claimed = harness.storage.queue.claim("test", LEASE)
        assert claimed is not None and claimed[0].id == plain.id
        earlier = harness.storage.runs.earlier(plain.id)
        assert {run.id for run in earlier} == {
            run.id
            for run in earlier_runs
            if run.sparsity == sparsity and run.purpose != Purpose.CONFIRMATION
        }
        seed = plain.plan.confirmation_seeds[0]
        job = Job(purpose=Purpose.CONFIRMATION, setting=RECIPE_BASELINE, seed=seed)
        run = harness.storage.runs.begin(claimed[1], job, 15, {"device": "none"})
        twin = harness.storage.runs.get(run.reused_from or "")
        assert (twin.sparsity, twin.study_id) == (sparsity, harness.study_id)
        assert run.test_accuracy == twin.test_accuracy is not None
        harness.storage.queue.fail(claimed[1], "enough")


def test_configs_of_one_study_differ_in_sparsity(tmp_path: Path) -> None:
    execution = harness_of(tmp_path, a_pareto_request()).new_runner()
    configs: list[RunConfig] = [a.config for _ in range(3) if (a := execution.next())]
    assert [config.combination.sparsity for config in configs] == list(LEVELS)
    assert RunConfig.from_json(configs[2].to_json()) == configs[2]
