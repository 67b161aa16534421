"""A plan to run, and a stand-in for training whose truth is known."""

from __future__ import annotations

import math
import random

import pytest

from ham.client.records import Budget, EpochMetrics, Plan, StoredMeasures, StudyRequest
from ham.config import RunConfig
from service.domain.planning.plans import resolve
from service.records import Outcome

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
    """A smooth peak at alpha 30, beta 1e-2, no gain at zero, and noise that the seed decides."""
    setting = config.setting
    noise = random.Random(repr((setting, config.seed))).gauss(0, 0.002)
    a = math.log10(max(setting.alpha, 0.5) / 30)
    b = math.log10(max(setting.beta, 5e-5) / 1e-2)
    return 0.93 + 0.03 * math.exp(-(a**2) - 0.3 * b**2) + noise


def outcome_of(config: RunConfig, measure_test: bool) -> Outcome:
    """What a training of this config ends with, in the place of minutes on a GPU."""
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
