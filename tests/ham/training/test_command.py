"""``python -m ham`` trains the runs that JSON describes, and explains bad input."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from ham.__main__ import main
from ham.config import RECIPE_BASELINE, HamConfig
from ham.training import train
from tests.ham.training.conftest import MakeConfig


def write(tmp_path: Path, content: Any) -> str:
    path = tmp_path / "run.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_command_prints_one_result_per_run(
    make_config: MakeConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configs = [make_config(seed=seed, epochs=1) for seed in (0, 1)]
    assert main([write(tmp_path, [config.to_json() for config in configs]), "--test"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["config"] for line in lines] == [config.to_json() for config in configs]
    for line, config in zip(lines, configs, strict=True):
        expected = train(config, measure_test=True)
        assert line["result"]["test_accuracy"] == expected.test_accuracy


def test_command_reads_one_run_from_standard_input(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = json.dumps(make_config(epochs=1).to_json())
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert main(["-"]) == 0
    assert json.loads(capsys.readouterr().out)["result"]["test_accuracy"] is None


def test_summary_has_the_gain_over_the_baseline_on_common_seeds(
    make_config: MakeConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = HamConfig(alpha=10, beta=0.01)
    configs = [make_config(seed=seed, epochs=1, ham_config=RECIPE_BASELINE) for seed in (0, 1, 2)]
    configs += [make_config(seed=seed, epochs=1, ham_config=tuned) for seed in (0, 1)]
    main([write(tmp_path, [config.to_json() for config in configs]), "--test"])
    tests = [train(config, measure_test=True).test_accuracy or 0 for config in configs]
    gain = 100 * (tests[3] - tests[0] + tests[4] - tests[1]) / 2
    last = capsys.readouterr().err.splitlines()[-2:]
    assert "alpha=0 beta=0" in last[0]
    assert "on 3 seeds" in last[0]
    assert "alpha=10 beta=0.01" in last[1]
    assert f"{gain:+.2f} points over the baseline" in last[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: "not json", "Expecting value"),
        (lambda run: 3, "give combination, recipe, setting and seed"),
        (lambda run: {k: v for k, v in run.items() if k != "seed"}, "'seed' is missing"),
        (lambda run: run | {"setting": {"alpha": -1, "beta": 0}}, "alpha=-1"),
        (lambda run: run | {"setting": {"gamma": 1}}, "gamma"),
        (
            lambda run: run | {"combination": run["combination"] | {"model": "digits_cn"}},
            "did you mean 'digits_cnn'",
        ),
    ],
)
def test_command_explains_bad_input(
    make_config: MakeConfig,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Any,
    message: str,
) -> None:
    assert main([write(tmp_path, change(make_config().to_json()))]) == 2
    assert message in capsys.readouterr().err


def test_command_explains_a_missing_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nowhere.json"]) == 2
    assert "nowhere.json" in capsys.readouterr().err


def test_command_reports_divergence_and_continues_with_the_next_run(
    make_config: MakeConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [make_config(learning_rate=rate, epochs=1).to_json() for rate in (1e20, 0.1)]
    assert main([write(tmp_path, runs)]) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1
    assert "not finite at step" in captured.err
