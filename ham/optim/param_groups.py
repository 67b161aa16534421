"""HAM's entries in a parameter group, their rules, and which parameters take the HAM step."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from ham.errors import InvalidConfig

Group = dict[str, Any]


def ham_defaults(
    alpha: float, beta: float, max_exponent: float, min_dims: int, sign: str
) -> Group:
    """Return the entries that HAM adds to each parameter group.

    The prefix ``ham_`` keeps them apart from a base's own ``alpha`` or ``beta``. As entries of a
    group they can differ between layers, can follow a schedule, and are in every checkpoint.
    """
    return {
        "ham_alpha": alpha,
        "ham_beta": beta,
        "ham_max_exponent": max_exponent,
        "ham_min_dims": min_dims,
        "ham_sign": sign,
    }


def validate(group: Group) -> None:
    """Check HAM's entries in a group.

    Raises:
        InvalidConfig: an entry breaks its rule.
    """
    for key in ("ham_alpha", "ham_beta"):
        value = group[key]
        if not (isinstance(value, (int, float)) and math.isfinite(value) and value >= 0):
            raise InvalidConfig(key, value, "it must be a number, finite and >= 0")
    bound = group["ham_max_exponent"]
    if not (isinstance(bound, (int, float)) and 0 < bound <= 80):
        raise InvalidConfig("ham_max_exponent", bound, "it must be a number in (0, 80]")
    if not (isinstance(group["ham_min_dims"], int) and group["ham_min_dims"] >= 0):
        raise InvalidConfig("ham_min_dims", group["ham_min_dims"], "it must be an integer >= 0")
    if group["ham_sign"] not in ("half_step", "previous"):
        raise InvalidConfig(
            "ham_sign", group["ham_sign"], "allowed: 'half_step' (HYP*) or 'previous' (HYP)"
        )


def require_learning_rate(group: Group) -> None:
    """Check that a group has the learning rate that the HAM step uses.

    Raises:
        InvalidConfig: the group has no entry ``lr``.
    """
    if "lr" not in group:
        raise InvalidConfig(
            "lr", None, "the HAM step uses the base's learning rate, the entry 'lr' of each group"
        )


def refuse_complex(group: Group) -> None:
    """Check that no complex parameter of a group takes the HAM step, which needs a sign.

    Raises:
        InvalidConfig: a complex parameter would take the step.
    """
    for param in group["params"]:
        if param.is_complex() and takes_ham_step(param, group):
            raise InvalidConfig(
                "dtype",
                param.dtype,
                "a complex weight has no sign: put it into a group with ham_alpha=0 and "
                "ham_beta=0, or train its torch.view_as_real",
            )


def is_active(group: Group) -> bool:
    """Tell whether HAM changes anything in a group: not with alpha = beta = 0."""
    return bool(group["ham_alpha"] != 0 or group["ham_beta"] != 0)


def takes_ham_step(param: Tensor, group: Group) -> bool:
    """Tell whether a parameter takes the HAM step: it has at least ``ham_min_dims`` dimensions.

    The default of 2 is the authors' rule: weights of linear and convolution layers, no biases and
    no normalization parameters. With 0 all take it; with alpha = beta = 0 none does.
    """
    return is_active(group) and param.dim() >= group["ham_min_dims"]
