"""The log lines of a runner are stored with its study, without secrets."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import pytest

from ham.client.records import LogLevel
from service.records import StudyLease
from service.settings import Settings
from service.storage import Storage
from service.workers.study.log_keeper import kept_logs
from tests.service.builders import a_job, done_run, opened, submit

logger = logging.getLogger("service.workers.made_up")
logger.setLevel(logging.INFO)


def claimed(storage: Storage) -> tuple[str, StudyLease]:
    study_id = submit(storage)
    found = storage.queue.claim("me", timedelta(minutes=1))
    assert found is not None
    return study_id, found[1]


def test_lines_are_stored_with_facts_and_tracebacks_and_without_secrets(tmp_path: Path) -> None:
    with opened(Settings(data_dir=tmp_path)) as storage:
        study_id, lease = claimed(storage)
        run = done_run(storage, lease, a_job())
        with kept_logs(storage.logs, lease):
            facts = {"run_id": run.id, "seconds": 1.5, "object": [], "_added": 1}
            logger.info("a run ended", extra=facts)
            logger.warning("cannot reach %s", "postgresql://me:s3cr3t@db/hamtune")
            try:
                raise ValueError("broken")
            except ValueError:
                logger.exception("the study stops")
        logger.info("a line outside of a study")
        [ended, warned, stopped] = storage.logs.page(study_id=study_id)
    assert (ended.event, ended.run_id, ended.details) == ("a run ended", run.id, {"seconds": 1.5})
    assert (warned.level, warned.event) == (
        LogLevel.WARNING,
        "cannot reach postgresql://me:***@db/hamtune",
    )
    assert stopped.level == LogLevel.ERROR
    assert "ValueError: broken" in stopped.details["exception"]


def test_lines_that_cannot_be_stored_raise_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(Settings(data_dir=tmp_path)) as storage:
        study_id, lease = claimed(storage)
        stale = StudyLease(study_id=study_id, token=lease.token - 1)
        with kept_logs(storage.logs, stale):
            logger.info("late")
        assert storage.logs.page() == []
    assert "1 lines of the log are not stored" in capsys.readouterr().err
