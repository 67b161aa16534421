"""Checkpoints: the ``state_dict`` of a training as bytes.

A checkpoint is cheap enough to be packed after every epoch, and safe to unpack from an untrusted
source. Its layout is the length of a pickle as 8 bytes, little-endian; the pickle, without the
contents of tensors; and the contents of the tensors, one after the other. ``torch.save`` takes
three times as long for the many small tensors of a small model.
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
    """Pack the ``state_dict`` of a training."""
    buffer = io.BytesIO()
    pickler = _Pickler(buffer)
    pickler.dump(state)
    pickled = buffer.getvalue()
    return b"".join([_LENGTH.pack(len(pickled)), pickled, *pickler.contents])


def unpack_checkpoint(checkpoint: bytes) -> dict[str, Any]:
    """Return the ``state_dict`` that was packed, with its tensors on the CPU.

    Raises:
        pickle.UnpicklingError: the checkpoint contains an object that is no tensor, number, text
            or container of them.
        ValueError: the checkpoint is truncated.
    """
    if len(checkpoint) < _LENGTH.size:
        raise ValueError(f"a checkpoint has at least {_LENGTH.size} bytes, not {len(checkpoint)}")
    (length,) = _LENGTH.unpack_from(checkpoint)
    state: dict[str, Any] = _Unpickler(checkpoint, _LENGTH.size, length).load()
    return state


class _Pickler(pickle.Pickler):
    """Pickles everything but the contents of tensors, and collects those apart."""

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
    """Restores tensors from their contents, and refuses every class that is no container."""

    def __init__(self, checkpoint: bytes, start: int, length: int) -> None:
        super().__init__(io.BytesIO(checkpoint[start : start + length]))
        self._checkpoint, self._offset = checkpoint, start + length

    def persistent_load(self, pid: tuple[str, Any]) -> Tensor:
        kind, archive_or_shape = pid
        if kind == "archive":
            archived: Tensor = torch.load(io.BytesIO(archive_or_shape), weights_only=True)
            return archived
        tensor = torch.empty(archive_or_shape, dtype=getattr(torch, kind))
        start, self._offset = self._offset, self._offset + tensor.nbytes
        if self._offset > len(self._checkpoint):
            raise ValueError(
                f"the checkpoint is truncated: a tensor ends at byte {self._offset} of "
                f"{len(self._checkpoint)}"
            )
        if tensor.nbytes:
            content = torch.frombuffer(
                bytearray(self._checkpoint[start : self._offset]), dtype=tensor.dtype
            )
            tensor.copy_(content.reshape(tensor.shape))
        return tensor

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _CONTAINERS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"{module}.{name} is not allowed in a checkpoint"
            ) from None
