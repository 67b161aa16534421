"""What transferred configurations are worth, on the recorded truth.

``python -m benchmarks.transfer`` leaves each combination out in turn and transfers a configuration
from the others, for each way of rescaling configurations from recipe to recipe. It trains nothing,
and prints three tables:

- the share of the tuned gain that the transferred configuration reaches, how often it is worse
  than the baseline, and how often the prediction interval contains the recorded gain;
- the number of trials until a search has tried a configuration within 0.2 points of the best
  recorded one, with and without a warm start;
- the regret of the best configuration so far of a search with a warm start, with and without the
  prior.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, median

import numpy as np
import optuna

from benchmarks.recorded_truth import CELLS, FILE, RECIPE, combination
from benchmarks.replay import Truth, load
from benchmarks.selection import run_of
from ham.client.records import Plan, Purpose, Run, StudyRequest, SurfaceGrid
from ham.config import RECIPE_BASELINE, Combination, HamConfig, Recipe
from search_spaces import space_for
from service.domain.planning.plans import resolve
from service.domain.search.stages import best_so_far
from service.domain.transfer.neighbour_gains import Rescaling, rescale
from service.domain.transfer.pooled_effects import prior, transfer
from service.domain.transfer.similarity import TunedCombination
from service.records import Job, Outcome
from service.workers.study.optuna_search import OptunaSearch

POINT = 0.01
GOOD = 0.2 * POINT
MAX_TRIALS = 32
MARKS = (8, 16, 32)


def _scaled(ham_config: HamConfig, alpha: float, beta: float) -> HamConfig:
    return HamConfig(alpha=ham_config.alpha * alpha, beta=ham_config.beta * beta)


def _lr(origin: Recipe, goal: Recipe) -> float:
    return origin.learning_rate / goal.learning_rate


RESCALINGS: dict[str, Rescaling] = {
    "as they are": lambda ham_config, origin, goal: ham_config,
    "lr x alpha": lambda ham_config, origin, goal: _scaled(ham_config, _lr(origin, goal), 1),
    "lr x alpha, lr x beta": rescale,
    "lr x alpha, lr x beta x epochs": lambda ham_config, origin, goal: _scaled(
        ham_config, _lr(origin, goal), _lr(origin, goal) * origin.epochs / goal.epochs
    ),
}


def known(truths: dict[str, Truth]) -> Iterator[tuple[TunedCombination, Truth]]:
    """Yield every recorded combination, with the surface that a study of the whole grid has."""
    for cell in CELLS:
        where = combination(cell)
        truth = truths[where.key]
        yield TunedCombination(where, cell[3], _surface(truth)), truth


def _surface(truth: Truth) -> SurfaceGrid:
    """Return means and standard errors; valleys are shallow, as on the product's surface."""
    final = truth.curves[..., -1]
    mean = final.mean(axis=0)
    gains = (final - final[:, :1, :1]).std(axis=0, ddof=1)
    error = float(np.median(gains)) / math.sqrt(2 * truth.seeds)
    floor = float(np.median(mean)) - 2 * POINT
    return SurfaceGrid(
        alphas=tuple(truth.alphas),
        betas=tuple(truth.betas),
        mean=tuple(map(tuple, np.maximum(mean, floor).tolist())),
        deviation=tuple(map(tuple, np.full(mean.shape, error).tolist())),
        near_optimal=float(mean.max()),
        candidate=RECIPE_BASELINE,
        tried=(),
    )


def leave_one_out(
    recorded: list[tuple[TunedCombination, Truth]], rescaling: Rescaling
) -> dict[str, float]:
    """Return how the transferred configurations did on the combinations that were left out.

    Returns:
        ``share``: median share of the tuned gain that is reached. ``worse``: how many are worse
        than the baseline. ``held``: how many prediction intervals contain the recorded gain.
        ``refused``: how many have too few neighbours. ``of``: the number of combinations.
    """
    shares, worse, held, refused = [], 0, 0, 0
    everything = [tuned for tuned, _ in recorded]
    for left_out, truth in recorded:
        space = space_for(left_out.combination.sparsifier)
        found = transfer(left_out.combination, left_out.recipe, space, everything, rescaling)
        if found is None:
            refused += 1
            continue
        gain = truth.expected_test(found.ham_config) - truth.expected_test(RECIPE_BASELINE)
        tuned = truth.expected_test(truth.best_configuration)
        tuned_gain = tuned - truth.expected_test(RECIPE_BASELINE)
        shares.append(gain / tuned_gain if tuned_gain > 0 else math.inf)
        worse += gain < 0
        seen = truth.expected(found.ham_config) - truth.expected(RECIPE_BASELINE)
        held += found.low <= seen <= found.high
    return {
        "share": median(shares),
        "worse": worse,
        "held": held,
        "refused": refused,
        "of": len(recorded),
    }


def _request(where: Combination) -> StudyRequest:
    return StudyRequest(
        model=where.model,
        dataset=where.dataset,
        sparsifier=where.sparsifier,
        sparsity=where.sparsity,
    )


