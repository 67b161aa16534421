"""Studies of two objectives in memory: which candidates are on the Pareto front, and its gains."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ham.client.records import Budget, Plan, Purpose, Run
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE, HamConfig
from service.domain.evidence.pareto_fronts import build_pareto_front
from service.domain.planning.stage_sizes import sizes_of
from service.domain.search import pareto_stages
from service.domain.search.pareto_stages import ParetoCandidate, pareto_candidate, pareto_front
from service.errors import StudyFailed
from service.records import Job
from tests.service.builders import a_plan, a_run

LEVELS = (0.5, 0.8, 0.9)
BUDGET = Budget(trials=12, finalists=6, screening_seeds=3, confirmation_seeds=8)
PLAN = a_plan(objectives=("accuracy", "sparsity"), sparsities=LEVELS, sparsity=0.0, budget=BUDGET)
GOOD, POOR, PLAIN = HamConfig(30.0, 0.01), HamConfig(300.0, 0.5), HamConfig(2.0, 0.001)
PROPOSED = [ParetoCandidate(level, each) for each in (GOOD, POOR, PLAIN) for level in LEVELS]

Measure = Callable[[Job], tuple[float | None, float | None]]


def truth(job: Job) -> float:
    """HAM helps by 2 points; 0.8 is as accurate as 0.5, so 0.5 is not on the Pareto front."""
    level = {0.5: 0.90, 0.8: 0.90, 0.9: 0.85}[job.sparsity or 0.0]
    return level + {GOOD: 0.02, POOR: -0.05}.get(job.setting, 0.0)


def noisy(level: Callable[[Job], float] = truth, seed: int = 0, of_run: float = 0.002) -> Measure:
    rng = np.random.default_rng(seed)
    of_seed = rng.normal(0, 0.01, 10_000)

    def measure(job: Job) -> tuple[float, float]:
        values = level(job) + of_seed[job.seed] + rng.normal(0, of_run, 2)
        return float(values[0]), float(values[1])

    return measure


def ran(jobs: Sequence[Job], measure: Measure) -> list[Run]:
    """Return the runs of the jobs; a denser model costs more."""
    runs = []
    for job in jobs:
        level = job.sparsity or 0.0
        measures = {
            "sparsity": {"target": level, "realised": level - 0.001},
            "training_flops": round(1e9 * (1 - level)),
            "inference_flops": round(1e6 * (1 - level)),
        }
        runs.append(a_run(job, *measure(job), measures=measures))
    return runs


def searched(proposed: Sequence[ParetoCandidate], measure: Measure) -> list[Run]:
    tried = [*pareto_stages.baselines_at_all_levels(PLAN), *proposed]
    jobs = [
        Job(
            purpose=Purpose.SEARCH,
            setting=candidate.ham_config,
            seed=0,
            sparsity=candidate.sparsity,
            trial_number=number,
        )
        for number, candidate in enumerate(tried)
    ]
    return ran(jobs, measure)


def screened(
    plan: Plan, measure: Measure, proposed: Sequence[ParetoCandidate] = PROPOSED
) -> list[Run]:
    runs = searched(proposed, measure)
    runs += ran(pareto_stages.baseline_jobs(plan), measure)
    return runs + ran(pareto_stages.candidate_jobs(plan, runs), measure)


def whole(
    plan: Plan, measure: Measure, proposed: Sequence[ParetoCandidate] = PROPOSED
) -> list[Run]:
    runs = screened(plan, measure, proposed)
    return runs + ran(pareto_stages.confirmation_jobs(plan, runs), measure)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("other", ["sparsity", "training_flops", "inference_flops"])
def test_the_known_pareto_front_is_found_and_its_gains_shown(other: str, seed: int) -> None:
    plan = PLAN.model_copy(update={"objectives": ("accuracy", other)})
    found = build_pareto_front(plan, whole(plan, noisy(seed=seed, of_run=0.0005)))
    sparse = [point for point in found.points if point.combination.sparsity > 0.5]
    assert [(point.combination.sparsity, point.setting) for point in sparse] == [
        (0.8, GOOD),
        (0.9, GOOD),
    ]
    for point in sparse:
        assert point.gain is not None and point.gain.mean == pytest.approx(0.02, abs=0.002)
        assert point.gain_shown and point.failed_runs == 0
        assert point.seeds == plan.confirmation_seeds
        assert point.realised_sparsity == pytest.approx(point.combination.sparsity - 0.001)
        assert point.training_flops == pytest.approx(1e9 * (1 - point.combination.sparsity))
        assert point.test_accuracy is not None and point.test_accuracy.n == 8
    assert not found.provisional
    assert "HAM is shown to gain" in found.message


def test_every_stage_has_its_seeds_and_no_more_runs_than_planned() -> None:
    runs = whole(PLAN, noisy())
    sizes = sizes_of(PLAN)
    for purpose, most, seeds in (
        (Purpose.SEARCH, sizes.search, PLAN.search_seeds),
        (Purpose.SCREENING, sizes.screening, PLAN.screening_seeds),
        (Purpose.CONFIRMATION, sizes.confirmation, PLAN.confirmation_seeds),
    ):
        own = [run for run in runs if run.purpose == purpose]
        assert len(own) <= most
        assert {run.seed for run in own} == set(seeds)
    confirmed = {pareto_candidate(r) for r in runs if r.purpose == Purpose.CONFIRMATION}
    front = pareto_front(PLAN, runs)
    assert confirmed == {
        *front,
        *(ParetoCandidate(candidate.sparsity, RECIPE_BASELINE) for candidate in front),
    }
    assert len({run.id for run in runs}) == len(runs), "names of jobs are unique"


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(60)), st.integers(0, 3))
def test_the_order_of_the_runs_does_not_matter(order: list[int], seed: int) -> None:
    runs = whole(PLAN, noisy(seed=seed))
    shuffled = sorted(runs, key=lambda run: order[runs.index(run) % 60])
    assert build_pareto_front(PLAN, shuffled) == build_pareto_front(PLAN, runs)


def test_without_a_confirmation_the_pareto_front_is_provisional_and_claims_no_gain() -> None:
    plan = a_plan(
        objectives=("accuracy", "sparsity"),
        sparsities=LEVELS,
        sparsity=0.0,
        budget=BUDGET.model_copy(update={"confirmation_seeds": 0}),
    )
    found = build_pareto_front(plan, whole(plan, noisy()))
    assert found.provisional and found.points
    for point in found.points:
        assert (point.test_accuracy, point.gain, point.gain_shown) == (None, None, False)
        assert point.seeds == ()
    assert "no gain over the baseline is claimed" in found.message


def test_gains_of_equal_configurations_are_unbiased_and_seldom_shown() -> None:
    """Selection on validation data biases no gain; the intervals of a front hold together."""
    repetitions, gains, shown = 300, [], 0
    for seed in range(repetitions):
        found = build_pareto_front(PLAN, whole(PLAN, noisy(lambda job: 0.9, seed, of_run=0.01)))
        gains += [point.gain.mean for point in found.points if point.gain]
        shown += any(point.gain_shown for point in found.points)
    assert abs(fmean(gains)) < 4 * 0.01 * math.sqrt(2 / 8 / len(gains))
    assert shown / repetitions < 0.025 + 3 * math.sqrt(0.025 * 0.975 / repetitions)


def test_intervals_of_several_gains_are_wider_than_that_of_one() -> None:
    runs = whole(PLAN, noisy(of_run=0.0005))
    several = build_pareto_front(PLAN, runs).points
    assert sum(point.gain is not None for point in several) > 1
    only = replace(several[-1].combination, sparsity=0.9)
    one_level = [run for run in runs if run.sparsity == 0.9]
    alone = build_pareto_front(PLAN, one_level).points[-1]
    assert alone.combination == only and alone.gain is not None
    assert several[-1].gain is not None
    assert alone.gain.mean == several[-1].gain.mean
    assert alone.gain.high - alone.gain.low < several[-1].gain.high - several[-1].gain.low


def test_pareto_front_has_baselines_alone_where_ham_only_hurts() -> None:
    def hurts(job: Job) -> float:
        return 1 - (job.sparsity or 0.0) / 4 - 0.05 * (not job.setting.is_baseline)

    found = build_pareto_front(PLAN, whole(PLAN, noisy(hurts, of_run=0.0005)))
    assert [point.setting for point in found.points] == [RECIPE_BASELINE] * 3
    assert [point.combination.sparsity for point in found.points] == list(LEVELS)
    assert all(point.gain is None and point.test_accuracy for point in found.points)


def failing(failed: ParetoCandidate, purpose: Purpose) -> Measure:
    measure = noisy(of_run=0.0005)

    def fails(job: Job) -> tuple[float | None, float | None]:
        hit = job.purpose == purpose and (job.sparsity, job.setting) == failed
        return (None, None) if hit and job.seed % 2 else measure(job)

    return fails


def test_candidate_that_fails_in_the_screening_is_not_on_the_pareto_front() -> None:
    failed = ParetoCandidate(0.9, GOOD)
    assert failed not in pareto_front(PLAN, screened(PLAN, failing(failed, Purpose.SCREENING)))


def test_candidate_that_fails_in_the_confirmation_is_not_shown_to_gain() -> None:
    failed = ParetoCandidate(0.9, GOOD)
    found = build_pareto_front(PLAN, whole(PLAN, failing(failed, Purpose.CONFIRMATION)))
    point = found.points[-1]
    assert (point.combination.sparsity, point.setting) == failed
    assert point.failed_runs == 4 and point.gain is not None and point.gain.low > 0
    assert not point.gain_shown


def test_study_without_a_result_with_ham_fails_with_the_reason() -> None:
    def nothing(job: Job) -> tuple[None, None]:
        return None, None

    def only_baselines(job: Job) -> tuple[float | None, None]:
        return (0.9 if job.setting.is_baseline else None), None

    for measure in (nothing, only_baselines):
        with pytest.raises(
            StudyFailed, match=r"no configuration with HAM gave a result; .*diverged"
        ):
            pareto_stages.candidate_jobs(PLAN, searched(PROPOSED, measure))
    good = noisy()
    runs = searched(PROPOSED, good)
    runs += ran(pareto_stages.baseline_jobs(PLAN), nothing)
    runs += ran(pareto_stages.candidate_jobs(PLAN, runs), nothing)
    with pytest.raises(StudyFailed, match="no candidate finished on fresh seeds"):
        build_pareto_front(PLAN, runs)


def test_a_screening_that_a_limit_ended_compares_on_common_seeds_alone() -> None:
    """The second seed is lucky, and only some candidates were trained on it before the cap."""

    def lucky(job: Job) -> tuple[float, float]:
        return truth(job) + 0.5 * (job.seed == 1001), 0.9

    runs = [run for run in screened(PLAN, lucky) if run.seed in (0, 1000) or run.setting == POOR]
    front = pareto_front(PLAN, runs)
    assert POOR not in {candidate.ham_config for candidate in front}
    assert max(front.values()) < 1
    search_only = [run for run in runs if run.purpose == Purpose.SEARCH]
    assert set(pareto_front(PLAN, search_only)) == set(front)


def test_candidates_are_more_than_the_pareto_front_of_the_search() -> None:
    """The Pareto front of the search has one trial per sparsity; the screening takes more."""
    found = pareto_stages.candidates(PLAN, searched(PROPOSED, noisy(of_run=0.0005)))
    assert len(found) == BUDGET.finalists
    assert {ParetoCandidate(0.8, GOOD), ParetoCandidate(0.9, GOOD)} <= set(found)
    assert PAPER_DEFAULT not in {candidate.ham_config for candidate in found}
