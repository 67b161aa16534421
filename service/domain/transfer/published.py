"""Published results with their sources, from the data file beside the code."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

from ham.client.records import PublishedResult

FILE = Path(__file__).parent / "data" / "published.csv"


@cache
def published_results() -> tuple[PublishedResult, ...]:
    """Return every result of the file, in its order."""
    with FILE.open(newline="", encoding="utf-8") as lines:
        return tuple(
            PublishedResult.model_validate({name: value or None for name, value in cells.items()})
            for cells in csv.DictReader(lines)
        )


def published_for(model: str, dataset: str, sparsity: float) -> tuple[PublishedResult, ...]:
    """Return the results published for a model, dataset and sparsity, the best first.

    Their recipes differ from ours, so they are shown beside a ranking and are not ranked.
    """
    found = [
        result
        for result in published_results()
        if (result.model, result.dataset, result.sparsity) == (model, dataset, sparsity)
    ]
    return tuple(sorted(found, key=lambda result: -result.test_accuracy))
