"""Simulated regret of the samplers for two objectives.

``python -m benchmarks.pareto_fronts`` searches over alpha, beta and three sparsities with a known
truth: HAM gains most at one point, the same at every sparsity, and the noise of a run is a tenth
of that gain. It prints by how many points the best configuration tried at a sparsity falls short
of the optimum, and how many trials repeat an earlier one.
"""

from __future__ import annotations

import argparse
import math
import random
from statistics import fmean, stdev

import optuna

from ham.client.records import Budget, Plan, Sampler, StoredMeasures, StudyRequest
from ham.client.records.studies import PARETO_SAMPLERS
from ham.config import HamConfig
from service.domain.planning.plans import resolve
from service.records import Outcome
from service.workers.study.optuna_search import OptunaSearch

LEVELS = (0.5, 0.8, 0.9)
GAIN, NOISE = 0.03, 0.003


def gain(ham_config: HamConfig) -> float:
    """Return the true gain of a configuration, a fraction: highest at alpha 30, beta 0.01."""
    alpha = math.log10(max(ham_config.alpha, 0.5) / 30)
    beta = math.log10(max(ham_config.beta, 5e-5) / 0.01)
    return GAIN * math.exp(-(alpha**2) - 0.3 * beta**2)


def searched(plan: Plan, noise: random.Random) -> tuple[float, int]:
    """Return the mean shortfall over the sparsities, and the number of repeated trials."""
    search = OptunaSearch(optuna.storages.InMemoryStorage(), "search", plan)
    tried = []
    for _ in range(plan.search_trials):
        number, ham_config, sparsity = search.ask()
        assert sparsity is not None
        tried.append((ham_config, sparsity))
        accuracy = 0.93 + gain(ham_config) - 0.2 * sparsity**4 + noise.gauss(0, NOISE)
        measures = StoredMeasures.read({"sparsity": {"realised": sparsity}})
        search.tell(number, Outcome(validation_accuracy=accuracy, measures=measures))
    best = [max(gain(c) for c, at in tried if at == level) for level in LEVELS]
    return GAIN - fmean(best), len(tried) - len(set(tried))


def main() -> None:
    """Compare the samplers on equal budgets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--repetitions", type=int, default=40)
    args = parser.parse_args()
    for sampler in PARETO_SAMPLERS:
        plan = resolve(_request(sampler, args.trials))
        seeds = [plan.sampler_seed + 10_000 * number for number in range(args.repetitions)]
        found = [
            searched(plan.model_copy(update={"sampler_seed": seed}), random.Random(seed))
            for seed in seeds
        ]
        short, repeated = zip(*found, strict=True)
        error = stdev(short) / math.sqrt(len(short))
        print(
            f"{sampler}: {100 * fmean(short):.2f} +- {100 * error:.2f} points short, "
            f"{fmean(repeated):.1f} of {args.trials} trials repeated",
            flush=True,
        )


def _request(sampler: Sampler, trials: int) -> StudyRequest:
    return StudyRequest(
        model="digits_mlp",
        dataset="digits",
        sparsifier="random",
        objectives=("accuracy", "sparsity"),
        sparsities=LEVELS,
        sampler=sampler,
        budget=Budget(trials=trials),
    )


if __name__ == "__main__":
    main()
