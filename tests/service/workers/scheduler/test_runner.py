"""The runner, before any training."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

import pytest

from ham.config import Combination
from service.errors import StudyFailed
from service.settings import Settings
from service.storage import Storage
from service.workers.scheduler.runner import run_study
from tests.service.builders import a_plan, a_request


def test_a_study_whose_sparsifier_is_not_installed_fails_with_its_name(
    storage: Storage, settings: Settings
) -> None:
    plan = a_plan()
    gone = Combination.stored(**(asdict(plan.combination) | {"sparsifier": "somebodys"}))
    plan = plan.model_copy(update={"combination": gone})
    study, _ = storage.studies.submit(a_request(sparsifier="somebodys"), plan)
    assert storage.studies.get(study.id).plan == plan
    claimed = storage.queue.claim("a", timedelta(seconds=15))
    assert claimed is not None
    with pytest.raises(StudyFailed, match=r"this worker cannot train it: sparsifier='somebodys'"):
        run_study(storage, claimed[1], settings, engine=None)  # type: ignore[arg-type]
