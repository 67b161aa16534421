"""The regret of the whole selection, on simulated noisy surfaces of several shapes.

``python -m benchmarks.selection`` prints three regrets for each shape: of the configuration that
is selected, of the best single trial of the same search, and of the best single trial of a longer
search that spends the trainings of the screening as well. Regret is the loss of true accuracy
against the best configuration, in units of the gap between that and the baseline, without HAM. The
noise of a training is half the gap, and a part of it is shared by all configurations of a seed.

Nothing is trained. The search is the product's own (Optuna), and so are the choice of finalists,
the screening and the selection. Only the measured accuracies are simulated.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import fmean, stdev
from typing import NamedTuple

import numpy as np
import optuna

from ham.client.records import Plan, Purpose, Run, RunState, StoredMeasures, StudyRequest
from ham.config import HamConfig
from service.domain.planning.plans import resolve
from service.domain.search import stages
from service.domain.search.candidates import grid
from service.domain.search.screening_rounds import rounds_of, training_count
from service.records import Job, Outcome
from service.workers.study.optuna_search import OptunaSearch

NOISE = 0.5
SEED_SHARE = 0.3
CLIFF = 50.0
Shape = Callable[[float, float], float]


def _step(value: float) -> float:
    return 1 / (1 + math.exp(-max(-500.0, min(500.0, value))))


def _hill(a: float, b: float) -> float:
    """A smooth hill in the middle."""
    return math.exp(-(((a - 0.5) / 0.25) ** 2) - ((b - 0.6) / 0.25) ** 2)


def _ridge(a: float, b: float) -> float:
    """A ridge near a cliff, beyond which trainings collapse."""
    high = math.exp(-(((a - 0.62) / 0.17) ** 2) - ((b - 0.55) / 0.27) ** 2)
    return high - CLIFF * _step((a - 0.82) / 0.012)


def _plateau(a: float, b: float) -> float:
    """A wide plateau between a slope without effect and a cliff."""
    flat = _step((a - 0.35) / 0.04) * _step((0.75 - a) / 0.03)
    return flat * (0.85 + 0.15 * math.exp(-(((b - 0.5) / 0.3) ** 2))) - CLIFF * _step(
        (a - 0.82) / 0.012
    )


def _shrinkage(a: float, b: float) -> float:
    """Beta alone matters, until alpha is too strong."""
    return math.exp(-(((b - 0.85) / 0.2) ** 2)) - CLIFF * _step(
        (a - 0.82 - 0.15 * (b - 0.5)) / 0.012
    )


def _diagonal(a: float, b: float) -> float:
    """A narrow ridge along which alpha and beta compensate for each other."""
    across = (a + 0.6 * (b - 0.5) - 0.55) / 0.12
    return math.exp(-(across**2) - ((b - 0.5) / 0.3) ** 2) - CLIFF * _step((a - 0.82) / 0.012)


def _flat(a: float, b: float) -> float:
    """Almost no slope, beside a cliff."""
    return -((a - 0.4) ** 2 + (b - 0.5) ** 2) / 0.41 - CLIFF * _step((a - 0.8) / 0.012)


SHAPES: dict[str, Shape] = {
    "hill": _hill,
    "ridge": _ridge,
    "plateau": _plateau,
    "shrinkage": _shrinkage,
    "diagonal": _diagonal,
    "flat": _flat,
}


@dataclass(frozen=True)
class World:
    """A true surface over the configurations of a plan: 0 at the best, -1 at the baseline."""

    plan: Plan
    shape: Shape

    def __post_init__(self) -> None:
        heights = [self._height(ham_config) for ham_config in grid(self.plan.space)]
        object.__setattr__(self, "_best", max(heights))
        object.__setattr__(self, "_gap", max(heights) - self._height(HamConfig(0, 0)))

    def _height(self, ham_config: HamConfig) -> float:
        space = self.plan.space
        return self.shape(
            space.alpha.coordinate(ham_config.alpha), space.beta.coordinate(ham_config.beta)
        )

    def regret(self, ham_config: HamConfig) -> float:
        """Return the loss against the best configuration, in gaps."""
        height = self._height(ham_config)
        loss: float = (self._best - height) / self._gap  # type: ignore[attr-defined]
        return loss


class Simulator:
    """Measures configurations of a world with the noise of seeds and of runs."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self._rng = np.random.default_rng([number, 7])
        self._of_seed: dict[int, float] = {}

    def run(self, job: Job) -> Run:
        """Return the run of a job, as if trained; an accuracy of 1 is one gap."""
        if job.seed not in self._of_seed:
            self._of_seed[job.seed] = SEED_SHARE * NOISE * float(self._rng.normal())
        noise = math.sqrt(1 - SEED_SHARE**2) * NOISE * float(self._rng.normal())
        return run_of(job, -self._world.regret(job.setting) + self._of_seed[job.seed] + noise)


