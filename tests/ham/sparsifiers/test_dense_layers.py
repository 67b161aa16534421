"""The layers that each method's authors leave dense stay dense, and no others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import ham
from ham.catalog import SPARSIFIERS
from ham.errors import InvalidConfig
from ham.sparsifiers.common import SparsityReport
from tests.ham.sparsifiers.test_contract import SPARSE

STEPS = 24
FIRST, SHORTCUT, LAST = "conv1.weight", "downsample.0.weight", "fc.weight"
PRUNED = "conv2.weight"
# Dense layers per paper and code, as in docs/sparsifiers.md. Other methods prune every layer.
PRESETS = {
    ("set", "cifar"): {FIRST},
    ("rigl", "cifar"): {FIRST},
    ("mest", "cifar"): {FIRST, SHORTCUT, LAST},
    ("mest", "imagenet"): {FIRST, SHORTCUT, LAST},
    ("cs", "cifar"): {SHORTCUT, LAST},
    ("cs", "imagenet"): {SHORTCUT, LAST},
}
OPTIONS: list[tuple[str, float, dict[str, Any], set[str]]] = [
    ("random", 0.9, {"allocation": "uniform"}, {FIRST}),
    ("random", 0.9, {"allocation": "balanced"}, set()),
    ("set", 0.9, {"allocation": "uniform"}, {FIRST}),
    ("rigl", 0.9, {"allocation": "uniform", "preset": "imagenet"}, {FIRST}),
    ("rigl", 0.9, {"allocation": "uniform", "dense_layers": ()}, set()),
    ("rigl", 0.99, {"preset": "imagenet"}, {FIRST}),
    ("rigl", 0.99, {}, set()),
    ("acdc", 0.9, {"scope": "layer"}, {FIRST, LAST}),
    ("acdc", 0.9, {"scope": "layer", "dense_layers": ()}, set()),
    ("acdc", 0.9, {"scope": "layer", "dense_layers": ("shortcuts",)}, {SHORTCUT}),
    ("sign_in", 0.9, {"mask_options": {"allocation": "uniform"}}, {FIRST}),
    ("mest", 0.9, {"preset": "cifar", "dense_layers": ("last",)}, {LAST}),
]


class Block(nn.Module):
    """A stem, a block with a convolution as shortcut, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 12, 3, padding=1)
        self.conv2 = nn.Conv2d(12, 20, 3, padding=1)
        self.downsample = nn.Sequential(nn.Conv2d(12, 20, 1))
        self.conv3 = nn.Conv2d(20, 20, 3, padding=1)
        self.fc = nn.Linear(20, 3)

    def forward(self, images: Tensor) -> Tensor:
        stem = self.conv1(images).relu()
        out = self.conv3(self.conv2(stem).relu()) + self.downsample(stem)
        scores: Tensor = self.fc(out.mean(dim=(2, 3)))
        return scores


def trained(name: str, sparsity: float, **options: Any) -> SparsityReport:
    torch.manual_seed(0)
    model = Block()
    images, labels = torch.randn(12, 1, 3, 3), torch.arange(12) % 3
    sparsifier, groups = ham.sparsify(
        model,
        name,
        sparsity=sparsity,
        total_steps=STEPS,
        batches=[(images, labels)],
        **options,
    )
    optimizer = torch.optim.SGD(groups, lr=0.05, momentum=0.9)
    sparsifier.bind(optimizer)
    for _ in range(STEPS):
        optimizer.zero_grad()
        cross_entropy(model(images), labels).backward()
        optimizer.step()
    sparsifier.finalize()
    report: SparsityReport = sparsifier.report()
    return report


def require_dense(report: SparsityReport, dense: set[str], sparsity: float) -> None:
    pruned = [layer for layer in report.layers if layer.name not in dense]
    for layer in report.layers:
        if layer.name in dense:
            assert layer.kept == layer.size
            assert layer.nonzeros > 0.9 * layer.size  # a soft threshold may be exactly zero
    size = sum(layer.size for layer in pruned)
    kept = sum(layer.kept for layer in pruned)
    assert kept == pytest.approx((1 - sparsity) * size, abs=2 * len(pruned))  # two roundings
    assert next(layer for layer in pruned if layer.name == PRUNED).kept < 0.9 * 12 * 20 * 9


@pytest.mark.parametrize("preset", ["imagenet", "cifar"])
@pytest.mark.parametrize("name", SPARSE)
def test_presets_leave_dense_what_the_authors_do(name: str, preset: str) -> None:
    dense = PRESETS.get((name, preset), set())
    require_dense(trained(name, 0.9, preset=preset), dense, 0.9)


def _named(value: object) -> str:
    """Return a test id that is the same in every process: a set of strings has no order."""
    return str(sorted(value) if isinstance(value, set) else value)


@pytest.mark.parametrize(("name", "sparsity", "options", "dense"), OPTIONS, ids=_named)
def test_options_decide_what_stays_dense(
    name: str, sparsity: float, options: dict[str, Any], dense: set[str]
) -> None:
    require_dense(trained(name, sparsity, **options), dense, sparsity)


def test_catalog_names_the_methods_that_leave_layers_dense() -> None:
    leaving = {name for name, _ in PRESETS} | {"random", "acdc"}
    assert {spec.name for spec in SPARSIFIERS if spec.leaves_dense} == leaving


def test_first_dense_from_outside_its_range_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="first_dense_from"):
        trained("rigl", 0.9, first_dense_from=2.0)
