"""Labels of the environments that runs were trained in: device, torch and precision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ham.client.records import Run

_FACTS = (("device", "{}"), ("torch", "torch {}"), ("precision", "{}"))


def environment_label(environment: Mapping[str, Any]) -> str:
    """Return device, torch and precision in one line; ``unknown`` where none was recorded."""
    known = [text.format(environment[name]) for name, text in _FACTS if environment.get(name)]
    return ", ".join(known) or "unknown"


def environment_labels(runs: Iterable[Run]) -> tuple[str, ...]:
    """Return the labels of all environments that the runs were trained in, each once, sorted."""
    return tuple(sorted({environment_label(run.environment) for run in runs}))
