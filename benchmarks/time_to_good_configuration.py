"""Cost until the configuration that would be recommended is good, on the recorded truth.

``python -m benchmarks.time_to_good_configuration`` replays searches of eight combinations on
recorded trainings. Good is within 0.2 points of the best mean validation accuracy on the recorded
grid. After every training, each system names the configuration that it would recommend by now:

- hamtune: the product's search, surface and screening, without and with configurations transferred
  from the other combinations;
- the same search without surface and screening: its best single trial;
- Ray Tune: OptunaSearch and ASHA with their defaults (Ray's own rungs; a stopped trial is told
  as COMPLETE, as Ray's bridge tells it), and ``get_best_result``: the best last report;
- Optuna: TPE at full length, and its best trial;
- random search, and the paper's grid, and their best trial.

**Nothing is trained, and no wall time is measured here.** Epochs are counted. Wall time is
modelled for one worker: the median recorded CPU seconds of an epoch of the combination, times
the epochs, plus the cost of each system beside its trainings, once and per trial (:data:`COSTS`,
measured by ``benchmarks.scheduling``). The product's screening and its baselines count. A search
that has not become good when it ends counts as never, and the share of good ones is printed.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean, median
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import optuna
from ray.tune.schedulers import ASHAScheduler

from benchmarks.curves import draw
from benchmarks.recorded_truth import FILE, RECIPE
from benchmarks.replay import Truth, load
from benchmarks.selection import run_of
from benchmarks.transfer import GOOD, POINT, known
from ham.client.records import Plan, Purpose, Run, StudyRequest
from ham.config import RECIPE_BASELINE, HamConfig
from search_spaces import SearchSpace
from service.domain.planning.plans import resolve
from service.domain.search import stages
from service.domain.search.surface import MIN_RUNS
from service.domain.transfer.pooled_effects import transfer
from service.records import Job, Outcome
from service.workers.study.optuna_search import OptunaSearch

MAX_TRIALS = 100
"""Trials of the systems that have no budget of their own."""
PAPER_ALPHAS = (1.0, 10.0, 50.0, 100.0, 200.0)
PAPER_BETAS = tuple(1e-3 * 2**k for k in range(7))
"""Our reading of the paper and its reviews: alpha 1 to 200, beta doubled from 1e-3 on."""


class Cost(NamedTuple):
    """Seconds beside the trainings.

    Attributes:
        once: until the first training begins.
        per_trial: of a worker, for each training.
    """

    once: float
    per_trial: float


class Replayed(NamedTuple):
    """A replayed training, and the recommendation after it.

    Attributes:
        epochs: of this training.
        recommended: the recipe baseline as long as nothing else is known.
    """

    epochs: int
    recommended: HamConfig


class Replay(NamedTuple):
    """A combination with its recorded seeds in one order.

    Attributes:
        plan: of a study of the combination.
        truth: its recorded trainings.
        order: the recorded seeds, that of the search first, then those of the screening.
        opening: configurations transferred from other combinations.
    """

    plan: Plan
    truth: Truth
    order: Sequence[int]
    opening: tuple[HamConfig, ...]

    def curve(self, ham_config: HamConfig, seed: int = 0) -> list[float]:
        """Return a training's validation accuracies by epoch; the search has seed 0."""
        recorded_seed = self.order[seed % len(self.order)]
        epochs: list[float] = self.truth.curve(ham_config, recorded_seed).tolist()
        return epochs

    def run(self, job: Job) -> Run:
        """Return the run of a job; the screening seeds follow the search's in the order."""
        seed = 0
        if job.purpose == Purpose.SCREENING:
            seed = 1 + self.plan.screening_seeds.index(job.seed)
        return run_of(job, self.curve(job.setting, seed)[-1])


