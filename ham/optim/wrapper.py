"""An optimizer around another that is itself an ordinary ``torch.optim.Optimizer``.

Why properties and named methods instead of ``__getattr__``: delegation by accident sends hooks,
checkpoints and AMP flags to whichever of the two objects happens to own the attribute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ham.errors import InvalidConfig


class OptimizerWrapper(Optimizer):
    """Shares parameter groups and state with ``base``; has its own hooks.

    ``param_groups`` and ``state`` are read from the base each time, so that they stay shared
    after ``load_state_dict``, ``copy.deepcopy`` and pickling. As in torch, hooks are not pickled.

    Args:
        base: the optimizer that is wrapped.
        defaults: entries that the wrapper adds to each parameter group.
    """

    def __init__(self, base: Optimizer, defaults: dict[str, Any]) -> None:
        self.base = base
        super().__init__(base.param_groups, {**base.defaults, **defaults})

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The base's parameter groups."""
        return self.base.param_groups

    @param_groups.setter
    def param_groups(self, value: Any) -> None:
        """Ignore what ``Optimizer.__init__`` assigns: the base owns the groups."""

    @property
    def state(self) -> Any:
        """The base's state."""
        return self.base.state

    @state.setter
    def state(self, value: Any) -> None:
        """Ignore what ``Optimizer.__init__`` assigns: the base owns the state."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group to the base."""
        # Optimizer.__init__ offers the base's own groups; they are there already.
        if not any(param_group is group for group in self.param_groups):
            self.base.add_param_group(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients of all parameters, as the base does it."""
        self.base.zero_grad(set_to_none=set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Return the base's checkpoint; it holds everything, since the groups are shared."""
        for before in self._optimizer_state_dict_pre_hooks.values():
            before(self)
        state_dict = self.base.state_dict()
        for after in self._optimizer_state_dict_post_hooks.values():
            state_dict = after(self, state_dict) or state_dict
        return state_dict

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a checkpoint into the base; one of a bare base keeps this wrapper's entries."""
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            state_dict = before(self, state_dict.copy()) or state_dict
        entries = [dict(group) for group in self.param_groups]
        self.base.load_state_dict(state_dict)
        for group, old in zip(self.param_groups, entries, strict=True):
            for key in old.keys() - group.keys():
                group[key] = old[key]
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"base": self.base, "defaults": self.defaults}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base!r})"


def evaluate(closure: Callable[[], Tensor | float] | None) -> Any:
    """Call a closure with gradients enabled; None gives None."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def require_optimizer(base: object, example: str) -> None:
    """Raise where what is to be wrapped is not an optimizer, with an example of how to do it."""
    if not isinstance(base, Optimizer):
        raise InvalidConfig("base", type(base).__name__, f"it must be an optimizer: {example}")
