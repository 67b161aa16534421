"""Train runs that are described in JSON: ``python -m ham run.json --test``.

The file holds what :meth:`ham.RunConfig.to_json` gives, one object or a list of them; ``-`` reads
standard input. One JSON result per run goes to standard output, progress and a summary to
standard error.
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
from ham.training import EpochReport, RunResult, train

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
        InvalidConfig: a run lacks a field, has an unknown one or a value that is not allowed.
    """
    data = json.loads(sys.stdin.read() if source == "-" else Path(source).read_text())
    return [parse_config(run) for run in (data if isinstance(data, list) else [data])]


def parse_config(run: Any) -> RunConfig:
    """Build one run, turning a wrong shape into an error that names it."""
    try:
        return RunConfig.from_json(run)
    except KeyError as error:
        raise InvalidConfig("run", sorted(run), f"{error} is missing; give {RUN_FIELDS}") from None
    except TypeError as error:
        raise InvalidConfig("run", run, f"{error}; give {RUN_FIELDS}") from None


def describe(config: RunConfig) -> str:
    """Return one line that tells a person which run this is."""
    setting = config.setting
    return (
        f"{config.combination.key} alpha={setting.alpha:g} beta={setting.beta:g} "
        f"seed={config.seed}"
    )


def summary(finished: list[tuple[RunConfig, RunResult]]) -> list[str]:
    """Return a line per combination and setting: mean accuracy, and the gain over no HAM.

    The accuracy is the test accuracy where it was measured, else the validation accuracy. The
    gain is the mean difference over the seeds that no HAM was trained on as well.
    """
    accuracies: dict[tuple[str, HamConfig], dict[int, float]] = {}
    for config, result in finished:
        measured = result.test_accuracy
        key = (config.combination.key, config.setting)
        accuracies.setdefault(key, {})[config.seed] = (
            result.validation_accuracy if measured is None else measured
        )
    lines = []
    for (combination, setting), by_seed in accuracies.items():
        control = accuracies.get((combination, RECIPE_BASELINE), {})
        gains = [by_seed[seed] - control[seed] for seed in by_seed if seed in control]
        line = (
            f"{combination} alpha={setting.alpha:g} beta={setting.beta:g}: "
            f"{100 * fmean(by_seed.values()):.2f} % on {len(by_seed)} seeds"
        )
        if gains and not setting.is_baseline:
            line += f", {100 * fmean(gains):+.2f} points over no HAM"
        lines.append(line)
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ham", description="Train runs that are described in JSON."
    )
    parser.add_argument("runs", help="a JSON file with one run or a list of runs, or -")
    parser.add_argument("--test", action="store_true", help="measure the test split, too")
    parser.add_argument(
        "--devices",
        type=int,
        default=1,
        help="GPUs that share each batch, or processes where there is none (default: 1)",
    )
    return parser


def _print_epoch(epoch: EpochReport) -> None:
    print(
        f"  epoch {epoch.epoch}: loss {epoch.train_loss:.4f}, "
        f"validation accuracy {epoch.validation_accuracy:.4f}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    sys.exit(main())
