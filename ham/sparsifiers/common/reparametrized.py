"""The base of every method that trains weights through another parameterization.

``torch.nn.utils.parametrize`` computes the weight of each layer from what is trained in its place:
factors, or a weight with a threshold or a gate. :meth:`finalize` folds it back, so that the saved
model is the plain architecture.
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
    """Trains re-parameterized weights under masks; a method adds the parameterization.

    Of the tensors that are stored for a layer, one carries the mask: held at zero, it makes the
    weight zero. The tensors that are no weights in the ordinary sense (factors, thresholds,
    gates) are auxiliary: they have a parameter group of their own, which HAM leaves alone.

    Args:
        **common: see :class:`~ham.sparsifiers.common.MaskedSparsifier`; ``dense_layers`` stay
        plain.

    Attributes:
        layers: the layers that take part, by the name of their weight in the plain architecture.
    """

    emerged: float | None = None

    def parametrization(self, weight: Tensor) -> nn.Module:
        """Return the module that computes a layer's weight from what is stored for it."""
        raise NotImplementedError

    def auxiliary_options(self) -> ParamGroup:
        """Return the entries of the auxiliary parameter group; HAM leaves it alone."""
        return {"ham_alpha": 0.0, "ham_beta": 0.0}

    def attach(
        self, model: nn.Module, batches: Iterable[Batch] = (), loss: Loss = cross_entropy
    ) -> list[ParamGroup]:
        """Re-parameterize the layers; see :meth:`ham.sparsifiers.common.Sparsifier.attach`.

        Raises:
            InvalidConfig: a weight is shared by two layers, or re-parameterized already.
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
        """Follow an optimizer that was built from the groups that :meth:`attach` returned.

        Raises:
            HamError: it was not, so that decay and HAM would act on the wrong tensors.
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
        """Return the bound optimizer's groups of auxiliary tensors."""
        return [
            group
            for group in self.optimizer.param_groups
            if any(id(tensor) in self._auxiliary for tensor in group["params"])
        ]

    def set_auxiliary_decay(self, weight_decay: float) -> None:
        """Change the weight decay of the auxiliary tensors."""
        for group in self.auxiliary_groups():
            group["weight_decay"] = weight_decay

    def finalize(self) -> None:
        """Fold every weight into the plain architecture; nothing but its storage changes."""
        super().finalize()
        for layer in self.layers.values():
            if parametrize.is_parametrized(layer, "weight"):
                fold(layer)

    def report(self) -> SparsityReport:
        """Count target and realised sparsity now, on the weights that the model computes with."""
        with torch.no_grad():
            weights = {name: layer.weight for name, layer in self._all_layers.items()}
        return measure_sparsity(self.sparsity, weights, self.masks.kept(), self.emerged)


def parametrization_of(layer: PrunableLayer) -> Any:
    """Return the module that computes the weight of a re-parameterized layer."""
    return layer.parametrizations["weight"][0]  # type: ignore[index]


def carrier(layer: PrunableLayer) -> Tensor:
    """Return the stored tensor that is held at zero where a weight is dropped: the last one."""
    return stored_tensors(layer)[-1]


def auxiliary_of(layer: PrunableLayer) -> list[Tensor]:
    """Return the trained tensors of a layer that are no weights in the ordinary sense.

    Those of the parametrization itself, and what is stored for it where that is several factors;
    a single stored tensor is an ordinary weight that the parametrization shrinks.
    """
    stored = stored_tensors(layer)
    factors = list(stored) if len(stored) > 1 else []
    return factors + list(parametrization_of(layer).parameters())


def fold(layer: PrunableLayer) -> None:
    """Store the weight that a layer computes with as its plain parameter."""
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    # The plain architecture lists the weight before the bias, and optimizers go by that order.
    layer.register_parameter("bias", layer._parameters.pop("bias"))


def path_length(group: ParamGroup, total_steps: int) -> float:
    """Return ``lr * steps / (1 - momentum)``: how far a constant gradient of 1 moves a weight.

    What a penalty does over a training goes by its strength times this length, so a strength that
    was published for one length can be carried over to another. The peak learning rate counts.
    """
    rate = float(group["initial_lr"] if "initial_lr" in group else group["lr"])
    return rate * total_steps / (1 - float(group.get("momentum", 0.0)))


def require_own_weights(model: nn.Module) -> None:
    """Raise where a weight is shared by two layers, or re-parameterized already."""
    named = model.named_parameters(remove_duplicate=False)
    users = Counter(id(parameter) for _, parameter in named)
    for name, layer in prunable_layers(model).items():
        if parametrize.is_parametrized(layer, "weight"):
            raise InvalidConfig(weight_name(name), "a parametrized weight", "fold it first")
        if users[id(layer.weight)] > 1:
            raise InvalidConfig(
                weight_name(name), "a shared weight", "each re-parameterized layer needs its own"
            )
