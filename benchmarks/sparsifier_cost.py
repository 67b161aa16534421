"""Time of a training step under each sparsifier relative to the dense step.

    python -m benchmarks.sparsifier_cost [--threads 1] [--rounds 100]

All methods step in turns, so a busy moment of the machine affects each of them. Each step is
compared with the dense step of its own turn. The table shows the median of these ratios with the
95 % confidence interval of a sign test, from order statistics. Each method has its own copy of
one model and is sparse before the first timed step (GMP pruned, AC/DC compressed). Steps that
update or score masks are not timed. On a machine with other load the processor time of the one
thread is more reliable than the wall time.
"""

from __future__ import annotations

import argparse
import math
import platform
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import ham
from ham.catalog import DATASETS, MODELS
from ham.sparsifiers.acdc import ACDC
from ham.sparsifiers.gmp import GMP

METHODS = ("dense", "random", "set", "rigl", "gmp", "acdc")
SPARSITY = 0.9
TOTAL_STEPS = 1_000_000  # no mask update falls into the timed steps
BATCHES = {"digits_cnn": 64, "resnet20": 32}


def stepper(model_name: str, method: str, data: tuple[Tensor, Tensor]) -> Callable[[], object]:
    """Return a function that takes a training step (forward, backward, SGD, HAM) of a method."""
    torch.manual_seed(0)
    model = MODELS.get(model_name).load()()
    sparsifier, groups = ham.sparsify(
        model,
        method,
        sparsity=0.0 if method == "dense" else SPARSITY,
        total_steps=TOTAL_STEPS,
        **({"update_interval": TOTAL_STEPS // 2} if method in ("set", "rigl") else {}),
    )
    base = torch.optim.SGD(groups, lr=1e-3, momentum=0.9, weight_decay=5e-4)
    optimizer = ham.HAM(base, alpha=1.0, beta=1e-4)
    sparsifier.bind(optimizer)
    if isinstance(sparsifier, GMP):
        sparsifier.prune(SPARSITY)
    elif isinstance(sparsifier, ACDC):
        sparsifier.compress()

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(model(data[0]), data[1]).backward()
        optimizer.step()

    return step


class StepTime(NamedTuple):
    """Time of one step, in milliseconds."""

    wall: float
    processor: float


def timed(step: Callable[[], object]) -> StepTime:
    """Take a step and return its wall time and the processor time of this thread."""
    wall, processor = time.perf_counter(), time.thread_time()
    step()
    return StepTime(1e3 * (time.perf_counter() - wall), 1e3 * (time.thread_time() - processor))


def times_of(model_name: str, rounds: int) -> dict[str, list[StepTime]]:
    """Return the times of all steps by method; the methods step in turns."""
    shape = next(spec.shape for spec in DATASETS if MODELS.get(model_name).accepts(spec))
    size = BATCHES[model_name]
    data = torch.randn(size, *shape), torch.randint(10, (size,))
    steps = {method: stepper(model_name, method, data) for method in METHODS}
    times: dict[str, list[StepTime]] = {method: [] for method in METHODS}
    for index in range(-3, rounds):
        turn = METHODS[index % len(METHODS) :] + METHODS[: index % len(METHODS)]
        for method in turn:
            step_time = timed(steps[method])
            if index >= 0:
                times[method].append(step_time)
    return times


def median_ratio(values: Sequence[float], dense: Sequence[float]) -> str:
    """Return the median ratio of paired times and its 95 % interval, as text."""
    ratios = sorted(value / other for value, other in zip(values, dense, strict=True))
    margin = 1.96 * math.sqrt(len(ratios)) / 2
    low = ratios[max(0, math.floor(len(ratios) / 2 - margin))]
    high = ratios[min(len(ratios) - 1, math.ceil(len(ratios) / 2 + margin))]
    return f"{median(ratios):.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--models", nargs="+", choices=BATCHES, default=list(BATCHES))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"{platform.machine()}, {options.threads} threads, torch {torch.__version__}, "
        f"{options.rounds} rounds, sparsity {SPARSITY}, SGD with momentum and HAM\n"
    )
    print("| model | batch | method | wall time, ms | x dense | processor time, ms | x dense |")
    print("|---|---|---|---|---|---|---|")
    for model_name in options.models:
        size = BATCHES[model_name]
        times = times_of(model_name, options.rounds)
        columns = {method: list(zip(*taken, strict=True)) for method, taken in times.items()}
        for method, measures in columns.items():
            cells = [
                f"{median(values):.2f} | {median_ratio(values, dense)}"
                for values, dense in zip(measures, columns["dense"], strict=True)
            ]
            print(f"| {model_name} | {size} | {method} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
