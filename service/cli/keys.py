"""``hamtune keys``: create, list and revoke API keys, in the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from service.cli.errors import NOT_FOUND, fail, report_errors
from service.cli.options import DataDir, Json, settings_of
from service.cli.output import print_json, table_of
from service.errors import NotFound
from service.records import ApiKey, Limits, Scope

if TYPE_CHECKING:
    from service.storage.operations.keys import KeyStore

app = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys.")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Owner or purpose of the key.", show_default=False)],
    scope: Annotated[
        Scope,
        typer.Option(help="read: read only; submit: also submit studies; admin: everything."),
    ] = Scope.SUBMIT,
    max_queued: Annotated[
        int | None, typer.Option(help="Largest number of queued studies.", min=1)
    ] = None,
    gpu_hours: Annotated[
        float | None, typer.Option(help="Largest number of GPU hours within 30 days.", min=0)
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Create a key and write it to stdout. The key is shown once and stored nowhere."""
    with _keys(data_dir) as keys:
        limits = Limits(max_queued_studies=max_queued, gpu_hours=gpu_hours)
        key, token = keys.create(name, scope, limits)
    Console(stderr=True).print(f"{key.id}: a {scope.value} key for {name}", markup=False)
    print(token)


@app.command(name="list")
def list_keys(json: Json = False, data_dir: DataDir = None) -> None:
    """List all keys, without their secrets."""
    with _keys(data_dir) as keys:
        found = keys.list()
    if json:
        return print_json(found)
    table = table_of()
    for column in ("id", "name", "scope", "created", "last used", "revoked", "limits"):
        table.add_column(column, no_wrap=column == "id")
    for key in found:
        table.add_row(key.id, key.name, key.scope.value, *_days(key), _limited(key.limits))
    Console().print(table if found else "there are no keys; see: hamtune keys create --help")


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Id of the key.", show_default=False)],
    data_dir: DataDir = None,
) -> None:
    """Revoke a key; running services refuse it within seconds."""
    with _keys(data_dir) as keys:
        try:
            keys.revoke(key)
        except NotFound as error:
            fail(str(error), NOT_FOUND)
    Console().print(f"{key} is revoked", markup=False)


@contextmanager
def _keys(data_dir: Path | None) -> Iterator[KeyStore]:
    with report_errors():
        settings = settings_of(data_dir=data_dir)
        from service.storage import open_storage  # lazy: most commands need no database
        from service.storage.engine.migrate import migrate  # lazy: the same

        storage = open_storage(settings)
        try:
            migrate(storage.database)
            yield storage.keys
        finally:
            storage.database.close()


def _days(key: ApiKey) -> list[str]:
    times = (key.created_at, key.last_used_at, key.revoked_at)
    return [time.strftime("%Y-%m-%d %H:00") if time else "-" for time in times]


def _limited(limits: Limits) -> str:
    parts = []
    if limits.max_queued_studies is not None:
        parts.append(f"{limits.max_queued_studies} queued")
    if limits.gpu_hours is not None:
        parts.append(f"{limits.gpu_hours:g} GPU h")
    return ", ".join(parts) or "-"
