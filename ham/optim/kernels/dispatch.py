"""The paths that compute one HAM step, and the choice between them. All agree up to rounding.

| path | computes | ``"auto"`` chooses it for |
|---|---|---|
| reference | the formula, tensor by tensor | CPU: small models, or no C compiler |
| foreach | the formula with multi-tensor operations | other devices: small models, or no kernel |
| fused | the HAM step in one pass over the weights | large models, bases that cannot be fused |
| fused_base | the base step and the HAM step in one pass | large models, SGD, Adam or AdamW |

Under ``torch.compile`` the path is foreach. A model is large from ``LARGE_MODEL`` weights on. The
kernel of the fused paths is native.c on a CPU and Triton on a CUDA GPU.

``fused_base`` leaves a step that it cannot take (a parameter's first, amsgrad, a capturable base,
a base with hooks of its own) to the base, followed by ``fused``. ``fused`` applies the formula to
a tensor that no kernel can take.
"""

from __future__ import annotations

import torch
from torch.optim import Optimizer

from ham.optim.kernels.eager import foreach_step, reference_step
from ham.optim.kernels.fusible_bases import can_fuse
from ham.optim.kernels.one_pass import fused_step, kernel_for
from ham.optim.kernels.parameter_updates import ParameterUpdate

KERNEL_PATHS = ("fused", "fused_base")
PATHS = ("auto", "reference", "foreach", *KERNEL_PATHS)

# A kernel takes about 1 s to compile and saves about 1 ns per weight and step (see docs/ham.md),
# so with a million weights it has paid for itself within a thousand steps.
LARGE_MODEL = 1_000_000


def choose_path(path: str, base: Optimizer) -> str:
    """Resolve ``"auto"`` for the parameters of a base; return any other path unchanged."""
    if torch.compiler.is_compiling():
        return "foreach"
    if path != "auto":
        return path
    params = [param for group in base.param_groups for param in group["params"]]
    on_cpu = all(param.device.type == "cpu" for param in params)
    large = sum(param.numel() for param in params) >= LARGE_MODEL
    if large and all(kernel_for(device) for device in {param.device for param in params}):
        return "fused_base" if can_fuse(base) else "fused"
    return "reference" if on_cpu else "foreach"


def ham_step(path: str, updates: list[ParameterUpdate]) -> None:
    """Apply the HAM step, after the base step, by a resolved path."""
    step = {"reference": reference_step, "foreach": foreach_step}.get(path, fused_step)
    step(updates)
