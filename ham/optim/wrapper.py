"""The base class of HAM and SAM: a ``torch.optim.Optimizer`` that wraps another optimizer.

Why properties and named methods, and no ``__getattr__``: implicit delegation would send hooks,
checkpoints and AMP flags to the one of the two objects that happens to have the attribute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ham.errors import InvalidConfig


class OptimizerWrapper(Optimizer):
    """An optimizer that shares parameter groups and state with ``base``, and has its own hooks.

    ``param_groups`` and ``state`` are read from the base at each access, so that they stay shared
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
        """Ignore the assignment in ``Optimizer.__init__``: the base owns the groups."""

    @property
    def state(self) -> Any:
        """The base's state."""
        return self.base.state

    @state.setter
    def state(self, value: Any) -> None:
        """Ignore the assignment in ``Optimizer.__init__``: the base owns the state."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group to the base."""
        # Optimizer.__init__ adds the base's own groups, which the base already has.
        if not any(param_group is group for group in self.param_groups):
            self.base.add_param_group(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients of all parameters as the base does."""
        self.base.zero_grad(set_to_none=set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Return the base's checkpoint; the shared groups hold the wrapper's entries too."""
        for pre_hook in self._optimizer_state_dict_pre_hooks.values():
            pre_hook(self)
        state_dict = self.base.state_dict()
        for post_hook in self._optimizer_state_dict_post_hooks.values():
            state_dict = post_hook(self, state_dict) or state_dict
        return state_dict

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a checkpoint into the base.

        The checkpoint of a bare base, which lacks the wrapper's entries, leaves them unchanged.
        """
        for pre_hook in self._optimizer_load_state_dict_pre_hooks.values():
            state_dict = pre_hook(self, state_dict.copy()) or state_dict
        entries = [dict(group) for group in self.param_groups]
        self.base.load_state_dict(state_dict)
        for group, old in zip(self.param_groups, entries, strict=True):
            for key in old.keys() - group.keys():
                group[key] = old[key]
        for post_hook in self._optimizer_load_state_dict_post_hooks.values():
            post_hook(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"base": self.base, "defaults": self.defaults}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base!r})"


def evaluate(closure: Callable[[], Tensor | float] | None) -> Any:
    """Call a closure with gradients enabled and return its loss; None gives None."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def require_optimizer(base: object, example: str) -> None:
    """Check that ``base`` is an optimizer.

    Raises:
        InvalidConfig: it is not; the message shows the example.
    """
    if not isinstance(base, Optimizer):
        raise InvalidConfig("base", type(base).__name__, f"it must be an optimizer: {example}")
