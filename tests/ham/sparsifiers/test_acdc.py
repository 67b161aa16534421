"""AC/DC: phases at the paper's epochs, compression and decompression."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
import pytest
import torch

from ham.errors import InvalidConfig
from ham.sparsifiers.acdc import ACDC, CIFAR_COMPRESS, CIFAR_DECOMPRESS
from ham.sparsifiers.common import prunable_weights
from ham.sparsifiers.common.topk import kept_count
from ham.testing.sparsifier_contract import TOTAL_STEPS, small_model, start


def sparse_epochs(acdc: ACDC, epochs: int, steps_per_epoch: int) -> list[int]:
    """Replay the phases and return the sparse epochs, counted from 0."""
    sparse, found = False, []
    for step in range(epochs * steps_per_epoch):
        if step in acdc.compress_steps:
            sparse = True
        elif step in acdc.decompress_steps:
            sparse = False
        if sparse and step % steps_per_epoch == 0:
            found.append(step // steps_per_epoch)
    return found


def test_imagenet_schedule_has_fifty_sparse_epochs_of_a_hundred() -> None:
    acdc = ACDC(0.9, total_steps=100 * 7, steps_per_epoch=7)
    expected = [e for a in range(10, 80, 10) for e in range(a, a + 5)] + list(range(85, 100))
    assert sparse_epochs(acdc, 100, 7) == expected
    assert len(expected) == 50


def test_cifar_schedule_alternates_every_twenty_epochs() -> None:
    acdc = ACDC(0.9, total_steps=200, compress_at=CIFAR_COMPRESS, decompress_at=CIFAR_DECOMPRESS)
    assert acdc.compress_steps == {10, 50, 90, 130, 170}
    assert acdc.decompress_steps == {30, 70, 110, 150}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "ham"])
@pytest.mark.parametrize("scope", ["global", "layer"])
def test_sparse_phases_hold_the_sparsity_and_dense_phases_begin_from_zero(
    optimizer: str, scope: Literal["global", "layer"]
) -> None:
    run = start(partial(ACDC, scope=scope, dense_layers=()), 0.9, optimizer)
    acdc = run.sparsifier
    assert isinstance(acdc, ACDC)
    size = acdc.report().prunable
    sparse, support, dense_steps = False, {}, 0
    for step in range(1, TOTAL_STEPS + 1):
        run.train(step, step)
        weights = prunable_weights(run.model)
        if step in acdc.compress_steps:
            sparse, support = True, {name: acdc.masks[name] for name in weights}
        elif step in acdc.decompress_steps:
            sparse = False
            # Before the first dense step pruned weights are zero and all momentum is cleared.
            assert all(not weight[~support[name]].any() for name, weight in weights.items())
            for parameter, state in run.optimizer.state.items():
                for value in state.values():
                    if torch.is_tensor(value) and value.shape == parameter.shape:
                        assert not value.any()
        report = acdc.report()
        if sparse:
            slack = 0 if scope == "global" else len(weights)
            assert kept_count(size, 0.9) <= report.kept <= kept_count(size, 0.9) + slack
            assert all(torch.equal(acdc.masks[name], support[name]) for name in weights)
            assert all(not weight[~support[name]].any() for name, weight in weights.items())
        else:
            assert report.kept == size
            dense_steps += 1
    assert sparse
    assert dense_steps == TOTAL_STEPS // 2 - 1


def test_compression_of_each_layer_agrees_with_a_numpy_sort() -> None:
    model = small_model()
    acdc = ACDC(0.8, total_steps=10, scope="layer", dense_layers=())
    acdc.attach(model)
    weights = {n: w.detach().numpy().copy() for n, w in prunable_weights(model).items()}
    acdc.compress()
    for name, weight in prunable_weights(model).items():
        size = weights[name].size
        threshold = np.sort(abs(weights[name]), axis=None)[::-1][kept_count(size, 0.8) - 1]
        expected = np.where(abs(weights[name]) >= threshold, weights[name], 0)
        np.testing.assert_array_equal(weight.detach().numpy(), expected)


def test_compression_agrees_with_a_numpy_sort() -> None:
    model = small_model()
    acdc = ACDC(0.8, total_steps=10)
    acdc.attach(model)
    weights = {n: w.detach().numpy().copy() for n, w in prunable_weights(model).items()}
    acdc.compress()
    together = np.sort(np.concatenate([abs(w).ravel() for w in weights.values()]))[::-1]
    threshold = together[kept_count(together.size, 0.8) - 1]
    for name, weight in prunable_weights(model).items():
        expected = np.where(abs(weights[name]) >= threshold, weights[name], 0)
        np.testing.assert_array_equal(weight.detach().numpy(), expected)


@pytest.mark.parametrize(
    ("compress_at", "decompress_at"),
    [((), ()), ((0.5,), (0.7,)), ((0.2, 0.3), ()), ((0.0,), ()), ((0.5, 1.0), (0.7,))],
)
def test_phases_that_do_not_alternate_are_refused(
    compress_at: tuple[float, ...], decompress_at: tuple[float, ...]
) -> None:
    with pytest.raises(InvalidConfig, match="alternate"):
        ACDC(0.9, total_steps=100, compress_at=compress_at, decompress_at=decompress_at)
