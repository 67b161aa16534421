"""Operations, sign flips, mask churn and dead units equal counts by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ham.models.resnet_cifar import resnet20
from ham.sparsifiers.common import prunable_weights
from ham.training import Training
from ham.training.flops import inference_flops, training_flops, uses_per_example
from ham.training.sparsity_metrics import dead_units, mask_churn, sign_flips
from tests.ham.training.conftest import MakeConfig


def test_each_weight_is_used_once_per_output_position() -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1),
        nn.Conv2d(4, 6, 3, groups=2),
        nn.Flatten(),
        nn.Linear(6 * 2 * 3, 5),
    )
    uses = uses_per_example(model, torch.zeros(1, 2, 8, 10))
    assert uses == {"0.weight": 4 * 5, "1.weight": 2 * 3, "3.weight": 1}
    assert inference_flops({"0.weight": 7, "1.weight": 1, "3.weight": 2}, uses) == 2 * (
        7 * 20 + 6 + 2
    )


def test_resnet20_has_the_known_number_of_multiplications() -> None:
    model = resnet20()
    uses = uses_per_example(model, torch.zeros(1, 3, 32, 32))
    sizes = {name: weight.numel() for name, weight in prunable_weights(model).items()}
    assert inference_flops(sizes, uses) / 2 == pytest.approx(40.55e6, rel=1e-3)
    assert model.training


def test_training_step_costs_three_passes_and_the_dense_gradient_one_dense_pass() -> None:
    uses, sizes, kept = {"a": 10}, {"a": 8}, {"a": 2}
    assert training_flops(kept, sizes, uses, dense_gradient=False) == 3 * 2 * 20
    assert training_flops(kept, sizes, uses, dense_gradient=True) == 2 * 2 * 20 + 2 * 80


def test_sign_flips_count_weights_nonzero_at_both_times() -> None:
    before = {"a": torch.tensor([1, 1, -1, 0, 1], dtype=torch.int8)}
    after = {"a": torch.tensor([1, -1, 0, -1, 1], dtype=torch.int8)}
    assert sign_flips(before, after) == 1 / 3
    assert mask_churn(before, after) == 1 / 4
    zeros = {"a": torch.zeros(5, dtype=torch.int8)}
    assert sign_flips(zeros, zeros) == mask_churn(zeros, zeros) == 0


def test_unit_without_nonzero_incoming_weight_is_dead() -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Linear(3, 2))
    with torch.no_grad():
        weights = prunable_weights(model)
        weights["0.weight"][1] = 0
        weights["1.weight"][:] = 0
    assert dead_units(model) == 3


def finished(training: Training) -> Training:
    while not training.finished:
        training.run_epoch()
    return training


def test_dense_run_costs_three_forward_passes_per_example(make_config: MakeConfig) -> None:
    result = finished(Training(make_config("dense"))).finish(measure_test=False)
    measures = result.measures
    assert measures.dense_inference_flops == 2 * 25_856
    assert measures.training_flops == measures.dense_training_flops == 3 * 12 * 64 * 3 * 2 * 25_856
    assert measures.explored == 1.0
    assert all(epoch.mask_churn == 0 for epoch in result.curve)


def test_random_run_costs_its_density_and_explores_only_its_mask(make_config: MakeConfig) -> None:
    result = finished(Training(make_config("random"))).finish(measure_test=False)
    measures, report = result.measures, result.sparsity
    assert measures.inference_flops == 2 * report.nonzeros  # every layer is linear
    assert measures.training_flops == 3 * 12 * 64 * 3 * 2 * report.kept
    assert measures.explored == report.kept / report.prunable
    assert all(epoch.mask_churn == 0 for epoch in result.curve)
    assert any(epoch.sign_flips > 0 for epoch in result.curve)


def test_rigl_run_counts_dense_gradients_at_updates_and_explores_beyond_its_mask(
    make_config: MakeConfig,
) -> None:
    training = finished(Training(make_config("rigl")))
    result = training.finish(measure_test=False)
    updates = sum(training.sparsifier.reads_dense_gradient(step) for step in range(1, 37))
    assert updates == 6
    kept, size = result.sparsity.kept, result.sparsity.prunable
    expected = 64 * 2 * (36 * 3 * kept + updates * (size - kept))
    assert result.measures.training_flops == expected
    assert result.measures.explored is not None
    assert result.measures.explored > result.sparsity.kept / size
    assert result.curve[0].mask_churn > 0


def test_dead_units_are_counted_on_the_trained_model(make_config: MakeConfig) -> None:
    training = finished(Training(make_config("snip", model="digits_cnn", epochs=1)))
    result = training.finish(measure_test=False)
    alive = [w.detach().flatten(1).any(dim=1) for w in prunable_weights(training.model).values()]
    assert result.measures.dead_units == sum(int((~units).sum()) for units in alive)


@pytest.mark.parametrize("sparsifier", ["str", "spred", "pilot", "cs", "sign_in"])
def test_measures_of_a_reparametrized_run_are_those_of_its_weights(
    make_config: MakeConfig, sparsifier: str
) -> None:
    training = Training(make_config(sparsifier, epochs=4))  # 48 steps; the masks freeze after 36
    for _ in range(4):
        before = {n: w.detach().clone() for n, w in prunable_weights(training.model).items()}
        report = training.run_epoch()
        after = prunable_weights(training.model)
        products = torch.cat([(before[n] * after[n].detach()).flatten().sign() for n in after])
        assert report.sign_flips == int((products < 0).sum()) / max(1, int((products != 0).sum()))
    result = training.finish(measure_test=False)
    size, kept = result.sparsity.prunable, result.sparsity.kept
    dense_steps = 0 if sparsifier == "sign_in" else 36
    expected = 64 * 2 * 3 * (dense_steps * size + (48 - dense_steps) * kept)
    assert result.measures.training_flops == expected
    assert result.measures.inference_flops == 2 * result.sparsity.nonzeros
    assert result.measures.explored == (kept / size if sparsifier == "sign_in" else 1.0)
    state = training.model.state_dict()
    zeros = [(state[layer.name] == 0).all(dim=1).sum() for layer in result.sparsity.layers]
    assert result.measures.dead_units == sum(zeros)
    assert result.sparsity.realised == pytest.approx(0.9, abs=4 / size)
    assert (result.sparsity.emerged is None) == (sparsifier == "sign_in")
