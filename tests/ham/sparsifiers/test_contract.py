"""Every registered sparsifier passes the contract tests, new ones included."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ham.catalog import SPARSIFIERS
from ham.sparsifiers.common import Sparsifier
from ham.testing import SparsifierContract
from ham.testing.sparsifier_contract import TOTAL_STEPS, MakeSparsifier, start

SPARSE = [spec.name for spec in SPARSIFIERS if spec.takes_sparsity]


def method_of(name: str) -> MakeSparsifier:
    method: MakeSparsifier = SPARSIFIERS.get(name).load()
    return method


class TestEverySparsifier(SparsifierContract):
    @pytest.fixture(params=SPARSE)
    def make_sparsifier(self, request: pytest.FixtureRequest) -> MakeSparsifier:
        return method_of(request.param)


class TestDense(SparsifierContract):
    sparsities = (0.0,)

    @pytest.fixture
    def make_sparsifier(self) -> MakeSparsifier:
        return method_of("dense")


@pytest.mark.parametrize("name", SPARSE)
def test_spec_says_whether_dense_gradients_are_ever_read(name: str) -> None:
    spec = SPARSIFIERS.get(name)
    run = start(spec.load(), 0.9)
    read = [
        step for step in range(1, TOTAL_STEPS + 1) if run.sparsifier.reads_dense_gradient(step)
    ]
    assert bool(read) == spec.needs_dense_gradient
    assert len(read) < TOTAL_STEPS / 2


@pytest.mark.parametrize("name", SPARSE)
def test_spec_says_from_when_on_the_target_sparsity_is_held(name: str) -> None:
    """Early stopping compares accuracies from that step on; before it the network is denser."""
    spec = SPARSIFIERS.get(name)
    total = TOTAL_STEPS * spec.trainings(0.9)

    late = max(preset.get("freeze_at", 0) for preset in spec.load().presets.values())
    latest = {"freeze_at": late} if late else {}

    def make(sparsity: float, **given: Any) -> Sparsifier:
        return method_of(name)(sparsity, **given | {"total_steps": total} | latest)

    run = start(make, 0.9)
    kept = [sum(run.sparsifier.kept().values())]
    for step in range(1, total + 1):
        run.train(step, step)
        kept.append(sum(run.sparsifier.kept().values()))
    held = math.ceil(spec.sparse_from(0.9) * total)
    assert set(kept[held + 1 :]) == {kept[-1]}  # IMP and LRR prune in their next step
    assert all(count > kept[-1] for count in kept[max(0, held - 1) : held])
