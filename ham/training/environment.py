"""The environment of a training: facts that must be equal for two trainings to be bit-equal."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import torch

from ham.source_hash import source_hash
from ham.training.device_group import SINGLE_DEVICE, DeviceGroup


def describe_environment(
    device: torch.device,
    cpu_threads: int,
    data_hash: str,
    device_group: DeviceGroup = SINGLE_DEVICE,
) -> dict[str, str | int]:
    """Return device, versions, threads, precision and hashes of data and code, ready for JSON."""
    return {
        "device": device_group.name(device_name(device)),
        "devices": device_group.part.of,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": cpu_threads if device.type == "cpu" else 0,
        "precision": "float32",
        "data_hash": data_hash,
        "ham": version("hamtune"),
        "code": source_hash(),
    }


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or of the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _processor() or platform.processor() or platform.machine()


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return ""
    lines = cpuinfo.read_text(errors="replace").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "")
