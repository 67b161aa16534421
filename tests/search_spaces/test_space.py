"""Search spaces: logarithmic ranges with a share that means zero, and tuned schedules."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ham.config import PAPER_DEFAULT, RECIPE_BASELINE, HamConfig
from ham.errors import InvalidConfig
from search_spaces import LogRange, SearchSpace

AXIS = LogRange(low=1.0, high=400.0, zero_share=0.1)
ranges = st.builds(
    lambda low, ratio, share: LogRange(low=low, high=low * ratio, zero_share=share),
    st.floats(1e-4, 10),
    st.floats(1.5, 1e4),
    st.floats(0, 0.9),
)


@given(ranges)
def test_zero_share_is_a_share_of_the_sampled_axis(axis: LogRange) -> None:
    whole = math.log(axis.high / axis.floor)
    zero = math.log(axis.low / axis.floor)
    assert zero / whole == pytest.approx(axis.zero_share, abs=1e-9)


@given(ranges, st.floats(0, 1))
def test_every_point_of_the_axis_decodes_to_a_value_of_the_range(
    axis: LogRange, coordinate: float
) -> None:
    sampled = axis.floor * (axis.high / axis.floor) ** coordinate
    value = axis.decode(min(max(sampled, axis.floor), axis.high))
    assert axis.contains(value)
    assert axis.decode(axis.encode(value)) == value


def test_range_contains_zero_only_if_a_share_of_the_axis_means_zero() -> None:
    assert AXIS.contains(0)
    assert not LogRange(low=1.0, high=400.0).contains(0)
    assert not AXIS.contains(0.5)


def test_value_outside_the_range_is_encoded_as_its_nearest_end() -> None:
    assert AXIS.encode(1e9) == 400.0
    assert AXIS.encode(0.5) == 1.0
    assert AXIS.encode(0) == AXIS.floor < 1.0


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"low": 0.0}, "low"),
        ({"low": -1.0}, "low"),
        ({"low": 400.0}, "low"),
        ({"high": math.inf}, "low"),
        ({"zero_share": 1.0}, "zero_share"),
        ({"zero_share": -0.1}, "zero_share"),
    ],
    ids=str,
)
def test_impossible_range_is_refused(changes: dict[str, float], field: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        LogRange(**({"low": 1.0, "high": 400.0} | changes))
    assert caught.value.field == field


def test_decode_inverts_encode() -> None:
    space = SearchSpace(
        name="s", version=3, alpha=AXIS, beta=LogRange(low=1e-4, high=0.2, zero_share=0.1)
    )
    assert space.id == "s@3"
    for ham_config in (RECIPE_BASELINE, PAPER_DEFAULT, HamConfig(alpha=0.0, beta=0.01)):
        assert space.contains(ham_config)
        assert space.decode(space.encode(ham_config)) == ham_config
    assert not space.contains(HamConfig(alpha=1000.0, beta=0.01))


MULTIPLES = LogRange(low=0.2, high=5.0)
DECLARED = SearchSpace(
    name="s",
    version=3,
    alpha=AXIS,
    beta=AXIS,
    learning_rate=MULTIPLES,
    schedules=("constant", "cosine"),
)


def test_study_searches_only_the_values_that_it_chooses() -> None:
    chosen = DECLARED.with_choices(["learning_rate"], "cosine", "constant")
    assert [*DECLARED.axes()] == ["alpha", "beta"]
    assert [*chosen.axes()] == ["alpha", "beta", "learning_rate"]
    assert [*chosen.axes(branch="baseline")] == ["learning_rate"]
    assert chosen.decode({"learning_rate": 2.0}) == HamConfig(0.0, 0.0, learning_rate=2.0)
    point = {"alpha": 20.0, "beta": AXIS.floor, "learning_rate": 2.0}
    ham_config = HamConfig(20.0, 0.0, learning_rate=2.0, alpha_schedule="cosine")
    assert chosen.decode(point) == ham_config
    assert chosen.encode(ham_config) == point
    assert chosen.contains(ham_config) and not DECLARED.contains(ham_config)
    assert not chosen.spans(HamConfig(20.0, 0.0, learning_rate=2.0)), "another schedule"
    assert not chosen.contains(replace(ham_config, learning_rate=9.0))


def test_only_tuned_schedules_are_searched() -> None:
    chosen = DECLARED.with_choices(["alpha_schedule"], "constant", "cosine")
    assert [*chosen.axes()] == ["alpha", "beta"]
    assert chosen.choices() == {"alpha_schedule": ("constant", "cosine")}
    assert chosen.choices(branch="baseline") == {} and chosen.multiples == ()
    falling = HamConfig(20.0, 3.0, alpha_schedule="cosine", beta_schedule="cosine")
    constant = replace(falling, alpha_schedule="constant")
    for ham_config in (
        falling,
        constant,
        RECIPE_BASELINE,
        HamConfig(0.0, 3.0, beta_schedule="cosine"),
    ):
        assert chosen.contains(ham_config)
        assert chosen.decode(chosen.encode(ham_config)) == ham_config
    assert chosen.coordinate(falling)[:2] == chosen.coordinate(constant)[:2]
    assert chosen.coordinate(falling)[2] > chosen.coordinate(constant)[2] == 0
    off = chosen.decode({"alpha": AXIS.floor, "beta": 3.0, "alpha_schedule": "cosine"})
    assert off.alpha_schedule == "constant", "a strength of zero has no schedule"
    assert not chosen.spans(replace(falling, alpha_schedule="linear")), "not declared"
    assert not chosen.spans(replace(falling, beta_schedule="constant")), "not tuned"


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"learning_rate": LogRange(low=2.0, high=4.0)}, "learning_rate"),
        ({"learning_rate": replace(MULTIPLES, zero_share=0.1)}, "learning_rate.zero_share"),
        ({"tune": ("weight_decay",)}, "tune"),
        ({"beta_schedule": "linear"}, "beta_schedule"),
        ({"schedules": ("constant", "step")}, "schedules"),
        ({"schedules": ("linear", "cosine")}, "schedules"),
        ({"schedules": ("constant",), "tune": ("beta_schedule",)}, "tune"),
        ({"alpha_schedule": "cosine", "tune": ("alpha_schedule",)}, "alpha_schedule"),
    ],
    ids=str,
)
def test_impossible_space_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        replace(DECLARED, **changes)
    assert caught.value.field == field


@given(st.floats(0, 1))
def test_decoded_values_have_three_digits_so_a_printed_value_is_the_trained_one(
    coordinate: float,
) -> None:
    value = AXIS.decode(AXIS.floor * (AXIS.high / AXIS.floor) ** coordinate)
    assert AXIS.contains(value)
    assert float(f"{value:.3g}") == value
