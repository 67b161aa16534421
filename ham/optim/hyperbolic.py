"""HAM: a base optimizer's step followed by one multiplicative, sign-aware step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from ham.optim.formula import hyperbolic_step_
from ham.optim.param_groups import ham_defaults, takes_ham_step, validate
from ham.optim.wrapper import OptimizerWrapper, evaluate


class HAM(OptimizerWrapper):
    """Hyperbolic Aware Minimization around any base optimizer."""

    # False makes GradScaler unscale the gradients and skip overflow steps for us; a fused base
    # would do both inside its own kernel, where HAM's step cannot see it.
    _step_supports_amp_scaling = False

    def __init__(
        self,
        base: Optimizer,
        alpha: float = 200.0,
        beta: float = 1e-3,
        *,
        max_exponent: float = 5.0,
        min_dims: int = 2,
        sign: Literal["half_step", "previous"] = "half_step",
    ) -> None:
        super().__init__(base, ham_defaults(alpha, beta, max_exponent, min_dims, sign))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group to the base; it may carry its own ``ham_`` entries."""
        for key, value in self.defaults.items():
            if key.startswith("ham_"):
                param_group.setdefault(key, value)
        validate(param_group)
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take the base's and HAM's step with the same gradient; return the closure's loss."""
        loss = evaluate(closure)
        previous = self._previous_signs()
        self.base.step()
        for group in self.param_groups:
            validate(group)
            for param in group["params"]:
                if param.grad is not None and takes_ham_step(param, group):
                    self._move(param, group, previous.get(param))
        return loss

    def _previous_signs(self) -> dict[Tensor, Tensor]:
        return {
            param: param.sign()
            for group in self.param_groups
            if group["ham_sign"] == "previous"
            for param in group["params"]
            if param.grad is not None and takes_ham_step(param, group)
        }

    def _move(self, param: Tensor, group: dict[str, Any], signs: Tensor | None) -> None:
        hyperbolic_step_(
            param,
            param.grad.neg() if group.get("maximize") else param.grad,  # type: ignore[union-attr, arg-type]
            lr=group["lr"],
            alpha=group["ham_alpha"],
            beta=group["ham_beta"],
            max_exponent=group["ham_max_exponent"],
            sign_from=signs,
        )
