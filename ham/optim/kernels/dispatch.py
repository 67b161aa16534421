"""The ways to compute one HAM step, and which is chosen where. All agree to rounding.

| path | what | chosen by ``"auto"`` |
|---|---|---|
| reference | the formula, tensor by tensor | CPU, small models or no C compiler |
| foreach | multi-tensor operations | other devices, small models, under torch.compile |
| fused | HAM's step in one pass over the weights | large models whose base cannot be fused |
| fused_base | the base's step and HAM's in one pass | large models with SGD, Adam or AdamW |

The fused paths are native.c on a CPU and Triton on a CUDA GPU; without a compiler the eager path
of the device takes over. ``fused_base`` leaves a step that it cannot take (a parameter's first,
amsgrad, a capturable base, a base with hooks of its own) to the base, followed by ``fused``.
"""

from __future__ import annotations

import torch
from torch.optim import Optimizer

from ham.optim.kernels.base_coefficients import can_fuse
from ham.optim.kernels.eager import foreach_step, reference_step
from ham.optim.kernels.one_pass import ham_pass, kernel_for
from ham.optim.kernels.parameter_updates import ParameterUpdate

KERNEL_PATHS = ("fused", "fused_base")
PATHS = ("auto", "reference", "foreach", *KERNEL_PATHS)

# The kernel takes about a second to compile and saves about 1 ns per weight and step (see
# docs/ham.md), so a million weights pay it back within a thousand steps.
WORTH_COMPILING = 1_000_000


def choose_path(path: str, base: Optimizer) -> str:
    """Resolve ``"auto"`` for the parameters of a base; any other path is returned as it is."""
    if torch.compiler.is_compiling():
        return "foreach"
    if path != "auto":
        return path
    params = [param for group in base.param_groups for param in group["params"]]
    on_cpu = all(param.device.type == "cpu" for param in params)
    large = sum(param.numel() for param in params) >= WORTH_COMPILING
    if large and all(kernel_for(device) for device in {param.device for param in params}):
        return "fused_base" if can_fuse(base) else "fused"
    return "reference" if on_cpu else "foreach"


def ham_step(path: str, moves: list[ParameterUpdate]) -> None:
    """Apply HAM's step alone by a resolved path."""
    step = {"reference": reference_step, "foreach": foreach_step}.get(path, ham_pass)
    step(moves)
