"""Every accepted study ends with the results of an undisturbed one, whichever part is killed.

Three studies with real, deterministic trainings run undisturbed. Then the same three run again
while each part of the installation is killed at a random point. That is one round;
``HAMTUNE_TEST_FAULTS=20`` runs 20 rounds, so that every part is killed 20 times.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from ham.client.records import ENDED, Budget, RunState, Study, StudyRequest
from tests.faults.harness import FaultHarness, kill, running_installation
from tests.postgres import OwnServer
from tests.waiting import wait_until

ROUNDS = int(os.environ.get("HAMTUNE_TEST_FAULTS", "1"))
SECONDS_WITHOUT_DATABASE = 30.0 if ROUNDS > 1 else 5.0
SECONDS_PER_ROUND = 600.0
BUDGET = Budget(
    trials=6, finalists=2, screening_seeds=1, confirmation_seeds=3, early_stopping="none"
)
REQUESTS = [
    StudyRequest(
        model="digits_mlp",
        dataset="digits",
        sparsifier=sparsifier,
        sparsity=sparsity,
        budget=BUDGET,
        sampler="random",  # its proposals depend only on the trial's number
        transfer=False,
        replicate=True,
    )
    for sparsifier, sparsity in (("dense", 0.0), ("random", 0.9), ("gmp", 0.9))
]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

Fault = Callable[[FaultHarness], bool]
Results = dict[str, Any]


@pytest.fixture(scope="module")
def harness(server: OwnServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultHarness]:
    with running_installation(Path(tmp_path_factory.mktemp("harness")), server) as harness:
        yield harness


def an_api(harness: FaultHarness) -> bool:
    return kill(random.choice(harness.apis).pid)


def a_scheduler(harness: FaultHarness) -> bool:
    return kill(random.choice(harness.schedulers).pid)


def a_runner(harness: FaultHarness) -> bool:
    return _kill(harness.runner())


def a_ray_worker(harness: FaultHarness) -> bool:
    return _kill(harness.trainer())


def the_ray_head(harness: FaultHarness) -> bool:
    return _kill(harness.gcs())


def the_database(harness: FaultHarness) -> bool:
    harness.postgres.stop()
    time.sleep(SECONDS_WITHOUT_DATABASE)
    harness.postgres.start()
    return True


FAULTS: list[Fault] = [an_api, a_scheduler, a_runner, a_ray_worker, the_ray_head, the_database]


@pytest.mark.timeout(ROUNDS * SECONDS_PER_ROUND + 600)
def test_results_equal_those_of_an_undisturbed_round_whichever_part_is_killed(
    harness: FaultHarness,
) -> None:
    randomness = random.Random(os.environ.get("HAMTUNE_TEST_FAULTS_SEED", "0"))
    undisturbed = play(harness, [])
    trainings = sum(len(results["runs"]) for results in undisturbed.values())
    print(f"undisturbed: {trainings} trainings")
    for number in range(ROUNDS):
        faults = randomness.sample(FAULTS, len(FAULTS))
        at = sorted(randomness.randrange(1, max(2, int(0.8 * trainings))) for _ in faults)
        began = time.monotonic()
        results = play(harness, list(zip(at, faults, strict=True)))
        print(f"round {number}: {time.monotonic() - began:.0f} s", flush=True)
        assert results == undisturbed


def play(harness: FaultHarness, faults: list[tuple[int, Fault]]) -> Results:
    """Run all studies once and return their results by sparsifier.

    Args:
        harness: the installation.
        faults: each fault, after the number of ended trainings at which it is injected.
    """
    harness.forget()
    ids = [submit(harness, number, request) for number, request in enumerate(REQUESTS)]

    def studies() -> list[Study]:
        return [harness.storage.studies.get(id) for id in ids]

    def all_ended() -> bool:
        found = studies()
        if all(study.state in ENDED for study in found):
            return True
        run_counts = harness.storage.run_counts.of(found).values()
        counts = chain.from_iterable(of_study.counts for of_study in run_counts)
        ended = sum(count.runs for count in counts if count.state != "running")
        if faults and ended >= faults[0][0] and faults[0][1](harness):
            print(f"after {ended} trainings: {faults[0][1].__name__}", flush=True)
            faults.pop(0)
        return False

    wait_until(all_ended, SECONDS_PER_ROUND, reason=studies)
    for _, fault in faults:  # the studies had ended before
        print(f"not injected: {fault.__name__}")
    return {REQUESTS[number].sparsifier: outcome(harness, id) for number, id in enumerate(ids)}


def submit(harness: FaultHarness, number: int, request: StudyRequest) -> str:
    """Submit a study twice under one idempotency key; both APIs accept it as one study."""
    body = request.model_dump(mode="json")
    options: dict[str, Any] = {"json": body, "headers": {"Idempotency-Key": f"study-{number}"}}
    first, again = (harness.ask("POST", "/v1/studies", **options) for _ in range(2))
    assert first.status_code in (200, 202), first.text
    assert first.json()["id"] == again.json()["id"]
    return str(first.json()["id"])


def outcome(harness: FaultHarness, study_id: str) -> Results:
    """Return the results of a study without ids, times and attempts, which may differ."""
    study = harness.storage.studies.get(study_id)
    assert study.state == "succeeded", study.error
    runs = harness.storage.runs.of_study(study_id)
    by_job = {
        (run.purpose, run.trial_number, run.setting, run.seed): (
            run.state,
            run.validation_accuracy,
            run.test_accuracy,
            run.error,
        )
        for run in runs
    }
    assert len(by_job) == len(runs), "no job was counted twice"
    assert all(run.state == RunState.SUCCEEDED for run in runs)
    found = harness.storage.recommendations.of_study(study_id)
    assert found is not None
    recommendation = found.model_dump(
        include={"grade", "setting", "candidate", "gain", "seeds", "message"}
    )
    return {"runs": by_job, "recommendation": recommendation}


def _kill(pid: int | None) -> bool:
    return pid is not None and kill(pid)
