"""SAM: the base steps with the gradient at the nearby point of highest loss.

Reference: Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization",
ICLR 2021, https://arxiv.org/abs/2010.01412, equation 2 and algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from ham.errors import HamError, IncompatibleCombination, InvalidConfig
from ham.optim.wrapper import OptimizerWrapper, evaluate, require_optimizer


class SAM(OptimizerWrapper):
    r"""Sharpness-aware minimization, outermost: ``SAM(HAM(SGD(...)))``.

    One ``step(closure)``:

    1. The closure gives the first gradient g at theta.
    2. The weights move to ``theta + rho g / ||g||``, with the norm over all parameters.
    3. The closure gives the second gradient.
    4. The weights are restored, bit by bit.
    5. The base steps with the second gradient; a HAM as base uses it for the HAM step too.

    Hooks of the base (a sparsifier's) therefore see the second gradient at the restored weights.
    With ``rho = 0`` the step is the base's.

    Batch normalization: with ``model``, only the first pass updates the running statistics;
    without it, both passes do.

    Masks: zero weights of tensors with at least ``ham_min_dims`` (2) dimensions are not perturbed
    and do not count in the norm, so pruned weights are zero at the perturbed point too.

    Args:
        base: a HAM, or a bare optimizer for SAM without HAM; not a SAM.
        rho: radius of the perturbation, finite and >= 0; ``sam_rho`` in each parameter group.
        model: the model whose running statistics the second pass must not update.

    Raises:
        InvalidConfig: rho breaks its rule.
        IncompatibleCombination: the base is a SAM.

    Deviations: none from the paper, which does not treat batch normalization and masks.
    """

    # True makes GradScaler leave the gradients to ``step``, which then refuses it with the reason.
    # False would let the base step with a second gradient that is still scaled.
    _step_supports_amp_scaling = True

    def __init__(
        self, base: Optimizer, rho: float = 0.05, *, model: nn.Module | None = None
    ) -> None:
        require_optimizer(base, "SAM(HAM(torch.optim.SGD(model.parameters(), lr=0.1)))")
        if isinstance(base, SAM):
            raise IncompatibleCombination(
                "base", type(base).__name__, "SAM twice would perturb twice; wrap once, outermost"
            )
        self.model = model
        super().__init__(base, {"sam_rho": rho})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group to the base; it may carry its own ``sam_rho``."""
        rho = param_group.setdefault("sam_rho", self.defaults["sam_rho"])
        if not (isinstance(rho, (int, float)) and math.isfinite(rho) and rho >= 0):
            raise InvalidConfig("sam_rho", rho, "it must be a number, finite and >= 0")
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one SAM step; return the loss of the first pass.

        Args:
            closure: runs forward and backward and returns the loss; called twice. Gradients are
                cleared between the passes.

        Raises:
            InvalidConfig: there is no closure.
            HamError: GradScaler calls this step.
        """
        if closure is None:
            raise InvalidConfig("closure", None, _CLOSURE_RULE)
        if vars(self).pop("grad_scale", None) is not None:
            raise HamError(
                "SAM cannot be driven by GradScaler, which would unscale only one of its two "
                "gradients: train in bfloat16 or float32 and call step(closure)"
            )
        loss = evaluate(closure)
        with self._perturbed(), _frozen_statistics(self.model):
            self.zero_grad()
            evaluate(closure)
        self.base.step()
        return loss

    @contextmanager
    def _perturbed(self) -> Iterator[None]:
        directions = [
            (param, group["sam_rho"], _direction(param, group))
            for group in self.param_groups
            for param in group["params"]
            if param.grad is not None
        ]
        before = [param.clone() for param, _, _ in directions]
        scale = _inverse_norm([direction for _, _, direction in directions])
        for param, rho, direction in directions:
            # scale is 0 where the norm is not finite; 0 * NaN must not change the weight
            param.add_((direction * (rho * scale).to(param)).nan_to_num(0.0, 0.0, 0.0))
        try:
            yield
        finally:
            for (param, _, _), old in zip(directions, before, strict=True):
                param.copy_(old)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "model": self.model}


_CLOSURE_RULE = (
    "SAM needs the gradient twice: call step(closure), where the closure runs forward and "
    "backward and returns the loss"
)


def _direction(param: Tensor, group: dict[str, Any]) -> Tensor:
    """Return the gradient, with 0 for the weights that a mask keeps at zero."""
    grad: Tensor = param.grad  # type: ignore[assignment]
    return grad * (param != 0) if param.dim() >= group.get("ham_min_dims", 2) else grad


def _inverse_norm(directions: list[Tensor]) -> Tensor:
    """Return 1 / ||g|| over all tensors; 0 where it is not finite: then no weight moves."""
    if not directions:
        return torch.zeros(())
    norms = [torch.linalg.vector_norm(d, dtype=torch.float32) for d in directions]
    norm = torch.linalg.vector_norm(torch.stack([n.to(norms[0].device) for n in norms]))
    inverse = 1 / (norm + 1e-12)
    return torch.where(norm.isfinite(), inverse, 0.0)


@contextmanager
def _frozen_statistics(model: nn.Module | None) -> Iterator[None]:
    """Within the context, normalize by the batch but do not update the running statistics."""
    layers = [
        module
        for module in (model.modules() if model is not None else ())
        if isinstance(module, _BatchNorm) and module.training and module.track_running_stats
    ]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
