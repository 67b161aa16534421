"""Backup and restore of both databases, and the removal of old files."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from typer.testing import CliRunner

from service.api.app import create_app
from service.cli.app import app
from service.settings import Settings
from service.storage import Database, Storage, open_storage
from service.storage.engine.migrate import migrate
from service.storage.tables import Base
from service.workers.study.optuna_compat import study_id
from service.workers.study.optuna_storage import open_optuna_storage
from tests.postgres import fresh_database
from tests.service import studies
from tests.service.api.test_dashboard import make_an_optuna_study


def hamtune(*args: str) -> str:
    done = CliRunner(env={"HAMTUNE_DATABASE_URL": None}).invoke(app, [*args])
    assert done.exit_code == 0, done.output
    return done.stdout


def contents(database: Database) -> dict[str, list[Any]]:
    """Return the rows of every table of the service."""
    with database.read() as session:
        return {
            table: sorted(map(str, session.execute(text(f"SELECT * FROM {table}"))))
            for table in [*Base.metadata.tables, "hamtune_version"]
        }


def fill(settings: Settings) -> Storage:
    storage = open_storage(settings)
    migrate(storage.database)
    studies.submit(storage, studies.request_for())
    studies.finish(storage)
    studies.submit(storage, studies.request_for("rigl"))
    make_an_optuna_study(settings)
    return storage


def answers(settings: Settings, storage: Storage) -> Any:
    """Return the recommendations that a service answers; check that Optuna's trials are there."""
    client = TestClient(create_app(settings, storage))
    recommended = client.get("/v1/recommendations").json()["items"]
    assert [found["combination"]["sparsifier"] for found in recommended] == ["random"]
    optuna_storage = open_optuna_storage(settings.optuna_database)
    trials = [
        trial
        for study in optuna_storage.get_all_studies()
        for trial in optuna_storage.get_all_trials(study_id(study))
    ]
    optuna_storage.engine.dispose()
    assert len(trials) == 2
    return recommended


def test_backup_during_a_write_can_be_restored(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", database_url=None)
    storage = fill(settings)
    before, answered = contents(storage.database), answers(settings, storage)
    with storage.database.write() as session:
        session.execute(text("DELETE FROM run_metric"))
        hamtune("backup", str(tmp_path / "copy"), "--data-dir", str(settings.data_dir))
        session.rollback()
    storage.database.close()
    shutil.rmtree(settings.data_dir)
    shutil.copytree(tmp_path / "copy", settings.data_dir)  # as docs/guides/operations.md says
    restored = open_storage(settings)
    assert contents(restored.database) == before
    assert answers(settings, restored) == answered
    assert studies.finish(restored).grade, "the restored queue works"
    restored.database.close()


def test_postgresql_can_be_restored_from_a_dump(empty_postgres_url: str, tmp_path: Path) -> None:
    for program in ("pg_dump", "pg_restore"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on this machine")
    settings = Settings(data_dir=tmp_path, database_url=empty_postgres_url)
    storage = fill(settings)
    before, answered = contents(storage.database), answers(settings, storage)
    storage.database.close()
    dump = str(tmp_path / "hamtune.dump")
    run: dict[str, Any] = {
        "check": True,
        "capture_output": True,
        "text": True,
        "env": dict(os.environ),
    }
    with fresh_database(empty_postgres_url) as other:
        # The commands of docs/guides/operations.md.
        subprocess.run(["pg_dump", "--format=custom", f"--file={dump}", empty_postgres_url], **run)
        restore = ["pg_restore", "--clean", "--if-exists", "--exit-on-error"]
        subprocess.run([*restore, f"--dbname={other}", dump], **run)
        settings = Settings(data_dir=tmp_path, database_url=other)
        restored = open_storage(settings)
        assert contents(restored.database) == before
        assert answers(settings, restored) == answered
        assert studies.finish(restored).grade, "the restored queue works"
        restored.database.close()


def test_backup_of_postgresql_is_refused_and_names_pg_dump() -> None:
    env = {"HAMTUNE_DATABASE_URL": "postgresql://me@db/hamtune"}
    done = CliRunner(env=env).invoke(app, ["backup", "somewhere"])
    assert done.exit_code == 2
    assert "pg_dump" in done.stderr


def test_clean_removes_only_files_of_studies_that_ended_long_ago(tmp_path: Path) -> None:
    storage = fill(Settings(data_dir=tmp_path))
    waiting, ended = (study.id for study in storage.studies.list())
    storage.database.close()
    unknown = "study_" + "0" * 26
    names = (waiting, ended, unknown)
    logs = {name: tmp_path / "logs" / f"{name}.log" for name in names}
    folders = {name: tmp_path / "checkpoints" / name for name in names}
    lost, running = (tmp_path / "ray" / f"runner-{pid}" for pid in (2**30, os.getpid()))
    kept = tmp_path / "logs" / "scheduler.log"
    for path in (*logs.values(), kept):
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    for folder in (*folders.values(), lost, running):
        (folder / "inside").mkdir(parents=True)
    old = time.time() - 40 * 86400
    os.utime(logs[unknown], (old, old))
    for folder in (folders[unknown], lost, running):
        os.utime(folder / "inside", (old, old))
        os.utime(folder, (old, old))
    data_dir = ("--data-dir", str(tmp_path))
    would = hamtune("clean", "--dry-run", *data_dir)
    assert would.split() == [str(logs[unknown]), str(lost), str(folders[unknown])]
    assert logs[unknown].exists()
    hamtune("clean", *data_dir)
    assert not logs[unknown].exists() and not folders[unknown].exists()
    assert not lost.exists() and running.exists()
    assert logs[ended].exists()
    hamtune("clean", "--days", "0", *data_dir)
    assert not logs[ended].exists() and not folders[ended].exists()
    assert logs[waiting].exists() and folders[waiting].exists() and kept.exists()
