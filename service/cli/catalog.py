"""``hamtune catalogue``: what can be named in a study."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console

from ham.catalog import DATASETS, MODELS, OPTIMIZERS, SPARSIFIERS, SparsifierSpec
from ham.registry import Registry, Spec
from ham.specs import DatasetSpec
from search_spaces import plugins, space_for, tunable_sparsifiers
from service.cli.errors import report_errors
from service.cli.options import Json
from service.cli.output import print_json, table_of


class Kind(StrEnum):
    """What a name stands for."""

    SPARSIFIERS = "sparsifiers"
    MODELS = "models"
    DATASETS = "datasets"
    OPTIMIZERS = "optimizers"


REGISTRIES: dict[Kind, Registry[Any]] = {
    Kind.SPARSIFIERS: SPARSIFIERS,
    Kind.MODELS: MODELS,
    Kind.DATASETS: DATASETS,
    Kind.OPTIMIZERS: OPTIMIZERS,
}


def catalogue(
    kind: Annotated[Kind | None, typer.Argument(help="Only these; all if left out.")] = None,
    json: Json = False,
) -> None:
    """List what can be named in a study, plug-ins included, as this machine has it installed."""
    with report_errors():
        kinds = [kind] if kind else list(Kind)
        rows = {of: REGISTRIES[of].list() for of in kinds}
        broken = [plugin for plugin in plugins() if plugin.error]
    if json:
        return print_json({of: [asdict(row) for row in listed] for of, listed in rows.items()})
    tuned, console = tunable_sparsifiers(), Console()
    for of, listed in rows.items():
        table = table_of(str(of))
        for name in ("name", "description", "note"):
            table.add_column(name, overflow="fold")
        for row in listed:
            table.add_row(row.name, row.description, note(row, tuned))
        console.print(table)
    for plugin in broken:
        console.print(f"cannot be used: {plugin.name} ({plugin.group}): {plugin.error}")


def note(row: Spec, tuned: list[str]) -> str:
    """Return what else is worth knowing before a row is named in a study."""
    if isinstance(row, DatasetSpec):
        return "here" if row.available else row.how_to_get
    if not isinstance(row, SparsifierSpec):
        return ""
    space = f"searched in {space_for(row.name).id}" if row.name in tuned else "without HAM"
    dense = f"; leaves dense {row.leaves_dense}" if row.leaves_dense else ""
    return f"{row.family}; {space}{dense}"
