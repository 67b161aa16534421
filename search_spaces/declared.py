"""Reads a space file: ranges for families of sparsifiers, with overrides per model or dataset.

version = 1
schedules = ["constant", "linear"] # of alpha and beta, for a study to choose or tune; one is
                                  # "constant", the only one where this is left out
applies_to = ["dynamic"]          # families or sparsifiers; by default the file's own name

[alpha]
low = 1.0
high = 400.0
zero_share = 0.1                  # share of the axis that means exactly zero

[beta]
...

[learning_rate]                   # optional: what a study may tune as well, as a multiple of the
low = 0.2                         # recipe's value; likewise [weight_decay]
high = 5.0

[[override]]                      # the last one that fits wins, axis by axis
dataset = "imagenet"              # and/or model = "resnet50"
beta = { low = 1e-5, high = 0.1 } # what is left out stays
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ham.catalog import DATASETS, MODELS
from ham.errors import InvalidConfig
from search_spaces.space import JOINT, LogRange, SearchSpace

_REQUIRED = ("alpha", "beta")
_AXES = (*_REQUIRED, *JOINT)


@dataclass(frozen=True)
class Override:
    """What a space file changes for one model, one dataset, or a pair of both."""

    model: str | None
    dataset: str | None
    axes: Mapping[str, LogRange]

    def fits(self, model: str | None, dataset: str | None) -> bool:
        """Tell whether it applies to a training."""
        return self.model in (None, model) and self.dataset in (None, dataset)

    @property
    def name(self) -> str:
        """What it adds to the name of the space."""
        return "-".join(part for part in (self.model, self.dataset) if part)


@dataclass(frozen=True)
class DeclaredSpace:
    """A space file."""

    space: SearchSpace
    applies_to: tuple[str, ...]
    overrides: tuple[Override, ...]

    def space_for(self, model: str | None, dataset: str | None) -> SearchSpace:
        """Return the space of a training; an overridden one has a name of its own."""
        space = self.space
        for override in self.overrides:
            if override.fits(model, dataset):
                axes: dict[str, Any] = dict(override.axes)
                space = replace(space, name=f"{space.name}-{override.name}", **axes)
        return space


def declared_space(name: str, data: Mapping[str, Any]) -> DeclaredSpace:
    """Validate what a file holds.

    Args:
        name: of the file, without its ending.
        data: its content.

    Raises:
        InvalidConfig: something is missing, unknown or outside its range; it names the file.
    """
    where = f"{name}.toml"
    optional = {"applies_to", "override", "schedules", *JOINT}
    _require_keys(where, data, {"version", *_REQUIRED}, optional)
    version = data["version"]
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InvalidConfig(f"{where}: version", version, "it must be a whole number >= 1")
    axes: dict[str, Any] = {
        axis: _range(f"{where}: {axis}", data[axis]) for axis in _AXES if axis in data
    }
    schedules = data.get("schedules", ["constant"])
    if not isinstance(schedules, list) or not all(isinstance(row, str) for row in schedules):
        raise InvalidConfig(f"{where}: schedules", schedules, "it must be a list of names")
    try:
        space = SearchSpace(name=name, version=version, schedules=tuple(schedules), **axes)
    except InvalidConfig as error:
        raise InvalidConfig(f"{where}: {error.field}", error.value, error.allowed) from None
    overrides = data.get("override", [])
    return DeclaredSpace(
        space=space,
        applies_to=tuple(data.get("applies_to", [name])),
        overrides=tuple(_override(f"{where}: override", axes, row) for row in overrides),
    )


def _override(where: str, axes: Mapping[str, LogRange], row: Mapping[str, Any]) -> Override:
    _require_keys(where, row, set(), {"model", "dataset", *_AXES})
    model, dataset = row.get("model"), row.get("dataset")
    if model is None and dataset is None:
        raise InvalidConfig(where, dict(row), "it must name a model, a dataset or both")
    for registry, name in ((MODELS, model), (DATASETS, dataset)):
        if name is not None:
            registry.get(name)
    changed = {
        axis: _range(f"{where}: {axis}", {**_as_dict(axes.get(axis)), **row[axis]})
        for axis in _AXES
        if axis in row
    }
    if not changed:
        raise InvalidConfig(where, dict(row), f"it must change one of {', '.join(_AXES)}")
    return Override(model, dataset, changed)


def _range(where: str, data: Mapping[str, Any]) -> LogRange:
    _require_keys(where, data, {"low", "high"}, {"zero_share"})
    for key, value in data.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise InvalidConfig(f"{where}.{key}", value, "it must be a number")
    try:
        return LogRange(**data)
    except InvalidConfig as error:
        raise InvalidConfig(f"{where}.{error.field}", error.value, error.allowed) from None


def _as_dict(axis: LogRange | None) -> dict[str, float]:
    if axis is None:
        return {}
    return {"low": axis.low, "high": axis.high, "zero_share": axis.zero_share}


def _require_keys(where: str, data: Any, required: set[str], optional: set[str]) -> None:
    if not isinstance(data, Mapping):
        raise InvalidConfig(where, data, "it must be a table")
    missing, unknown = required - data.keys(), data.keys() - required - optional
    if missing or unknown:
        raise InvalidConfig(
            where,
            sorted(data),
            f"required: {', '.join(sorted(required)) or 'nothing'}; allowed as well: "
            f"{', '.join(sorted(optional))}"
            + (f"; missing: {', '.join(sorted(missing))}" if missing else "")
            + (f"; unknown: {', '.join(sorted(unknown))}" if unknown else ""),
        )
