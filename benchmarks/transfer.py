"""What settings carried over from other combinations are worth, on the recorded truth.

``python -m benchmarks.transfer`` leaves each combination out in turn and asks the others for a
setting, for each way of carrying settings from recipe to recipe. It prints the share of the tuned
gain that the carried setting reaches, how often it is worse than no HAM, and how often the
predictive interval holds the recorded gain; then, with and without a warm start, after how many
trials a search has tried a setting within 0.2 points of the best recorded. Trains nothing.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean, median

import numpy as np
import optuna

from benchmarks.recorded_truth import CELLS, FILE, combination
from benchmarks.replay import Truth, load
from ham.config import NO_HAM, Recipe, Setting
from search_spaces import space_for
from service.domain.plans import resolve
from service.domain.transfer import Known, carried, transfer
from service.records import Outcome, Plan, StudyRequest, SurfaceGrid
from service.workers.optuna_search import OptunaSearch

Carry = Callable[[Setting, Recipe, Recipe], Setting]
POINT = 0.01
GOOD = 0.2 * POINT
MOST_TRIALS = 32


def _scaled(setting: Setting, alpha: float, beta: float) -> Setting:
    return Setting(alpha=setting.alpha * alpha, beta=setting.beta * beta)


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
        candidate=NO_HAM,
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
        gain = truth.expected_test(found.setting) - truth.expected_test(NO_HAM)
        tuned = truth.expected_test(truth.best_setting) - truth.expected_test(NO_HAM)
        shares.append(gain / tuned if tuned > 0 else math.inf)
        worse += gain < 0
        seen = truth.expected(found.setting) - truth.expected(NO_HAM)
        held += found.low <= seen <= found.high
    return {
        "share": median(shares),
        "worse": worse,
        "held": held,
        "refused": refused,
        "of": len(rows),
    }


def trials_needed(plan: Plan, truth: Truth, opening: tuple[Setting, ...]) -> int:
    """Return after how many trials a setting within 0.2 points of the best has been tried."""
    storage = optuna.storages.InMemoryStorage()
    search = OptunaSearch(storage, "replayed", plan, opening)
    for trial in range(1, MOST_TRIALS + 1):
        number, setting = search.ask()
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
        request = StudyRequest(
            model=where.model,
            dataset=where.dataset,
            sparsifier=where.sparsifier,
            sparsity=where.sparsity,
        )
        base = resolve(request)
        found = transfer(where, left_out.recipe, base.space, everything)
        needed: tuple[list[int], list[int]] = ([], [])
        for number in range(repetitions):
            plan = base.model_copy(update={"sampler_seed": 1000 * number})
            for opening, into in zip(((), found.portfolio if found else ()), needed, strict=True):
                into.append(trials_needed(plan, truth, opening))
        yield where.key, median(needed[0]), median(needed[1])


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=FILE)
    parser.add_argument("--repetitions", type=int, default=20)
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


if __name__ == "__main__":
    main()
