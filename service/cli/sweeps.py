"""``hamtune sweep``: a study for every combination of some lists."""

from __future__ import annotations

from ham.client.client import Client
from ham.client.records import SweepRequest
from service.cli.options import Json, Url
from service.cli.output import console, print_json
from service.cli.record_options import takes

SINGULARS = {
    "models": "model",
    "datasets": "dataset",
    "sparsifiers": "sparsifier",
    "sparsities": "sparsity",
    "optimizers": "optimizer",
}


@takes(SweepRequest, names=SINGULARS)
def sweep(request: SweepRequest, json: Json = False, url: Url = None) -> None:
    """Submit a study for every combination of the lists."""
    with Client(url) as client:
        sweep = client.submit_sweep(request)
    if json:
        print_json(sweep)
        return
    console.print(f"queued {sweep.progress.studies} studies as {sweep.id}", highlight=False)
    for left in sweep.left_out:
        text = f"left out: {left.model} {left.sparsifier} {left.sparsity:g}: {left.reason}"
        console.print(text, highlight=False, markup=False)
