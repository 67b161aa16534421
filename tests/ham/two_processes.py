"""Run one function in two processes that share a rendezvous file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def in_two_processes(work: Callable[[int, str], Any], folder: Path) -> tuple[Any, Any]:
    """Run ``work`` in this process and in a new one; return both results, this process's first.

    Args:
        work: takes its rank, 0 in this process and 1 in the new one, and the path of the
            rendezvous file. ``torch.save`` must be able to save its result.
        folder: an empty folder for the rendezvous file and the second result.
    """
    store, result = str(folder / "store"), str(folder / "second.pt")
    process = torch.multiprocessing.get_context("spawn").Process(
        target=_second, args=(work, store, result)
    )
    process.start()
    first = work(0, store)
    process.join()
    assert process.exitcode == 0
    return first, torch.load(result)


def _second(work: Callable[[int, str], Any], store: str, result: str) -> None:
    torch.set_num_threads(1)
    torch.save(work(1, store), result)
    os._exit(0)  # gloo's threads may abort an interpreter that ends (pytorch pull request 179291)
