"""The truth that searches are measured against: every configuration of a grid, on ten seeds.

``python -m benchmarks.recorded_truth`` trains what the file does not contain yet (an hour and a
half on one CPU core from an empty file). It may be stopped and started again at any time.

The file has one row per training: combination, alpha, beta, seed, CPU seconds, the number of the
500 test images that the last weights classify correctly, and the same of the 500 validation images
after each fifteenth of the epochs. Wall seconds would depend on other work of the machine. The
counts of a training that diverged are empty.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from time import process_time

from ham.config import Combination, HamConfig, Recipe, RunConfig
from ham.data.digits import TEST_SIZE, VALIDATION_SIZE
from ham.errors import DivergedRun
from ham.training import train
from search_spaces import recipe_for

FILE = Path(__file__).parent / "truth" / "digits.csv"
SEEDS = range(5_000, 5_010)
ALPHAS = (0.0, 1.0, 4.0, 12.0, 40.0, 130.0, 400.0)
BETAS = (0.0, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0)
RECIPE = recipe_for("digits")
SLOW = replace(RECIPE, name="digits-lr0.03", learning_rate=0.03)
LONG = replace(RECIPE, name="digits-45-epochs", epochs=45)
POINTS = 15

Cell = tuple[str, str, float, Recipe]
CELLS: tuple[Cell, ...] = (
    ("digits_cnn", "random", 0.9, RECIPE),
    ("digits_cnn", "rigl", 0.9, RECIPE),
    ("digits_cnn", "acdc", 0.9, RECIPE),
    ("digits_mlp", "dense", 0.0, RECIPE),
    ("digits_mlp", "random", 0.9, RECIPE),
    ("digits_mlp", "random", 0.95, RECIPE),
    ("digits_mlp", "rigl", 0.9, RECIPE),
    ("digits_mlp", "acdc", 0.9, RECIPE),
    ("digits_mlp", "random", 0.9, SLOW),
    ("digits_mlp", "rigl", 0.9, SLOW),
    ("digits_mlp", "random", 0.9, LONG),
)
HEADER = ["combination", "alpha", "beta", "seed", "cpu_seconds", "test"] + [
    f"validation_{point}" for point in range(1, POINTS + 1)
]


def combination(cell: Cell) -> Combination:
    """Return the combination of a cell."""
    model, sparsifier, sparsity, recipe = cell
    return Combination(
        model=model,
        dataset="digits",
        sparsifier=sparsifier,
        sparsity=sparsity,
        optimizer="sgd",
        recipe=recipe.id,
    )


def configs() -> Iterator[RunConfig]:
    """Yield all trainings, seed by seed: a part of the file is a whole truth with fewer seeds."""
    for seed, cell, alpha, beta in product(SEEDS, CELLS, ALPHAS, BETAS):
        yield RunConfig(
            combination=combination(cell),
            recipe=cell[3],
            setting=HamConfig(alpha, beta),
            seed=seed,
        )


def key(config: RunConfig) -> tuple[str, ...]:
    """Return the first four cells of a row, which identify it."""
    alpha, beta = config.setting.alpha, config.setting.beta
    return (config.combination.key, f"{alpha:g}", f"{beta:g}", str(config.seed))


def row(config: RunConfig) -> list[str]:
    """Train one config and return its row."""
    start = process_time()
    try:
        result = train(config, measure_test=True)
    except DivergedRun:
        return [*key(config)] + [""] * (len(HEADER) - 4)
    assert result.test_accuracy is not None
    shown = result.curve[:: -(config.recipe.epochs // POINTS)][::-1]
    correct = [round(epoch.validation_accuracy * VALIDATION_SIZE) for epoch in shown]
    test = round(result.test_accuracy * TEST_SIZE)
    return [*key(config), f"{process_time() - start:.3f}", str(test), *map(str, correct)]


def recorded(file: Path) -> set[tuple[str, ...]]:
    """Return the keys of the rows in a file; none where there is no file."""
    if not file.exists():
        return set()
    with file.open(newline="") as stream:
        return {tuple(cells[:4]) for cells in csv.reader(stream)}


def main() -> None:
    """Add the rows that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=FILE)
    args = parser.parse_args()
    done = recorded(args.file)
    args.file.parent.mkdir(exist_ok=True)
    for config in configs():
        if key(config) not in done:
            with args.file.open("a", newline="") as stream:
                writer = csv.writer(stream, lineterminator="\n")
                if not done:
                    writer.writerow(HEADER)
                writer.writerow(row(config))
            done.add(key(config))


if __name__ == "__main__":
    main()
