"""The contract tests that every sparsifier must pass.

    class TestMyMethod(SparsifierContract):
        @pytest.fixture
        def make_sparsifier(self):
            return MyMethod

``make_sparsifier(sparsity, total_steps=..., steps_per_epoch=..., seed=...)`` builds a sparsifier.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ham.optim import HAM
from ham.sparsifiers.common import Sparsifier, prunable_weights
from ham.sparsifiers.common.prunable import prunable_layers, stored_tensors, weight_name

MakeSparsifier = Callable[..., Sparsifier]
MakeOptimizer = Callable[[list[dict[str, Any]]], torch.optim.Optimizer]

STEPS_PER_EPOCH = 5
EPOCHS = 12
TOTAL_STEPS = EPOCHS * STEPS_PER_EPOCH
HALTS = (1, 23, 44)  # inside an epoch, before and after a change of phase

OPTIMIZERS: dict[str, MakeOptimizer] = {
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=3e-3),
    "ham": lambda groups: HAM(
        torch.optim.SGD(groups, lr=0.05, momentum=0.9), alpha=10.0, beta=1e-2
    ),
}


def small_model() -> nn.Module:
    """Build a network of convolutions, a norm and linear layers: 1,008 prunable weights."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 9, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(36, 12),
        nn.ReLU(),
        nn.Linear(12, 3),
    )


def batch(step: int) -> tuple[Tensor, Tensor]:
    """Return (images, labels) of a step: noise around one pattern per class."""
    generator = torch.Generator().manual_seed(step)
    labels = torch.arange(12) % 3
    patterns = torch.eye(4)[:3].reshape(3, 1, 2, 2)
    return patterns[labels] + 0.3 * torch.randn(12, 1, 2, 2, generator=generator), labels


@dataclass
class Run:
    """A model in training, with the objects of a user's own loop."""

    model: nn.Module
    sparsifier: Sparsifier
    optimizer: torch.optim.Optimizer

    def train(self, first: int, last: int) -> None:
        """Take the steps ``first`` to ``last``, both included, counted from 1."""
        for step in range(first, last + 1):
            images, labels = batch(step)
            self.optimizer.zero_grad()
            cross_entropy(self.model(images), labels).backward()
            self.optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """Return a checkpoint as a deep copy."""
        return copy.deepcopy(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "sparsifier": self.sparsifier.state_dict(),
            }
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a checkpoint."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.sparsifier.load_state_dict(state["sparsifier"])


def start(make: MakeSparsifier, sparsity: float, optimizer: str = "sgd", seed: int = 0) -> Run:
    """Prepare a training from seeded weights, as ``ham.training`` does."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = small_model()
    sparsifier = make(
        sparsity, total_steps=TOTAL_STEPS, steps_per_epoch=STEPS_PER_EPOCH, seed=seed
    )
    groups = sparsifier.attach(model, batches=(batch(step) for step in range(100, 200)))
    run = Run(model, sparsifier, OPTIMIZERS[optimizer](groups))
    sparsifier.bind(run.optimizer)
    return run


def tensors_of(value: Any) -> Iterator[Tensor]:
    """Yield every tensor of a nested structure of dictionaries, lists and tuples."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from tensors_of(value[key])
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_of(item)


def live_gradients(model: nn.Module) -> dict[str, int]:
    """Return the number of weights of each layer whose stored tensors have a nonzero gradient."""
    live = {}
    for name, layer in prunable_layers(model).items():
        gradients = [t.grad for t in stored_tensors(layer) if t.grad is not None]
        if gradients:
            anywhere = torch.stack([gradient != 0 for gradient in gradients]).any(dim=0)
            live[weight_name(name)] = int(anywhere.sum())
    return live


def outputs(model: nn.Module) -> Tensor:
    """Return the outputs of a model for a fixed batch, in eval mode."""
    images, _ = batch(0)
    with torch.no_grad():
        outputs: Tensor = model.eval()(images)
    return outputs


