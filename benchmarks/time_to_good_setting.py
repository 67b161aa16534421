"""What it costs until the setting that would be recommended is good, on the recorded truth.

``python -m benchmarks.time_to_good_setting`` replays searches of eight combinations on recorded
trainings: good is within 0.2 points of the best mean validation accuracy on the recorded grid.
Each system is asked after every training which setting it would recommend by now:

- ours: the product's search, surface and race, without and with settings carried over from the
  other combinations;
- the same search, without surface and race: its best single trial;
- Ray Tune: OptunaSearch and ASHA with their defaults (Ray's own rungs; a stopped trial is told
  as COMPLETE, as Ray's bridge tells it), and ``get_best_result``: the best last report;
- Optuna: TPE at full length, and its best trial;
- random search, and the paper's grid, and their best trial.

**Nothing is trained, and no wall time is measured here.** Epochs are counted. Wall time is
modelled, as on one worker: the median recorded CPU seconds of an epoch of the combination, times
the epochs, plus what each system costs beside its trainings, once and per trial
(:data:`COSTS`, measured by ``benchmarks.scheduling``). Our screening and its baselines count; a
search that has not become good when it ends counts as never, and the share of those is printed.
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
from service.domain.search.surface import FEWEST_RUNS
from service.domain.transfer.pooled_effects import transfer
from service.records import Job, Outcome
from service.workers.study.optuna_search import OptunaSearch

MOST_TRIALS = 100
"""Of the systems that would go on for ever."""
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


class Step(NamedTuple):
    """A training, and what would be recommended after it.

    Attributes:
        epochs: trained, of this training.
        recommended: no HAM as long as nothing else is known.
    """

    epochs: int
    recommended: HamConfig


class Replay(NamedTuple):
    """A combination under one order of its recorded seeds: search, screening, ...

    Attributes:
        opening: settings that other combinations suggest.
    """

    plan: Plan
    truth: Truth
    order: Sequence[int]
    opening: tuple[HamConfig, ...]

    def curve(self, setting: HamConfig, seed: int = 0) -> list[float]:
        """Return the accuracies of a training; the search's seed is 0."""
        epochs: list[float] = self.truth.curve(
            setting, self.order[seed % len(self.order)]
        ).tolist()
        return epochs

    def run(self, job: Job) -> Run:
        """Return the run of a job, a screening seed being the next in order."""
        seed = 0
        if job.purpose == Purpose.SCREENING:
            seed = 1 + self.plan.screening_seeds.index(job.seed)
        return run_of(job, self.curve(job.setting, seed)[-1])


def ours(replay: Replay, opening: tuple[HamConfig, ...] = ()) -> Iterator[Step]:
    """Run the product's search and race."""
    plan, runs = replay.plan, list[Run]()
    search = OptunaSearch(optuna.storages.InMemoryStorage(), "replayed", plan, opening)
    for _ in range(plan.budget.trials):
        number, setting, _ = search.ask()
        job = Job(purpose=Purpose.SEARCH, setting=setting, seed=0, trial_number=number)
        runs.append(replay.run(job))
        search.tell(number, Outcome(validation_accuracy=runs[-1].validation_accuracy))
        yield Step(plan.run_epochs, _favourite(plan, runs))
    best = _favourite(plan, runs)
    jobs = stages.baseline_jobs(plan, Purpose.SCREENING)
    for heat in range(stages.round_count(plan)):
        jobs += stages.round_jobs(plan, runs, number=heat)
        runs += [replay.run(job) for job in jobs]
        yield from (Step(plan.run_epochs, best) for _ in jobs[1:])
        best = _favourite(plan, runs)
        if jobs:
            yield Step(plan.run_epochs, best)
        jobs = []


def best_single(replay: Replay) -> Iterator[Step]:
    """Run the product's search alone, and believe its best trial."""
    search = OptunaSearch(optuna.storages.InMemoryStorage(), "replayed", replay.plan)
    best = -math.inf, RECIPE_BASELINE
    for _ in range(replay.plan.budget.trials):
        number, setting, _ = search.ask()
        value = replay.curve(setting)[-1]
        search.tell(number, Outcome(validation_accuracy=value))
        best = max(best, (value, setting), key=lambda pair: pair[0])
        yield Step(replay.plan.run_epochs, best[1])


def transferring(replay: Replay) -> Iterator[Step]:
    """Run it with what other combinations suggest."""
    return ours(replay, replay.opening)


def _favourite(plan: Plan, runs: Sequence[Run]) -> HamConfig:
    if all(run.setting.is_baseline for run in runs):
        return RECIPE_BASELINE
    if len(runs) < FEWEST_RUNS:  # no HAM counts as well as long as there is no surface
        return max(runs, key=lambda run: run.validation_accuracy or 0).setting
    return stages.best_so_far(plan, runs)


def ray_tune(replay: Replay) -> Iterator[Step]:
    """Run OptunaSearch and ASHA as Ray Tune does with one worker."""
    study = optuna.create_study(direction="maximize", sampler=_tpe(replay))
    # The scheduler's own rungs; the scheduler itself wants Ray's controller.
    rungs: Any = ASHAScheduler(max_t=replay.plan.run_epochs)._brackets[0]
    best = -math.inf, RECIPE_BASELINE
    for number in range(MOST_TRIALS):
        trial = study.ask()
        setting = _suggested(replay.plan.space, trial)
        epoch, value = 0, 0.0
        for epoch, value in enumerate(replay.curve(setting), start=1):
            row = SimpleNamespace(trial_id=str(number))
            if epoch < replay.plan.run_epochs and rungs.on_result(row, epoch, value) == "STOP":
                break
        study.tell(trial, value)
        best = max(best, (value, setting), key=lambda pair: pair[0])
        yield Step(epoch, best[1])


