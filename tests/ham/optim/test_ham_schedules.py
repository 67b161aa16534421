from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD

from ham.config import HamConfig
from ham.optim import HAM
from ham.optim.ham_schedules import StrengthSchedule


def scheduled(ham_config: HamConfig, steps: int = 4) -> tuple[HAM, StrengthSchedule]:
    weights = [nn.Parameter(torch.ones(2, 2)) for _ in range(2)]
    groups: list[dict[str, Any]] = [
        {"params": [weights[0]]},
        {"params": [weights[1]], "ham_alpha": 10.0},
    ]
    optimizer = HAM(SGD(groups, lr=0.1), ham_config.alpha, ham_config.beta)
    return optimizer, StrengthSchedule(optimizer, ham_config, steps)


def test_strengths_follow_their_shapes_and_start_again_with_each_training() -> None:
    ham_config = HamConfig(alpha=20.0, beta=0.1, alpha_schedule="linear", beta_schedule="cosine")
    optimizer, strengths = scheduled(ham_config)
    alphas, betas = [], []
    for step in range(1, 9):
        strengths.set(step)
        alphas.append(optimizer.param_groups[0]["ham_alpha"])
        betas.append(optimizer.param_groups[0]["ham_beta"])
    assert alphas == [20.0, 15.0, 10.0, 5.0] * 2
    assert betas == pytest.approx([0.1, 0.08535534, 0.05, 0.01464466] * 2)


def test_strengths_of_each_group_are_scaled_from_its_own() -> None:
    optimizer, strengths = scheduled(HamConfig(alpha=20.0, beta=0.1, alpha_schedule="linear"))
    strengths.set(3)
    assert [group["ham_alpha"] for group in optimizer.param_groups] == [10.0, 5.0]
    assert [group["ham_beta"] for group in optimizer.param_groups] == [0.1, 0.1]


def test_strengths_are_right_after_a_checkpoint_is_loaded() -> None:
    optimizer, strengths = scheduled(HamConfig(alpha=20.0, beta=0.1, alpha_schedule="linear"))
    strengths.set(4)
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    strengths.set(2)
    assert optimizer.param_groups[0]["ham_alpha"] == 15.0
