"""Every registered sparsifier keeps the contract, without anyone remembering to test it."""

from __future__ import annotations

import pytest

from ham.names import SPARSIFIERS
from ham.testing import SparsifierContract
from ham.testing.sparsifier_contract import MakeSparsifier

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
