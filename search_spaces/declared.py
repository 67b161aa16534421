"""The parser of space files: ranges of alpha and beta, with overrides per model or dataset.

version = 1
schedules = ["constant", "linear"] # schedules of alpha and beta that a study may choose or tune;
                                   # must contain "constant"; default ["constant"]
applies_to = ["dynamic"]           # families or sparsifiers; default the file's own name

[alpha]
low = 1.0
high = 400.0
zero_share = 0.1                   # share of the axis that means exactly zero; default 0

[beta]
...

[learning_rate]                    # optional: the range, as a multiple of the recipe's value, that
low = 0.2                          # a study may tune as well; likewise [weight_decay]
high = 5.0

[[override]]                       # if several match a training, the last one wins, axis by axis
dataset = "imagenet"               # and/or model = "resnet50"
beta = { low = 1e-5, high = 0.1 }  # keys that are left out keep their values
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
    """The ranges that a space file changes for one model, one dataset, or a pair of both.

    Attributes:
        model, dataset: registry names; None for every model or every dataset.
        axes: the changed ranges by axis.
    """

    model: str | None
    dataset: str | None
    axes: Mapping[str, LogRange]

    def matches(self, model: str | None, dataset: str | None) -> bool:
        """Return True if the override applies to a training of this model on this dataset."""
        return self.model in (None, model) and self.dataset in (None, dataset)

    @property
    def name(self) -> str:
        """The suffix that the override adds to the name of the space."""
        return "-".join(part for part in (self.model, self.dataset) if part)


@dataclass(frozen=True)
class DeclaredSpace:
    """A space file.

    Attributes:
        space: the space without overrides.
        applies_to: the sparsifiers or families that use it.
        overrides: its overrides, in the order of the file.
    """

    space: SearchSpace
    applies_to: tuple[str, ...]
    overrides: tuple[Override, ...]

    def space_for(self, model: str | None, dataset: str | None) -> SearchSpace:
        """Return the space of a training; each matching override adds a suffix to its name."""
        space = self.space
        for override in self.overrides:
            if override.matches(model, dataset):
                axes: dict[str, Any] = dict(override.axes)
                space = replace(space, name=f"{space.name}-{override.name}", **axes)
        return space


def parse_space(name: str, data: Mapping[str, Any]) -> DeclaredSpace:
    """Validate the content of a space file.

    Args:
        name: name of the file without its suffix ``.toml``.
        data: content of the file.

    Raises:
        InvalidConfig: a key is missing or unknown, or a value is outside its range. The message
            names the file.
    """
    file = f"{name}.toml"
    optional = {"applies_to", "override", "schedules", *JOINT}
    _require_keys(file, data, {"version", *_REQUIRED}, optional)
    version = data["version"]
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InvalidConfig(f"{file}: version", version, "it must be a whole number >= 1")
    axes: dict[str, Any] = {
        axis: _parse_range(f"{file}: {axis}", data[axis]) for axis in _AXES if axis in data
    }
    schedules = data.get("schedules", ["constant"])
    if not isinstance(schedules, list) or not all(isinstance(each, str) for each in schedules):
        raise InvalidConfig(f"{file}: schedules", schedules, "it must be a list of names")
    try:
        space = SearchSpace(name=name, version=version, schedules=tuple(schedules), **axes)
    except InvalidConfig as error:
        raise InvalidConfig(f"{file}: {error.field}", error.value, error.allowed) from None
    overrides = data.get("override", [])
    return DeclaredSpace(
        space=space,
        applies_to=tuple(data.get("applies_to", [name])),
        overrides=tuple(_parse_override(f"{file}: override", axes, each) for each in overrides),
    )


def _parse_override(field: str, axes: Mapping[str, LogRange], data: Mapping[str, Any]) -> Override:
    _require_keys(field, data, set(), {"model", "dataset", *_AXES})
    model, dataset = data.get("model"), data.get("dataset")
    if model is None and dataset is None:
        raise InvalidConfig(field, dict(data), "it must name a model, a dataset or both")
    for registry, name in ((MODELS, model), (DATASETS, dataset)):
        if name is not None:
            registry.get(name)
    changed = {
        axis: _parse_range(f"{field}: {axis}", {**_as_dict(axes.get(axis)), **data[axis]})
        for axis in _AXES
        if axis in data
    }
    if not changed:
        raise InvalidConfig(field, dict(data), f"it must change one of {', '.join(_AXES)}")
    return Override(model, dataset, changed)


def _parse_range(field: str, data: Mapping[str, Any]) -> LogRange:
    _require_keys(field, data, {"low", "high"}, {"zero_share"})
    for key, value in data.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise InvalidConfig(f"{field}.{key}", value, "it must be a number")
    try:
        return LogRange(**data)
    except InvalidConfig as error:
        raise InvalidConfig(f"{field}.{error.field}", error.value, error.allowed) from None


def _as_dict(axis: LogRange | None) -> dict[str, float]:
    if axis is None:
        return {}
    return {"low": axis.low, "high": axis.high, "zero_share": axis.zero_share}


def _require_keys(field: str, data: Any, required: set[str], optional: set[str]) -> None:
    if not isinstance(data, Mapping):
        raise InvalidConfig(field, data, "it must be a table")
    missing, unknown = required - data.keys(), data.keys() - required - optional
    if missing or unknown:
        raise InvalidConfig(
            field,
            sorted(data),
            f"required: {', '.join(sorted(required)) or 'nothing'}; allowed as well: "
            f"{', '.join(sorted(optional))}"
            + (f"; missing: {', '.join(sorted(missing))}" if missing else "")
            + (f"; unknown: {', '.join(sorted(unknown))}" if unknown else ""),
        )
