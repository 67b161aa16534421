"""The one-pass kernel of CUDA GPUs, in Triton: one launch for all tensors of one dtype.

Why a table of addresses and not one launch per tensor: a launch costs more host time than most
tensors take on the GPU, and the kernel is compiled once for all shapes and for any set of
gradients that are None. An element whose gradient is not finite is not changed, nor its moments.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from ham.optim.kernels.tensor_table import ENTRY, Entries

# Elements that one program updates, and elements that it updates at a time.
CHUNK = 4096
BLOCK = 1024
_FIELDS = len(ENTRY.names or ())


@cache
def kernel(device: torch.device) -> Callable[[Entries, int], None] | None:
    """Return the kernel of a device, or None where Triton is not installed."""
    if find_spec("triton") is None:
        return None
    from ham.optim.kernels import _triton_source  # lazy: importing it needs Triton

    def run(entries: Entries, base: int) -> None:
        variants = np.stack(
            [entries["dtype"], entries["sign_previous"] != 0, entries["first"] != 0], axis=1
        )
        for dtype, previous, momentum in np.unique(variants, axis=0):
            _launch(
                _triton_source.step,
                entries[(variants == (dtype, previous, momentum)).all(axis=1)],
                device,
                BASE=base,
                PREVIOUS=bool(previous),
                MOMENTUM=bool(momentum),
                DTYPE=int(dtype),
            )

    return run


def _launch(step: Any, entries: Entries, device: torch.device, **variant: Any) -> None:
    """Launch one program per chunk of the entries' tensors."""
    counts = -(-entries["count"] // CHUNK)
    entry = np.repeat(np.arange(len(entries)), counts)
    first_chunk = np.repeat(np.cumsum(counts) - counts, counts)
    chunks = np.stack([entry, (np.arange(len(entry)) - first_chunk) * CHUNK], axis=1)
    # One copy to the device, pinned so that the host does not wait for it.
    words = np.concatenate([entries.view(np.int64).ravel(), chunks.ravel()])
    host = torch.from_numpy(words)
    if device.type == "cuda":
        host = host.pin_memory()
    on_device = host.to(device, non_blocking=True)
    table_words = entries.size * _FIELDS
    with torch.cuda.device_of(on_device):  # Triton launches on the current device
        step[(len(chunks),)](
            on_device[:table_words],
            on_device[table_words:],
            ENTRY_LENGTH=_FIELDS,
            CHUNK=CHUNK,
            BLOCK=BLOCK,
            enable_fp_fusion=True,
            **variant,
        )
