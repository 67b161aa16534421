"""``hamtune catalog``: the names that a study can use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console

from ham.catalog import DATASETS, MODELS, OPTIMIZERS, SPARSIFIERS, SparsifierSpec
from ham.registry import Spec
from ham.specs import DatasetSpec
from search_spaces import plugins, recipes, space_for, tunable_sparsifiers
from service.cli.errors import report_errors
from service.cli.options import Json
from service.cli.output import print_json, table_of


class Kind(StrEnum):
    """A part of the catalog, named as in the addresses of the API."""

    SPARSIFIERS = "sparsifiers"
    MODELS = "models"
    DATASETS = "datasets"
    OPTIMIZERS = "optimizers"
    RECIPES = "recipes"


class Entry(NamedTuple):
    """One name, with what to know before a study uses it; ``facts`` are for ``--json``."""

    name: str
    description: str
    note: str
    facts: dict[str, Any]


def catalog(
    kind: Annotated[Kind | None, typer.Argument(help="Part to list; all if left out.")] = None,
    json: Json = False,
) -> None:
    """List the names that a study can use, with those of the plug-ins on this machine."""
    with report_errors():
        listed = {part: list(LISTS[part]()) for part in ([kind] if kind else Kind)}
        broken = [plugin for plugin in plugins() if plugin.error]
    if json:
        return print_json({part: [entry.facts for entry in listed[part]] for part in listed})
    console = Console()
    for part, entries in listed.items():
        table = table_of(str(part))
        for title in ("name", "description", "note"):
            table.add_column(title, overflow="fold")
        for entry in entries:
            table.add_row(entry.name, entry.description, entry.note)
        console.print(table)
    for plugin in broken:
        console.print(f"cannot be used: {plugin.name} ({plugin.group}): {plugin.error}")


def _sparsifiers() -> Iterable[Entry]:
    tuned = tunable_sparsifiers()
    return (_entry(spec, _sparsifier_note(spec, tuned)) for spec in SPARSIFIERS)


def _models() -> Iterable[Entry]:
    return map(_entry, MODELS)


def _datasets() -> Iterable[Entry]:
    return (_entry(spec, _dataset_note(spec)) for spec in DATASETS)


def _optimizers() -> Iterable[Entry]:
    return map(_entry, OPTIMIZERS)


def _recipes() -> Iterable[Entry]:
    for id, declared in recipes().items():
        note = f"{declared.dataset}, its default" if declared.default else declared.dataset
        yield Entry(id, declared.title, note, {"id": id, **asdict(declared)})


LISTS: dict[Kind, Callable[[], Iterable[Entry]]] = {
    Kind.SPARSIFIERS: _sparsifiers,
    Kind.MODELS: _models,
    Kind.DATASETS: _datasets,
    Kind.OPTIMIZERS: _optimizers,
    Kind.RECIPES: _recipes,
}


def _entry(spec: Spec, note: str = "") -> Entry:
    return Entry(spec.name, spec.description, note, asdict(spec))


def _sparsifier_note(spec: SparsifierSpec, tuned: list[str]) -> str:
    space = f"searched in {space_for(spec.name).id}" if spec.name in tuned else "without HAM"
    dense = f"; leaves dense {spec.leaves_dense}" if spec.leaves_dense else ""
    return f"{spec.family}; {space}{dense}"


def _dataset_note(spec: DatasetSpec) -> str:
    return "here" if spec.available else spec.how_to_get
