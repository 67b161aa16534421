"""The function that trains a run from start to end, on one device or several."""

from __future__ import annotations

from collections.abc import Callable

from ham.config import RunConfig
from ham.results import EpochMetrics
from ham.training.data_parallel import training_on
from ham.training.loop import Training
from ham.training.results import RunResult


def train(
    config: RunConfig,
    *,
    report: Callable[[EpochMetrics], object] | None = None,
    measure_test: bool = False,
    device: str | None = None,
    devices: int = 1,
) -> RunResult:
    """Train a run from start to end.

    Args:
        config: the run config.
        report: called after every epoch.
        measure_test: read the test split as well. Nothing may be selected by test accuracy.
        device: a torch device; by default the GPU, or the CPU if there is no GPU.
        devices: number of GPUs that share each batch; has no effect if ``device`` is given.

    Raises:
        DivergedRun: the loss or a parameter is not finite.
        InvalidConfig: the recipe does not fit the data, or there are fewer than ``devices`` GPUs.
    """
    training = training_on(devices, config) if device is None else Training(config, device=device)
    while not training.finished:
        epoch = training.run_epoch()
        if report is not None:
            report(epoch)
    return training.finish(measure_test=measure_test)