def plain_tpe(replay: Replay) -> Iterator[Step]:
    """Run Optuna's TPE, every trial at full length."""
    study = optuna.create_study(direction="maximize", sampler=_tpe(replay))

    def settings() -> Iterator[tuple[HamConfig, optuna.Trial]]:
        for _ in range(MOST_TRIALS):
            trial = study.ask()
            yield _suggested(replay.plan.space, trial), trial

    best = -math.inf, RECIPE_BASELINE
    for setting, trial in settings():
        value = replay.curve(setting)[-1]
        study.tell(trial, value)
        best = max(best, (value, setting), key=lambda pair: pair[0])
        yield Step(replay.plan.run_epochs, best[1])


def random_search(replay: Replay) -> Iterator[Step]:
    """Draw settings from the space."""
    draw, space = random.Random(replay.plan.sampler_seed), replay.plan.space
    settings = [
        space.decode(
            {
                name: axis.floor * (axis.high / axis.floor) ** draw.random()
                for name, axis in (("alpha", space.alpha), ("beta", space.beta))
            }
        )
        for _ in range(MOST_TRIALS)
    ]
    return _best_of(replay, settings)


def paper_grid(replay: Replay) -> Iterator[Step]:
    """Try the paper's grid in a random order."""
    settings = [HamConfig(*pair) for pair in itertools.product(PAPER_ALPHAS, PAPER_BETAS)]
    random.Random(replay.plan.sampler_seed).shuffle(settings)
    return _best_of(replay, settings)


def _best_of(replay: Replay, settings: Sequence[HamConfig]) -> Iterator[Step]:
    best = -math.inf, RECIPE_BASELINE
    for setting in settings:
        best = max(best, (replay.curve(setting)[-1], setting), key=lambda pair: pair[0])
        yield Step(replay.plan.run_epochs, best[1])


def _tpe(replay: Replay) -> optuna.samplers.TPESampler:
    return optuna.samplers.TPESampler(seed=replay.plan.sampler_seed)


def _suggested(space: SearchSpace, trial: optuna.Trial) -> HamConfig:
    return space.decode(
        {
            name: trial.suggest_float(name, axis.floor, axis.high, log=True)
            for name, axis in (("alpha", space.alpha), ("beta", space.beta))
        }
    )


SYSTEMS: dict[str, Callable[[Replay], Iterator[Step]]] = {
    "hamtune": ours,
    "hamtune, transfer": transferring,
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
"""Measured by ``benchmarks.scheduling`` with trainings of 0 s, on two cores with nothing beside;
the service's workers are warm."""


class Trace(NamedTuple):
    """What a system had spent after each training, and the regret of what it then recommended.

    Attributes:
        seconds: modelled wall time.
        regrets: fractions of accuracy against the best on the grid.
    """

    epochs: list[int]
    seconds: list[float]
    regrets: list[float]

    def until_good(self) -> tuple[float, float]:
        """Return the epochs and seconds until the recommendation was good; infinite if never."""
        for epochs, seconds, regret in zip(*self, strict=True):
            if regret <= GOOD:
                return epochs, seconds
        return math.inf, math.inf


def traced(name: str, replay: Replay, seconds_per_epoch: float) -> Trace:
    """Run a system on a replay."""
    cost, regret = COSTS[name], dict[HamConfig, float]()
    trace, epochs, seconds = Trace([], [], []), 0, cost.once
    for step in SYSTEMS[name](replay):
        epochs += step.epochs
        seconds += step.epochs * seconds_per_epoch + cost.per_trial
        setting = step.recommended
        if setting not in regret:
            regret[setting] = replay.truth.best - replay.truth.expected(setting)
        trace.epochs.append(epochs)
        trace.seconds.append(seconds)
        trace.regrets.append(regret[setting])
    return trace


def replays(truths: dict[str, Truth], repetitions: int) -> Iterator[Replay]:
    """Yield the combinations of the default recipe, each under several orders of its seeds."""
    rows = list(known(truths))
    everything = [one for one, _ in rows]
    for left_out, truth in rows:
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
        opening = tuple(s for s in found.portfolio if not s.is_baseline) if found else ()
        for number in range(repetitions):
            order = np.random.default_rng(number).permutation(truth.seeds).tolist()
            plan = base.model_copy(update={"sampler_seed": 1000 * number})
            yield Replay(plan, truth, order, opening)


def seconds_per_epoch(file: Path) -> dict[str, float]:
    """Return the median recorded CPU seconds of an epoch of each combination of the recipe."""
    seconds = defaultdict(list)
    with file.open(newline="") as stream:
        for row in csv.DictReader(stream):
            if row["cpu_seconds"]:
                seconds[row["combination"]].append(float(row["cpu_seconds"]))
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
        title = "Mean regret of the recommended setting, points, over modelled wall time"
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
    """Return the median in words; where it is infinite, what at least it is.

    A search that never became good, had it gone on, would have taken longer than it did.
    """
    if math.isfinite(median(until)):
        return f"{median(until):.4g}"
    return f">{median(map(min, until, ends)):.4g}"


def mean_curve(traces: Sequence[Trace], points: int = 60) -> list[tuple[float, float]]:
    """Return the mean regret in points over time, from when all have begun to when one ends."""
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
