"""Registries of named specs, which can be listed without importing what the specs name.

Plug-ins add specs through entry points, for example in another package's pyproject.toml:

    [project.entry-points."ham.sparsifiers"]
    my_method = "my_package.specs:MY_METHOD"
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
class Spec:
    """One registry entry: a name, and where its implementation is.

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
        """Import and return the attribute that ``factory`` names."""
        module, _, attribute = self.factory.partition(":")
        return getattr(import_module(module), attribute)


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """An entry point of another package.

    Attributes:
        group: the entry-point group, for example ``"ham.sparsifiers"``.
        name: name of the entry point.
        package: name and version of the package, empty where they are unknown.
        error: why its spec could not be registered; None where the spec is registered.
    """

    group: str
    name: str
    package: str
    error: str | None


SpecT = TypeVar("SpecT", bound=Spec)


class Registry(Generic[SpecT]):
    """Specs by name. Built-in specs and specs of plug-ins follow the same rules.

    Args:
        field: what messages call an entry, for example ``"sparsifier"``.
        specs: the built-in specs.
        group: entry-point group that plug-ins use, for example ``"ham.sparsifiers"``.
        spec_class: the class that every spec must have.
    """

    def __init__(
        self, field: str, specs: tuple[SpecT, ...], group: str, spec_class: type[SpecT]
    ) -> None:
        self._field = field
        self._group = group
        self._spec_class = spec_class
        self._specs: dict[str, SpecT] = {}
        self._plugins: list[Plugin] | None = None
        for spec in specs:
            self.add(spec)

    def add(self, spec: SpecT) -> None:
        """Register a spec.

        Raises:
            HamError: the spec has another class, or its name is taken.
        """
        if not isinstance(spec, self._spec_class):
            raise HamError(
                f"a {self._field} is registered by a {self._spec_class.__name__}, but this is a "
                f"{type(spec).__name__}"
            )
        if spec.name in self._specs:
            raise HamError(
                f"{self._field} {spec.name!r} is registered twice: "
                f"{self._specs[spec.name].factory} and {spec.factory}"
            )
        self._specs[spec.name] = spec

    def get(self, name: str) -> SpecT:
        """Return the spec of this name, or raise :class:`~ham.errors.UnknownName`."""
        self._load_plugins()
        if name not in self._specs:
            raise UnknownName(self._field, name, self._specs)
        return self._specs[name]

    def list(self, pattern: str = "*") -> list[SpecT]:
        """Return the specs whose name matches a glob pattern, in order of registration."""
        self._load_plugins()
        return [spec for name, spec in self._specs.items() if fnmatchcase(name, pattern)]

    def names(self) -> builtins.list[str]:
        """Return all names, in order of registration."""
        return [spec.name for spec in self.list()]

    def __contains__(self, name: object) -> bool:
        self._load_plugins()
        return name in self._specs

    def __iter__(self) -> Iterator[SpecT]:
        return iter(self.list())

    def plugins(self) -> builtins.list[Plugin]:
        """Return the entry points of other packages, broken ones included."""
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
