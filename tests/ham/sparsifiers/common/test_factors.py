"""Factors of a weight multiply to the weight and have the given difference of squares."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ham.sparsifiers.common.factors import factorize

weights = st.lists(st.floats(-100, 100), min_size=1, max_size=20)


@given(weights, st.floats(0, 10))
def test_factors_multiply_to_the_weight_and_differ_by_the_scale(
    values: list[float], scale: float
) -> None:
    theta = torch.tensor(values, dtype=torch.float64)
    m, w = factorize(theta, scale)
    size = np.maximum(1, np.abs(values))
    assert np.allclose(m * w, theta, atol=1e-12 * size)
    assert np.allclose(m**2 - w**2, scale, atol=1e-6 * size)
    assert (m >= 0).all()
    assert torch.equal(w.sign()[theta.abs() > 1e-150], theta.sign()[theta.abs() > 1e-150])


def test_factors_of_the_published_formula() -> None:
    m, w = factorize(torch.tensor([-0.3], dtype=torch.float64), 1.0)
    assert m.item() == pytest.approx(1.0407185928, abs=1e-10)
    assert w.item() == pytest.approx(-0.2882623622, abs=1e-10)
    assert (m**2 + w**2).item() == pytest.approx(1.1661903790, abs=1e-10)


def test_zero_weight_has_zero_w_and_m_is_the_root_of_the_scale() -> None:
    zero = torch.zeros(1)
    assert [x.item() for x in factorize(zero, 1.0)] == [1, 0]
    assert [x.item() for x in factorize(zero, 0.0)] == [0, 0]
