"""Densities per layer against values of the published algorithms on real architectures."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ham.errors import UnknownName
from ham.sparsifiers.common.allocation import allocate, balanced, erdos_renyi_kernel, uniform
from ham.sparsifiers.common.topk import kept_count
from tests.ham.sparsifiers.common.shapes import Shapes, resnet18, resnet20, resnet50

NETWORKS = {"resnet20": resnet20(), "resnet18": resnet18(), "resnet50": resnet50()}

ERK = [
    ("resnet50", 0.8, 8, {"conv1": 0.85720, "layer1.0.conv2": 0.36190, "fc": 0.14818}),
    ("resnet50", 0.8, 8, {"layer4.0.conv1": 0.29206, "layer4.0.downsample": 0.14594}),
    ("resnet50", 0.9, 1, {"conv1": 0.42004, "layer4.1.conv2": 0.02130, "fc": 0.07261}),
    ("resnet50", 0.95, 0, {"conv1": 0.20984, "layer1.0.conv1": 0.77353, "fc": 0.03627}),
    ("resnet18", 0.8, 9, {"layer2.0.conv2": 0.48911, "layer4.0.conv1": 0.18062}),
    ("resnet18", 0.9, 4, {"layer1.0.conv1": 0.46107, "layer4.0.downsample": 0.74515}),
    ("resnet18", 0.95, 2, {"layer1.0.conv1": 0.22004, "layer4.1.conv2": 0.02643, "fc": 0.72356}),
    ("resnet20", 0.8, 2, {"layer1.0.conv1": 0.61794, "layer3.0.conv2": 0.13619}),
    ("resnet20", 0.9, 2, {"layer1.0.conv1": 0.30275, "layer2.0.conv2": 0.13942}),
    ("resnet20", 0.95, 1, {"conv1": 0.51788, "layer2.0.conv2": 0.06797}),
]

BALANCED = [
    ("resnet50", 0.8, 125333.2, 19),
    ("resnet50", 0.9, 54645.8, 12),
    ("resnet50", 0.95, 25289.9, 8),
    ("resnet18", 0.8, 169196.8, 13),
    ("resnet18", 0.9, 67669.2, 8),
    ("resnet18", 0.95, 28979.0, 2),
    ("resnet20", 0.8, 3230.9, 8),
    ("resnet20", 0.9, 1431.2, 2),
    ("resnet20", 0.95, 685.8, 2),
]

shapes_of_networks = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=3),
    st.one_of(
        st.tuples(st.integers(1, 64), st.integers(1, 64)),
        st.tuples(st.integers(1, 32), st.integers(1, 32), st.just(3), st.just(3)),
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize(
    ("network", "size"),
    [("resnet20", 268_336), ("resnet18", 11_210_432), ("resnet50", 25_502_912)],
)
def test_networks_have_the_published_number_of_weights(network: str, size: int) -> None:
    assert sum(map(math.prod, NETWORKS[network].values())) == size


@pytest.mark.parametrize(("network", "sparsity", "dense", "expected"), ERK)
def test_erk_gives_the_densities_of_the_rigl_code(
    network: str, sparsity: float, dense: int, expected: dict[str, float]
) -> None:
    densities = erdos_renyi_kernel(NETWORKS[network], sparsity)
    assert sum(density == 1.0 for density in densities.values()) == dense
    for layer, density in expected.items():
        assert densities[layer] == pytest.approx(density, abs=6e-6)


@pytest.mark.parametrize(("network", "sparsity", "level", "capped"), BALANCED)
def test_balanced_fills_to_the_level_of_exact_water_filling(
    network: str, sparsity: float, level: float, capped: int
) -> None:
    shapes = NETWORKS[network]
    densities = balanced(shapes, sparsity)
    assert sum(density == 1.0 for density in densities.values()) == capped
    for layer, density in densities.items():
        if density < 1:
            assert density * math.prod(shapes[layer]) == pytest.approx(level, abs=0.06)


@given(shapes_of_networks, st.floats(0, 0.99), st.sampled_from(["uniform", "erk", "balanced"]))
def test_every_allocation_meets_the_total_within_one_weight_per_layer(
    shapes: Shapes, sparsity: float, name: str
) -> None:
    densities = allocate(name, shapes, sparsity)
    assert all(0 < density <= 1 for density in densities.values())
    sizes = {layer: math.prod(shape) for layer, shape in shapes.items()}
    kept = sum(kept_count(size, 1 - densities[layer]) for layer, size in sizes.items())
    expected = (1 - sparsity) * sum(sizes.values())
    # Each layer rounds its zeros down once in the budget and once in its own count.
    assert expected - 1e-3 <= kept <= expected + 2 * len(shapes)


def test_dense_layers_are_dense_and_left_out_of_the_allocation() -> None:
    shapes = resnet20()
    densities = allocate("uniform", shapes, 0.9, dense_layers=("conv1",))
    assert densities["conv1"] == 1.0
    assert {density for layer, density in densities.items() if layer != "conv1"} == {1 - 0.9}
    without = {layer: shape for layer, shape in shapes.items() if layer != "conv1"}
    erk = allocate("erk", shapes, 0.9, dense_layers=("conv1",))
    assert erk == {"conv1": 1.0} | erdos_renyi_kernel(without, 0.9)


def test_uniform_on_resnet50_with_dense_stem_gives_the_overall_density() -> None:
    shapes = resnet50()
    densities = allocate("uniform", shapes, 0.9, dense_layers=("conv1",))
    kept = sum(densities[layer] * math.prod(shape) for layer, shape in shapes.items())
    assert kept / 25_502_912 == pytest.approx(0.100332, abs=1e-6)
    assert uniform(shapes, 0.9) == dict.fromkeys(shapes, 1 - 0.9)


def test_unknown_names_are_refused_with_a_hint() -> None:
    with pytest.raises(UnknownName, match="did you mean 'uniform'"):
        allocate("unifrom", resnet20(), 0.9)
    with pytest.raises(UnknownName, match="did you mean 'conv1'"):
        allocate("erk", resnet20(), 0.9, dense_layers=("conv2",))