class SparsifierContract:
    """The contract. Inherit from this class and give the fixture ``make_sparsifier``.

    Attributes:
        sparsities: sparsities of the tests, each in [0, 1); dense training has ``(0.0,)``.
    """

    sparsities: tuple[float, ...] = (0.0, 0.5, 0.9)

    @pytest.fixture
    def make_sparsifier(self) -> MakeSparsifier:
        raise NotImplementedError("give a fixture make_sparsifier that returns the class")

    @pytest.fixture(params=sorted(OPTIMIZERS))
    def optimizer(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_finished_model_has_the_target_sparsity(
        self, make_sparsifier: MakeSparsifier, optimizer: str
    ) -> None:
        for sparsity in self.sparsities:
            run = start(make_sparsifier, sparsity, optimizer)
            run.train(1, TOTAL_STEPS)
            run.sparsifier.finalize()
            report = run.sparsifier.report()
            weights = prunable_weights(run.model)
            assert report.target == sparsity
            assert report.prunable == sum(weight.numel() for weight in weights.values())
            assert report.nonzeros == sum(int(w.count_nonzero()) for w in weights.values())
            expected = (1 - sparsity) * report.prunable
            assert math.floor(expected) <= report.kept <= expected + 2 * len(weights)
            assert report.nonzeros <= report.kept

    def test_dropped_weights_are_zero_and_have_no_gradient_at_every_step(
        self, make_sparsifier: MakeSparsifier, optimizer: str
    ) -> None:
        run = start(make_sparsifier, self.sparsities[-1], optimizer)
        live: dict[str, int] = {}
        # Registered after the sparsifier's own hook, so the gradients are masked by now.
        run.optimizer.register_step_pre_hook(lambda *_: live.update(live_gradients(run.model)))
        for step in range(1, TOTAL_STEPS + 1):
            kept = run.sparsifier.kept()
            run.train(step, step)
            assert all(live[name] <= kept[name] for name in live)
            for layer in run.sparsifier.report().layers:
                assert layer.nonzeros <= layer.kept

    def test_finalized_model_is_the_plain_architecture(
        self, make_sparsifier: MakeSparsifier
    ) -> None:
        run = start(make_sparsifier, self.sparsities[-1])
        run.train(1, TOTAL_STEPS)
        trained = outputs(run.model)
        run.sparsifier.finalize()
        plain = small_model()
        plain.load_state_dict(run.model.state_dict())
        assert torch.equal(outputs(run.model), trained)
        assert torch.equal(outputs(plain), trained)
        layout = [(name, type(p), p.shape) for name, p in run.model.named_parameters()]
        assert layout == [(name, type(p), p.shape) for name, p in plain.named_parameters()]
        assert [type(m) for m in run.model.modules()] == [type(m) for m in plain.modules()]

    def test_finalize_twice_is_finalize_once(self, make_sparsifier: MakeSparsifier) -> None:
        run = start(make_sparsifier, self.sparsities[-1])
        run.train(1, TOTAL_STEPS)
        run.sparsifier.finalize()
        trained = outputs(run.model)
        run.sparsifier.finalize()
        assert torch.equal(outputs(run.model), trained)

    def test_same_seed_repeats_bit_by_bit(self, make_sparsifier: MakeSparsifier) -> None:
        states = []
        for _ in range(2):
            run = start(make_sparsifier, self.sparsities[-1])
            run.train(1, TOTAL_STEPS)
            states.append(run.state_dict())
        self._assert_equal(*states)

    def test_training_resumed_at_any_step_ends_bit_equal(
        self, make_sparsifier: MakeSparsifier, optimizer: str
    ) -> None:
        whole = start(make_sparsifier, self.sparsities[-1], optimizer)
        checkpoints = {}
        for step in range(1, TOTAL_STEPS + 1):
            whole.train(step, step)
            if step in HALTS:
                checkpoints[step] = whole.state_dict()
        for step, checkpoint in checkpoints.items():
            resumed = start(make_sparsifier, self.sparsities[-1], optimizer)
            resumed.load_state_dict(checkpoint)
            resumed.train(step + 1, TOTAL_STEPS)
            self._assert_equal(resumed.state_dict(), whole.state_dict())

    def test_global_generator_is_never_used(self, make_sparsifier: MakeSparsifier) -> None:
        before = torch.get_rng_state()
        run = start(make_sparsifier, self.sparsities[-1])
        run.train(1, TOTAL_STEPS)
        assert torch.equal(torch.get_rng_state(), before)

    def test_report_changes_nothing(self, make_sparsifier: MakeSparsifier) -> None:
        run = start(make_sparsifier, self.sparsities[-1])
        run.train(1, TOTAL_STEPS // 2)
        before = run.state_dict()
        assert run.sparsifier.report() == run.sparsifier.report()
        self._assert_equal(run.state_dict(), before)

    def test_ham_without_strength_changes_nothing(self, make_sparsifier: MakeSparsifier) -> None:
        plain, wrapped = (start(make_sparsifier, self.sparsities[-1]) for _ in range(2))
        wrapped.optimizer = HAM(wrapped.optimizer, alpha=0.0, beta=0.0)
        for run in (plain, wrapped):
            run.train(1, TOTAL_STEPS)
        self._assert_equal(plain.model.state_dict(), wrapped.model.state_dict())

    @staticmethod
    def _assert_equal(first: Any, second: Any) -> None:
        ones, others = list(tensors_of(first)), list(tensors_of(second))
        assert len(ones) == len(others) > 0
        assert all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))
