"""The one-pass kernel for CUDA GPUs, in Triton: one launch for all tensors of one dtype.

A table of pointers instead of one launch per tensor: a launch costs more host time than most
tensors take on the GPU, and the kernel is compiled once, whatever the shapes and whichever
gradients are None. Where a gradient is not finite the element and its moments are left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from ham.optim.kernels.tables import ROW, Table

CHUNK = 4096
BLOCK = 1024
_FIELDS = len(ROW.names or ())


@cache
def kernel(device: torch.device) -> Callable[[Table, int], None] | None:
    """Return the kernel of a device, or None where Triton is not installed."""
    if find_spec("triton") is None:
        return None
    from ham.optim.kernels import _triton_source  # lazy: importing it needs Triton

    def run(table: Table, base: int) -> None:
        variants = np.stack([table["dtype"], table["sign_previous"] != 0, table["first"] != 0], 1)
        for dtype, previous, momentum in np.unique(variants, axis=0):
            chosen = table[(variants == (dtype, previous, momentum)).all(axis=1)]
            _launch(
                _triton_source.step,
                chosen,
                device,
                BASE=base,
                PREVIOUS=bool(previous),
                MOMENTUM=bool(momentum),
                DTYPE=int(dtype),
            )

    return run


def _launch(step: Any, table: Table, device: torch.device, **variant: Any) -> None:
    chunks = -(-table["count"] // CHUNK)
    task = np.repeat(np.arange(len(table)), chunks)
    first_chunk = np.repeat(np.cumsum(chunks) - chunks, chunks)
    place = np.stack([task, (np.arange(len(task)) - first_chunk) * CHUNK], axis=1)
    # One copy to the device, pinned so that the host does not wait for it.
    words = np.concatenate([table.view(np.int64).ravel(), place.ravel()])
    host = torch.from_numpy(words)
    if device.type == "cuda":
        host = host.pin_memory()
    on_device = host.to(device, non_blocking=True)
    split = table.size * _FIELDS
    with torch.cuda.device_of(on_device):  # Triton launches on the current device
        step[(len(task),)](
            on_device[:split],
            on_device[split:],
            ROW_LENGTH=_FIELDS,
            CHUNK=CHUNK,
            BLOCK=BLOCK,
            enable_fp_fusion=True,
            **variant,
        )
