"""The check of tensors for NaN and infinity, with native.c or with PyTorch operations."""

from __future__ import annotations

from itertools import compress

import torch
from torch import Tensor

from ham.optim.kernels import native
from ham.optim.kernels.tensor_table import fits_kernel


def all_finite(tensors: list[Tensor], *, by_kernel: bool) -> list[bool]:
    """Tell for each tensor whether all its values are finite; the host waits for a device once.

    Args:
        tensors: dense or sparse, of any device and floating dtype.
        by_kernel: True lets one call of native.c, compiled where needed, check the tensors that
            it can read.
    """
    stored = [stored_values(tensor) for tensor in tensors]
    check = native.finiteness() if by_kernel else None
    if check is None:
        return _finite_by_sums(stored)
    readable = [tensor.device.type == "cpu" and fits_kernel(tensor) for tensor in stored]
    others = [not is_readable for is_readable in readable]
    by_bits = iter(check(list(compress(stored, readable))))
    by_sums = iter(_finite_by_sums(list(compress(stored, others))))
    return [next(by_bits if is_readable else by_sums) for is_readable in readable]


def _finite_by_sums(tensors: list[Tensor]) -> list[bool]:
    if not tensors:
        return []
    # A finite sum proves finite terms. An infinite sum may be an overflow of finite terms, so then
    # each value is checked.
    sums = [tensor.sum().isfinite().to(tensors[0].device) for tensor in tensors]
    proven = torch.stack(sums).tolist()
    return [
        finite or bool(tensor.isfinite().all())
        for tensor, finite in zip(tensors, proven, strict=True)
    ]


def stored_values(tensor: Tensor) -> Tensor:
    """Return the stored values of a dense or sparse tensor."""
    return tensor.coalesce().values() if tensor.layout == torch.sparse_coo else tensor
