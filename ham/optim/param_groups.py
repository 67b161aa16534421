"""What HAM reads from a parameter group, and which parameters of it take the step."""

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

    The prefix keeps them apart from a base's own ``alpha`` or ``beta``. As entries of the group
    they differ per layer, can be scheduled, and are part of every checkpoint.
    """
    return {
        "ham_alpha": alpha,
        "ham_beta": beta,
        "ham_max_exponent": max_exponent,
        "ham_min_dims": min_dims,
        "ham_sign": sign,
    }


def validate(group: Group) -> None:
    """Raise :class:`~ham.errors.InvalidConfig` where a HAM entry of a group breaks its rule."""
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
    """Raise where the base has no learning rate for HAM's step to use."""
    if "lr" not in group:
        raise InvalidConfig(
            "lr", None, "HAM's step uses the base's learning rate, the entry 'lr' of each group"
        )


def refuse_complex(group: Group) -> None:
    """Raise where HAM would have to take the sign of a complex parameter."""
    for param in group["params"]:
        if param.is_complex() and takes_ham_step(param, group):
            raise InvalidConfig(
                "dtype",
                param.dtype,
                "a complex weight has no sign: put it into a group with ham_alpha=0 and "
                "ham_beta=0, or train its torch.view_as_real",
            )


def is_active(group: Group) -> bool:
    """Tell whether HAM does anything in this group; with alpha = beta = 0 it does not."""
    return group["ham_alpha"] != 0 or group["ham_beta"] != 0


def takes_ham_step(param: Tensor, group: Group) -> bool:
    """Tell whether HAM moves this parameter: it has at least ``ham_min_dims`` dimensions.

    The default of 2 is the authors' rule: weights of linear and convolution layers, no biases and
    no normalization parameters. 0 takes all; a group with alpha = beta = 0 takes none.
    """
    return is_active(group) and param.dim() >= group["ham_min_dims"]