def run_of(job: Job, accuracy: float) -> Run:
    """Return the run of a job that ended with this validation accuracy."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Run(
        id=job.name,
        study_id="simulated",
        combination="",
        purpose=job.purpose,
        trial_number=job.trial_number,
        sparsity=0.9,
        setting=job.setting,
        seed=job.seed,
        state=RunState.SUCCEEDED,
        epochs=1,
        epochs_done=1,
        validation_accuracy=accuracy,
        test_accuracy=None,
        seconds=None,
        measures=StoredMeasures(),
        environment={},
        error=None,
        attempt=1,
        started_at=now,
        ended_at=now,
    )


def search(plan: Plan, simulator: Simulator, trials: int) -> list[Run]:
    """Return the runs of the product's own search."""
    proposer = OptunaSearch(optuna.storages.InMemoryStorage(), "simulated", plan)
    runs = []
    for _ in range(trials):
        number, ham_config, _ = proposer.ask()
        job = Job(purpose=Purpose.SEARCH, setting=ham_config, seed=0, trial_number=number)
        runs.append(simulator.run(job))
        proposer.tell(number, Outcome(validation_accuracy=runs[-1].validation_accuracy))
    return runs


def select(plan: Plan, simulator: Simulator, searched: list[Run]) -> HamConfig:
    """Return the configuration that the screening after a search selects."""
    runs = searched + [simulator.run(job) for job in stages.baseline_jobs(plan, Purpose.SCREENING)]
    for number in range(stages.round_count(plan)):
        runs += [simulator.run(job) for job in stages.round_jobs(plan, runs, number=number)]
    return stages.selected(plan, runs)


def best_single(searched: list[Run]) -> HamConfig:
    """Return the configuration of the trial with the highest measured accuracy."""
    return max(searched, key=lambda run: run.validation_accuracy or -math.inf).setting


class Regrets(NamedTuple):
    """Regrets of one repetition, in gaps.

    Attributes:
        selected: of the configuration that search and screening select.
        best_single: of the best single trial of that search.
        best_of_all: of the best single trial of a search as long as search and screening together.
    """

    selected: float
    best_single: float
    best_of_all: float


def regrets(shape: Shape, repetitions: int) -> Iterator[Regrets]:
    """Yield the regrets of independent studies."""
    request = StudyRequest(model="digits_cnn", dataset="digits", sparsifier="random", sparsity=0.9)
    for number in range(repetitions):
        plan = resolve(request).model_copy(update={"sampler_seed": 1000 * number})
        world, simulator = World(plan, shape), Simulator(World(plan, shape), number)
        budget = plan.budget
        screening = training_count(rounds_of(budget))
        trials = search(plan, simulator, budget.trials + screening)
        searched = trials[: budget.trials]
        chosen = select(plan, simulator, searched), best_single(searched), best_single(trials)
        yield Regrets(*map(world.regret, chosen))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=list(SHAPES))
    args = parser.parse_args()
    print(f"regret in gaps, {args.repetitions} repetitions, noise {NOISE} gaps")
    titles = ["selected", "best single", "best of all", "ratio", "ratio to all"]
    print(f"{'shape':10} " + " ".join(f"{title:>16}" for title in titles))
    everything: list[Regrets] = []
    for name in args.shapes:
        found = list(regrets(SHAPES[name], args.repetitions))
        everything += found
        _print(name, found)
    _print("all", everything)


def _print(name: str, found: list[Regrets]) -> None:
    columns = list(zip(*found, strict=True))
    root = math.sqrt(len(found))
    cells = [f"{fmean(column):.3f} +- {stdev(column) / root:.3f}" for column in columns]
    cells += [f"{fmean(columns[0]) / fmean(other):.2f}" for other in columns[1:]]
    print(f"{name:10} " + " ".join(f"{cell:>16}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
