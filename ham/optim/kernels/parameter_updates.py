"""The tensors that HAM moves in one step, each with the gradient that backward left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ham.errors import InvalidConfig
from ham.optim.param_groups import refuse_complex, takes_ham_step

# A parameter that has a gradient: its group, itself, its gradient.
Entry = tuple[dict[str, Any], Tensor, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class ParameterUpdate:
    """One tensor of one step.

    Attributes:
        theta: the parameter; the base has moved it when the HAM step runs.
        grad: the raw gradient of what the base minimizes, or maximizes where its group says so.
        group: the parameter group, for the learning rate and the ``ham_`` entries.
        previous: signs before the base step, for HYP; None for HYP*.
    """

    theta: Tensor
    grad: Tensor
    group: dict[str, Any]
    previous: Tensor | None = None

    @property
    def grad_sign(self) -> int:
        """-1 where the base maximizes: its objective is minus the loss of the paper."""
        return -1 if self.group.get("maximize", False) else 1


def collect_updates(
    groups: list[dict[str, Any]], *, copy_gradients: bool
) -> list[ParameterUpdate]:
    """List the HAM moves of one step, before the base steps.

    Args:
        groups: parameter groups.
        copy_gradients: True for a base that overwrites ``p.grad``.

    Raises:
        InvalidConfig: a gradient is sparse.
    """
    return [
        ParameterUpdate(
            theta=param,
            grad=grad.clone() if copy_gradients else grad,
            group=group,
            previous=param.sign() if group["ham_sign"] == "previous" else None,
        )
        for group, param, grad in with_gradients(groups)
        if takes_ham_step(param, group)
    ]


def with_gradients(groups: list[dict[str, Any]]) -> Iterator[Entry]:
    """Yield (group, parameter, gradient) for every parameter that has a gradient."""
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
