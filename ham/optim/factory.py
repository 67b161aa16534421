"""HAM around a base optimizer, built from the base's name, a recipe and a configuration."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from ham.catalog import OPTIMIZERS
from ham.config import HamConfig, Recipe
from ham.optim.hyperbolic import HAM


def sgd(params: ParamsT, recipe: Recipe) -> Optimizer:
    """Build SGD with the recipe's learning rate, momentum and coupled weight decay."""
    return torch.optim.SGD(
        params,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
    )


def build_optimizer(params: ParamsT, name: str, recipe: Recipe, ham_config: HamConfig) -> HAM:
    """Build a registered base optimizer and wrap it in HAM.

    ``HamConfig(0, 0)`` gives a HAM too. Its steps are the base's, bit by bit, at no cost.

    Args:
        params: parameters or parameter groups; a group may carry its own ``ham_`` entries.
        name: registry name of the base optimizer.
        recipe: learning rate, momentum, weight decay.
        ham_config: alpha and beta, and multiples of the recipe's learning rate and weight decay.

    Raises:
        UnknownName: no base optimizer has this name.
    """
    tuned = replace(
        recipe,
        learning_rate=recipe.learning_rate * ham_config.learning_rate,
        weight_decay=recipe.weight_decay * ham_config.weight_decay,
    )
    base = OPTIMIZERS.get(name).load()(params, tuned)
    return HAM(base, alpha=ham_config.alpha, beta=ham_config.beta)
