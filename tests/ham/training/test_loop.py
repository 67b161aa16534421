"""Training is reproducible, resumable and paired by seed, and measures its last epoch."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

from ham.catalog import SPARSIFIERS
from ham.config import RECIPE_BASELINE, HamConfig, RunConfig
from ham.data import digits
from ham.errors import DivergedRun, HamError, InvalidConfig
from ham.sparsifiers.gmp import GMP
from ham.training import EpochMetrics, RunResult, Training, train
from ham.training.evaluate import accuracy
from ham.training.seeding import stream_seed
from tests.ham.data.splits import tensors_of
from tests.ham.training.conftest import MakeConfig

EVERY_SPARSIFIER = SPARSIFIERS.names()
HAM_ON = HamConfig(alpha=20.0, beta=1e-2)


def ham_config_for(sparsifier: str) -> HamConfig:
    """A configuration with HAM if the sparsifier takes HAM, else the baseline."""
    return HAM_ON if SPARSIFIERS.get(sparsifier).takes_ham else RECIPE_BASELINE


def measured(result: RunResult) -> dict[str, Any]:
    """The result without wall times: equal for two equal trainings."""
    facts = result.to_json()
    facts.pop("seconds")
    for epoch in facts["curve"]:
        epoch.pop("seconds")
    return facts


def weights(training: Training) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in training.model.state_dict().items()}


def assert_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("sparsifier", EVERY_SPARSIFIER)
def test_equal_configs_train_bit_equal(make_config: MakeConfig, sparsifier: str) -> None:
    config = make_config(sparsifier, ham_config=ham_config_for(sparsifier), epochs=1)
    first, second = train(config, measure_test=True), train(config, measure_test=True)
    assert measured(first) == measured(second)


@pytest.mark.parametrize("sparsifier", EVERY_SPARSIFIER)
def test_training_resumed_from_a_file_ends_bit_equal(
    make_config: MakeConfig, sparsifier: str
) -> None:
    config = make_config(sparsifier, ham_config=ham_config_for(sparsifier), epochs=2)
    whole, halted, resumed = Training(config), Training(config), Training(config)
    halted.run_epoch()
    file = io.BytesIO()
    torch.save(halted.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file))
    assert resumed.epochs_done == 1
    while not whole.finished:
        whole.run_epoch()
    while not resumed.finished:
        resumed.run_epoch()
    assert_equal(weights(whole), weights(resumed))
    results = [training.finish(measure_test=True) for training in (whole, resumed)]
    assert measured(results[0]) == measured(results[1])


def test_runs_of_one_seed_share_weights_and_data_under_every_configuration(
    make_config: MakeConfig,
) -> None:
    baseline, with_ham = (Training(make_config(ham_config=h)) for h in (RECIPE_BASELINE, HAM_ON))
    assert_equal(weights(baseline), weights(with_ham))
    other = Training(make_config(seed=1))
    first, second, third = (
        torch.cat([labels for _, labels in training._train.epoch(2)])
        for training in (baseline, with_ham, other)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_global_generator_and_threads_are_restored(make_config: MakeConfig) -> None:
    torch.set_num_threads(2)
    before = torch.get_rng_state()
    try:
        train(make_config(cpu_threads=1))
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), before)
    finally:
        torch.set_num_threads(1)


def test_recipe_sets_the_number_of_threads_during_training(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    training = Training(make_config(cpu_threads=1), device="cpu")
    training.model.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    torch.set_num_threads(2)
    try:
        training.run_epoch()
    finally:
        torch.set_num_threads(1)
    assert set(seen) == {1}


def test_test_split_is_read_only_on_request(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forbidden(TensorDataset):
        def __init__(self) -> None:
            pass

        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"the test split was read: {name}")

    splits = dataclasses.replace(digits.load(), test=Forbidden())
    monkeypatch.setattr(digits, "load", lambda: splits)
    config = make_config()
    assert train(config, measure_test=False).test_accuracy is None
    with pytest.raises(AssertionError, match="the test split was read"):
        train(config, measure_test=True)


def test_result_is_of_the_last_epoch(make_config: MakeConfig) -> None:
    training = Training(make_config(ham_config=HAM_ON))
    reports = [training.run_epoch() for _ in range(3)]
    result = training.finish(measure_test=True)
    assert result.curve == tuple(reports)
    assert [report.epoch for report in reports] == [1, 2, 3]
    assert result.validation_accuracy == reports[-1].validation_accuracy
    assert result.validation_accuracy == accuracy(training.model, training._validation)
    images, labels = tensors_of(digits.load().test)
    correct = (training.model.eval()(images).argmax(1) == labels).sum()
    assert result.test_accuracy == int(correct) / 500
    assert result.seconds == sum(report.seconds for report in reports)


def test_learning_rate_follows_the_cosine(make_config: MakeConfig) -> None:
    rates: list[float] = []
    train(make_config(epochs=4), report=lambda epoch: rates.append(epoch.learning_rate))
    steps = 797 // 64
    last_steps = torch.arange(1, 5) * steps - 1
    expected = 0.1 * (1 + torch.cos(torch.pi * last_steps / (4 * steps))) / 2
    assert rates == pytest.approx(expected.tolist(), abs=1e-7)


@pytest.mark.parametrize("sparsifier", ["imp", "lrr"])
def test_iterative_pruning_repeats_the_recipe_once_per_training(
    make_config: MakeConfig, sparsifier: str
) -> None:
    config = make_config(sparsifier, epochs=2)
    result = train(config)
    assert config.epochs == len(result.curve) == 12 * 2
    rates = [epoch.learning_rate for epoch in result.curve]
    assert rates == pytest.approx(rates[:2] * 12)
    assert result.sparsity.realised == pytest.approx(0.9, abs=3 / result.sparsity.prunable)
    sparse, dense = result.measures.training_flops, result.measures.dense_training_flops
    assert sparse is not None and dense is not None
    densities = [max(0.1, 0.8**training) for training in range(12)]
    assert sparse / dense == pytest.approx(sum(densities) / 12, rel=0.02)


def test_realised_sparsity_is_counted_on_the_trained_weights(make_config: MakeConfig) -> None:
    training = Training(make_config("random", model="digits_cnn"))
    while not training.finished:
        training.run_epoch()
    report = training.finish(measure_test=False).sparsity
    state = training.model.state_dict()
    for layer in report.layers:
        assert layer.nonzeros == int(state[layer.name].count_nonzero())
    assert report.prunable == 14_288
    assert report.realised == pytest.approx(0.9, abs=4 / 14_288)


def test_result_and_reports_are_plain_json(make_config: MakeConfig) -> None:
    reports: list[EpochMetrics] = []
    result = train(make_config(), report=reports.append)
    facts = json.loads(json.dumps(result.to_json()))
    assert facts["curve"][0] == dataclasses.asdict(reports[0])
    assert facts["environment"]["data_hash"] == digits.load().content_hash
    assert facts["environment"]["threads"] == 1


def test_divergence_error_has_step_learning_rate_and_configuration(
    make_config: MakeConfig,
) -> None:
    config = make_config("dense", learning_rate=1e20, ham_config=HamConfig(alpha=7.0, beta=0.5))
    with pytest.raises(DivergedRun, match=r"at step \d+ .* rate [\d.]+e\+19, alpha 7, beta 0.5"):
        train(config)


def test_finish_needs_all_epochs_and_no_epoch_follows_the_last(make_config: MakeConfig) -> None:
    training = Training(make_config(epochs=1))
    with pytest.raises(HamError, match="only 0 of 1 epochs"):
        training.finish(measure_test=False)
    training.run_epoch()
    with pytest.raises(HamError, match="finished after 1 epochs"):
        training.run_epoch()


def test_recipe_names_the_preset_that_its_trainings_use(make_config: MakeConfig) -> None:
    def ramp(**recipe: Any) -> tuple[float, ...]:
        training = Training(make_config("gmp", epochs=50, **recipe))
        gmp = training.sparsifier
        assert isinstance(gmp, GMP)
        return gmp.begin_step / 600, gmp.end_step / 600, gmp.scope == "global"

    assert ramp() == ramp(sparsifier_preset="imagenet") == (0.2, 0.8, False)
    assert ramp(sparsifier_preset="cifar") == pytest.approx((4 / 600, 0.75, True))


def test_checkpoint_from_before_presets_is_loaded(make_config: MakeConfig) -> None:
    state = Training(make_config()).state_dict()
    del state["config"]["recipe"]["sparsifier_preset"]
    Training(make_config()).load_state_dict(state)


def test_state_of_another_run_config_is_refused(make_config: MakeConfig) -> None:
    state = Training(make_config(seed=0)).state_dict()
    with pytest.raises(InvalidConfig, match="this training is"):
        Training(make_config(seed=1)).load_state_dict(state)


def test_batch_larger_than_the_training_split_is_refused(make_config: MakeConfig) -> None:
    with pytest.raises(InvalidConfig, match="batch_size=1000"):
        Training(make_config(batch_size=1000))


def test_streams_of_a_seed_differ_and_are_stable() -> None:
    assert stream_seed(0, "weights") == stream_seed(0, "weights")
    assert len({stream_seed(s, name) for s in range(50) for name in ("weights", "order")}) == 100


def test_run_config_survives_json(make_config: MakeConfig) -> None:
    config = make_config(ham_config=HAM_ON)
    assert RunConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
