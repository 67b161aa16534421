"""The command ``python -m ham run.json --test``, which trains runs that are described in JSON.

The file contains one object or a list of objects, as :meth:`ham.RunConfig.to_json` writes them;
``-`` reads standard input. The command prints one JSON result per run to standard output, and
progress and a summary to standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

from ham.config import RECIPE_BASELINE, HamConfig, RunConfig
from ham.errors import HamError, InvalidConfig
from ham.training import EpochMetrics, RunResult, train

RUN_FIELDS = "combination, recipe, setting and seed, as RunConfig.to_json() writes them"


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 1 if a run diverged, 2 for bad input."""
    options = _parser().parse_args(arguments)
    try:
        configs = read_configs(options.runs)
    except (HamError, OSError, json.JSONDecodeError) as error:
        print(f"ham: {options.runs}: {error}", file=sys.stderr)
        return 2
    status = 0
    finished: list[tuple[RunConfig, RunResult]] = []
    for number, config in enumerate(configs, start=1):
        print(f"run {number}/{len(configs)}: {describe(config)}", file=sys.stderr)
        try:
            result = train(
                config, report=_print_epoch, measure_test=options.test, devices=options.devices
            )
        except HamError as error:
            print(f"ham: {error}", file=sys.stderr)
            status = 1
        else:
            print(json.dumps({"config": config.to_json(), "result": result.to_json()}))
            finished.append((config, result))
    for line in summary(finished):
        print(line, file=sys.stderr)
    return status


def read_configs(source: str) -> list[RunConfig]:
    """Read one run or a list of runs from a file, or from standard input for ``-``.

    Raises:
        InvalidConfig: a run lacks a field, or has an unknown field or a forbidden value.
        OSError: the file cannot be read.
        json.JSONDecodeError: the file is not JSON.
    """
    data = json.loads(sys.stdin.read() if source == "-" else Path(source).read_text())
    return [parse_config(run) for run in (data if isinstance(data, list) else [data])]


def parse_config(run: Any) -> RunConfig:
    """Build the run config of one run.

    Raises:
        InvalidConfig: the run lacks a field, or has an unknown field or a forbidden value.
    """
    try:
        return RunConfig.from_json(run)
    except KeyError as error:
        raise InvalidConfig("run", sorted(run), f"{error} is missing; give {RUN_FIELDS}") from None
    except TypeError as error:
        raise InvalidConfig("run", run, f"{error}; give {RUN_FIELDS}") from None


def describe(config: RunConfig) -> str:
    """Return one line of text that identifies a run: combination, alpha, beta and seed."""
    ham_config = config.setting
    return (
        f"{config.combination.key} alpha={ham_config.alpha:g} beta={ham_config.beta:g} "
        f"seed={config.seed}"
    )


def summary(finished: list[tuple[RunConfig, RunResult]]) -> list[str]:
    """Return a line per combination and configuration: mean accuracy, and gain over the baseline.

    The accuracy is the test accuracy if it was measured, else the validation accuracy. The gain
    is the mean difference over the seeds on which the recipe baseline was trained as well.
    """
    accuracies: dict[tuple[str, HamConfig], dict[int, float]] = {}
    for config, result in finished:
        measured = result.test_accuracy
        key = (config.combination.key, config.setting)
        accuracies.setdefault(key, {})[config.seed] = (
            result.validation_accuracy if measured is None else measured
        )
    lines = []
    for (combination, ham_config), by_seed in accuracies.items():
        baseline = accuracies.get((combination, RECIPE_BASELINE), {})
        gains = [by_seed[seed] - baseline[seed] for seed in by_seed if seed in baseline]
        line = (
            f"{combination} alpha={ham_config.alpha:g} beta={ham_config.beta:g}: "
            f"{100 * fmean(by_seed.values()):.2f} % on {len(by_seed)} seeds"
        )
        if gains and not ham_config.is_baseline:
            line += f", {100 * fmean(gains):+.2f} points over the baseline"
        lines.append(line)
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ham", description="Train runs that are described in JSON."
    )
    parser.add_argument("runs", help="a JSON file with one run or a list of runs, or -")
    parser.add_argument("--test", action="store_true", help="measure the test accuracy as well")
    parser.add_argument(
        "--devices",
        type=int,
        default=1,
        help="GPUs that share each batch, or processes if there is no GPU (default: 1)",
    )
    return parser


def _print_epoch(epoch: EpochMetrics) -> None:
    print(
        f"  epoch {epoch.epoch}: loss {epoch.train_loss:.4f}, "
        f"validation accuracy {epoch.validation_accuracy:.4f}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    sys.exit(main())
