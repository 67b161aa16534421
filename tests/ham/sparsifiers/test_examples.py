"""The examples of the page and of the README run as written; the page names every method."""

from __future__ import annotations

import doctest
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import ham
from ham.catalog import SPARSIFIERS
from ham.sparsifiers.common import prunable_weights

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "sparsifiers.md"
EPOCHS = 3


def blocks(page: Path) -> list[str]:
    """Return the Python blocks of a page that are not doctests."""
    found = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [block for block in found if ">>>" not in block]


def block_with(text: str, page: Path = PAGE) -> str:
    (block,) = [block for block in blocks(page) if text in block]
    return block


@pytest.fixture
def loader() -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(320, 64, generator=generator)
    labels = torch.randint(10, (320,), generator=generator)
    return DataLoader(TensorDataset(images, labels), batch_size=32)


def mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10))


def train(model: nn.Module, optimizer: torch.optim.Optimizer, loader: DataLoader[Any]) -> None:
    for _ in range(EPOCHS):
        for images, labels in loader:
            optimizer.zero_grad()
            cross_entropy(model(images), labels).backward()
            optimizer.step()


def test_examples_on_the_page_run() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.attempted >= 8
    assert result.failed == 0


def test_four_lines_of_the_readme_make_a_training_sparse(loader: DataLoader[Any]) -> None:
    lines = block_with("ham.sparsify(", ROOT / "README.md").strip().splitlines()
    assert len(lines) == 4
    names: dict[str, Any] = {"torch": torch, "ham": ham, "model": mlp(), "loader": loader}
    names["epochs"] = EPOCHS
    exec("\n".join(lines[:-1]), names)
    train(names["model"], names["optimizer"], loader)
    exec(lines[-1], names)
    weights = prunable_weights(names["model"]).values()
    assert sum(int(weight.count_nonzero()) for weight in weights) == 741


class StandIn(nn.Module):
    """The part of ``LightningModule`` that the example uses, so the tests need no Lightning.

    Hooks run in Lightning's order. The optimizer gets a closure, as in automatic optimization.
    The page names the version of Lightning with which the example was tried.
    """

    trainer: SimpleNamespace

    def configure_optimizers(self) -> torch.optim.Optimizer:
        raise NotImplementedError

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        raise NotImplementedError

    def on_train_start(self) -> None:
        raise NotImplementedError

    def on_train_end(self) -> None:
        raise NotImplementedError

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        raise NotImplementedError

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        raise NotImplementedError

    def fit(self, loader: DataLoader[Any], stop: int, checkpoint: dict[str, Any]) -> None:
        steps = EPOCHS * len(loader)
        self.trainer = SimpleNamespace(estimated_stepping_batches=steps)
        if checkpoint:
            self.on_load_checkpoint(checkpoint)
            self.load_state_dict(checkpoint["state_dict"])
        optimizer = self.configure_optimizers()
        if checkpoint:
            optimizer.load_state_dict(checkpoint["optimizer"])
        self.on_train_start()
        batches = [batch for _ in range(EPOCHS) for batch in loader]
        for index in range(checkpoint.get("step", 0), stop):

            def closure(index: int = index) -> Any:
                loss = self.training_step(batches[index], index)
                optimizer.zero_grad()
                loss.backward()
                return loss

            optimizer.step(closure=closure)
        checkpoint |= {"step": stop, "optimizer": optimizer.state_dict()}
        checkpoint["state_dict"] = {name: v.clone() for name, v in self.state_dict().items()}
        self.on_save_checkpoint(checkpoint)
        if stop == steps:
            self.on_train_end()


def test_lightning_module_of_the_page_trains_as_the_loop_does(loader: DataLoader[Any]) -> None:
    names: dict[str, Any] = {
        "torch": torch,
        "ham": ham,
        "lightning": SimpleNamespace(LightningModule=StandIn),
    }
    exec(block_with("LightningModule"), names)
    make: Callable[[], Any] = names["SparseModule"]
    whole, first, second = make(), make(), make()
    for module in (whole, first):
        module.model.load_state_dict(mlp().state_dict())
    steps = EPOCHS * len(loader)
    checkpoint: dict[str, Any] = {}
    whole.fit(loader, steps, {})
    first.fit(loader, 17, checkpoint)
    second.fit(loader, steps, checkpoint)
    model = mlp()
    sparsifier, groups = ham.sparsify(model, "rigl", sparsity=0.9, total_steps=steps)
    optimizer = ham.HAM(torch.optim.SGD(groups, lr=0.1, momentum=0.9), alpha=20, beta=1e-2)
    sparsifier.bind(optimizer)
    train(model, optimizer, loader)
    sparsifier.finalize()
    for by_hand, *others in zip(
        model.parameters(), whole.parameters(), second.parameters(), strict=True
    ):
        assert all(torch.equal(by_hand, other) for other in others)


def test_iterative_pruning_of_the_page_restarts_its_learning_rate() -> None:
    names: dict[str, Any] = {"torch": torch, "ham": ham, "model": mlp(), "steps_of_one": 5}
    exec(block_with("CosineAnnealingWarmRestarts"), names)
    assert names["trainings"] == 12
    rates = []
    for _ in range(15):
        rates.append(names["base"].param_groups[0]["lr"])
        names["schedule"].step()
    assert rates[:5] == rates[5:10] == rates[10:]


def test_sign_in_of_the_page_takes_a_pruned_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pruned = mlp()
    ham.sparsify(pruned, "random", sparsity=0.9, total_steps=1)
    torch.save(pruned.state_dict(), tmp_path / "pruned.pt")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"torch": torch, "ham": ham, "model": mlp(), "steps": 5}
    exec(block_with('"sign_in"'), names)
    for name, weight in prunable_weights(names["model"]).items():
        assert torch.equal(weight != 0, pruned.state_dict()[name] != 0)


def test_every_example_of_the_page_is_run() -> None:
    tried = ("LightningModule", "CosineAnnealingWarmRestarts", '"sign_in"')
    assert len(blocks(PAGE)) == len(tried)
    assert all(block_with(text) for text in tried)


@pytest.mark.parametrize("name", ["topk", "dynamic"])
def test_examples_in_docstrings_run(name: str) -> None:
    result = doctest.testmod(import_module(f"ham.sparsifiers.common.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


def test_page_names_every_registered_method() -> None:
    page = PAGE.read_text()
    assert [name for name in SPARSIFIERS.names() if f"`{name}`" not in page] == []
