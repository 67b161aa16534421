"""A study's course, driven without Ray: every stage, cut short anywhere and taken up again."""

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
from tests.service.workers.study_harness import Bench


@pytest.fixture
def bench(tmp_path: Path, request_: StudyRequest, plan: Plan) -> Bench:
    return Bench(tmp_path, request_, plan)


def test_course_runs_what_was_planned_and_no_finalist_before_the_search_is_over(
    bench: Bench,
) -> None:
    bench.drive(bench.new_runner())
    runs = bench.runs()
    finalists_begin = min(
        i
        for i, run in enumerate(runs)
        if run.purpose == Purpose.SCREENING and run.setting not in bench.plan.baselines
    )
    assert all(run.purpose != Purpose.SEARCH for run in runs[finalists_begin:])
    counts = Counter(run.purpose for run in runs)
    assert counts[Purpose.SEARCH] == bench.plan.budget.trials
    confirmed = {*bench.plan.baselines, selected(bench.plan, runs)}
    assert counts[Purpose.CONFIRMATION] == len(confirmed) * bench.plan.budget.confirmation_seeds
    assert len(runs) <= bench.plan.expected_runs


def test_curve_of_a_run_whose_runner_died_before_it_told_optuna_reaches_optuna(
    bench: Bench,
) -> None:
    course = bench.new_runner()
    assignment = course.next()
    assert assignment is not None
    outcome = outcome_of(assignment.config, measure_test=False)
    epochs = range(1, bench.plan.run_epochs + 1)
    curve = tuple(metrics(epoch, 0.01 * epoch) for epoch in epochs)
    outcome = outcome.model_copy(update={"curve": curve})
    bench.storage.runs.end(bench.claim, assignment.run_id, outcome)
    bench.lose_runner()
    bench.new_runner().next()
    first = bench.optuna_trials()[0]
    assert first.state == TrialState.COMPLETE
    assert first.intermediate_values == {epoch: 0.01 * epoch for epoch in epochs}


def test_slots_are_never_idle_while_the_last_results_of_a_stage_come_in(bench: Bench) -> None:
    course = bench.new_runner()
    slow = course.next()
    assert slow is not None
    others = 0
    while assignment := course.next():
        bench.finish(course, assignment)
        others += 1
    baselines = len(bench.plan.baselines) * bench.plan.budget.screening_seeds
    assert others == bench.plan.budget.trials - 1 + baselines
    bench.finish(course, slow)
    bench.drive(course)
    assert course.finished


@pytest.mark.parametrize(("seconds", "ahead"), [(1.0, 1), (3600.0, 0)])
def test_of_short_trainings_one_is_chosen_before_a_worker_is_free(
    tmp_path: Path, request_: StudyRequest, plan: Plan, seconds: float, ahead: int
) -> None:
    def train(run: RunConfig, measure_test: bool) -> Outcome:
        return outcome_of(run, measure_test).model_copy(update={"seconds": seconds})

    bench = Bench(tmp_path, request_, plan, train)
    course = bench.new_runner()
    first = course.next(workers=2)
    assert first is not None
    assert course.next(workers=2) is not None
    assert course.next(workers=2) is None, "how long they take is not known yet"
    bench.finish(course, first)
    assert course.next(workers=2) is not None
    assert [course.next(workers=2) is not None for _ in range(2)] == [ahead == 1, False]

    bench.storage.queue.fail(bench.claim, "enough is known")
    again = bench.storage.studies.submit(request_.model_copy(update={"replicate": True}), plan)[0]
    another = bench.course_of("another")
    chosen = [another.next(workers=2) for _ in range(4)]
    assert [each is not None for each in chosen] == [True, True, ahead == 1, False], (
        "it is known from the study before"
    )
    assert all(bench.storage.runs.get(each.run_id).study_id == again.id for each in chosen if each)


def test_a_search_on_one_worker_waits_for_each_result_and_later_stages_do_not(
    bench: Bench,
) -> None:
    course = bench.new_runner()
    trials = bench.plan.budget.trials
    for number in range(trials):
        assignment = course.next(workers=1)
        assert assignment is not None
        last = number == trials - 1
        assert (course.next(workers=1) is not None) == last
        bench.finish(course, assignment)


def test_test_data_is_measured_in_the_confirmation_only(bench: Bench) -> None:
    bench.drive(bench.new_runner())
    for run in bench.runs():
        assert (run.test_accuracy is not None) == (run.purpose == Purpose.CONFIRMATION)


