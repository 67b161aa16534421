"""Every sampler: inside the space, spread over it, and a function of seed and history alone."""

from __future__ import annotations

from typing import get_args

import optuna
import pytest

from ham.client.records import Plan, Sampler, StudyRequest
from ham.client.records.studies import PARETO_ONLY_SAMPLERS
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE, HamConfig
from service.domain.planning.plans import resolve
from service.records import Outcome
from service.workers.study.optuna_search import OptunaSearch
from service.workers.study.samplers import SAMPLERS

TRIALS = 14


def propose(plan: Plan, reopen: bool = False, parallel: int = 1) -> list[HamConfig]:
    """Search with a smooth score, ``parallel`` trials at once."""
    storage = optuna.storages.InMemoryStorage()
    search = OptunaSearch(storage, "study", plan)
    settings: list[HamConfig] = []
    while len(settings) < TRIALS:
        if reopen:
            search = OptunaSearch(storage, "study", plan)
        for proposal in [search.ask() for _ in range(parallel)]:
            settings.append(proposal.ham_config)
            score = -abs(proposal.ham_config.alpha - 30) / 400 - proposal.ham_config.beta
            search.tell(proposal.number, Outcome(validation_accuracy=score))
    return settings


def test_every_sampler_of_the_api_is_in_the_table_of_samplers() -> None:
    assert [*SAMPLERS] == [*get_args(Sampler)]


@pytest.fixture(params=sorted({*get_args(Sampler)} - {*PARETO_ONLY_SAMPLERS}))
def sampled(request: pytest.FixtureRequest, request_: StudyRequest) -> Plan:
    budget = request_.budget.model_copy(update={"trials": TRIALS})
    return resolve(request_.model_copy(update={"sampler": request.param, "budget": budget}))


def test_proposals_are_inside_the_space_and_begin_with_the_baselines(sampled: Plan) -> None:
    settings = propose(sampled)
    assert all(sampled.space.contains(setting) for setting in settings)
    assert settings[0] == RECIPE_BASELINE
    assert settings[1].alpha == pytest.approx(PAPER_DEFAULT.alpha)
    assert len(set(settings)) >= TRIALS - 3


def test_proposals_depend_on_seed_and_history_alone(sampled: Plan) -> None:
    assert propose(sampled) == propose(sampled, reopen=True)
    other = sampled.model_copy(update={"sampler_seed": sampled.sampler_seed + 1000})
    assert propose(other) != propose(sampled)


def test_proposals_under_way_together_differ(sampled: Plan) -> None:
    settings = propose(sampled, parallel=2)[2:]
    pairs = zip(settings[::2], settings[1::2], strict=True)
    assert sum(one == other for one, other in pairs) <= 1


def test_grid_covers_zero_and_both_ends_of_each_axis(request_: StudyRequest) -> None:
    budget = request_.budget.model_copy(update={"trials": TRIALS})
    plan = resolve(request_.model_copy(update={"sampler": "grid", "budget": budget}))
    settings = propose(plan)[2:11]
    assert {setting.alpha for setting in settings} == {0.0, 1.0, 400.0}
    assert {setting.beta for setting in settings} == {0.0, 1e-3, 3.0}
    assert len(set(settings)) == 9
