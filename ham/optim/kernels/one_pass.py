"""The paths ``fused`` and ``fused_base``: one kernel call per device takes the step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import compress

import torch
from torch import Tensor
from torch.autograd.graph import increment_version
from torch.optim import Optimizer

from ham.optim.kernels import native, tensor_table, triton_kernel
from ham.optim.kernels.eager import reference_step
from ham.optim.kernels.fusible_bases import (
    base_coefficients,
    can_fuse,
    count_steps,
    kernel_base,
    moments,
    next_step_number,
)
from ham.optim.kernels.parameter_updates import (
    ParameterUpdate,
    ParamWithGrad,
    params_with_grad,
)
from ham.optim.kernels.tensor_table import (
    Coefficients,
    Entries,
    TensorTable,
    coefficients,
    fits_kernel,
    ham_coefficients,
    on_host,
)
from ham.optim.nonfinite import find_non_finite, is_checked_by_kernel
from ham.optim.param_groups import takes_ham_step

Kernel = Callable[[Entries, int], None]
# A parameter with its gradient, and the base's moments of it.
FusedUpdate = tuple[ParamWithGrad, tuple[Tensor, ...]]


def kernel_for(device: torch.device, *, check: bool = False) -> Kernel | None:
    """Return the kernel of a device, compiled where needed; None where there is none.

    Args:
        device: where the tensors are.
        check: True makes native.c check the gradients for NaN and infinity; see
            :func:`ham.optim.nonfinite.is_checked_by_kernel`.
    """
    if device.type == "cpu":
        return native.kernel(check=check)
    return triton_kernel.kernel(device) if device.type == "cuda" else None


def fused_step(updates: list[ParameterUpdate]) -> None:
    """Apply the HAM step with kernels; tensors that no kernel can take go through the formula."""
    tables: dict[torch.device, TensorTable] = defaultdict(TensorTable)
    group_coefficients: dict[int, Coefficients] = {}
    remaining = []
    for update in updates:
        group, device = update.group, update.theta.device
        states = () if update.previous_signs is None else (update.previous_signs,)
        if not (on_host(group["lr"]) and fits_kernel(update.theta, update.grad, *states)):
            remaining.append(update)
        elif kernel_for(device) is None:
            remaining.append(update)
        else:
            if id(group) not in group_coefficients:
                group_coefficients[id(group)] = coefficients(ham_coefficients(group))
            tables[device].add(update.theta, update.grad, states, group_coefficients[id(group)])
    for device, table in tables.items():
        _run_kernel(kernel_for(device), table, tensor_table.NONE)
    reference_step(remaining)


def fused_base_step(base: Optimizer, policy: str) -> bool:
    """Take the base step and the HAM step in one pass, or change nothing and return False.

    False on a parameter's first step, in which the base creates its state, and where a kernel
    cannot take the base, a tensor's layout or its device.

    Args:
        base: the optimizer whose step is taken instead of ``base.step()``.
        policy: treatment of gradients that hold NaN or infinity; see
            :func:`ham.optim.nonfinite.find_non_finite`.

    Raises:
        DivergedRun: a gradient is not finite and the policy is ``"raise"``; no parameter has
            changed.
    """
    updates = _collect_fused_updates(base)
    if updates is None:
        return False
    unchecked = [
        param_with_grad
        for param_with_grad, _ in updates
        if not is_checked_by_kernel(policy, param_with_grad[1].device)
    ]
    skipped = {id(param) for _, param, _ in find_non_finite(unchecked, policy, by_kernel=True)}
    updates = [update for update in updates if id(update[0][1]) not in skipped]
    for device, table in _fill_tables(base, updates).items():
        kernel = kernel_for(device, check=is_checked_by_kernel(policy, device))
        count_steps(base, _run_kernel(kernel, table, kernel_base(base)))
    return True


def _collect_fused_updates(base: Optimizer) -> list[FusedUpdate] | None:
    """Return the updates of all parameters with a gradient; None if one cannot be fused."""
    if not can_fuse(base):
        return None
    updates = []
    for group, param, grad in params_with_grad(base.param_groups):
        states = moments(base, group, param)
        if states is None or not fits_kernel(param, grad, *states):
            return None
        updates.append(((group, param, grad), states))
    devices = {param.device for (_, param, _), _ in updates}
    return updates if all(kernel_for(device) for device in devices) else None


def _fill_tables(base: Optimizer, updates: list[FusedUpdate]) -> dict[torch.device, TensorTable]:
    tables: dict[torch.device, TensorTable] = defaultdict(TensorTable)
    group_coefficients: dict[tuple[int, bool, float], Coefficients] = {}
    for (group, param, grad), states in updates:
        active, step = takes_ham_step(param, group), next_step_number(base, param)
        key = (id(group), active, step)
        if key not in group_coefficients:
            ham = ham_coefficients(group, active=active)
            group_coefficients[key] = coefficients(ham | base_coefficients(base, group, step))
        tables[param.device].add(param, grad, states, group_coefficients[key])
    return tables


def _run_kernel(kernel: Kernel | None, table: TensorTable, base: int) -> list[Tensor]:
    """Run a kernel on a table; return the parameters that it did not skip."""
    assert kernel is not None  # a tensor enters a table only if its device has a kernel
    entries = table.entries()
    kernel(entries, base)
    # The kernel writes without autograd's knowledge. New versions let autograd refuse to use the
    # changed tensors in a backward pass.
    increment_version(table.written)
    return list(compress(table.thetas, entries["finite"]))
