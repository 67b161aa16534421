"""``hamtune config``: every setting, where its value comes from and what it means."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import typer
from rich.console import Console

from service.cli.errors import report_errors
from service.cli.options import Json
from service.cli.output import print_json, table_of
from service.logs import masked
from service.settings import Settings

OTHERS = {
    "HAMTUNE_URL": "Commands and the client: address of the service.",
    "HAMTUNE_API_KEY": "Commands and the client: the API key to send.",
    "HAM_DATA_DIR": "Folder of CIFAR and ImageNet, where trainings run.",
}
"""Variables that are read elsewhere than in the service's settings."""
_SECRET = ("HAMTUNE_API_KEY",)


class Row(NamedTuple):
    """One setting; ``origin`` is ``environment`` or ``default``."""

    variable: str
    value: str
    origin: str
    meaning: str


def config(
    json: Json = False,
    markdown: Annotated[bool, typer.Option(help="Write the table of the docs.")] = False,
) -> None:
    """Show all settings, their values and where these come from; secrets are masked."""
    with report_errors():
        if markdown:
            return print(documented(), end="")
        rows = list(settings_rows(Settings()))
    if json:
        return print_json([row._asdict() for row in rows])
    table = table_of()
    for name in ("variable", "value", "origin", "meaning"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(row.variable, row.value, row.origin, row.meaning)
    Console().print(table)


def settings_rows(settings: Settings) -> Iterator[Row]:
    """Yield every variable that is read."""
    for name, field in Settings.model_fields.items():
        variable = str(field.validation_alias or f"HAMTUNE_{name.upper()}")
        value = masked(_shown(getattr(settings, name)))
        yield Row(variable, value, _origin(variable), str(field.description))
    for variable, meaning in OTHERS.items():
        value = os.environ.get(variable, "")
        shown = "***" if value and variable in _SECRET else value
        yield Row(variable, shown, _origin(variable), meaning)


def documented() -> str:
    """Return the table of docs/reference/settings.md, as Markdown."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        variable = str(field.validation_alias or f"HAMTUNE_{name.upper()}")
        lines.append(
            f"| `{variable}` | {_shown(field.default) or 'unset'} | {field.description} |"
        )
    lines += [f"| `{variable}` | unset | {meaning} |" for variable, meaning in OTHERS.items()]
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _origin(variable: str) -> str:
    return "environment" if os.environ.get(variable) is not None else "default"
