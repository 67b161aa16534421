"""The parameters that take the HAM step, each with the gradient that backward left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ham.errors import InvalidConfig
from ham.optim.param_groups import refuse_complex, takes_ham_step

# A parameter that has a gradient: its parameter group, the parameter, the gradient.
ParamWithGrad = tuple[dict[str, Any], Tensor, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class ParameterUpdate:
    """The HAM step of one parameter.

    Attributes:
        theta: the parameter; it holds theta_half when the HAM step is applied.
        grad: the raw gradient of the objective that the base minimizes, or maximizes where its
            group has ``maximize=True``.
        group: the parameter group, with the learning rate and the ``ham_`` entries.
        previous_signs: signs of the weights before the base step, for HYP; None for HYP*.
    """

    theta: Tensor
    grad: Tensor
    group: dict[str, Any]
    previous_signs: Tensor | None = None

    @property
    def grad_sign(self) -> int:
        """-1 where the base maximizes: the paper's loss is then minus the base's objective."""
        return -1 if self.group.get("maximize", False) else 1


def collect_updates(
    groups: list[dict[str, Any]], *, copy_gradients: bool
) -> list[ParameterUpdate]:
    """List the parameter updates of one HAM step; to be called before the base steps.

    Args:
        groups: parameter groups.
        copy_gradients: True for a base that overwrites ``p.grad``.

    Raises:
        InvalidConfig: a gradient is sparse or a parameter is complex.
    """
    return [
        ParameterUpdate(
            theta=param,
            grad=grad.clone() if copy_gradients else grad,
            group=group,
            previous_signs=param.sign() if group["ham_sign"] == "previous" else None,
        )
        for group, param, grad in params_with_grad(groups)
        if takes_ham_step(param, group)
    ]


def params_with_grad(groups: list[dict[str, Any]]) -> Iterator[ParamWithGrad]:
    """Yield (group, parameter, gradient) for every parameter that has a gradient.

    Raises:
        InvalidConfig: HAM cannot take the step of a parameter: its gradient is sparse, or it is
            complex.
    """
    for group in groups:
        refuse_complex(group)
        for param in group["params"]:
            grad = param.grad
            if grad is not None:
                if grad.layout != torch.strided and takes_ham_step(param, group):
                    raise InvalidConfig(
                        "grad.layout",
                        grad.layout,
                        "HAM needs dense gradients: build the embedding with sparse=False, or put "
                        "this parameter into a group with ham_alpha=0 and ham_beta=0",
                    )
                yield group, param, grad
