"""Published results, from the data file beside the code: facts with their sources."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

from ham.client.records import PublishedResult

FILE = Path(__file__).parent / "data" / "published.csv"


@cache
def published_results() -> tuple[PublishedResult, ...]:
    """Return every row of the file, in its order."""
    with FILE.open(newline="", encoding="utf-8") as lines:
        return tuple(
            PublishedResult.model_validate({name: value or None for name, value in row.items()})
            for row in csv.DictReader(lines)
        )


def published_for(model: str, dataset: str, sparsity: float) -> tuple[PublishedResult, ...]:
    """Return what others report at the same model, dataset and sparsity, best first.

    Their recipes differ from ours, so these stand beside a ranking and never in it.
    """
    found = [
        row
        for row in published_results()
        if (row.model, row.dataset, row.sparsity) == (model, dataset, sparsity)
    ]
    return tuple(sorted(found, key=lambda row: -row.test_accuracy))
