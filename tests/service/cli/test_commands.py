"""Commands that ask a running service."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from ham.client.records import Budget, CombinationFilter, StudyState
from ham.config import RECIPE_BASELINE, RunConfig
from service.cli.app import app
from service.storage import Storage
from tests.service import studies
from tests.service.cli.conftest import Result, free_port, run

Hamtune = Callable[..., Result]
CNN = ("digits_cnn", "random", "--dataset", "digits", "--sparsity", "0.9")
SMALL = (
    "--trials",
    "4",
    "--finalists",
    "2",
    "--screening-seeds",
    "2",
    "--confirmation-seeds",
    "3",
)
HEAVY = ("torch", "ray", "optuna", "sqlalchemy", "fastapi", "uvicorn", "numpy", "scipy")


@pytest.fixture(scope="module")
def tuned(storage: Storage) -> None:
    for sparsifier in ("random", "rigl"):
        studies.submit(storage, studies.request_for(sparsifier))
        studies.finish(storage)


@pytest.fixture(autouse=True)
def nothing_left_queued(storage: Storage) -> None:
    """Fail the studies that an earlier test left in the queue."""
    while storage.studies.list(state=StudyState.QUEUED):
        storage.queue.fail(studies.claim(storage)[1], "cleared between tests")


def test_commands_start_without_heavy_imports() -> None:
    script = "import sys, service.cli; print(sorted(set(sys.argv[1:]) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script, *HEAVY], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_reproduce_writes_the_paired_runs_that_ham_alone_takes(
    hamtune: Hamtune, tuned: None, storage: Storage
) -> None:
    done = hamtune("reproduce", *CNN)
    assert done.returncode == 0, done.stderr
    assert "trained on: unknown" not in done.stderr and "trained on: " in done.stderr
    configs = [RunConfig.from_json(run) for run in json.loads(done.stdout)]
    (found,) = storage.recommendations.latest(
        CombinationFilter(model="digits_cnn", sparsifier="random")
    )
    assert {(config.setting, config.seed) for config in configs} == {
        (setting, seed) for setting in (RECIPE_BASELINE, found.candidate) for seed in found.seeds
    }
    assert {config.combination for config in configs} == {found.combination}


def test_recommend_shows_configuration_gain_and_use(hamtune: Hamtune, tuned: None) -> None:
    done = hamtune("recommend", *CNN)
    assert done.returncode == 0, done.stderr
    assert "confirmed" in done.stdout
    assert "HAM helps" in done.stdout
    assert "ham.HAM(base, alpha=" in done.stdout


def test_recommend_lists_all_that_matches(hamtune: Hamtune, tuned: None) -> None:
    lines = hamtune("recommend").stdout.splitlines()
    assert sum("confirmed" in line for line in lines) == 2


def test_recommend_writes_the_answer_of_the_service_as_json(hamtune: Hamtune, tuned: None) -> None:
    [found] = json.loads(hamtune("recommend", *CNN, "--json").stdout)
    assert found["combination"]["sparsifier"] == "random"
    assert found["gain"]["n"] == 3


def test_leaderboard_ranks_and_json_parses(hamtune: Hamtune, tuned: None) -> None:
    name = "digits_cnn-digits-0.90-digits@1"
    shown = hamtune("leaderboard", name).stdout
    assert name in shown and "random + HAM, tuned" in shown
    board = json.loads(hamtune("leaderboard", name, "--json").stdout)
    assert json.loads(hamtune("leaderboard", "--json").stdout) == [board]


def test_studies_lists_them_by_state(hamtune: Hamtune, tuned: None) -> None:
    found = json.loads(hamtune("studies", "--state", "succeeded", "--json").stdout)
    assert [study["request"]["sparsifier"] for study in found] == ["rigl", "random"]
    assert found[0]["id"] in hamtune("studies").stdout


def test_tune_without_waiting_queues_once_per_key(hamtune: Hamtune) -> None:
    args = ["tune", *CNN, *SMALL, "--no-wait", "--key", "once", "--json"]
    args += ["--tune", "learning_rate", "--tune", "alpha_schedule", "--beta-schedule", "linear"]
    first, again = (json.loads(hamtune(*args).stdout) for _ in range(2))
    assert first["id"] == again["id"]
    assert first["request"]["budget"]["trials"] == 4
    assert first["request"]["tune"] == ["learning_rate", "alpha_schedule"]
    assert first["plan"]["space"]["beta_schedule"] == "linear"


def test_dry_run_shows_the_cost_of_a_study_and_queues_nothing(
    service: str, storage: Storage, tuned: None
) -> None:
    args = ["tune", *CNN, *SMALL, "--tune", "beta_schedule", "--dry-run"]
    done = CliRunner().invoke(app, args, env={"HAMTUNE_URL": service})
    assert done.exit_code == 0, done.output
    shown = " ".join(done.stdout.split())
    assert "digits_cnn-digits/random-0.90/sgd: " in shown and "at most" in shown
    assert "beta schedule: constant or linear or cosine" in shown
    assert "trainings of this very combination, 7.5 s each" in shown  # 0.5 s for each of 15 epochs
    assert storage.studies.list(state=StudyState.QUEUED) == []


def test_tune_waits_and_writes_only_json_to_stdout(hamtune: Hamtune, storage: Storage) -> None:
    results: list[Result] = []
    waiting = Thread(target=lambda: results.append(hamtune("tune", *CNN, *SMALL, "--json")))
    waiting.start()
    wait_until_queued(storage)
    stored = studies.finish(storage)
    waiting.join()
    answer = json.loads(results[0].stdout)
    assert answer["study"]["state"] == "succeeded"
    assert answer["recommendation"] == stored.model_dump(mode="json")
    assert "succeeded" in results[0].stderr  # the progress
    assert "Early stopping is off." in results[0].stderr


def test_tune_for_two_objectives_ends_with_the_pareto_front(
    hamtune: Hamtune, storage: Storage
) -> None:
    results: list[Result] = []
    tuning = ["tune", "digits_cnn", "random", "--dataset", "digits", *SMALL]
    tuning += ["--objective", "training_flops", "--sparsities", "0.8,0.9"]
    waiting = Thread(target=lambda: results.append(hamtune(*tuning)))
    waiting.start()
    wait_until_queued(storage)
    stored = studies.finish_pareto_study(storage)
    waiting.join()
    assert results[0].returncode == 0, results[0].stderr
    shown = results[0].stdout
    assert "Pareto front" in shown and "training flops" in shown
    assert "random 0.80,0.90" in shown, "while it was waited for"
    for point in stored.points:
        assert point.test_accuracy is not None
        [shown_point] = [
            line
            for line in shown.splitlines()
            if line.startswith(f"random {point.combination.sparsity:.2f} ")
        ]
        assert f"{100 * point.test_accuracy.mean:.2f}" in shown_point
    assert " ".join(stored.message.split()) in " ".join(shown.split())
    watched = json.loads(hamtune("watch", stored.study_id, "--json").stdout)
    assert watched["front"] == stored.model_dump(mode="json")


def test_tune_of_a_failed_study_shows_the_reason(hamtune: Hamtune, storage: Storage) -> None:
    results: list[Result] = []
    waiting = Thread(target=lambda: results.append(hamtune("tune", *CNN, *SMALL)))
    waiting.start()
    wait_until_queued(storage)
    storage.queue.fail(studies.claim(storage)[1], "no trial gave a result")
    waiting.join()
    assert results[0].returncode == 1
    assert "no trial gave a result" in results[0].stderr


def test_commands_on_a_study_show_its_new_state(service: str, storage: Storage) -> None:
    study_id = studies.submit(storage, studies.request_for()).id

    def does(*args: str) -> str:
        done = CliRunner().invoke(app, args, env={"HAMTUNE_URL": service})
        assert done.exit_code == 0, done.output
        return done.stdout

    assert "paused" in does("pause", study_id)
    assert "queued" in does("resume", study_id)
    assert "priority 9" in does("change", study_id, "--priority", "9", "--trials", "5")
    assert "cancelled" in does("cancel", study_id, "--reason", "a slip")
    assert "queued study_" in does("rerun", study_id)
    study = storage.studies.get(study_id)
    assert (study.priority, study.plan.budget.trials, study.error) == (9, 5, "a slip")
    done = CliRunner().invoke(app, ("pause", study_id), env={"HAMTUNE_URL": service})
    assert done.exit_code == 1 and "is cancelled" in done.stderr


def test_sweep_shows_queued_studies_and_left_out_combinations(service: str, tuned: None) -> None:
    args = ["sweep", "--model", "digits_cnn", "--dataset", "digits", "--sparsity", "0.9"]
    args += ["--sparsifier", "random", "--sparsifier", "set"]
    done = CliRunner().invoke(app, args, env={"HAMTUNE_URL": service})
    assert done.exit_code == 0, done.output
    assert "queued 1 studies as sweep_" in done.stdout
    assert "left out: digits_cnn random 0.9: already tuned" in done.stdout


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (
            ("tune", "digits_cn", "random", "--dataset", "digits"),
            2,
            "MODEL='digits_cn' is not allowed",
        ),
        (("tune", *CNN[:-1], "1.5"), 2, "0 <= sparsity < 1"),
        (("tune", *CNN, "--trials", "0"), 2, "--trials=0 is not allowed"),
        (("tune", *CNN, "--sparsities", "0.5,0.9"), 2, "only with two objectives"),
        (("tune", *CNN, "--sparsities", "0.5;0.9"), 2, "--sparsities='0.5;0.9' is not allowed"),
        (("tune", *CNN, "--objective", "size"), 2, "--objective='size' is not allowed"),
        (("tune", *CNN, "--sampler", "best"), 2, "--sampler='best' is not allowed"),
        (("tune", *CNN, "--max-seconds", "0"), 2, "--max-seconds=0.0 is not allowed"),
        (("tune", *CNN, "--confirmation-seeds", "2"), 2, "it should be 0, or 3 to 100"),
        (("tune", *CNN, "--sampler", "nsga2"), 2, "--sampler='nsga2' is not allowed"),
        (("tune", "digits_cnn", "random"), 2, "--dataset"),
        (("recommend", "digits_mlp", *CNN[1:]), 4, "hamtune tune digits_mlp random"),
        (("recommend", "digits_cnn", "rigll"), 2, "did you mean 'rigl'"),
        (("leaderboard", "nothing"), 4, "there is no leaderboard 'nothing'"),
        (("watch", "study_" + "0" * 26), 4, "there is no study"),
        (("watch", "nonsense"), 2, "study_id='nonsense' is not allowed"),
        (("studies", "--state", "done"), 2, "done"),
    ],
)
def test_refusal_is_one_sentence_with_an_exit_code(
    service: str, args: tuple[str, ...], code: int, says: str
) -> None:
    done = CliRunner().invoke(app, args, env={"HAMTUNE_URL": service})
    assert (done.exit_code, done.stdout) == (code, ""), done.output
    assert says in done.stderr


def test_refusal_has_no_traceback(hamtune: Hamtune) -> None:
    done = hamtune("tune", *CNN[:-1], "1.5")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --sparsity=1.5 is not allowed")
    assert "Traceback" not in done.stderr


def test_missing_service_is_reported_with_the_command_that_starts_it(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = run("recommend", "--json", data_dir=tmp_path, url=url)
    assert done.returncode == 3
    assert url in done.stderr and "hamtune serve" in done.stderr
    assert done.stdout == ""


def test_impossible_data_folder_is_reported_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("migrate", "--data-dir", str(tmp_path / "file" / "folder"), data_dir=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_invalid_setting_is_reported_without_a_traceback(tmp_path: Path) -> None:
    done = run("serve", "--port", "99999", data_dir=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def wait_until_queued(storage: Storage) -> None:
    deadline = time.monotonic() + 30
    while not storage.studies.list(state=StudyState.QUEUED):
        assert time.monotonic() < deadline, "nothing was submitted"
        time.sleep(0.05)


def test_recommend_shows_a_transferred_configuration_or_the_papers_default(
    hamtune: Hamtune, storage: Storage
) -> None:
    for sparsifier in ("set", "gmp", "mest"):
        budget = Budget(trials=12, finalists=2, screening_seeds=2, confirmation_seeds=3)
        studies.submit(storage, studies.request_for(sparsifier, 0.8, budget=budget))
        studies.finish(storage)
    done = hamtune("recommend", "digits_cnn", "snip", "--dataset", "digits", "--sparsity", "0.8")
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert "similar combination" in shown and "digits_cnn-digits/set-0.80/sgd" in shown
    assert "Not tuned: alpha=" in shown and "Submit a study to measure it." in shown
    assert "use: optimizer = ham.HAM(base, alpha=" in shown
    paper = hamtune("recommend", "resnet50", "acdc", "--dataset", "imagenet", "--sparsity", "0.9")
    assert paper.returncode == 0, paper.stderr
    assert "the paper's default" in paper.stdout
    assert "ham.HAM(base, alpha=200.0, beta=0.001)" in paper.stdout
