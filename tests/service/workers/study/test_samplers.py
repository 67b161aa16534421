"""Every sampler: its proposals are in the space, spread out, and set by seed and history."""

from __future__ import annotations

from typing import get_args

import optuna
import pytest

from ham.client.records import Plan, Sampler, StudyRequest
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE, HamConfig
from service.domain.planning.plans import resolve
from service.records import Outcome
from service.workers.study.optuna_search import OptunaSearch
from service.workers.study.samplers import SAMPLERS
from tests.service.workers.conftest import SINGLE_OBJECTIVE_SAMPLERS

TRIALS = 14


def propose(plan: Plan, reopen: bool = False, parallel: int = 1) -> list[HamConfig]:
    """Return the configurations of a search on a smooth score, ``parallel`` trials at a time."""
    storage = optuna.storages.InMemoryStorage()
    search = OptunaSearch(storage, "study", plan)
    ham_configs: list[HamConfig] = []
    while len(ham_configs) < TRIALS:
        if reopen:
            search = OptunaSearch(storage, "study", plan)
        for proposal in [search.ask() for _ in range(parallel)]:
            ham_configs.append(proposal.ham_config)
            score = -abs(proposal.ham_config.alpha - 30) / 400 - proposal.ham_config.beta
            search.tell(proposal.number, Outcome(validation_accuracy=score))
    return ham_configs


def test_every_sampler_of_the_api_is_in_the_table_of_samplers() -> None:
    assert [*SAMPLERS] == [*get_args(Sampler)]


@pytest.fixture(params=SINGLE_OBJECTIVE_SAMPLERS)
def sampled(request: pytest.FixtureRequest, request_: StudyRequest) -> Plan:
    budget = request_.budget.model_copy(update={"trials": TRIALS})
    return resolve(request_.model_copy(update={"sampler": request.param, "budget": budget}))


def test_proposals_are_in_the_space_and_begin_with_the_baselines(sampled: Plan) -> None:
    ham_configs = propose(sampled)
    assert all(sampled.space.contains(ham_config) for ham_config in ham_configs)
    assert ham_configs[0] == RECIPE_BASELINE
    assert ham_configs[1].alpha == pytest.approx(PAPER_DEFAULT.alpha)
    assert len(set(ham_configs)) >= TRIALS - 3


def test_proposals_depend_only_on_seed_and_history(sampled: Plan) -> None:
    assert propose(sampled) == propose(sampled, reopen=True)
    other = sampled.model_copy(update={"sampler_seed": sampled.sampler_seed + 1000})
    assert propose(other) != propose(sampled)


def test_parallel_proposals_differ(sampled: Plan) -> None:
    ham_configs = propose(sampled, parallel=2)[2:]
    pairs = zip(ham_configs[::2], ham_configs[1::2], strict=True)
    assert sum(one == other for one, other in pairs) <= 1


def test_grid_covers_zero_and_both_ends_of_each_axis(request_: StudyRequest) -> None:
    budget = request_.budget.model_copy(update={"trials": TRIALS})
    plan = resolve(request_.model_copy(update={"sampler": "grid", "budget": budget}))
    ham_configs = propose(plan)[2:11]
    assert {ham_config.alpha for ham_config in ham_configs} == {0.0, 1.0, 400.0}
    assert {ham_config.beta for ham_config in ham_configs} == {0.0, 1e-3, 3.0}
    assert len(set(ham_configs)) == 9
