"""A registry of named rows that can be listed without importing what they name.

Plug-ins add rows through entry points, for example in another package's pyproject.toml:

    [project.entry-points."ham.sparsifiers"]
    my_method = "my_package.rows:MY_METHOD"
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from ham.errors import HamError, UnknownName


@dataclass(frozen=True, kw_only=True)
class Row:
    """One registered name.

    Attributes:
        name: the registry name, also the file name of its implementation.
        title: the name as people write it.
        factory: ``"module:attribute"``, imported only by :meth:`load`.
        description: one line.
        reference: paper and link, empty where there is none.
    """

    name: str
    title: str
    factory: str
    description: str
    reference: str = ""

    def load(self) -> Any:
        """Import and return what the row names."""
        module, _, attribute = self.factory.partition(":")
        return getattr(import_module(module), attribute)


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """What another package offers through an entry point.

    Attributes:
        group: the entry-point group, for example ``"ham.sparsifiers"``.
        name: of the entry point.
        package: name and version of the package, empty where it tells none.
        error: why its row could not be registered; None where it was.
    """

    group: str
    name: str
    package: str
    error: str | None


R = TypeVar("R", bound=Row)


class Registry(Generic[R]):
    """Rows by name. Built-in rows and plug-in rows follow the same rules.

    Args:
        field: what the names are called in messages, for example ``"sparsifier"``.
        rows: the built-in rows.
        group: entry-point group that plug-ins use, for example ``"ham.sparsifiers"``.
        kind: the class that every row must have.
    """

    def __init__(self, field: str, rows: tuple[R, ...], group: str, kind: type[R]) -> None:
        self._field = field
        self._group = group
        self._kind = kind
        self._rows: dict[str, R] = {}
        self._plugins: list[Plugin] | None = None
        for row in rows:
            self.add(row)

    def add(self, row: R) -> None:
        """Register a row; a name that is taken is an error that names both factories."""
        if not isinstance(row, self._kind):
            raise HamError(
                f"a {self._field} is registered by a {self._kind.__name__}, but this is a "
                f"{type(row).__name__}"
            )
        if row.name in self._rows:
            raise HamError(
                f"{self._field} {row.name!r} is registered twice: "
                f"{self._rows[row.name].factory} and {row.factory}"
            )
        self._rows[row.name] = row

    def get(self, name: str) -> R:
        """Return the row of this name, or raise :class:`~ham.errors.UnknownName`."""
        self._load_plugins()
        if name not in self._rows:
            raise UnknownName(self._field, name, self._rows)
        return self._rows[name]

    def list(self, pattern: str = "*") -> list[R]:
        """Return the rows whose name matches a glob pattern, in order of registration."""
        self._load_plugins()
        return [row for name, row in self._rows.items() if fnmatchcase(name, pattern)]

    def names(self) -> builtins.list[str]:
        """Return all names, in order of registration."""
        return [row.name for row in self.list()]

    def __contains__(self, name: object) -> bool:
        self._load_plugins()
        return name in self._rows

    def __iter__(self) -> Iterator[R]:
        return iter(self.list())

    def plugins(self) -> builtins.list[Plugin]:
        """Return what other packages offer, also what is broken."""
        return list(self._load_plugins())

    def _load_plugins(self) -> builtins.list[Plugin]:
        if self._plugins is None:
            self._plugins = []  # before loading: a plug-in may look at the registry itself
            self._plugins = [self._load(entry) for entry in entry_points(group=self._group)]
        return self._plugins

    def _load(self, entry: EntryPoint) -> Plugin:
        error = None
        try:
            self.add(entry.load())
        except Exception as caught:  # a broken plug-in must not take the service down
            error = f"{type(caught).__name__}: {caught}"
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else ""
        return Plugin(group=self._group, name=entry.name, package=package, error=error)
