"""``hamtune migrate``, ``backup`` and ``clean``: upkeep of the databases and the data folder."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from service.cli.errors import report_errors
from service.cli.options import DataDir, settings_of
from service.cli.output import console
from service.errors import NotFound

if TYPE_CHECKING:
    from service.storage.studies.store import StudyStore

DATABASES = ("hamtune.sqlite3", "optuna.sqlite3")
_STUDY = re.compile(r"study_[0-9a-z]{26}")


def migrate(data_dir: DataDir = None) -> None:
    """Migrate the database to the tables of this version; serve and worker do so at start."""
    with report_errors():
        settings = settings_of(data_dir=data_dir)
        from service.storage import Database  # lazy: most commands need no database
        from service.storage.engine.migrate import migrate as run  # lazy: the same

        run(Database(settings.database))
        console.print("the database is up to date")


def backup(
    folder: Annotated[Path, typer.Argument(help="Folder to write to; created if missing.")],
    data_dir: DataDir = None,
) -> None:
    """Copy the embedded databases while the service runs; for PostgreSQL use pg_dump."""
    with report_errors():
        settings = settings_of(data_dir=data_dir)
        if settings.database_url is not None:
            raise ValueError(
                "hamtune backup copies the embedded databases; this service keeps its data on "
                "PostgreSQL: pg_dump --format=custom (see docs/guides/operations.md)"
            )
        folder.mkdir(parents=True, exist_ok=True)
        found = [name for name in DATABASES if (settings.data_dir / name).exists()]
        for name in found:
            _copy(settings.data_dir / name, folder / name)
    console.print(f"{', '.join(found) or 'nothing'} copied to {folder}", markup=False)


def clean(
    days: Annotated[
        int,
        typer.Option(help="Keep the files of studies that ended within this many days.", min=0),
    ] = 30,
    dry_run: Annotated[
        bool, typer.Option(help="Only list the files that would be removed.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Remove logs, checkpoints and Ray's folders of studies that ended long ago, not results."""
    with report_errors():
        settings = settings_of(data_dir=data_dir)
        from service.storage import open_storage  # lazy: most commands need no database
        from service.workers.cluster import checkpoints  # lazy: they need no bucket either

        storage = open_storage(settings)
        store = checkpoints.open_checkpoint_store(settings.checkpoint_location)
        try:
            before = datetime.now(UTC) - timedelta(days=days)
            files = list(_old_files(settings.data_dir, storage.studies, before))
            checkpointed = [
                study_id
                for study_id, changed in store.studies()
                if _ended_before(before, storage.studies, study_id, changed)
            ]
            lines = storage.logs.delete_before(before, dry_run=dry_run)
        finally:
            storage.database.close()
        for path in [] if dry_run else files:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for study_id in [] if dry_run else checkpointed:
            store.remove(study_id)
    for name in [*map(str, files), *(f"{store.folder}/{study_id}" for study_id in checkpointed)]:
        print(name)
    verb = "would be removed" if dry_run else "removed"
    text = f"{len(files) + len(checkpointed)} files and folders and {lines} log lines {verb}"
    Console(stderr=True).print(text, highlight=False)


def _old_files(data_dir: Path, studies: StudyStore, before: datetime) -> Iterator[Path]:
    """Yield the logs of studies that ended before a time, and the folders of ended runners.

    A study that the database does not know counts as ended when its log was last written.
    """
    for path in data_dir.glob("logs/study_*.log"):
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        if _STUDY.fullmatch(path.stem) and _ended_before(before, studies, path.stem, changed):
            yield path
    for path in data_dir.glob("ray/runner-*"):
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        if changed < before and not _alive(int(path.name.removeprefix("runner-"))):
            yield path


def _ended_before(
    before: datetime, studies: StudyStore, study_id: str, changed: datetime | None
) -> bool:
    """Return True if a study ended before a time; ``changed`` stands in for an unknown study's."""
    try:
        ended = studies.get(study_id).ended_at
    except NotFound:
        ended = changed
    return ended is not None and ended < before


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _copy(source: Path, target: Path) -> None:
    """Copy a database with SQLite's backup: a plain copy during a write may be inconsistent."""
    target.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
