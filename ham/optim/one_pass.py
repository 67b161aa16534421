"""The HAM step, alone or with the base's step, as one kernel call per device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import torch
from torch.autograd.graph import increment_version
from torch.optim import Optimizer

from ham.optim import native, tasks, triton_kernel
from ham.optim.bases import advance, can_fuse, kernel_base, moments
from ham.optim.eager import reference_step
from ham.optim.moves import Move, with_gradients
from ham.optim.param_groups import takes_ham_step
from ham.optim.tasks import Table, TaskTable, fits, ham_coefficients, on_host

Kernel = Callable[[Table, int], None]


def kernel_for(device: torch.device) -> Kernel | None:
    """Return the kernel of a device, compiling it if need be; None where there is none."""
    if device.type == "cpu":
        return native.kernel()
    return triton_kernel.kernel(device) if device.type == "cuda" else None


def ham_pass(moves: list[Move]) -> None:
    """Apply the HAM step with kernels; tensors that no kernel takes go through the formula."""
    tables: dict[torch.device, TaskTable] = defaultdict(TaskTable)
    rest = []
    for move in moves:
        others = (move.grad,) if move.previous is None else (move.grad, move.previous)
        readable = on_host(move.group["lr"]) and fits(move.theta, *others)
        if readable and kernel_for(move.theta.device) is not None:
            states = () if move.previous is None else (move.previous,)
            tables[move.theta.device].add(
                move.theta, move.grad, states, ham_coefficients(move.group)
            )
        else:
            rest.append(move)
    _run(tables, tasks.NONE)
    reference_step(rest)


def fused_pass(base: Optimizer) -> bool:
    """Take the base's step and HAM's in one pass, or touch nothing and return False.

    False on a parameter's first step (the base creates its state itself), and where base, layout
    or device cannot be fused.
    """
    if not can_fuse(base):
        return False
    work = list(with_gradients(base.param_groups))
    states = [moments(base, group, param) for group, param, _ in work]
    if not all(
        state is not None and fits(param, grad, *state) and kernel_for(param.device) is not None
        for (_, param, grad), state in zip(work, states, strict=True)
    ):
        return False
    tables: dict[torch.device, TaskTable] = defaultdict(TaskTable)
    for (group, param, grad), state in zip(work, states, strict=True):
        coefficients = ham_coefficients(group, active=takes_ham_step(param, group))
        coefficients |= advance(base, group, param)
        tables[param.device].add(param, grad, state or (), coefficients)
    _run(tables, kernel_base(base))
    return True


def _run(tables: dict[torch.device, TaskTable], base: int) -> None:
    for device, table in tables.items():
        kernel = kernel_for(device)
        if kernel is not None:
            kernel(table.rows(), base)
            # The kernel writes behind autograd's back; versions let it refuse stale tensors.
            increment_version(table.written)
