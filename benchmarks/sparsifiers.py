"""Test accuracy of every sparsifier with HAM and as a baseline, without HAM, paired by seed.

    python -m benchmarks.sparsifiers train digits_cnn [--minutes 4] [--file runs.csv]
    python -m benchmarks.sparsifiers table [--file runs.csv]

``train`` runs the trainings that are missing in the file, by default the record in truth/, until
the minutes are over; call it again to continue. ``table`` prints the file as tables. The test
accuracy is measured once per training and nothing is chosen by it: all methods of a network are
trained with one configuration of HAM, and as a baseline with the recipe's values.

ResNet-20 is trained on the same digits in three equal channels. It is the CIFAR network, weight by
weight; on 8x8 images instead of 32x32 it is sixteen times cheaper. Six epochs on 797 images show
that the methods train a residual network, and not the accuracy that they reach on CIFAR. Methods
of many trainings are left out there unless ``--methods`` names them.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch.utils.data import Dataset, TensorDataset

from ham import RECIPE_BASELINE, Combination, HamConfig, Recipe, RunConfig, train
from ham.catalog import DATASETS, MODELS, SPARSIFIERS
from ham.data import digits
from ham.data.splits import Splits, hash_tensors
from ham.errors import DivergedRun
from search_spaces import recipe_for
from service.domain.evidence.statistics import estimate, paired_gain
from service.formatting import interval, points

Branch = Literal["ham", "baseline"]

# One configuration per network, chosen on validation data and on seeds that are not used here.
# Digits CNN: the best mean over the eight combinations of this recipe in
# benchmarks/truth/digits.csv. ResNet-20: among twelve configurations under `random` at 0.9 and
# three seeds (alpha 0 to 36, beta 0 to 0.3), the weakest alpha within 0.1 points of the best.
HAM = {
    "digits_cnn": HamConfig(alpha=40.0, beta=0.3),
    "resnet20_8x8": HamConfig(alpha=10.0, beta=0.3),
}
SPARSITIES = (0.9, 0.95, 0.8)
SEEDS = range(5)
RECORDED = Path(__file__).parent / "truth" / "sparsifiers.csv"
IDENTITY = ("model", "sparsifier", "sparsity", "recipe", "alpha", "beta", "seed")
OUTCOME = ("test", "realised", "seconds")
FEW_EPOCHS = Recipe(
    name="digits_rgb",
    version=1,
    epochs=6,
    batch_size=32,
    learning_rate=0.1,
    warmup_epochs=1,
    weight_decay=5e-4,
)


@cache
def load_digits_rgb() -> Splits:
    """Return the digits as images of shape (3, 8, 8), with the splits of the original."""
    splits = digits.load()
    parts = [in_three_channels(part) for part in (splits.train, splits.validation, splits.test)]
    content = hash_tensors(*(tensor for part in parts for tensor in part.tensors))
    return Splits(parts[0], parts[1], parts[2], content)


def in_three_channels(part: Dataset[Any]) -> TensorDataset:
    """Return a split with each image repeated over three channels."""
    images, labels = part.tensors  # type: ignore[attr-defined]
    return TensorDataset(images.expand(-1, 3, -1, -1).contiguous(), labels)


def register_small_resnet() -> None:
    """Register the data and its network in this process, as a plug-in would."""
    if "digits_rgb" in DATASETS:
        return
    shape = (3, 8, 8)
    data = replace(
        DATASETS.get("digits"),
        name="digits_rgb",
        title="Handwritten digits in three channels",
        factory="benchmarks.sparsifiers:load_digits_rgb",
        shape=shape,
    )
    DATASETS.add(data)
    MODELS.add(replace(MODELS.get("resnet20"), name="resnet20_8x8", input_shape=shape))


def configs(
    model: str, methods: Sequence[str], sparsities: Sequence[float]
) -> Iterator[RunConfig]:
    """Yield the trainings; all methods of a seed come before the next seed."""
    dataset, recipe = ("digits", recipe_for("digits"))
    if model != "digits_cnn":
        dataset, recipe = "digits_rgb", FEW_EPOCHS
    for sparsity in sparsities:
        for seed in SEEDS:
            for method in methods:
                spec = SPARSIFIERS.get(method)
                if not spec.takes_sparsity and sparsity != sparsities[0]:
                    continue
                for ham_config in (
                    (RECIPE_BASELINE, HAM[model]) if spec.takes_ham else (RECIPE_BASELINE,)
                ):
                    yield RunConfig(
                        combination=Combination(
                            model=model,
                            dataset=dataset,
                            sparsifier=method,
                            sparsity=sparsity if spec.takes_sparsity else 0.0,
                            optimizer="sgd",
                            recipe=recipe.id,
                        ),
                        recipe=recipe,
                        setting=ham_config,
                        seed=seed,
                    )


def identity(config: RunConfig) -> dict[str, str]:
    """Return the columns that identify a training, as text of the file."""
    combination, ham_config = config.combination, config.setting
    values = (
        combination.model,
        combination.sparsifier,
        combination.sparsity,
        combination.recipe,
        ham_config.alpha,
        ham_config.beta,
        config.seed,
    )
    return dict(zip(IDENTITY, map(str, values), strict=True))


def read(path: Path) -> list[dict[str, str]]:
    """Return the recorded trainings and their outcomes, as text."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def train_missing(trainings: Sequence[RunConfig], path: Path, minutes: float) -> int:
    """Run the trainings that are missing in the file until the time is over.

    Args:
        trainings: the trainings of the benchmark.
        path: the file; each finished training is appended.
        minutes: wall time after which no further training begins.

    Returns:
        The number of trainings that are left.
    """
    done = [{name: row[name] for name in IDENTITY} for row in read(path)]
    missing = [config for config in trainings if identity(config) not in done]
    deadline = time.monotonic() + 60 * minutes
    while missing and time.monotonic() < deadline:
        config = missing.pop(0)
        row = identity(config) | outcome(config)
        is_new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, [*IDENTITY, *OUTCOME], lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerow(row)
    return len(missing)


