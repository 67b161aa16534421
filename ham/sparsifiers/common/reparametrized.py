"""The base class of every method that trains weights through another parameterization.

``torch.nn.utils.parametrize`` computes the weight of each layer from the trained tensors: two
factors, or a weight with a threshold or a gate. :meth:`ReparametrizedSparsifier.finalize` folds
the weight back, so the saved model is the plain architecture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parametrize
from torch.optim import Optimizer

from ham.errors import HamError, InvalidConfig
from ham.sparsifiers.common.masked import MaskedSparsifier
from ham.sparsifiers.common.protocol import Batch, Loss, ParamGroup
from ham.sparsifiers.common.prunable import (
    PrunableLayer,
    prunable_layers,
    stored_tensors,
    weight_name,
)
from ham.sparsifiers.common.report import SparsityReport, measure_sparsity


class ReparametrizedSparsifier(MaskedSparsifier):
    """Train re-parameterized weights under masks; a method adds the parameterization.

    One of the stored tensors of a layer carries the mask: the weight is zero where this tensor is
    zero. Tensors that are no weights in the ordinary sense (factors, thresholds, gates) are
    auxiliary: they have their own parameter group, and HAM does not act on it.

    Args:
        **common: see :class:`~ham.sparsifiers.common.MaskedSparsifier`; ``dense_layers`` are not
            re-parameterized.

    Attributes:
        layers: the re-parameterized layers, by the name of their weight in the plain
            architecture.
    """

    emerged: float | None = None

    def parametrization(self, weight: Tensor) -> nn.Module:
        """Return the module that computes a layer's weight from its stored tensors."""
        raise NotImplementedError

    def auxiliary_options(self) -> ParamGroup:
        """Return the options of the auxiliary parameter group; they switch HAM off for it."""
        return {"ham_alpha": 0.0, "ham_beta": 0.0}

    def attach(
        self, model: nn.Module, batches: Iterable[Batch] = (), loss: Loss = cross_entropy
    ) -> list[ParamGroup]:
        """Re-parameterize the layers; see :meth:`ham.sparsifiers.common.Sparsifier.attach`.

        Raises:
            InvalidConfig: a weight is shared by two layers or already re-parameterized.
        """
        require_own_weights(model)
        super().attach(model, batches, loss)
        self._all_layers = {weight_name(n): layer for n, layer in prunable_layers(model).items()}
        self.layers = {n: x for n, x in self._all_layers.items() if n not in self._dense_names}
        for name, layer in self.layers.items():
            parametrization = self.parametrization(layer.weight)
            parametrize.register_parametrization(layer, "weight", parametrization)
            self.masks.weights[name] = carrier(layer)
        auxiliary = [tensor for layer in self.layers.values() for tensor in auxiliary_of(layer)]
        self._auxiliary = {id(tensor) for tensor in auxiliary}
        plain = [p for p in model.parameters() if id(p) not in self._auxiliary]
        groups = [{"params": plain}, {"params": auxiliary, **self.auxiliary_options()}]
        return [group for group in groups if group["params"]]

    def bind(self, optimizer: Optimizer) -> None:
        """Register the step hooks on an optimizer that was built from the groups of ``attach``.

        Raises:
            HamError: the optimizer was built from other groups, so weight decay and HAM would act
                on the wrong tensors.
        """
        for group in optimizer.param_groups:
            inside = [id(tensor) in self._auxiliary for tensor in group["params"]]
            if any(inside) and not all(inside):
                raise HamError(
                    f"{type(self).__name__} trains tensors that need a parameter group of their "
                    "own: build the optimizer from the groups that attach (or ham.sparsify) "
                    "returned, not from model.parameters()"
                )
        super().bind(optimizer)

    def auxiliary_groups(self) -> list[ParamGroup]:
        """Return the parameter groups of the bound optimizer that hold auxiliary tensors."""
        return [
            group
            for group in self.optimizer.param_groups
            if any(id(tensor) in self._auxiliary for tensor in group["params"])
        ]

    def set_auxiliary_decay(self, weight_decay: float) -> None:
        """Set the weight decay of the auxiliary tensors."""
        for group in self.auxiliary_groups():
            group["weight_decay"] = weight_decay

    def finalize(self) -> None:
        """Fold every weight into the plain architecture; the outputs stay the same."""
        super().finalize()
        for layer in self.layers.values():
            if parametrize.is_parametrized(layer, "weight"):
                fold(layer)

    def report(self) -> SparsityReport:
        """Return the target sparsity and the counts of the computed weights."""
        with torch.no_grad():
            weights = {name: layer.weight for name, layer in self._all_layers.items()}
        return measure_sparsity(self.sparsity, weights, self.masks.kept(), self.emerged)


def parametrization_of(layer: PrunableLayer) -> Any:
    """Return the module that computes the weight of a re-parameterized layer."""
    return layer.parametrizations["weight"][0]  # type: ignore[index]


def carrier(layer: PrunableLayer) -> Tensor:
    """Return the stored tensor that carries the mask of a layer: the last one."""
    return stored_tensors(layer)[-1]


def auxiliary_of(layer: PrunableLayer) -> list[Tensor]:
    """Return the trained tensors of a layer that are no weights in the ordinary sense.

    These are the parameters of the parametrization itself, and the stored tensors if there are
    several (factors). A single stored tensor is an ordinary weight that the parametrization
    shrinks.
    """
    stored = stored_tensors(layer)
    factors = list(stored) if len(stored) > 1 else []
    return factors + list(parametrization_of(layer).parameters())


def fold(layer: PrunableLayer) -> None:
    """Replace the parametrization of a layer by the weight that it computes."""
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    # The plain architecture lists the weight before the bias, and optimizers rely on that order.
    layer.register_parameter("bias", layer._parameters.pop("bias"))


def gradient_flow_time(group: ParamGroup, total_steps: int) -> float:
    """Return ``lr * steps / (1 - momentum)``: the distance that a constant gradient of 1 moves.

    The effect of a penalty over a training depends on its strength times this time. A strength
    that was published for one training therefore carries over to a shorter or longer one. The
    learning rate is the peak of its schedule.

    Args:
        group: parameter group of the optimizer.
        total_steps: optimizer steps of the whole training.
    """
    rate = float(group["initial_lr"] if "initial_lr" in group else group["lr"])
    return rate * total_steps / (1 - float(group.get("momentum", 0.0)))


def require_own_weights(model: nn.Module) -> None:
    """Refuse a model in which two layers share a weight or a weight is re-parameterized.

    Raises:
        InvalidConfig: a weight is shared by two layers or already re-parameterized.
    """
    named = model.named_parameters(remove_duplicate=False)
    users = Counter(id(parameter) for _, parameter in named)
    for name, layer in prunable_layers(model).items():
        if parametrize.is_parametrized(layer, "weight"):
            raise InvalidConfig(weight_name(name), "a parametrized weight", "fold it first")
        if users[id(layer.weight)] > 1:
            raise InvalidConfig(
                weight_name(name), "a shared weight", "each re-parameterized layer needs its own"
            )