def trials_needed(plan: Plan, truth: Truth, opening: tuple[HamConfig, ...]) -> int:
    """Return the trials until one is within 0.2 points of the best; 33 if none of 32 is."""
    storage = optuna.storages.InMemoryStorage()
    search = OptunaSearch(storage, "replayed", plan, opening)
    for trial in range(1, MAX_TRIALS + 1):
        number, ham_config, _ = search.ask()
        if truth.expected(ham_config) >= truth.best - GOOD:
            return trial
        accuracy = float(truth.curve(ham_config, plan.sampler_seed)[-1])
        search.tell(number, Outcome(validation_accuracy=accuracy))
    return MAX_TRIALS + 1


def warm_starts(
    recorded: list[tuple[TunedCombination, Truth]], repetitions: int
) -> Iterator[tuple[str, float, float]]:
    """Yield each combination with the median trials needed without and with a warm start."""
    everything = [tuned for tuned, _ in recorded]
    for left_out, truth in recorded:
        where = left_out.combination
        base = resolve(_request(where))
        found = transfer(where, left_out.recipe, base.space, everything)
        needed: tuple[list[int], list[int]] = ([], [])
        for number in range(repetitions):
            plan = base.model_copy(update={"sampler_seed": 1000 * number})
            for opening, into in zip(((), found.portfolio if found else ()), needed, strict=True):
                into.append(trials_needed(plan, truth, opening))
        yield where.key, median(needed[0]), median(needed[1])


def priors(
    recorded: list[tuple[TunedCombination, Truth]], repetitions: int
) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Yield, search by search, the regrets without and with the prior after :data:`MARKS` trials.

    Both look at the same trials: a prior changes the surface, not the trials.
    """
    everything = [tuned for tuned, _ in recorded]
    for left_out, truth in recorded:
        where = left_out.combination
        if left_out.recipe != RECIPE:
            continue
        base = resolve(_request(where))
        found = transfer(where, left_out.recipe, base.space, everything)
        expected = prior(where, left_out.recipe, base.space, everything)
        for number in range(repetitions):
            plan = base.model_copy(update={"sampler_seed": 1000 * number})
            runs = _searched(plan, truth, found.portfolio if found else ())
            with_prior = plan.model_copy(update={"prior": expected})
            yield (
                where.key,
                [
                    (
                        truth.best - truth.expected(best_so_far(plan, runs[:trials])),
                        truth.best - truth.expected(best_so_far(with_prior, runs[:trials])),
                    )
                    for trials in MARKS
                ],
            )


def _searched(plan: Plan, truth: Truth, opening: tuple[HamConfig, ...]) -> list[Run]:
    search = OptunaSearch(optuna.storages.InMemoryStorage(), "replayed", plan, opening)
    runs = []
    for _ in range(max(MARKS)):
        number, ham_config, _ = search.ask()
        accuracy = float(truth.curve(ham_config, plan.sampler_seed)[-1])
        job = Job(purpose=Purpose.SEARCH, setting=ham_config, seed=0, trial_number=number)
        runs.append(run_of(job, accuracy))
        search.tell(number, Outcome(validation_accuracy=accuracy))
    return runs


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=FILE)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--prior-repetitions", type=int, default=5)
    args = parser.parse_args()
    recorded = list(known(load(args.file)))
    fewest = min(truth.seeds for _, truth in recorded)
    print(f"{len(recorded)} combinations, {fewest} seeds or more")
    print(f"{'rescaled':32} {'share of tuned gain':>20} {'worse than baseline':>20} {'held':>6}")
    for name, rescaling in RESCALINGS.items():
        found = leave_one_out(recorded, rescaling)
        counts = f"{found['worse']:>17}/{found['of']} {found['held']:>3}/{found['of']}"
        print(f"{name:32} {found['share']:20.2f} {counts}", flush=True)
    print(f"\n{'trials until within 0.2 points of the best':55} {'cold':>6} {'warm':>6}")
    table = []
    for key, cold, warm in warm_starts(recorded, args.repetitions):
        table.append((cold, warm))
        print(f"{key:55} {cold:6.1f} {warm:6.1f}", flush=True)
    colds, warms = zip(*table, strict=True)
    print(f"{'mean':55} {fmean(colds):6.1f} {fmean(warms):6.1f}")
    _print_priors(list(priors(recorded, args.prior_repetitions)))


def _print_priors(searches: list[tuple[str, list[tuple[float, float]]]]) -> None:
    print(f"\nregret of the best so far, points, means of {len(searches)} searches")
    print(
        f"{'trials':>8} {'without prior':>14} {'with prior':>11} {'difference':>16} {'good':>12}"
    )
    by_mark = zip(*(regrets for _, regrets in searches), strict=True)
    for trials, pairs in zip(MARKS, by_mark, strict=True):
        without, led = np.array(pairs).T / POINT
        change = led - without
        error = change.std(ddof=1) / math.sqrt(len(searches))
        good = [f"{100 * fmean(each <= GOOD / POINT):.0f} %" for each in (without, led)]
        print(
            f"{trials:8} {without.mean():14.2f} {led.mean():11.2f} "
            f"{change.mean():+7.2f} +- {error:.2f} {good[0]:>6} {good[1]:>5}"
        )


if __name__ == "__main__":
    main()
