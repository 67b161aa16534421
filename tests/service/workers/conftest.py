"""A small plan, and a stand-in for trainings whose best configuration is known."""

from __future__ import annotations

import math
import random
from typing import get_args

import pytest

from ham.client.records import Budget, EpochMetrics, Plan, Sampler, StoredMeasures, StudyRequest
from ham.client.records.studies import PARETO_ONLY_SAMPLERS
from ham.config import RunConfig
from service.domain.planning.plans import resolve
from service.records import Outcome

SINGLE_OBJECTIVE_SAMPLERS = sorted({*get_args(Sampler)} - {*PARETO_ONLY_SAMPLERS})
SMALL = Budget(trials=6, finalists=2, screening_seeds=2, confirmation_seeds=3)


@pytest.fixture
def request_() -> StudyRequest:
    return StudyRequest(
        model="digits_cnn", dataset="digits", sparsifier="random", sparsity=0.9, budget=SMALL
    )


@pytest.fixture
def plan(request_: StudyRequest) -> Plan:
    return resolve(request_)


def known_accuracy(config: RunConfig) -> float:
    """Return an accuracy with a smooth peak at alpha 30 and beta 1e-2, and a seed's noise."""
    ham_config = config.setting
    noise = random.Random(repr((ham_config, config.seed))).gauss(0, 0.002)
    a = math.log10(max(ham_config.alpha, 0.5) / 30)
    b = math.log10(max(ham_config.beta, 5e-5) / 1e-2)
    return 0.93 + 0.03 * math.exp(-(a**2) - 0.3 * b**2) + noise


def outcome_of(config: RunConfig, measure_test: bool) -> Outcome:
    """Return the outcome of a training of this config, without training."""
    accuracy = known_accuracy(config)
    return Outcome(
        validation_accuracy=accuracy,
        test_accuracy=accuracy - 0.01 if measure_test else None,
        seconds=1.0,
        measures=StoredMeasures.read({"sparsity": {"realised": config.combination.sparsity}}),
        environment={"device": "none"},
        curve=tuple(metrics(epoch, accuracy) for epoch in range(1, config.recipe.epochs + 1)),
    )


def metrics(epoch: int, accuracy: float) -> EpochMetrics:
    return EpochMetrics(
        epoch=epoch,
        train_loss=0.1,
        validation_accuracy=accuracy,
        learning_rate=0.1,
        seconds=0.1,
        sign_flips=0.02,
        mask_churn=0.0,
    )
