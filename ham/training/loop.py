"""The one training loop, read from top to bottom.

Randomness comes from named streams of the run's seed (:mod:`ham.training.seeding`) and is drawn
anew each epoch, so a training that is saved and restored between epochs ends bit-equal to one
that was not.
"""

from __future__ import annotations

from functools import cached_property, partial
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset

from ham.catalog import DATASETS, MODELS
from ham.config import RunConfig
from ham.data import Batches, batches_of
from ham.errors import HamError, InvalidConfig
from ham.optim.factory import build_optimizer
from ham.optim.ham_schedules import StrengthSchedule
from ham.optim.lr_schedules import learning_rate_schedule
from ham.sparsifiers import sparsify
from ham.training.device_group import SINGLE_DEVICE, DeviceGroup
from ham.training.divergence import require_finite
from ham.training.environment import describe_environment
from ham.training.evaluate import accuracy
from ham.training.results import EpochReport, RunResult
from ham.training.seeding import reproducible, stream_seed
from ham.training.sparsity_metrics import SparsityMetrics

EVALUATION_BATCH = 500


class Training:
    """One run, epoch by epoch.

    Args:
        config: what to train.
        device: a torch device; by default the GPU where there is one.
        team: the devices that share this training; see :mod:`ham.training.data_parallel`.

    Attributes:
        config: as given.
        epochs_done: epochs trained so far.
        model, optimizer, sparsifier: the live objects.

    Raises:
        InvalidConfig: the recipe does not fit the data.
    """

    def __init__(
        self, config: RunConfig, *, device: str | None = None, team: DeviceGroup = SINGLE_DEVICE
    ) -> None:
        self.config = config
        self._team = team
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._curve: list[EpochReport] = []
        with self._reproducible("weights"):
            self._load_data()
            self._build_model()
            self._build_optimizer()
        self._team.agree(self.model)

    def _load_data(self) -> None:
        recipe = self.config.recipe
        self._splits = DATASETS.get(self.config.combination.dataset).load()()
        self._train = batches_of(
            self._splits.train,
            recipe.batch_size,
            self.device,
            shuffle_seed=stream_seed(self.config.seed, "order"),
            transforms=(self._splits.augment, self._splits.prepare),
        )
        self._validation = self._evaluation_batches(self._splits.validation)
        self._loss = partial(cross_entropy, label_smoothing=recipe.label_smoothing)

    def _build_model(self) -> None:
        combination = self.config.combination
        dataset = DATASETS.get(combination.dataset)
        model_factory = MODELS.get(combination.model).load()
        self.model: nn.Module = model_factory(num_classes=dataset.classes).to(self.device)
        self.sparsifier, self._groups = sparsify(
            self.model,
            combination.sparsifier,
            sparsity=combination.sparsity,
            total_steps=self.config.epochs * len(self._train),
            steps_per_epoch=len(self._train),
            seed=stream_seed(self.config.seed, "sparsifier"),
            batches=self._train.epoch(0),
            loss=self._loss,
            preset=self.config.recipe.sparsifier_preset,
        )
        example = torch.zeros(1, *dataset.shape, device=self.device)
        self._meter = SparsityMetrics(self.model, self.sparsifier, example)

    def _build_optimizer(self) -> None:
        recipe = self.config.recipe
        self.optimizer = build_optimizer(
            self._groups, self.config.combination.optimizer, recipe, self.config.setting
        )
        self.sparsifier.bind(self.optimizer)
        self._schedule = learning_rate_schedule(
            self.optimizer, recipe, len(self._train), self.config.combination.trainings
        )
        self._strengths = StrengthSchedule(
            self.optimizer, self.config.setting, recipe.epochs * len(self._train)
        )

    @cached_property
    def _config_as_json(self) -> dict[str, Any]:
        return self.config.to_json()

    @cached_property
    def environment(self) -> dict[str, str | int]:
        """Device, versions, threads, precision and the data's hash."""
        return describe_environment(
            self.device, self.config.recipe.cpu_threads, self._splits.content_hash, self._team
        )

    @property
    def epochs_done(self) -> int:
        """Epochs trained so far."""
        return len(self._curve)

    @property
    def finished(self) -> bool:
        """True once every epoch of the run is trained."""
        return self.epochs_done >= self.config.epochs

    def run_epoch(self) -> EpochReport:
        """Train one epoch and measure the validation accuracy.

        Raises:
            DivergedRun: the loss or a parameter left the finite numbers.
            HamError: the training is finished.
        """
        if self.finished:
            raise HamError(f"the training is finished after {self.epochs_done} epochs")
        epoch = self.epochs_done + 1
        started = perf_counter()
        with self._reproducible(self._team.stream(f"epoch {epoch}")):
            self._meter.start_epoch()
            losses = self._train_epoch(epoch)
            sign_flips, mask_churn = self._meter.changes()
            validation_accuracy = accuracy(self.model, self._validation, self._team)
        report = EpochReport(
            epoch=epoch,
            train_loss=float(losses.mean()),
            validation_accuracy=validation_accuracy,
            learning_rate=self._last_learning_rate,
            seconds=perf_counter() - started,
            sign_flips=sign_flips,
            mask_churn=mask_churn,
        )
        self._curve.append(report)
        return report

    def _train_epoch(self, epoch: int) -> Tensor:
        self.model.train()
        losses = []
        first_step = (epoch - 1) * len(self._train) + 1
        batch_size = self.config.recipe.batch_size
        batches = self._train.epoch(epoch, self._team.part)
        for step, (images, labels) in enumerate(batches, first_step):
            loss = self._loss(self.model(images), labels)
            loss = self._team.backward(loss, len(labels) / batch_size, self.model)
            self._meter.count_step(step, batch_size)
            self._last_learning_rate = float(self.optimizer.param_groups[0]["lr"])
            self._strengths.set(step)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self._schedule.step()
            losses.append(loss)
        epoch_losses = torch.stack(losses)
        # Once an epoch, since looking at a loss makes a GPU wait.
        require_finite(epoch_losses, self.model, self.config, epoch, self._last_learning_rate)
        self._team.agree(self.model)
        return epoch_losses

    def finish(self, *, measure_test: bool) -> RunResult:
        """Finalize the sparsifier and measure the finished model.

        Args:
            measure_test: touch the test split; for finalists and baselines only.

        Raises:
            HamError: epochs are left to train.
        """
        if not self.finished:
            total = self.config.epochs
            raise HamError(f"only {self.epochs_done} of {total} epochs are trained")
        test_accuracy = None
        with self._reproducible("finish"):
            self.sparsifier.finalize()
            validation_accuracy = accuracy(self.model, self._validation, self._team)
            if measure_test:
                test = self._evaluation_batches(self._splits.test)
                test_accuracy = accuracy(self.model, test, self._team)
        return RunResult(
            validation_accuracy=validation_accuracy,
            test_accuracy=test_accuracy,
            sparsity=self.sparsifier.report(),
            measures=self._meter.measure(),
            curve=tuple(self._curve),
            seconds=sum(epoch.seconds for epoch in self._curve),
            environment=self.environment,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return all that a bit-equal continuation needs, between two epochs."""
        return {
            "config": self._config_as_json,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "sparsifier": self.sparsifier.state_dict(),
            "training_flops": self._meter.training_flops,
            "examples": self._meter.examples,
            "curve": [dict(vars(report)) for report in self._curve],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave to a training of the same config.

        Raises:
            InvalidConfig: the state is of another config.
        """
        if RunConfig.from_json(state["config"]) != self.config:
            raise InvalidConfig("config", state["config"], f"this training is {self.config}")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self.sparsifier.load_state_dict(state["sparsifier"])
        self._meter.training_flops = state["training_flops"]
        self._meter.examples = state["examples"]
        self._curve = [EpochReport(**report) for report in state["curve"]]

    def _evaluation_batches(self, split: Dataset[Any]) -> Batches:
        return batches_of(split, EVALUATION_BATCH, self.device, transforms=(self._splits.prepare,))

    def _reproducible(self, stream: str) -> Any:
        seed = stream_seed(self.config.seed, stream)
        return reproducible(seed, self.device, self.config.recipe.cpu_threads)