def hamtune(replay: Replay, opening: tuple[HamConfig, ...] = ()) -> Iterator[Replayed]:
    """Run the product's search and screening."""
    plan, runs = replay.plan, list[Run]()
    search = OptunaSearch(optuna.storages.InMemoryStorage(), "replayed", plan, opening)
    for _ in range(plan.budget.trials):
        number, ham_config, _ = search.ask()
        job = Job(purpose=Purpose.SEARCH, setting=ham_config, seed=0, trial_number=number)
        runs.append(replay.run(job))
        search.tell(number, Outcome(validation_accuracy=runs[-1].validation_accuracy))
        yield Replayed(plan.run_epochs, _best_so_far(plan, runs))
    best = _best_so_far(plan, runs)
    jobs = stages.baseline_jobs(plan, Purpose.SCREENING)
    for round_number in range(stages.round_count(plan)):
        jobs += stages.round_jobs(plan, runs, number=round_number)
        runs += [replay.run(job) for job in jobs]
        yield from (Replayed(plan.run_epochs, best) for _ in jobs[1:])
        best = _best_so_far(plan, runs)
        if jobs:
            yield Replayed(plan.run_epochs, best)
        jobs = []


def best_single(replay: Replay) -> Iterator[Replayed]:
    """Run the product's search alone, and recommend its best trial."""
    search = OptunaSearch(optuna.storages.InMemoryStorage(), "replayed", replay.plan)
    best = -math.inf, RECIPE_BASELINE
    for _ in range(replay.plan.budget.trials):
        number, ham_config, _ = search.ask()
        value = replay.curve(ham_config)[-1]
        search.tell(number, Outcome(validation_accuracy=value))
        best = max(best, (value, ham_config), key=lambda pair: pair[0])
        yield Replayed(replay.plan.run_epochs, best[1])


def hamtune_with_transfer(replay: Replay) -> Iterator[Replayed]:
    """Run the product's search and screening with the transferred configurations."""
    return hamtune(replay, replay.opening)


def _best_so_far(plan: Plan, runs: Sequence[Run]) -> HamConfig:
    if all(run.setting.is_baseline for run in runs):
        return RECIPE_BASELINE
    if len(runs) < MIN_RUNS:  # without a surface the baseline may be recommended too
        return max(runs, key=lambda run: run.validation_accuracy or 0).setting
    return stages.best_so_far(plan, runs)


def ray_tune(replay: Replay) -> Iterator[Replayed]:
    """Run OptunaSearch and ASHA as Ray Tune does with one worker."""
    study = optuna.create_study(direction="maximize", sampler=_tpe(replay))
    # The scheduler's own rungs; the scheduler itself wants Ray's controller.
    rungs: Any = ASHAScheduler(max_t=replay.plan.run_epochs)._brackets[0]
    best = -math.inf, RECIPE_BASELINE
    for number in range(MAX_TRIALS):
        trial = study.ask()
        ham_config = _suggested(replay.plan.space, trial)
        epoch, value = 0, 0.0
        for epoch, value in enumerate(replay.curve(ham_config), start=1):
            reported = SimpleNamespace(trial_id=str(number))
            if (
                epoch < replay.plan.run_epochs
                and rungs.on_result(reported, epoch, value) == "STOP"
            ):
                break
        study.tell(trial, value)
        best = max(best, (value, ham_config), key=lambda pair: pair[0])
        yield Replayed(epoch, best[1])


def plain_tpe(replay: Replay) -> Iterator[Replayed]:
    """Run Optuna's TPE, every trial at full length."""
    study = optuna.create_study(direction="maximize", sampler=_tpe(replay))
    best = -math.inf, RECIPE_BASELINE
    for _ in range(MAX_TRIALS):
        trial = study.ask()
        ham_config = _suggested(replay.plan.space, trial)
        value = replay.curve(ham_config)[-1]
        study.tell(trial, value)
        best = max(best, (value, ham_config), key=lambda pair: pair[0])
        yield Replayed(replay.plan.run_epochs, best[1])


