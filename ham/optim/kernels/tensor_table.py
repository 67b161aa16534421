"""The input of a one-pass kernel: a table with one entry per tensor.

An entry holds the tensor's addresses and the coefficients of its step. native.c and
_triton_source.py read this layout; a test compares native.c with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# The base step that a kernel takes before the HAM step.
NONE, SGD, ADAM = 0, 1, 2

DTYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2}
_PLAIN_TENSORS = (Tensor, torch.nn.Parameter)

# theta, grad, first, second: addresses of the weights, the gradient, the first and the second
#     moment; 0 where there is none. Without a base step, HYP's previous signs are in ``first``.
# count, dtype: number of elements, and their type as in DTYPES.
# finite: 1; native.c, asked to check the gradients, sets it to 0 where it finds NaN or infinity.
INTEGERS = ("theta", "grad", "first", "second", "count", "dtype", "finite")

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

ENTRY = np.dtype(
    [(name, np.int64) for name in INTEGERS] + [(name, np.float64) for name in COEFFICIENTS]
)

Entries = NDArray[np.void]
Coefficients = NDArray[np.float64]


class TensorTable:
    """Builder of the entries for the tensors of one device.

    Attributes:
        thetas: the parameters, in the order of the entries.
        written: every tensor that the kernel writes: the parameters and the base's moments.
    """

    def __init__(self) -> None:
        self._integers: list[tuple[int, ...]] = []
        self._coefficients: list[Coefficients] = []
        self.thetas: list[Tensor] = []
        self.written: list[Tensor] = []

    def add(
        self, theta: Tensor, grad: Tensor, states: tuple[Tensor, ...], coefficients: Coefficients
    ) -> None:
        """Add the entry of a parameter.

        Args:
            theta: the parameter.
            grad: its raw gradient.
            states: the base's first and second moment, as far as it has them; without a base
                step, the previous signs for HYP.
            coefficients: see :func:`coefficients`.
        """
        addresses = [tensor.data_ptr() for tensor in (theta, grad, *states)]
        absent = (0,) * (4 - len(addresses))
        self._integers.append((*addresses, *absent, theta.numel(), DTYPES[theta.dtype], 1))
        self._coefficients.append(coefficients)
        self.thetas.append(theta)
        self.written += [theta, *states]

    def entries(self) -> Entries:
        """Return the entries as the structured array that the kernels read."""
        entries = np.empty(len(self._integers), ENTRY)
        words = entries.view(np.int64).reshape(len(entries), -1)
        words[:, : len(INTEGERS)] = self._integers
        words.view(np.float64)[:, len(INTEGERS) :] = self._coefficients
        return entries


def coefficients(values: dict[str, float]) -> Coefficients:
    """Return named coefficients in the order of an entry; an absent name gives 0."""
    return np.array([float(values.get(name, 0.0)) for name in COEFFICIENTS])


def ham_coefficients(group: dict[str, Any], *, active: bool = True) -> dict[str, float]:
    """Return the coefficients of the HAM step in a group; inactive gives the factor exp(0) = 1."""
    return {
        "lr": group["lr"],
        "alpha": group["ham_alpha"] if active else 0.0,
        "beta": group["ham_beta"] if active else 0.0,
        "max_exponent": group["ham_max_exponent"],
        "sign_previous": group["ham_sign"] == "previous",
        "grad_sign": -1.0 if group.get("maximize", False) else 1.0,
    }


def on_host(*numbers: float | Tensor) -> bool:
    """Tell whether the host can read these numbers without waiting for an accelerator."""
    return all(not isinstance(n, Tensor) or n.device.type == "cpu" for n in numbers)


def fits_kernel(theta: Tensor, *others: Tensor) -> bool:
    """Tell whether a kernel may read these tensors as flat arrays with one common index.

    They must be plain tensors (a DTensor has no single address) of one supported dtype, dense and
    with equal shapes and strides.
    """
    if type(theta) not in _PLAIN_TENSORS or theta.dtype not in DTYPES or not _is_dense(theta):
        return False
    layout = (theta.dtype, theta.device, theta.stride(), theta.shape)
    for other in others:
        if type(other) is not Tensor or other.layout != torch.strided:
            return False
        if (other.dtype, other.device, other.stride(), other.shape) != layout:
            return False
    return True


def _is_dense(theta: Tensor) -> bool:
    return theta.layout == torch.strided and (
        theta.is_contiguous()
        or (theta.dim() == 4 and theta.is_contiguous(memory_format=torch.channels_last))
    )
