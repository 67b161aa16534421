"""States of trainings as bytes, cheap enough for every epoch and safe to read.

After its length comes a pickle in which tensors are left out, and then their contents, one after
the other. ``torch.save`` takes three times as long for the many small tensors of a small model.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import Counter, OrderedDict
from typing import Any

import torch
from torch import Tensor

_LENGTH = struct.Struct("<Q")
_CONTAINERS = {("collections", kind.__name__): kind for kind in (OrderedDict, Counter)}


def pack_checkpoint(state: dict[str, Any]) -> bytes:
    """Write the state of a training."""
    buffer = io.BytesIO()
    pickler = _Pickler(buffer)
    pickler.dump(state)
    rest = buffer.getvalue()
    return b"".join([_LENGTH.pack(len(rest)), rest, *pickler.contents])


def unpack_checkpoint(written: bytes) -> dict[str, Any]:
    """Read it back, on the CPU.

    Raises:
        pickle.UnpicklingError: it holds more than tensors, numbers, texts and containers of them.
        ValueError: it was cut off.
    """
    if len(written) < _LENGTH.size:
        raise ValueError("not a state")
    (length,) = _LENGTH.unpack_from(written)
    state: dict[str, Any] = _Unpickler(written, _LENGTH.size, length).load()
    return state


class _Pickler(pickle.Pickler):
    """Leaves tensors out and remembers their contents."""

    def __init__(self, buffer: io.BytesIO) -> None:
        super().__init__(buffer, protocol=5)
        self.contents: list[Any] = []

    def persistent_id(self, item: Any) -> tuple[str, Any] | None:
        if not isinstance(item, Tensor):
            return None
        if item.layout is not torch.strided or item.is_quantized:
            archive = io.BytesIO()
            torch.save(item, archive)
            return "archive", archive.getvalue()
        content = item.detach().cpu().reshape(-1)
        self.contents.append(content.view(torch.uint8).numpy())
        return str(item.dtype).removeprefix("torch."), tuple(item.shape)


class _Unpickler(pickle.Unpickler):
    """Puts tensors in again, and knows no other classes than containers."""

    def __init__(self, written: bytes, start: int, length: int) -> None:
        super().__init__(io.BytesIO(written[start : start + length]))
        self._written, self._at = written, start + length

    def persistent_load(self, pid: tuple[str, Any]) -> Tensor:
        kind, facts = pid
        if kind == "archive":
            archived: Tensor = torch.load(io.BytesIO(facts), weights_only=True)
            return archived
        tensor = torch.empty(facts, dtype=getattr(torch, kind))
        start, self._at = self._at, self._at + tensor.nbytes
        if self._at > len(self._written):
            raise ValueError("the state was cut off")
        if tensor.nbytes:
            content = torch.frombuffer(
                bytearray(self._written[start : self._at]), dtype=tensor.dtype
            )
            tensor.copy_(content.reshape(tensor.shape))
        return tensor

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _CONTAINERS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a state") from None
