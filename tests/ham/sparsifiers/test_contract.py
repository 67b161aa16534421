"""Every registered sparsifier keeps the contract, without anyone remembering to test it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ham.catalog import SPARSIFIERS
from ham.sparsifiers.common import Sparsifier
from ham.testing import SparsifierContract
from ham.testing.sparsifier_contract import TOTAL_STEPS, MakeSparsifier, start

SPARSE = [row.name for row in SPARSIFIERS if row.takes_sparsity]


class TestEverySparsifier(SparsifierContract):
    @pytest.fixture(params=SPARSE)
    def make_sparsifier(self, request: pytest.FixtureRequest) -> MakeSparsifier:
        return SPARSIFIERS.get(request.param).load()  # type: ignore[no-any-return]


class TestDense(SparsifierContract):
    sparsities = (0.0,)

    @pytest.fixture
    def make_sparsifier(self) -> MakeSparsifier:
        return SPARSIFIERS.get("dense").load()  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", SPARSE)
def test_row_tells_whether_dense_gradients_are_ever_read(name: str) -> None:
    row = SPARSIFIERS.get(name)
    run = start(row.load(), 0.9)
    read = [
        step for step in range(1, TOTAL_STEPS + 1) if run.sparsifier.reads_dense_gradient(step)
    ]
    assert bool(read) == row.needs_dense_gradient
    assert len(read) < TOTAL_STEPS / 2


@pytest.mark.parametrize("name", SPARSE)
def test_row_tells_from_when_the_target_sparsity_is_held(name: str) -> None:
    """Early stopping compares accuracies from there on; before, the network is denser."""
    row = SPARSIFIERS.get(name)
    total = TOTAL_STEPS * row.trainings(0.9)

    late = max(preset.get("settle_at", 0) for preset in row.load().presets.values())
    latest = {"settle_at": late} if late else {}

    def make(sparsity: float, **given: Any) -> Sparsifier:
        return row.load()(sparsity, **given | {"total_steps": total} | latest)  # type: ignore[no-any-return]

    run = start(make, 0.9)
    kept = [sum(run.sparsifier.kept().values())]
    for step in range(1, total + 1):
        run.train(step, step)
        kept.append(sum(run.sparsifier.kept().values()))
    held = math.ceil(row.sparse_from(0.9) * total)
    assert set(kept[held + 1 :]) == {kept[-1]}  # IMP and LRR prune in their next step
    assert all(count > kept[-1] for count in kept[max(0, held - 1) : held])