def random_search(replay: Replay) -> Iterator[Replayed]:
    """Draw configurations from the space at random."""
    draw, space = random.Random(replay.plan.sampler_seed), replay.plan.space
    ham_configs = [
        space.decode(
            {
                name: axis.floor * (axis.high / axis.floor) ** draw.random()
                for name, axis in (("alpha", space.alpha), ("beta", space.beta))
            }
        )
        for _ in range(MAX_TRIALS)
    ]
    return _best_of(replay, ham_configs)


def paper_grid(replay: Replay) -> Iterator[Replayed]:
    """Try the paper's grid in a random order."""
    ham_configs = [HamConfig(*pair) for pair in itertools.product(PAPER_ALPHAS, PAPER_BETAS)]
    random.Random(replay.plan.sampler_seed).shuffle(ham_configs)
    return _best_of(replay, ham_configs)


def _best_of(replay: Replay, ham_configs: Sequence[HamConfig]) -> Iterator[Replayed]:
    best = -math.inf, RECIPE_BASELINE
    for ham_config in ham_configs:
        best = max(best, (replay.curve(ham_config)[-1], ham_config), key=lambda pair: pair[0])
        yield Replayed(replay.plan.run_epochs, best[1])


def _tpe(replay: Replay) -> optuna.samplers.TPESampler:
    return optuna.samplers.TPESampler(seed=replay.plan.sampler_seed)


def _suggested(space: SearchSpace, trial: optuna.Trial) -> HamConfig:
    return space.decode(
        {
            name: trial.suggest_float(name, axis.floor, axis.high, log=True)
            for name, axis in (("alpha", space.alpha), ("beta", space.beta))
        }
    )


SYSTEMS: dict[str, Callable[[Replay], Iterator[Replayed]]] = {
    "hamtune": hamtune,
    "hamtune, transfer": hamtune_with_transfer,
    "best single trial": best_single,
    "Ray Tune, ASHA": ray_tune,
    "Optuna TPE": plain_tpe,
    "random": random_search,
    "paper's grid": paper_grid,
}
SERVICE, SCRIPT = Cost(0.30, 0.091), Cost(0.1, 0.025)
COSTS = {
    "hamtune": SERVICE,
    "hamtune, transfer": SERVICE,
    "best single trial": SERVICE,
    "Ray Tune, ASHA": Cost(1.7, 1.904),
    "Optuna TPE": SCRIPT,
    "random": SCRIPT,
    "paper's grid": SCRIPT,
}
"""Measured by ``benchmarks.scheduling`` with trainings of 0 s, on two otherwise idle cores; the
service's workers are warm."""


class Trace(NamedTuple):
    """The spending of a system after each training, and the regret of its recommendation.

    Attributes:
        epochs: trained so far.
        seconds: modelled wall time so far.
        regrets: of the recommendation, fractions of accuracy against the best on the grid.
    """

    epochs: list[int]
    seconds: list[float]
    regrets: list[float]

    def until_good(self) -> tuple[float, float]:
        """Return the epochs and seconds until the recommendation was good; infinity if never."""
        for epochs, seconds, regret in zip(*self, strict=True):
            if regret <= GOOD:
                return epochs, seconds
        return math.inf, math.inf


def traced(name: str, replay: Replay, seconds_per_epoch: float) -> Trace:
    """Run a system on a replay."""
    cost, regret = COSTS[name], dict[HamConfig, float]()
    trace, epochs, seconds = Trace([], [], []), 0, cost.once
    for training in SYSTEMS[name](replay):
        epochs += training.epochs
        seconds += training.epochs * seconds_per_epoch + cost.per_trial
        recommended = training.recommended
        if recommended not in regret:
            regret[recommended] = replay.truth.best - replay.truth.expected(recommended)
        trace.epochs.append(epochs)
        trace.seconds.append(seconds)
        trace.regrets.append(regret[recommended])
    return trace


