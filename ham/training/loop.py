"""The training loop.

Random numbers come from named streams of the run's seed (:mod:`ham.training.seeding`), and each
epoch seeds its own stream. A training that is saved and restored between two epochs is therefore
bit-equal to one that is never interrupted.
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
from ham.results import EpochMetrics
from ham.sparsifiers import sparsify
from ham.training.device_group import SINGLE_DEVICE, DeviceGroup
from ham.training.divergence import require_finite
from ham.training.environment import describe_environment
from ham.training.evaluate import accuracy
from ham.training.results import RunResult
from ham.training.seeding import reproducible, stream_seed
from ham.training.sparsity_metrics import SparsityMetrics

EVALUATION_BATCH = 500


class Training:
    """The training of one run, epoch by epoch.

    Args:
        config: the run config.
        device: a torch device; by default the GPU, or the CPU if there is no GPU.
        device_group: the devices that share this training; see
            :mod:`ham.training.data_parallel`.

    Attributes:
        config: the run config.
        epochs_done: epochs trained so far.
        model, optimizer, sparsifier: the objects that are being trained.

    Raises:
        InvalidConfig: the recipe does not fit the data.
    """

    def __init__(
        self,
        config: RunConfig,
        *,
        device: str | None = None,
        device_group: DeviceGroup = SINGLE_DEVICE,
    ) -> None:
        self.config = config
        self._device_group = device_group
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._curve: list[EpochMetrics] = []
        with self._reproducible("weights"):
            self._load_data()
            self._build_model()
            self._build_optimizer()
        self._device_group.synchronize(self.model)

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
        self._metrics = SparsityMetrics(self.model, self.sparsifier, example)

    def _build_optimizer(self) -> None:
        recipe = self.config.recipe
        self.optimizer = build_optimizer(
            self._groups, self.config.combination.optimizer, recipe, self.config.setting
        )
        self.sparsifier.bind(self.optimizer)
        self._learning_rate_schedule = learning_rate_schedule(
            self.optimizer, recipe, len(self._train), self.config.combination.trainings
        )
        self._strength_schedule = StrengthSchedule(
            self.optimizer, self.config.setting, recipe.epochs * len(self._train)
        )

    @cached_property
    def _config_as_json(self) -> dict[str, Any]:
        return self.config.to_json()

    @cached_property
    def environment(self) -> dict[str, str | int]:
        """Device, versions, threads, precision and hashes of data and code."""
        return describe_environment(
            self.device,
            self.config.recipe.cpu_threads,
            self._splits.content_hash,
            self._device_group,
        )

    @property
    def epochs_done(self) -> int:
        """Epochs trained so far."""
        return len(self._curve)

    @property
    def finished(self) -> bool:
        """True if every epoch of the run is trained."""
        return self.epochs_done >= self.config.epochs

    def run_epoch(self) -> EpochMetrics:
        """Train one epoch and measure the validation accuracy.

        Raises:
            DivergedRun: the loss or a parameter is not finite.
            HamError: every epoch is trained already.
        """
        if self.finished:
            raise HamError(f"the training is finished after {self.epochs_done} epochs")
        epoch = self.epochs_done + 1
        started = perf_counter()
        with self._reproducible(self._device_group.stream(f"epoch {epoch}")):
            self._metrics.start_epoch()
            losses = self._train_epoch(epoch)
            sign_flips, mask_churn = self._metrics.changes()
            validation_accuracy = accuracy(self.model, self._validation, self._device_group)
        metrics = EpochMetrics(
            epoch=epoch,
            train_loss=float(losses.mean()),
            validation_accuracy=validation_accuracy,
            learning_rate=self._last_learning_rate,
            seconds=perf_counter() - started,
            sign_flips=sign_flips,
            mask_churn=mask_churn,
        )
        self._curve.append(metrics)
        return metrics

    def _train_epoch(self, epoch: int) -> Tensor:
        self.model.train()
        losses = []
        first_step = (epoch - 1) * len(self._train) + 1
        batch_size = self.config.recipe.batch_size
        batches = self._train.epoch(epoch, self._device_group.part)
        for step, (images, labels) in enumerate(batches, first_step):
            loss = self._loss(self.model(images), labels)
            loss = self._device_group.backward(loss, len(labels) / batch_size, self.model)
            self._metrics.count_step(step, batch_size)
            self._last_learning_rate = float(self.optimizer.param_groups[0]["lr"])
            self._strength_schedule.set(step)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self._learning_rate_schedule.step()
            losses.append(loss)
        epoch_losses = torch.stack(losses)
        # Once per epoch, because reading a loss makes the CPU wait for the GPU.
        require_finite(epoch_losses, self.model, self.config, epoch, self._last_learning_rate)
        self._device_group.synchronize(self.model)
        return epoch_losses

    def finish(self, *, measure_test: bool) -> RunResult:
        """Finalize the sparsifier and measure the finished model.

        Args:
            measure_test: read the test split as well. Nothing may be selected by test accuracy.

        Raises:
            HamError: an epoch is not trained yet.
        """
        if not self.finished:
            total = self.config.epochs
            raise HamError(f"only {self.epochs_done} of {total} epochs are trained")
        test_accuracy = None
        with self._reproducible("finish"):
            self.sparsifier.finalize()
            validation_accuracy = accuracy(self.model, self._validation, self._device_group)
            if measure_test:
                test = self._evaluation_batches(self._splits.test)
                test_accuracy = accuracy(self.model, test, self._device_group)
        return RunResult(
            validation_accuracy=validation_accuracy,
            test_accuracy=test_accuracy,
            sparsity=self.sparsifier.report(),
            measures=self._metrics.measure(),
            curve=tuple(self._curve),
            seconds=sum(epoch.seconds for epoch in self._curve),
            environment=self.environment,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state between two epochs, from which a training continues bit-equal."""
        return {
            "config": self._config_as_json,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self._learning_rate_schedule.state_dict(),
            "sparsifier": self.sparsifier.state_dict(),
            "training_flops": self._metrics.training_flops,
            "examples": self._metrics.examples,
            "curve": [dict(vars(metrics)) for metrics in self._curve],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` of a training of the same run config returned.

        Raises:
            InvalidConfig: the state belongs to another run config.
        """
        if RunConfig.from_json(state["config"]) != self.config:
            raise InvalidConfig("config", state["config"], f"this training is {self.config}")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._learning_rate_schedule.load_state_dict(state["schedule"])
        self.sparsifier.load_state_dict(state["sparsifier"])
        self._metrics.training_flops = state["training_flops"]
        self._metrics.examples = state["examples"]
        self._curve = [EpochMetrics(**metrics) for metrics in state["curve"]]

    def _evaluation_batches(self, split: Dataset[Any]) -> Batches:
        return batches_of(split, EVALUATION_BATCH, self.device, transforms=(self._splits.prepare,))

    def _reproducible(self, stream: str) -> Any:
        seed = stream_seed(self.config.seed, stream)
        return reproducible(seed, self.device, self.config.recipe.cpu_threads)
