"""Measures what a search costs in addition to its trainings: ``python -m benchmarks.scheduling``.

Trainings of a known length stand in for real ones: they sleep, and report 15 epochs. All further
time is that of the engine. Three engines do the same work in one run:

- this service: its study scheduler, runners, workers and both databases. Its trainings have the
  checkpoint of a real one (digits CNN, random pruning), which is written after every epoch;
- Ray Tune with its own OptunaSearch and ASHA;
- a plain Optuna script that trains in its own process.

Columns, measured from the begin of the first training to the end of the last one:

- busy: share of the workers' time that was training;
- overhead: workers x wall time - training time, per trial;
- until first: seconds from the start of the search to the begin of the first training;
- next study: seconds from the end of a study to the first training of the next one, on warm
  workers.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from ham.client.records import Budget, Run, StudyRequest, StudyState
from ham.config import RunConfig
from ham.results import EpochMetrics
from service.domain.planning.plans import resolve
from service.settings import Settings
from service.storage import Storage, open_storage
from service.storage.engine.migrate import migrate
from service.workers.cluster import connection
from service.workers.cluster.trainer import EpochByEpoch, Trainer
from service.workers.cluster.worker_pool import open_pool
from service.workers.scheduler.study_scheduler import StudyScheduler
from service.workers.study.optuna_storage import open_optuna_storage

EPOCHS = 15
WORKERS = 2
TRIALS = {0.0: 40, 1.0: 20, 10.0: 4}


class Span(NamedTuple):
    """When a training began and ended, in Unix time, and the seconds that it trained."""

    began: float
    ended: float
    trained: float


@dataclass(frozen=True)
class Row:
    """One line of the table: one engine at one length of the trainings."""

    engine: str
    seconds: float
    workers: int
    spans: list[Span]
    until_first: float
    next_study: float | None = None

    def __str__(self) -> str:
        wall = max(span.ended for span in self.spans) - min(span.began for span in self.spans)
        training = sum(span.trained for span in self.spans)
        trials = len(self.spans)
        busy = f"{100 * training / (self.workers * wall):.1f} %"
        overhead = (self.workers * wall - training) / trials
        following = "" if self.next_study is None else f"{self.next_study:.2f} s"
        return (
            f"| {self.engine} | {self.seconds:g} s | {trials} | {self.workers} | {busy} "
            f"| {overhead:.3f} s | {self.until_first:.1f} s | {following} |"
        )


def metrics_of(epoch: int, accuracy: float) -> EpochMetrics:
    """Return the metrics of an epoch in which nothing was trained."""
    return EpochMetrics(epoch, 0.0, accuracy, 0.1, 0.0, 0.0, 0.0)


class Result(NamedTuple):
    """The result of a sleeping training; its span is stored as its environment."""

    accuracy: float
    span: Span
    measure_test: bool
    sparsity: float

    def to_json(self) -> dict[str, Any]:
        """Return the facts that the service stores."""
        return {
            "validation_accuracy": self.accuracy,
            "test_accuracy": self.accuracy if self.measure_test else None,
            "seconds": self.span.trained,
            "measures": {},
            "sparsity": {"realised": self.sparsity},
            "environment": self.span._asdict(),
            "curve": [asdict(metrics_of(epoch, self.accuracy)) for epoch in range(1, EPOCHS + 1)],
        }


class Sleep:
    """A training that sleeps for a fifteenth of its length in each epoch."""

    def __init__(self, seconds: float, real: EpochByEpoch, run: RunConfig) -> None:
        self._seconds = seconds
        self._real = real
        self._sparsity = run.combination.sparsity
        self._accuracy = 0.9 + 0.05 * min(run.setting.alpha, 100.0) / 100
        self._began = time.time()
        self._trained = 0.0
        self.epochs_done = 0
        self.environment: dict[str, Any] = {}

    @property
    def finished(self) -> bool:
        """True after the last epoch."""
        return self.epochs_done >= EPOCHS

    def run_epoch(self) -> EpochMetrics:
        """Sleep; an epoch sleeps less if the one before it slept too long."""
        began = time.time()
        self.epochs_done += 1
        time.sleep(max(self._seconds * self.epochs_done / EPOCHS - self._trained, 0))
        self._trained += time.time() - began
        return metrics_of(self.epochs_done, self._accuracy)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the real training."""
        return self._real.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raise: no training is lost, so none is restored."""
        raise NotImplementedError

    def finish(self, *, measure_test: bool) -> Result:
        """Return when it began and ended."""
        span = Span(self._began, time.time(), self._trained)
        return Result(self._accuracy, span, measure_test, self._sparsity)


def sleeping_trainer(seconds: float) -> type[Trainer]:
    """Return a worker whose trainings take this many seconds."""

    class SleepingTrainer(Trainer):
        def __init__(self, gpus: float = 0) -> None:
            super().__init__(lambda run: Sleep(seconds, self._real, run), gpus)

        def warm_up(self) -> None:
            from ham.training.loop import Training  # lazy: imports torch

            super().warm_up()
            self._real = Training(_digits_cnn())
            self._real.run_epoch()

    return SleepingTrainer


def _digits_cnn() -> RunConfig:
    asked = StudyRequest(model="digits_cnn", dataset="digits", sparsifier="random", sparsity=0.9)
    plan = resolve(asked)
    return RunConfig(
        combination=plan.combination, recipe=plan.recipe, setting=plan.baselines[0], seed=0
    )


def ours(seconds: float, folder: Path) -> Row:
    """Run two studies one after the other through the whole service, without its API."""
    os.environ |= {"HAMTUNE_DATA_DIR": str(folder), "HAMTUNE_CONCURRENT_STUDIES": "1"}
    settings = Settings(cpus=WORKERS)
    storage = open_storage(settings)
    migrate(storage.database)
    open_optuna_storage(settings.optuna_database)
    address = connection.start_local(settings)
    open_pool(sleeping_trainer(seconds))
    scheduler = StudyScheduler(storage, settings, address)
    try:
        ids = [_submit(storage, seconds, sparsity) for sparsity in (0.9, 0.8)]
        started = time.time()
        _run_until_ended(scheduler, storage, ids)
    finally:
        scheduler.stop()
        ray.shutdown()
    first, second = ([_span(run) for run in storage.runs.of_study(id)] for id in ids)
    until_first = min(span.began for span in first) - started
    gap = min(span.began for span in second) - max(span.ended for span in first)
    storage.database.close()
    return Row("hamtune", seconds, WORKERS, second, until_first, gap)


def _span(run: Run) -> Span:
    if not run.environment:
        raise RuntimeError(f"a run without its span: {run.state} {run.error or ''}")
    return Span(**run.environment)


def _submit(storage: Storage, seconds: float, sparsity: float) -> str:
    request = StudyRequest(
        model="digits_mlp",
        dataset="digits",
        sparsifier="random",
        sparsity=sparsity,
        budget=Budget(
            trials=TRIALS[seconds], finalists=1, screening_seeds=1, confirmation_seeds=3
        ),
    )
    return storage.studies.submit(request, resolve(request))[0].id


def _run_until_ended(scheduler: StudyScheduler, storage: Storage, ids: list[str]) -> None:
    waiting = list(ids)
    while waiting:
        scheduler.step()
        study = storage.studies.get(waiting[0])
        if study.state == StudyState.FAILED:
            raise RuntimeError(study.error)
        if study.state == StudyState.SUCCEEDED:
            waiting.pop(0)
        time.sleep(0.1)


def stock_ray(seconds: float, folder: Path) -> Row:
    """Run Ray Tune as its documentation shows it, with its own OptunaSearch and ASHA."""

    def train(config: dict[str, float]) -> None:
        began = time.time()
        for epoch in range(1, EPOCHS + 1):
            time.sleep(max(began + seconds * epoch / EPOCHS - time.time(), 0))
            span = Span(began, time.time(), time.time() - began)
            tune.report({"accuracy": config["alpha"], "span": span})

    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
    started = time.time()
    tuner = tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={"alpha": tune.loguniform(1, 300), "beta": tune.loguniform(1e-4, 1)},
        tune_config=tune.TuneConfig(
            metric="accuracy",
            mode="max",
            search_alg=OptunaSearch(),
            scheduler=ASHAScheduler(max_t=EPOCHS, grace_period=EPOCHS),  # all run to the end
            num_samples=TRIALS[seconds],
            max_concurrent_trials=WORKERS,
        ),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    )
    results = tuner.fit()
    last = [results[index].metrics for index in range(len(results))]
    ray.shutdown()
    spans = [metrics["span"] for metrics in last if metrics]
    return Row("Ray Tune", seconds, WORKERS, spans, min(span.began for span in spans) - started)


def plain_optuna(seconds: float, folder: Path) -> Row:
    """Run Optuna's own loop on its SQLite storage, one training at a time."""
    spans = []

    def objective(trial: optuna.Trial) -> float:
        alpha = trial.suggest_float("alpha", 1, 300, log=True)
        trial.suggest_float("beta", 1e-4, 1, log=True)
        began = time.time()
        for epoch in range(1, EPOCHS + 1):
            time.sleep(max(began + seconds * epoch / EPOCHS - time.time(), 0))
            trial.report(alpha, epoch)
        spans.append(Span(began, time.time(), time.time() - began))
        return alpha

    started = time.time()
    study = optuna.create_study(storage=f"sqlite:///{folder}/optuna.sqlite3", direction="maximize")
    study.optimize(objective, n_trials=TRIALS[seconds])
    return Row("Optuna", seconds, 1, spans, spans[0].began - started)


ENGINES: dict[str, Callable[[float, Path], Row]] = {
    "hamtune": ours,
    "ray": stock_ray,
    "optuna": plain_optuna,
}


def measure(engines: Iterable[str], lengths: Iterable[float]) -> None:
    """Print the table."""
    print("| engine | training | trials | workers | busy | overhead | until first | next study |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for seconds in lengths:
        for engine in engines:
            with tempfile.TemporaryDirectory() as folder:
                print(ENGINES[engine](seconds, Path(folder)), flush=True)


def main() -> None:
    """Measure the engines and lengths that are named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--seconds", nargs="+", type=float, choices=TRIALS, default=list(TRIALS))
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    measure(args.engines, args.seconds)


if __name__ == "__main__":
    main()