def replays(truths: dict[str, Truth], repetitions: int) -> Iterator[Replay]:
    """Yield the combinations of the default recipe, each with several orders of its seeds."""
    recorded = list(known(truths))
    everything = [tuned for tuned, _ in recorded]
    for left_out, truth in recorded:
        if left_out.recipe != RECIPE:
            continue
        where = left_out.combination
        base = resolve(
            StudyRequest(
                model=where.model,
                dataset=where.dataset,
                sparsifier=where.sparsifier,
                sparsity=where.sparsity,
            )
        )
        found = transfer(where, left_out.recipe, base.space, everything)
        opening = tuple(c for c in found.portfolio if not c.is_baseline) if found else ()
        for number in range(repetitions):
            order = np.random.default_rng(number).permutation(truth.seeds).tolist()
            plan = base.model_copy(update={"sampler_seed": 1000 * number})
            yield Replay(plan, truth, order, opening)


def seconds_per_epoch(file: Path) -> dict[str, float]:
    """Return the median recorded CPU seconds of an epoch of each combination of the recipe."""
    seconds = defaultdict(list)
    with file.open(newline="") as stream:
        for training in csv.DictReader(stream):
            if training["cpu_seconds"]:
                seconds[training["combination"]].append(float(training["cpu_seconds"]))
    return {key: median(own) / RECIPE.epochs for key, own in seconds.items()}


def main() -> None:
    """Print the table and draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--file", type=Path, default=FILE)
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--draw", type=Path, help="SVG file for the regret over time")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    paces = seconds_per_epoch(args.file)
    traces: dict[str, dict[str, list[Trace]]] = defaultdict(lambda: defaultdict(list))
    for replay in replays(load(args.file), args.repetitions):
        key = replay.plan.combination.key
        for name in SYSTEMS:
            traces[key][name].append(traced(name, replay, paces[key]))
    for key, by_system in traces.items():
        _print(key, by_system)
    everything = {
        name: [trace for own in traces.values() for trace in own[name]] for name in SYSTEMS
    }
    _print("all", everything)
    if args.draw:
        curves = {name: mean_curve(own) for name, own in everything.items()}
        title = "Mean regret of the recommended configuration, points, over modelled wall time"
        args.draw.write_text(draw(title, "seconds", "points", curves))


def _print(title: str, by_system: dict[str, list[Trace]]) -> None:
    print(f"\n{title}")
    print(f"{'':20} {'epochs':>8} {'seconds':>8} {'good':>6} {'regret at end, points':>22}")
    for name, traces in by_system.items():
        until = [trace.until_good() for trace in traces]
        good = fmean(math.isfinite(epochs) for epochs, _ in until)
        regret = fmean(trace.regrets[-1] for trace in traces) / POINT
        epochs = _middle([value for value, _ in until], [trace.epochs[-1] for trace in traces])
        seconds = _middle([value for _, value in until], [trace.seconds[-1] for trace in traces])
        print(f"{name:20} {epochs:>8} {seconds:>8} {100 * good:5.0f}% {regret:22.2f}", flush=True)


def _middle(until: Sequence[float], ends: Sequence[float]) -> str:
    """Return the median as text; a lower bound, marked by ``>``, where it is infinite.

    A search that never became good would have needed longer than it ran.
    """
    if math.isfinite(median(until)):
        return f"{median(until):.4g}"
    return f">{median(map(min, until, ends)):.4g}"


def mean_curve(traces: Sequence[Trace], points: int = 60) -> list[tuple[float, float]]:
    """Return the mean regret (points) over time (seconds), from the last start to the last end."""
    first = max(trace.seconds[0] for trace in traces)
    last = max(trace.seconds[-1] for trace in traces)
    times = np.geomspace(first, last, points)
    means = [
        fmean(
            trace.regrets[int(np.searchsorted(trace.seconds, time, side="right")) - 1]
            for trace in traces
        )
        for time in times
    ]
    return [
        (float(time), max(mean / POINT, 0.01)) for time, mean in zip(times, means, strict=True)
    ]


if __name__ == "__main__":
    main()
