"""Private names of Ray and Optuna stand in their compat modules and nowhere else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
COMPAT = {
    "service/workers/cluster/ray_compat.py",
    "service/workers/study/optuna_compat.py",
    "tests/service/workers/cluster/test_ray_compat.py",
    "tests/service/workers/study/test_optuna_compat.py",
}
ATTRIBUTES = {
    "__ray_ready__",
    "_actor_cache",
    "_study_id",
    "_suggest",
    "_tune_controller",
    "checkpoint_fs_path",
    "current_checkpoint_index",
    "scoped_session",
}
"""The private and undocumented attributes that the compat modules use."""


def test_private_names_of_ray_and_optuna_stand_in_the_compat_modules_alone() -> None:
    folders = ("ham", "search_spaces", "service", "benchmarks", "tests")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    names = {str(path.relative_to(ROOT)): path for path in files}
    assert names.keys() >= COMPAT
    found = {
        f"{name}: {private}"
        for name in names.keys() - COMPAT
        for private in private_names(ast.parse(names[name].read_text()))
    }
    assert not found


def private_names(tree: ast.Module) -> Iterator[str]:
    """Yield imports of private modules or names of Ray and Optuna, and known attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.ImportFrom):
            paths = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (path for path in paths if is_private(path))
        elif isinstance(node, ast.Attribute):
            if node.attr in ATTRIBUTES or is_private(dotted(node)):
                yield ast.unparse(node)


def dotted(node: ast.expr) -> str:
    """Return ``a.b.c`` as a text; the parts before a call or an index are left out."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def is_private(path: str) -> bool:
    package, *parts = path.split(".")
    return package in ("ray", "optuna") and any(part.startswith("_") for part in parts)
