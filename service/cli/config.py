"""``hamtune config``: every setting, with its value, the origin of the value and its meaning."""

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
    "HAMTUNE_API_KEY": "Commands and the client: the API key that they send.",
    "HAM_DATA_DIR": "Folder of CIFAR and ImageNet on the machines that train.",
}
"""Variables outside of the service's settings."""
_SECRET = ("HAMTUNE_API_KEY",)


class Variable(NamedTuple):
    """One environment variable; ``origin`` is ``environment`` or ``default``."""

    variable: str
    value: str
    origin: str
    meaning: str


def config(
    json: Json = False,
    markdown: Annotated[bool, typer.Option(help="Write the table of the docs.")] = False,
) -> None:
    """Show every setting with its value and origin; secrets are masked."""
    with report_errors():
        if markdown:
            return print(markdown_table(), end="")
        variables = list(variables_of(Settings()))
    if json:
        return print_json([variable._asdict() for variable in variables])
    table = table_of()
    for name in ("variable", "value", "origin", "meaning"):
        table.add_column(name, overflow="fold")
    for variable in variables:
        table.add_row(*variable)
    Console().print(table)


def variables_of(settings: Settings) -> Iterator[Variable]:
    """Yield every environment variable of the service, the commands and the trainings."""
    for name, field in Settings.model_fields.items():
        variable = str(field.validation_alias or f"HAMTUNE_{name.upper()}")
        value = masked(_shown(getattr(settings, name)))
        yield Variable(variable, value, _origin(variable), str(field.description))
    for variable, meaning in OTHERS.items():
        value = os.environ.get(variable, "")
        shown = "***" if value and variable in _SECRET else value
        yield Variable(variable, shown, _origin(variable), meaning)


def markdown_table() -> str:
    """Return the table of docs/reference/settings.md."""
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
