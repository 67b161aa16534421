from __future__ import annotations

from typing import Any

import pytest
from torch.optim import SGD

from ham.config import Recipe
from ham.errors import InvalidConfig
from ham.optim import HAM
from ham.optim.lr_schedules import learning_rate_schedule
from tests.ham.optim.toy_training import small_model, take_steps


def rates(steps: int, steps_per_epoch: int = 2, trainings: int = 1, **options: Any) -> list[float]:
    fields = {"name": "t", "version": 1, "epochs": 4, "batch_size": 8, "learning_rate": 0.5}
    model = small_model()
    optimizer = HAM(SGD(model.parameters(), lr=0.5))
    recipe = Recipe(**{**fields, **options})
    schedule = learning_rate_schedule(optimizer, recipe, steps_per_epoch, trainings)
    used = []
    for _ in range(steps):
        used.append(optimizer.base.param_groups[0]["lr"])
        take_steps(model, optimizer, 1)
        schedule.step()
    return used


def test_schedule_warms_up_linearly_then_follows_the_cosine_to_zero() -> None:
    expected = [0.25, 0.5, 0.5, 0.46650635, 0.375, 0.25, 0.125, 0.03349365, 0.0, 0.0]
    assert rates(10, warmup_epochs=1) == pytest.approx(expected)


def test_schedule_starts_at_the_peak_without_warm_up() -> None:
    assert rates(5, epochs=2) == pytest.approx([0.5, 0.42677670, 0.25, 0.07322330, 0.0])


def test_schedule_starts_again_with_each_training_and_stays_at_zero_at_the_end() -> None:
    once = [0.5, 0.42677670, 0.25, 0.07322330]
    assert rates(14, epochs=2, trainings=3) == pytest.approx([*once, *once, *once, 0.0, 0.0])


def test_schedule_holds_a_constant_rate_after_the_warm_up() -> None:
    assert rates(4, schedule="constant", warmup_epochs=1) == [0.25, 0.5, 0.5, 0.5]


@pytest.mark.parametrize("warmup", [-1, 4])
def test_schedule_refuses_a_warm_up_as_long_as_the_training(warmup: int) -> None:
    with pytest.raises(InvalidConfig, match="warmup_epochs < 4 epochs"):
        rates(1, warmup_epochs=warmup)


def test_schedule_refuses_an_epoch_without_steps() -> None:
    with pytest.raises(InvalidConfig, match="at least 1"):
        rates(1, steps_per_epoch=0)
