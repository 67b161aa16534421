"""The table that a one-pass kernel works through: one row per tensor, pointers and coefficients.

Both kernels, native.c and triton_kernel.py, read this layout; a test holds the three together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# What the kernel does before HAM's step.
NONE, SGD, ADAM = 0, 1, 2

_PLAIN = (Tensor, torch.nn.Parameter)
DTYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2}

COEFFICIENTS = (
    "lr",
    "alpha",
    "beta",
    "max_exponent",
    "sign_previous",  # 1: HYP, signs of the weights before the base step; 0: HYP*
    "grad_sign",  # -1 where the base maximizes
    "coupled_decay",  # weight decay added to the gradient
    "decoupled_decay",  # weight decay of the weights themselves, times lr
    "first_keep",  # first moment: keep * first + take * gradient
    "first_take",
    "nesterov",
    "second_keep",  # second moment: keep * second + (1 - keep) * gradient^2
    "step_size",  # Adam: lr / bias correction of the first moment
    "second_scale",  # Adam: 1 / sqrt(bias correction of the second moment)
    "eps",
)

# finite starts as 1; native.c sets it to 0 where it is asked to look and finds NaN or infinity.
WORDS = ("theta", "grad", "first", "second", "count", "dtype", "finite")
ROW = np.dtype(
    [(name, np.int64) for name in WORDS] + [(name, np.float64) for name in COEFFICIENTS]
)

Table = NDArray[np.void]
Coefficients = NDArray[np.float64]


class TaskTable:
    """Rows for the tensors of one device, and the tensors that the kernel will write."""

    def __init__(self) -> None:
        self._words: list[tuple[int, ...]] = []
        self._coefficients: list[Coefficients] = []
        self.thetas: list[Tensor] = []
        self.written: list[Tensor] = []

    def add(
        self, theta: Tensor, grad: Tensor, states: tuple[Tensor, ...], coefficients: Coefficients
    ) -> None:
        """Add a tensor with its state (first moment, second moment) and ``coefficients(...)``."""
        pointers = [tensor.data_ptr() for tensor in (theta, grad, *states)]
        absent = (0,) * (4 - len(pointers))
        self._words.append((*pointers, *absent, theta.numel(), DTYPES[theta.dtype], 1))
        self._coefficients.append(coefficients)
        self.thetas.append(theta)
        self.written += [theta, *states]

    def rows(self) -> Table:
        """Return the rows as the structured array that the kernels read."""
        table = np.empty(len(self._words), ROW)
        words = table.view(np.int64).reshape(len(table), -1)
        words[:, : len(WORDS)] = self._words
        words.view(np.float64)[:, len(WORDS) :] = self._coefficients
        return table


def coefficients(values: dict[str, float]) -> Coefficients:
    """Return named coefficients in the order of a row; what is not named is 0."""
    return np.array([float(values.get(name, 0.0)) for name in COEFFICIENTS])


def ham_coefficients(group: dict[str, Any], *, active: bool = True) -> dict[str, float]:
    """Return the coefficients of HAM's step in a group; inactive is the factor exp(0) = 1."""
    return {
        "lr": group["lr"],
        "alpha": group["ham_alpha"] if active else 0.0,
        "beta": group["ham_beta"] if active else 0.0,
        "max_exponent": group["ham_max_exponent"],
        "sign_previous": group["ham_sign"] == "previous",
        "grad_sign": -1.0 if group.get("maximize", False) else 1.0,
    }


def on_host(*numbers: float | Tensor) -> bool:
    """Tell whether these numbers can be read without waiting for an accelerator."""
    return all(not isinstance(n, Tensor) or n.device.type == "cpu" for n in numbers)


def fits(theta: Tensor, *others: Tensor) -> bool:
    """Tell whether a kernel may walk these tensors as flat arrays in step.

    They must be plain tensors (a DTensor has no single pointer) of one supported type, dense and
    with equal strides.
    """
    if type(theta) not in _PLAIN or theta.dtype not in DTYPES or not _is_dense(theta):
        return False
    place = (theta.dtype, theta.device, theta.stride(), theta.shape)
    for other in others:
        if type(other) is not Tensor or other.layout != torch.strided:
            return False
        if (other.dtype, other.device, other.stride(), other.shape) != place:
            return False
    return True


def _is_dense(theta: Tensor) -> bool:
    return theta.layout == torch.strided and (
        theta.is_contiguous()
        or (theta.dim() == 4 and theta.is_contiguous(memory_format=torch.channels_last))
    )
