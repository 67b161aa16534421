"""HAM: the step of a base optimizer followed by one multiplicative, sign-aware step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch.optim import LBFGS, Optimizer

from ham.errors import HamError, IncompatibleCombination, InvalidConfig
from ham.optim.kernels.dispatch import KERNEL_PATHS, PATHS, choose_path, ham_step
from ham.optim.kernels.one_pass import fused_base_step
from ham.optim.kernels.parameter_updates import ParameterUpdate, collect_updates
from ham.optim.nonfinite import POLICIES, skip_non_finite
from ham.optim.param_groups import (
    ham_defaults,
    is_active,
    refuse_complex,
    require_learning_rate,
    validate,
)
from ham.optim.wrapper import OptimizerWrapper, evaluate, require_optimizer


class HAM(OptimizerWrapper):
    r"""Hyperbolic Aware Minimization around any base optimizer.

    The base steps from theta_k to theta_half. HAM then takes the paper's update HYP* with the
    base's learning rate eta and the same raw gradient g:

    .. math:: \theta_{k+1} = \theta_{half} \exp(-\eta (\alpha\, sign(\theta_{half})\, g + \beta)).

    Gradient: g is ``p.grad`` as backward left it, without the base's momentum, weight decay or
    Adam direction. Where the base maximizes its objective, HAM uses ``-g``.

    Parameters: those with at least ``min_dims`` dimensions take the HAM step. By default this
    leaves biases and normalization parameters to the base.

    Parameter groups: ``ham_alpha``, ``ham_beta``, ``ham_min_dims``, ``ham_max_exponent`` and
    ``ham_sign`` are entries of each group. A group may have its own values, they may change
    during training, and every checkpoint holds them. With alpha = beta = 0 in all groups the step
    is the base's, bit by bit.

    Zeros and non-finite values: zero weights stay zero in the HAM step, so masks persist. A tensor
    whose gradient holds NaN or infinity is skipped (see :mod:`ham.optim.nonfinite`). The HAM step
    makes no finite weight infinite.

    Paths: they differ in speed and memory, and agree up to rounding; see
    :mod:`ham.optim.kernels.dispatch`.

    Args:
        base: any optimizer that takes one gradient per step; not LBFGS, not a HAM, not a SAM.
        alpha: strength of the sign-gradient term, finite and >= 0. Authors' default 200; the
            effective strength is ``lr * alpha * |grad|`` per step.
        beta: strength of the shrinkage term, finite and >= 0. Authors' default 1e-3; the
            effective strength is ``lr * beta`` per step.
        max_exponent: the exponent is clamped to [-max_exponent, max_exponent], in (0, 80].
        min_dims: least number of dimensions of a parameter that takes the step.
        sign: ``"half_step"`` is HYP*, the deployed form; ``"previous"`` is HYP, which takes the
            signs of the weights before the base step.
        nonfinite: policy for gradients with NaN or infinity. ``"skip"`` skips their tensors;
            ``"raise"`` raises DivergedRun before any parameter has changed; ``"ignore"`` makes no
            check; ``"auto"`` skips on a CPU and makes no check on an accelerator.
        path: ``"auto"``, ``"reference"``, ``"foreach"``, ``"fused"`` or ``"fused_base"``.

    Raises:
        InvalidConfig: an argument breaks its rule, or a parameter is complex.
        IncompatibleCombination: the base cannot be wrapped; the message says why.

    Examples:
        >>> weight = torch.nn.Parameter(torch.tensor([[0.1]], dtype=torch.float64))
        >>> optimizer = HAM(torch.optim.SGD([weight], lr=0.1), alpha=200.0, beta=1e-3)
        >>> weight.grad = torch.tensor([[0.01]], dtype=torch.float64)
        >>> _ = optimizer.step()
        >>> round(weight.item(), 10)
        0.0810462395

    Reference: Jacobs et al., ICLR 2026, https://arxiv.org/abs/2506.02630.

    Deviations from the authors' wrapper: this one is a ``torch.optim.Optimizer``, with closures,
    hooks, checkpoints, ``zero_grad(set_to_none)``, and AMP with a fused base. Alpha and beta are
    in the checkpoint. The authors clip the gradient norm after the step, where it has no effect
    before the next ``zero_grad``; HAM does not. No device is made to wait.
    """

    # False makes GradScaler unscale the gradients and skip overflow steps. A fused base would do
    # both in its own kernel, hidden from the HAM step.
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
        nonfinite: Literal["auto", "skip", "raise", "ignore"] = "auto",
        path: Literal["auto", "reference", "foreach", "fused", "fused_base"] = "auto",
    ) -> None:
        _check_base(base)
        for field, value, allowed in (("nonfinite", nonfinite, POLICIES), ("path", path, PATHS)):
            if value not in allowed:
                raise InvalidConfig(field, value, f"allowed: {', '.join(allowed)}")
        self.nonfinite = nonfinite
        self.path = path
        self._base_overwrites_gradients: bool | None = None
        super().__init__(base, ham_defaults(alpha, beta, max_exponent, min_dims, sign))
        for group in self.param_groups:
            require_learning_rate(group)
            refuse_complex(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group to the base; it may carry its own ``ham_`` entries."""
        for key, value in self.defaults.items():
            if key.startswith("ham_"):
                param_group.setdefault(key, value)
        validate(param_group)
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take the base step and the HAM step with the same gradient; return the closure's loss.

        Args:
            closure: computes the loss and its gradients and returns the loss; called once. As in
                torch, pre-hooks run before the closure: a hook that reads gradients needs
                ``step()`` without a closure.

        Raises:
            InvalidConfig: an entry of a group breaks its rule, or a gradient is sparse.
            DivergedRun: a gradient is not finite, and ``nonfinite`` is ``"raise"``.
            HamError: the base began to overwrite ``p.grad`` after the first step.
        """
        loss = evaluate(closure)
        for group in self.param_groups:
            validate(group)
        if not any(is_active(group) for group in self.param_groups):
            self.base.step()
            return loss
        path = choose_path(self.path, self.base)
        if path != "fused_base" or not fused_base_step(self.base, self.nonfinite):
            by_kernel = path in KERNEL_PATHS
            with skip_non_finite(self.param_groups, self.nonfinite, by_kernel=by_kernel):
                ham_step(path, self._step_base())
        return loss

    def _step_base(self) -> list[ParameterUpdate]:
        """Step the base; return the parameter updates with the gradients from before its step.

        torch's multi-tensor SGD with Nesterov momentum adds the momentum to ``p.grad``. The first
        step copies all gradients and compares the tensors' versions, to find out whether the base
        overwrites them. The later steps copy only for such a base.
        """
        updates = collect_updates(
            self.param_groups, copy_gradients=self._base_overwrites_gradients is not False
        )
        grads = [update.theta.grad for update in updates]
        versions = [grad._version for grad in grads if grad is not None]
        self.base.step()
        changed = versions != [grad._version for grad in grads if grad is not None]
        if self._base_overwrites_gradients is None:
            self._base_overwrites_gradients = changed
        elif changed and not self._base_overwrites_gradients:
            raise HamError(
                f"{type(self.base).__name__} began to overwrite p.grad in its step, so HAM has no "
                "raw gradient: do not change foreach, nesterov or similar options while training"
            )
        return updates

    def __getstate__(self) -> dict[str, Any]:
        own = {"nonfinite": self.nonfinite, "path": self.path, "_base_overwrites_gradients": None}
        return {**super().__getstate__(), **own}


def _check_base(base: Optimizer) -> None:
    name = type(base).__name__
    require_optimizer(base, "HAM(torch.optim.SGD(model.parameters(), lr=0.1))")
    if isinstance(base, HAM):
        raise IncompatibleCombination(
            "base", name, "HAM twice would apply its factor twice; wrap the innermost base once"
        )
    if isinstance(base, OptimizerWrapper):
        raise IncompatibleCombination(
            "base",
            name,
            "the order is SAM(HAM(base)): SAM must restore the weights before the HAM step",
        )
    if isinstance(base, LBFGS):
        raise IncompatibleCombination(
            "base",
            name,
            "it evaluates many gradients per step and keeps differences between them, which HAM's "
            "step would invalidate; use a base with one gradient per step, such as SGD or AdamW",
        )
