"""The same work in two processes, which find each other over a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def in_two_processes(work: Callable[[int, str], Any], folder: Path) -> tuple[Any, Any]:
    """Return what some work gives: in this process, and in another one.

    Args:
        work: takes its rank, 0 here and 1 there, and the file; torch can save what it gives.
        folder: an empty one.
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
