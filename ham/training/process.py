"""For processes that train again and again: imports ahead of time, and states as bytes."""

from __future__ import annotations

import io
from typing import Any

import torch
import torch._dynamo  # seconds, which the first optimizer step would take otherwise
import torchvision  # noqa: F401  # of the image datasets

import ham.training.loop  # noqa: F401  # what every training needs


def dump_state(state: dict[str, Any]) -> bytes:
    """Write the state of a training."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def load_state(written: bytes) -> dict[str, Any]:
    """Read it back; nothing but tensors, numbers, texts and containers of them is accepted."""
    state: dict[str, Any] = torch.load(io.BytesIO(written), weights_only=True)
    return state
