"""Where a training ran: what must be equal for its numbers to be compared bit by bit."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import torch


def describe_environment(
    device: torch.device, cpu_threads: int, data_hash: str
) -> dict[str, str | int]:
    """Return device, versions, threads, precision and the data's hash, ready for JSON."""
    return {
        "device": device_name(device),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": cpu_threads if device.type == "cpu" else 0,
        "precision": "float32",
        "data_hash": data_hash,
        "ham": version("hamtune"),
    }


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or of the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _processor() or platform.processor() or platform.machine()


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    if not facts.exists():
        return ""
    lines = facts.read_text(errors="replace").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "")
