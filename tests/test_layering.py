"""The arrows between the layers, read from the imports.

``LAYERS`` says what each part of the code may import of our own and which third-party packages
are its alone. A part is named by its longest matching prefix.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("ham", "search_spaces", "service", "benchmarks")

L0 = (
    "ham.catalog",
    "ham.specs",
    "ham.registry",
    "ham.config",
    "ham.errors",
    "ham.results",
    "ham.source_hash",
)
L1 = ("search_spaces",)
RECORDS = ("ham.client.records",)
L3 = (
    *RECORDS,
    "service.records",
    "service.settings",
    "service.errors",
    "service.clock",
    "service.ids",
)
L4 = ("service.storage",)
L5 = ("service.domain",)

LAYERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(L0, L0),
    "ham": ("ham",),
    "search_spaces": (*L0, *L1),
    **dict.fromkeys(L3, (*L0, *L1, *L3)),
    "service.formatting": (*L0, *L1, *L3),
    "service.logs": L3,
    "service.storage": (*L0, *L3, *L4),
    "service.domain": (*L0, *L1, *L3, *L5),
    "service.api": (*L0, *L1, *L3, *L4, *L5, "service.api", "service.web", "service.formatting"),
    "service.web": (*L0, *L1, *L3, *L4, *L5, "service.api", "service.web", "service.formatting"),
    "service.workers": ("ham", *L1, *L3, *L4, *L5, "service.workers", "service.logs"),
    "ham.client": ("ham.client", *L0, *L1),
    "service.cli": PACKAGES[:3],
    "service": (),
    "benchmarks": PACKAGES,
}

ONLY: dict[str, tuple[str, ...]] = {
    "torch": ("ham", "benchmarks"),
    "torchvision": ("ham", "benchmarks"),
    "ray": ("service.workers", "benchmarks"),
    "optuna": ("service.workers", "service.api.dashboard", "benchmarks"),
    "optuna_dashboard": ("service.api.dashboard",),
    "fastapi": ("service.api", "service.web", "service.cli.server"),
    "starlette": ("service.api", "service.web"),
    "sqlalchemy": ("service.storage",),
    "alembic": ("service.storage",),
    "pydantic": ("ham.client", "service"),
    "pydantic_settings": ("service.settings",),
    "typer": ("service.cli",),
    "prometheus_client": ("service.api.metrics",),
}

FILE_LINES = 400
FUNCTION_LINES = 80


class Import(NamedTuple):
    """One imported module, and where."""

    module: str
    target: str
    line: int
    hidden: bool


def modules() -> dict[str, Path]:
    """Return every module of ours by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
SOURCES = {name: path.read_text(encoding="utf-8") for name, path in MODULES.items()}
TREES = {name: ast.parse(source) for name, source in SOURCES.items()}


def imports(module: str) -> Iterator[Import]:
    """Yield the imports of a module; one that a comment marks as lazy is not hidden."""
    lines = SOURCES[module].splitlines()

    def walk(node: ast.AST, hidden: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                secret = hidden and "# lazy:" not in lines[child.lineno - 1]
                for target in _targets(child):
                    yield Import(module, target, child.lineno, secret)
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
                yield from walk(child, hidden or inside)

    yield from walk(TREES[module], False)


def _targets(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert node.level == 0 and node.module is not None, "imports are absolute here"
    names = [f"{node.module}.{alias.name}" for alias in node.names]
    return [name if name in MODULES else node.module for name in names]


IMPORTS = [row for module in MODULES for row in imports(module)]


def under(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def layer_of(module: str) -> str:
    return max((name for name in LAYERS if under(module, (name,))), key=len)


def where(row: Import) -> str:
    return f"{MODULES[row.module].relative_to(ROOT)}:{row.line} imports {row.target}"


def test_layers_import_only_what_lies_below_them() -> None:
    wrong = [
        where(row)
        for row in IMPORTS
        if row.target.split(".")[0] in PACKAGES
        and not under(row.target, LAYERS[layer_of(row.module)])
    ]
    assert wrong == []


def test_third_party_packages_stay_in_the_layer_that_owns_them() -> None:
    wrong = [
        where(row)
        for row in IMPORTS
        if (package := row.target.split(".")[0]) in ONLY and not under(row.module, ONLY[package])
    ]
    assert wrong == []


def test_every_rule_names_a_module_and_a_package_that_exist() -> None:
    assert [layer for layer in LAYERS if layer not in MODULES] == []
    packages = {row.target.split(".")[0] for row in IMPORTS}
    assert [package for package in ONLY if package not in packages | {"torchvision"}] == []


def test_no_module_imports_itself_through_others() -> None:
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for row in IMPORTS:
        if row.target in MODULES and row.target != row.module:
            graph[row.module].add(row.target)
    TopologicalSorter(graph).prepare()


def test_imports_stand_at_the_top_of_their_file() -> None:
    assert [where(row) for row in IMPORTS if row.hidden] == []


def test_files_and_functions_stay_small() -> None:
    long = [name for name, source in SOURCES.items() if source.count("\n") > FILE_LINES]
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                if node.end_lineno - node.lineno >= FUNCTION_LINES and "migrations" not in name:
                    long.append(f"{name}.{node.name}")
    assert long == []


@pytest.mark.parametrize(
    "module, forbidden",
    [
        ("ham", ["torch", "numpy", "pydantic"]),
        ("ham.catalog", ["torch", "numpy", "pydantic"]),
        ("ham.config", ["torch", "numpy", "pydantic"]),
        ("ham.client", ["torch", "httpx2", "pydantic"]),
        ("ham.client.records", ["torch", "httpx2", "service"]),
        ("ham.client.recommended", ["torch", "service", "fastapi", "sqlalchemy"]),
        ("search_spaces", ["torch", "numpy", "pydantic", "sqlalchemy"]),
        ("service.storage", ["torch", "ray", "optuna", "fastapi"]),
        (
            "service.domain.evidence.recommendations",
            ["torch", "ray", "optuna", "fastapi", "sqlalchemy"],
        ),
        ("service.api.app", ["torch", "ray"]),
        ("ham.training", ["ray", "optuna", "sqlalchemy", "fastapi", "pydantic", "service"]),
    ],
)
def test_import_brings_in_none_of(module: str, forbidden: list[str]) -> None:
    code = f"import sys, {module}; print(*(set({forbidden}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == []
