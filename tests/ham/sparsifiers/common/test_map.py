"""The package's docstring is a complete map of its modules."""

from __future__ import annotations

import pkgutil

from ham.sparsifiers import common


def test_docstring_names_every_module() -> None:
    modules = [module.name for module in pkgutil.iter_modules(common.__path__)]
    assert [name for name in modules if f"``{name}``" not in (common.__doc__ or "")] == []
