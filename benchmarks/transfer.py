"""What settings carried over from other combinations are worth, on the recorded truth.

``python -m benchmarks.transfer`` leaves each combination out in turn and asks the others for a
setting, for each way of carrying settings from recipe to recipe. It prints the share of the tuned
gain that the carried setting reaches, how often it is worse than no HAM, and how often the
predictive interval holds the recorded gain; then, with and without a warm start, after how many
trials a search has tried a setting within 0.2 points of the best recorded; then the regret of the
favourite of a search that had the warm start, with and without the prior. Trains nothing.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
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
from service.domain.transfer.pooled_effects import Known, carried, prior, transfer
from service.records import Job, Outcome
from service.workers.study.optuna_search import OptunaSearch

Carry = Callable[[HamConfig, Recipe, Recipe], HamConfig]
POINT = 0.01
GOOD = 0.2 * POINT
MOST_TRIALS = 32
MARKS = (8, 16, 32)


def _scaled(setting: HamConfig, alpha: float, beta: float) -> HamConfig:
    return HamConfig(alpha=setting.alpha * alpha, beta=setting.beta * beta)


def _lr(origin: Recipe, goal: Recipe) -> float:
    return origin.learning_rate / goal.learning_rate


CARRIES: dict[str, Carry] = {
    "as they are": lambda setting, origin, goal: setting,
    "lr x alpha": lambda setting, origin, goal: _scaled(setting, _lr(origin, goal), 1),
    "lr x alpha, lr x beta": carried,
    "lr x alpha, lr x beta x epochs": lambda setting, origin, goal: _scaled(
        setting, _lr(origin, goal), _lr(origin, goal) * origin.epochs / goal.epochs
    ),
}


def known(truths: dict[str, Truth]) -> Iterator[tuple[Known, Truth]]:
    """Yield every recorded combination as a study of the whole grid would know it."""
    for cell in CELLS:
        where = combination(cell)
        truth = truths[where.key]
        yield Known(where, cell[3], _surface(truth)), truth


def _surface(truth: Truth) -> SurfaceGrid:
    """Return means and standard errors; valleys are drawn shallow, as the product's surface is."""
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


def leave_one_out(rows: list[tuple[Known, Truth]], carry: Carry) -> dict[str, float]:
    """Return how the carried settings did on the combinations that were left out."""
    shares, worse, held, refused = [], 0, 0, 0
    everything = [one for one, _ in rows]
    for left_out, truth in rows:
        space = space_for(left_out.combination.sparsifier)
        found = transfer(left_out.combination, left_out.recipe, space, everything, carry)
        if found is None:
            refused += 1
            continue
        gain = truth.expected_test(found.setting) - truth.expected_test(RECIPE_BASELINE)
        tuned = truth.expected_test(truth.best_setting) - truth.expected_test(RECIPE_BASELINE)
        shares.append(gain / tuned if tuned > 0 else math.inf)
        worse += gain < 0
        seen = truth.expected(found.setting) - truth.expected(RECIPE_BASELINE)
        held += found.low <= seen <= found.high
    return {
        "share": median(shares),
        "worse": worse,
        "held": held,
        "refused": refused,
        "of": len(rows),
    }


def _request(where: Combination) -> StudyRequest:
    return StudyRequest(
        model=where.model,
        dataset=where.dataset,
        sparsifier=where.sparsifier,
        sparsity=where.sparsity,
    )


def trials_needed(plan: Plan, truth: Truth, opening: tuple[HamConfig, ...]) -> int:
    """Return after how many trials a setting within 0.2 points of the best has been tried."""
    storage = optuna.storages.InMemoryStorage()
    search = OptunaSearch(storage, "replayed", plan, opening)
    for trial in range(1, MOST_TRIALS + 1):
        number, setting, _ = search.ask()
        if truth.expected(setting) >= truth.best - GOOD:
            return trial
        accuracy = float(truth.curve(setting, plan.sampler_seed)[-1])
        search.tell(number, Outcome(validation_accuracy=accuracy))
    return MOST_TRIALS + 1