def outcome(config: RunConfig) -> dict[str, Any]:
    """Run one training; a diverged training has no accuracy."""
    try:
        result = train(config, measure_test=True, device="cpu")
    except DivergedRun:
        return dict.fromkeys(OUTCOME)
    values = (result.test_accuracy, result.sparsity.realised, round(result.seconds, 2))
    return dict(zip(OUTCOME, values, strict=True))


def print_table(path: Path) -> None:
    """Print one Markdown table per model."""
    tests: dict[tuple[str, float, str], dict[Branch, dict[int, float]]] = defaultdict(
        lambda: {"ham": {}, "baseline": {}}
    )
    realised: dict[tuple[str, float, str], list[float]] = defaultdict(list)
    failed: dict[tuple[str, float, str], int] = defaultdict(int)
    for row in read(path):
        key = (row["model"], float(row["sparsity"]), row["sparsifier"])
        is_baseline = float(row["alpha"]) == float(row["beta"]) == 0
        by_seed = tests[key]["baseline" if is_baseline else "ham"]
        if row["test"]:
            by_seed[int(row["seed"])] = float(row["test"])
            realised[key].append(float(row["realised"]))
        else:
            failed[key] += 1
    model = ""
    for key in sorted(tests, key=lambda key: (key[0], key[1], SPARSIFIERS.names().index(key[2]))):
        if key[0] != model:
            model = key[0]
            print(f"\n**{model}**\n\n| sparsity | method | baseline % | HAM % ", end="")
            print("| HAM - baseline, 95 % interval | seeds | realised % |\n" + "|---" * 7 + "|")
        print(table_row(key, tests[key], realised[key], failed[key]))


def table_row(
    key: tuple[str, float, str],
    tests: dict[Branch, dict[int, float]],
    realised: Sequence[float],
    failed: int,
) -> str:
    """Return a table row: means with half-widths of their intervals, and the paired difference."""
    _, sparsity, method = key

    def mean(values: dict[int, float]) -> str:
        if len(values) < 2:
            return "–"
        found = estimate(list(values.values()))
        return f"{100 * found.mean:.1f} ± {100 * (found.high - found.mean):.1f}"

    ham, baseline = tests["ham"], tests["baseline"]
    pairs = len(ham.keys() & baseline.keys())
    gain = paired_gain(ham, baseline) if pairs >= 2 else None
    shown = f"{points(gain.mean)} ({interval(gain)})" if gain else "–"
    seeds = f"{pairs or len(baseline)}" + (f", {failed} runs diverged" if failed else "")
    low, high = min(realised), max(realised)
    exact = f"{100 * low:.2f}" if high - low < 5e-5 else f"{100 * low:.2f} to {100 * high:.2f}"
    cells = [f"{sparsity:g}", method, mean(baseline), mean(ham), shown, seeds, exact]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run the command ``train`` or ``table``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    table = commands.add_parser("table")
    training = commands.add_parser("train")
    training.add_argument("model", choices=["digits_cnn", "resnet20_8x8"])
    for command in (table, training):
        command.add_argument("--file", type=Path, default=RECORDED)
    training.add_argument("--minutes", type=float, default=float("inf"))
    training.add_argument("--methods", nargs="+", choices=SPARSIFIERS.names())
    training.add_argument("--sparsities", nargs="+", type=float)
    options = parser.parse_args()
    register_small_resnet()
    if options.command == "table":
        print_table(options.file)
        return
    torch.set_num_threads(1)
    small = options.model == "digits_cnn"
    methods = options.methods or [
        spec.name for spec in SPARSIFIERS if small or spec.prune_fraction is None
    ]
    sparsities = options.sparsities or (SPARSITIES if small else SPARSITIES[:1])
    trainings = sorted(  # methods of many trainings come last
        configs(options.model, methods, sparsities),
        key=lambda config: config.combination.trainings,
    )
    left = train_missing(trainings, options.file, options.minutes)
    print(f"{left} trainings are left" if left else "all trainings are done")


if __name__ == "__main__":
    main()