def test_every_stage_uses_seeds_of_its_own_and_pairs_the_settings(bench: Bench) -> None:
    bench.drive(bench.new_runner())
    seeds: dict[Purpose, set[int]] = {purpose: set() for purpose in Purpose}
    for run in bench.runs():
        seeds[run.purpose].add(run.seed)
    assert not seeds[Purpose.SEARCH] & seeds[Purpose.SCREENING]
    assert not seeds[Purpose.SCREENING] & seeds[Purpose.CONFIRMATION]
    confirmed = [run for run in bench.runs() if run.purpose == Purpose.CONFIRMATION]
    by_setting = Counter(run.setting for run in confirmed)
    assert by_setting.keys() == {
        RECIPE_BASELINE,
        PAPER_DEFAULT,
        selected(bench.plan, bench.runs()),
    }
    assert set(by_setting.values()) == {bench.plan.budget.confirmation_seeds}


def test_course_finds_the_known_optimum_and_confirms_it(
    tmp_path: Path, request_: StudyRequest, plan: Plan
) -> None:
    budget = plan.budget.model_copy(update={"trials": 30, "confirmation_seeds": 6})
    bench = Bench(tmp_path, request_, plan.model_copy(update={"budget": budget}))
    bench.drive(bench.new_runner())
    recommendation = bench.recommendation()
    assert recommendation.grade == "confirmed"
    assert recommendation.gain.low > 0.02
    assert 8 <= recommendation.setting.alpha <= 110


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), max_size=6))
def test_a_course_cut_short_anywhere_ends_with_the_same_runs(
    cuts: list[tuple[int, int]],
) -> None:
    """Each cut: so many trainings finish, so many more are under way when the runner is lost."""
    request, plan = _study()
    with TemporaryDirectory() as folder, TemporaryDirectory() as other:
        whole, cut = Bench(Path(folder), request, plan), Bench(Path(other), request, plan)
        whole.drive(whole.new_runner(), slots=1)
        cut.drive_cut_short(cuts)

        def facts(bench: Bench) -> Counter[tuple[object, ...]]:
            return Counter(
                (run.purpose, run.trial_number, run.seed, run.state) for run in bench.runs()
            )

        assert facts(cut) == facts(whole)
        if all(under_way < 2 for _, under_way in cuts):  # the same history, asked one by one
            assert cut.recommendation() == whole.recommendation()


def _study() -> tuple[StudyRequest, Plan]:
    from service.domain.planning.plans import resolve
    from tests.service.workers.conftest import SMALL

    request = StudyRequest(
        model="digits_mlp", dataset="digits", sparsifier="rigl", sparsity=0.8, budget=SMALL
    )
    return request, resolve(request)


def test_a_run_whose_runner_was_lost_may_go_on_from_a_state_and_no_other(bench: Bench) -> None:
    first = bench.new_runner().next()
    assert first is not None and not first.resumes
    bench.lose_runner()

    successor = bench.new_runner()
    again, new = successor.next(), successor.next()
    assert again is not None and new is not None
    assert (again.run_id, again.config, again.resumes) == (first.run_id, first.config, True)
    assert not new.resumes


def test_a_run_that_ended_just_before_the_crash_is_told_to_optuna_and_not_repeated(
    bench: Bench,
) -> None:
    course = bench.new_runner()
    assignment = course.next()
    assert assignment is not None
    outcome = outcome_of(assignment.config, assignment.measure_test)
    bench.storage.runs.end(bench.claim, assignment.run_id, outcome)  # then the power went
    bench.lose_runner()

    successor = bench.new_runner()
    following = successor.next()
    assert following is not None
    assert following.run_id != assignment.run_id
    assert bench.storage.runs.get(assignment.run_id).attempt == 1


def test_a_runner_that_lost_its_claim_can_store_nothing(bench: Bench) -> None:
    stale = bench.new_runner()
    assignment = stale.next()
    assert assignment is not None
    bench.lose_runner()
    bench.new_runner()
    before = bench.runs()
    with pytest.raises(StaleLease):
        stale.end(assignment.run_id, outcome_of(assignment.config, False))
    with pytest.raises(StaleLease):
        stale.next()
    assert bench.runs() == before


def test_a_study_in_which_everything_fails_says_the_commonest_reason(bench: Bench) -> None:
    course = bench.new_runner()
    with pytest.raises(StudyFailed, match="diverged at step 3"):
        while assignment := course.next():
            course.end(assignment.run_id, Outcome(error="diverged at step 3"))
