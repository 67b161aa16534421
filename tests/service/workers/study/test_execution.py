"""The study execution, without Ray: every stage, cut short at any point and resumed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from ham.client.records import Plan, Purpose, StudyRequest
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE, RunConfig
from service.domain.search.stages import selected
from service.errors import StaleLease, StudyFailed
from service.records import Outcome
from tests.service.workers.conftest import metrics, outcome_of
from tests.service.workers.study_harness import StudyHarness


@pytest.fixture
def harness(tmp_path: Path, request_: StudyRequest, plan: Plan) -> StudyHarness:
    return StudyHarness(tmp_path, request_, plan)


def test_an_execution_runs_its_plan_and_no_finalist_before_the_search_is_over(
    harness: StudyHarness,
) -> None:
    harness.drive(harness.new_runner())
    runs = harness.runs()
    finalists_begin = min(
        index
        for index, run in enumerate(runs)
        if run.purpose == Purpose.SCREENING and run.setting not in harness.plan.baselines
    )
    assert all(run.purpose != Purpose.SEARCH for run in runs[finalists_begin:])
    counts = Counter(run.purpose for run in runs)
    assert counts[Purpose.SEARCH] == harness.plan.budget.trials
    confirmed = {*harness.plan.baselines, selected(harness.plan, runs)}
    assert counts[Purpose.CONFIRMATION] == len(confirmed) * harness.plan.budget.confirmation_seeds
    assert len(runs) <= harness.plan.expected_runs


def test_the_curve_of_a_run_reaches_optuna_although_its_runner_died_before_it_told_optuna(
    harness: StudyHarness,
) -> None:
    execution = harness.new_runner()
    assignment = execution.next()
    assert assignment is not None
    outcome = outcome_of(assignment.config, measure_test=False)
    epochs = range(1, harness.plan.run_epochs + 1)
    curve = tuple(metrics(epoch, 0.01 * epoch) for epoch in epochs)
    outcome = outcome.model_copy(update={"curve": curve})
    harness.storage.runs.end(harness.lease, assignment.run_id, outcome)
    harness.lose_runner()
    harness.new_runner().next()
    first = harness.optuna_trials()[0]
    assert first.state == TrialState.COMPLETE
    assert first.intermediate_values == {epoch: 0.01 * epoch for epoch in epochs}


def test_slots_are_never_idle_while_the_last_results_of_a_stage_come_in(
    harness: StudyHarness,
) -> None:
    execution = harness.new_runner()
    slow = execution.next()
    assert slow is not None
    others = 0
    while assignment := execution.next():
        harness.finish(execution, assignment)
        others += 1
    baselines = len(harness.plan.baselines) * harness.plan.budget.screening_seeds
    assert others == harness.plan.budget.trials - 1 + baselines
    harness.finish(execution, slow)
    harness.drive(execution)
    assert execution.finished


@pytest.mark.parametrize(("seconds", "ahead"), [(1.0, 1), (3600.0, 0)])
def test_one_short_training_is_chosen_before_a_worker_is_free(
    tmp_path: Path, request_: StudyRequest, plan: Plan, seconds: float, ahead: int
) -> None:
    def train(run: RunConfig, measure_test: bool) -> Outcome:
        return outcome_of(run, measure_test).model_copy(update={"seconds": seconds})

    harness = StudyHarness(tmp_path, request_, plan, train)
    execution = harness.new_runner()
    first = execution.next(workers=2)
    assert first is not None
    assert execution.next(workers=2) is not None
    assert execution.next(workers=2) is None, "the time of a training is not known yet"
    harness.finish(execution, first)
    assert execution.next(workers=2) is not None
    assert [execution.next(workers=2) is not None for _ in range(2)] == [ahead == 1, False]

    harness.storage.queue.fail(harness.lease, "enough is known")
    again = harness.storage.studies.submit(request_.model_copy(update={"replicate": True}), plan)[
        0
    ]
    another = harness.execution_of("another")
    chosen = [another.next(workers=2) for _ in range(4)]
    assert [each is not None for each in chosen] == [True, True, ahead == 1, False], (
        "their time is known from the study before"
    )
    assert all(
        harness.storage.runs.get(each.run_id).study_id == again.id for each in chosen if each
    )


def test_a_search_on_one_worker_waits_for_each_result_and_later_stages_do_not(
    harness: StudyHarness,
) -> None:
    execution = harness.new_runner()
    trials = harness.plan.budget.trials
    for number in range(trials):
        assignment = execution.next(workers=1)
        assert assignment is not None
        last = number == trials - 1
        assert (execution.next(workers=1) is not None) == last
        harness.finish(execution, assignment)


def test_test_data_is_measured_only_in_the_confirmation(harness: StudyHarness) -> None:
    harness.drive(harness.new_runner())
    for run in harness.runs():
        assert (run.test_accuracy is not None) == (run.purpose == Purpose.CONFIRMATION)


def test_every_stage_has_its_own_seeds_and_pairs_configurations_by_seed(
    harness: StudyHarness,
) -> None:
    harness.drive(harness.new_runner())
    seeds: dict[Purpose, set[int]] = {purpose: set() for purpose in Purpose}
    for run in harness.runs():
        seeds[run.purpose].add(run.seed)
    assert not seeds[Purpose.SEARCH] & seeds[Purpose.SCREENING]
    assert not seeds[Purpose.SCREENING] & seeds[Purpose.CONFIRMATION]
    confirmed = [run for run in harness.runs() if run.purpose == Purpose.CONFIRMATION]
    by_ham_config = Counter(run.setting for run in confirmed)
    assert by_ham_config.keys() == {
        RECIPE_BASELINE,
        PAPER_DEFAULT,
        selected(harness.plan, harness.runs()),
    }
    assert set(by_ham_config.values()) == {harness.plan.budget.confirmation_seeds}


def test_an_execution_finds_the_known_optimum_and_confirms_it(
    tmp_path: Path, request_: StudyRequest, plan: Plan
) -> None:
    budget = plan.budget.model_copy(update={"trials": 30, "confirmation_seeds": 6})
    harness = StudyHarness(tmp_path, request_, plan.model_copy(update={"budget": budget}))
    harness.drive(harness.new_runner())
    recommendation = harness.recommendation()
    assert recommendation.grade == "confirmed"
    assert recommendation.gain is not None
    assert recommendation.gain.low > 0.02
    assert 8 <= recommendation.setting.alpha <= 110


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), max_size=6))
def test_an_execution_cut_short_at_any_point_ends_with_the_same_runs(
    cuts: list[tuple[int, int]],
) -> None:
    """A cut is a lost runner: the trainings that it finished, and those that ran at its loss."""
    request, plan = _study()
    with TemporaryDirectory() as folder, TemporaryDirectory() as other:
        whole, cut = (
            StudyHarness(Path(folder), request, plan),
            StudyHarness(Path(other), request, plan),
        )
        whole.drive(whole.new_runner(), slots=1)
        cut.drive_cut_short(cuts)

        def facts(harness: StudyHarness) -> Counter[tuple[object, ...]]:
            return Counter(
                (run.purpose, run.trial_number, run.seed, run.state) for run in harness.runs()
            )

        assert facts(cut) == facts(whole)
        if all(running < 2 for _, running in cuts):  # then trials are asked one by one
            assert cut.recommendation() == whole.recommendation()


def _study() -> tuple[StudyRequest, Plan]:
    from service.domain.planning.plans import resolve
    from tests.service.workers.conftest import SMALL

    request = StudyRequest(
        model="digits_mlp", dataset="digits", sparsifier="rigl", sparsity=0.8, budget=SMALL
    )
    return request, resolve(request)


def test_only_a_run_whose_runner_was_lost_may_resume_at_a_checkpoint(
    harness: StudyHarness,
) -> None:
    first = harness.new_runner().next()
    assert first is not None and not first.resumes
    harness.lose_runner()

    successor = harness.new_runner()
    again, new = successor.next(), successor.next()
    assert again is not None and new is not None
    assert (again.run_id, again.config, again.resumes) == (first.run_id, first.config, True)
    assert not new.resumes


def test_a_run_that_ended_just_before_a_crash_is_told_to_optuna_and_not_repeated(
    harness: StudyHarness,
) -> None:
    execution = harness.new_runner()
    assignment = execution.next()
    assert assignment is not None
    outcome = outcome_of(assignment.config, assignment.measure_test)
    harness.storage.runs.end(harness.lease, assignment.run_id, outcome)  # then the runner is lost
    harness.lose_runner()

    successor = harness.new_runner()
    following = successor.next()
    assert following is not None
    assert following.run_id != assignment.run_id
    assert harness.storage.runs.get(assignment.run_id).attempt == 1


def test_a_runner_that_lost_its_study_lease_can_store_nothing(harness: StudyHarness) -> None:
    stale = harness.new_runner()
    assignment = stale.next()
    assert assignment is not None
    harness.lose_runner()
    harness.new_runner()
    before = harness.runs()
    with pytest.raises(StaleLease):
        stale.end(assignment.run_id, outcome_of(assignment.config, False))
    with pytest.raises(StaleLease):
        stale.next()
    assert harness.runs() == before


def test_a_study_in_which_every_training_fails_gives_the_commonest_reason(
    harness: StudyHarness,
) -> None:
    execution = harness.new_runner()
    with pytest.raises(StudyFailed, match="diverged at step 3"):
        while assignment := execution.next():
            execution.end(assignment.run_id, Outcome(error="diverged at step 3"))
