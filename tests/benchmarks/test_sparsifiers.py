"""The benchmark of sparsifiers: paired by seed, resumable, on the data that it names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch

from benchmarks import sparsifiers
from ham.catalog import DATASETS, MODELS, SPARSIFIERS
from ham.data import digits


@pytest.fixture(autouse=True)
def catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark's specs are registered for one test."""
    for registry in (DATASETS, MODELS):
        monkeypatch.setattr(registry, "_specs", dict(registry._specs))
    sparsifiers.register_small_resnet()


def test_every_method_is_trained_with_and_without_ham_on_the_same_seeds() -> None:
    trainings = list(
        sparsifiers.configs("digits_cnn", SPARSIFIERS.names(), sparsifiers.SPARSITIES)
    )
    pairs = Counter((config.combination, config.seed) for config in trainings)
    for (combination, _), count in pairs.items():
        assert count == 1 + SPARSIFIERS.get(combination.sparsifier).takes_ham
    assert len({config.setting for config in trainings}) == 2
    sparse = len(SPARSIFIERS.names()) - 1
    assert len(pairs) == 5 * (1 + sparse * len(sparsifiers.SPARSITIES))


def test_digits_in_three_channels_are_the_digits() -> None:
    for name in ("train", "validation", "test"):
        images, labels = getattr(sparsifiers.load_digits_rgb(), name).tensors
        original, same = getattr(digits.load(), name).tensors
        assert images.shape[1:] == (3, 8, 8)
        assert all(torch.equal(images[:, channel], original[:, 0]) for channel in range(3))
        assert torch.equal(labels, same)


def test_training_goes_on_where_it_was_left_and_the_table_pairs_by_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "runs.csv"
    trainings = list(sparsifiers.configs("resnet20_8x8", ["random"], [0.9]))[:6]
    trained = []

    def outcome(config: object) -> dict[str, float]:
        trained.append(config)
        return {"test": 0.9 + 0.01 * (len(trained) % 2 == 0), "realised": 0.9, "seconds": 1.0}

    monkeypatch.setattr(sparsifiers, "outcome", outcome)
    assert sparsifiers.train_missing(trainings[:3], results, minutes=1) == 0
    assert sparsifiers.train_missing(trainings, results, minutes=0) == 3
    assert sparsifiers.train_missing(trainings, results, minutes=1) == 0
    assert trained == trainings
    assert len(results.read_text().splitlines()) == 1 + 6
    with results.open("a") as file:
        file.write("resnet20_8x8,random,0.9,digits_rgb@1,10.0,0.3,4,,,\n")
    sparsifiers.print_table(results)
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.startswith("| 0.9 | random | ")
    assert "+1.00 (+1.00 to +1.00) | 3, 1 runs diverged | 90.00 |" in row


def test_recorded_trainings_are_those_of_the_benchmark() -> None:
    trainings = [
        sparsifiers.identity(config)
        for model in ("digits_cnn", "resnet20_8x8")
        for config in sparsifiers.configs(model, SPARSIFIERS.names(), sparsifiers.SPARSITIES)
    ]
    recorded = [
        {name: row[name] for name in sparsifiers.IDENTITY}
        for row in sparsifiers.read(sparsifiers.RECORDED)
    ]
    assert recorded
    assert all(row in trainings for row in recorded)
    assert len({tuple(row.values()) for row in recorded}) == len(recorded)
