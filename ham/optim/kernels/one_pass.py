"""The HAM step, alone or with the base's step, as one kernel call per device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import compress

import torch
from torch import Tensor
from torch.autograd.graph import increment_version
from torch.optim import Optimizer

from ham.optim.kernels import native, tables, triton_kernel
from ham.optim.kernels.base_coefficients import (
    base_coefficients,
    can_fuse,
    count_steps,
    kernel_base,
    moments,
    next_step,
)
from ham.optim.kernels.eager import reference_step
from ham.optim.kernels.parameter_updates import Entry, ParameterUpdate, with_gradients
from ham.optim.kernels.tables import (
    Coefficients,
    Table,
    TaskTable,
    coefficients,
    fits,
    ham_coefficients,
    on_host,
)
from ham.optim.nonfinite import checked_by_kernel, non_finite
from ham.optim.param_groups import takes_ham_step

Kernel = Callable[[Table, int], None]
Task = tuple[Entry, tuple[Tensor, ...]]  # what is to be moved, with the base's moments


def kernel_for(device: torch.device, *, check: bool = False) -> Kernel | None:
    """Return the kernel of a device, compiling it if need be; None where there is none.

    Args:
        device: where the tensors are.
        check: let native.c look for NaN and infinity; see ``nonfinite.checked_by_kernel``.
    """
    if device.type == "cpu":
        return native.kernel(check=check)
    return triton_kernel.kernel(device) if device.type == "cuda" else None


def ham_pass(moves: list[ParameterUpdate]) -> None:
    """Apply the HAM step with kernels; tensors that no kernel takes go through the formula."""
    by_device: dict[torch.device, TaskTable] = defaultdict(TaskTable)
    shared: dict[int, Coefficients] = {}
    rest = []
    for move in moves:
        group, device = move.group, move.theta.device
        states = () if move.previous is None else (move.previous,)
        if not (on_host(group["lr"]) and fits(move.theta, move.grad, *states)):
            rest.append(move)
        elif kernel_for(device) is None:
            rest.append(move)
        else:
            if id(group) not in shared:
                shared[id(group)] = coefficients(ham_coefficients(group))
            by_device[device].add(move.theta, move.grad, states, shared[id(group)])
    for device, table in by_device.items():
        _run(kernel_for(device), table, tables.NONE)
    reference_step(rest)


def fused_pass(base: Optimizer, policy: str) -> bool:
    """Take the base's step and HAM's in one pass, or touch nothing and return False.

    False on a parameter's first step (the base creates its state itself), and where base, layout
    or device cannot be fused.

    Args:
        base: the optimizer whose step is taken in its place.
        policy: what to do with gradients that hold NaN or infinity; see ``nonfinite.non_finite``.

    Raises:
        DivergedRun: a gradient is not finite and the policy is ``"raise"``; nothing has moved.
    """
    work = _fusible(base)
    if work is None:
        return False
    early = [entry for entry, _ in work if not checked_by_kernel(policy, entry[1].device)]
    out = {id(param) for _, param, _ in non_finite(early, policy, by_kernel=True)}
    staying = [(entry, state) for entry, state in work if id(entry[1]) not in out]
    for device, table in _tables(base, staying).items():
        kernel = kernel_for(device, check=checked_by_kernel(policy, device))
        count_steps(base, _run(kernel, table, kernel_base(base)))
    return True


def _fusible(base: Optimizer) -> list[Task] | None:
    """Return all parameters with a gradient, each with the base's moments; None where not."""
    if not can_fuse(base):
        return None
    work = []
    for entry in with_gradients(base.param_groups):
        group, param, grad = entry
        state = moments(base, group, param)
        if state is None or not fits(param, grad, *state):
            return None
        work.append((entry, state))
    devices = {entry[1].device for entry, _ in work}
    return work if all(kernel_for(device) for device in devices) else None


def _tables(base: Optimizer, work: list[Task]) -> dict[torch.device, TaskTable]:
    by_device: dict[torch.device, TaskTable] = defaultdict(TaskTable)
    shared: dict[tuple[int, bool, float], Coefficients] = {}
    for (group, param, grad), state in work:
        active, step = takes_ham_step(param, group), next_step(base, param)
        key = (id(group), active, step)
        if key not in shared:
            ham = ham_coefficients(group, active=active)
            shared[key] = coefficients(ham | base_coefficients(base, group, step))
        by_device[param.device].add(param, grad, state, shared[key])
    return by_device


def _run(kernel: Kernel | None, table: TaskTable, base: int) -> list[Tensor]:
    """Run a kernel on a table; return the parameters that have moved."""
    assert kernel is not None  # its tensors were taken because it exists
    rows = table.rows()
    kernel(rows, base)
    # The kernel writes behind autograd's back; versions let it refuse stale tensors.
    increment_version(table.written)
    return list(compress(table.thetas, rows["finite"]))