def warm_starts(
    rows: list[tuple[Known, Truth]], repetitions: int
) -> Iterator[tuple[str, float, float]]:
    """Yield each combination with the median trials needed without and with a warm start."""
    everything = [one for one, _ in rows]
    for left_out, truth in rows:
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
    rows: list[tuple[Known, Truth]], repetitions: int
) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Yield, search by search, the regrets without and with the prior after :data:`MARKS` trials.

    Both look at the same trials: a prior changes what is believed of them, not what is tried.
    """
    everything = [one for one, _ in rows]
    for left_out, truth in rows:
        where = left_out.combination
        if left_out.recipe != RECIPE:
            continue
        base = resolve(_request(where))
        found = transfer(where, left_out.recipe, base.space, everything)
        told = prior(where, left_out.recipe, base.space, everything)
        for number in range(repetitions):
            plan = base.model_copy(update={"sampler_seed": 1000 * number})
            runs = _searched(plan, truth, found.portfolio if found else ())
            led = plan.model_copy(update={"prior": told})
            yield (
                where.key,
                [
                    (
                        truth.best - truth.expected(best_so_far(plan, runs[:trials])),
                        truth.best - truth.expected(best_so_far(led, runs[:trials])),
                    )
                    for trials in MARKS
                ],
            )


def _searched(plan: Plan, truth: Truth, opening: tuple[HamConfig, ...]) -> list[Run]:
    search = OptunaSearch(optuna.storages.InMemoryStorage(), "replayed", plan, opening)
    runs = []
    for _ in range(max(MARKS)):
        number, setting, _ = search.ask()
        accuracy = float(truth.curve(setting, plan.sampler_seed)[-1])
        job = Job(purpose=Purpose.SEARCH, setting=setting, seed=0, trial_number=number)
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
    rows = list(known(load(args.file)))
    print(f"{len(rows)} combinations, {min(truth.seeds for _, truth in rows)} seeds or more")
    print(f"{'carried':32} {'share of tuned gain':>20} {'worse than no HAM':>18} {'held':>6}")
    for name, carry in CARRIES.items():
        told = leave_one_out(rows, carry)
        counts = f"{told['worse']:>15}/{told['of']} {told['held']:>3}/{told['of']}"
        print(f"{name:32} {told['share']:20.2f} {counts}", flush=True)
    print(f"\n{'trials to a setting within 0.2 points of the best':55} {'cold':>6} {'warm':>6}")
    table = []
    for key, cold, warm in warm_starts(rows, args.repetitions):
        table.append((cold, warm))
        print(f"{key:55} {cold:6.1f} {warm:6.1f}", flush=True)
    colds, warms = zip(*table, strict=True)
    print(f"{'mean':55} {fmean(colds):6.1f} {fmean(warms):6.1f}")
    _print_priors(list(priors(rows, args.prior_repetitions)))


def _print_priors(rows: list[tuple[str, list[tuple[float, float]]]]) -> None:
    print(f"\nregret of the favourite, points, means of {len(rows)} searches")
    print(
        f"{'trials':>8} {'without prior':>14} {'with prior':>11} {'difference':>16} {'good':>12}"
    )
    for trials, pairs in zip(MARKS, zip(*(row for _, row in rows), strict=True), strict=True):
        without, led = np.array(pairs).T / POINT
        change = led - without
        error = change.std(ddof=1) / math.sqrt(len(rows))
        good = [f"{100 * fmean(arm <= GOOD / POINT):.0f} %" for arm in (without, led)]
        print(
            f"{trials:8} {without.mean():14.2f} {led.mean():11.2f} "
            f"{change.mean():+7.2f} +- {error:.2f} {good[0]:>6} {good[1]:>5}"
        )


if __name__ == "__main__":
    main()
