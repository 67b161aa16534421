"""Allocation of one target sparsity over the layers: a density per layer.

Each allocation takes the weights' shapes ``(out, in, *kernel)`` by layer name and the overall
sparsity in [0, 1). It returns the density of every layer, in (0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping

from ham.errors import UnknownName
from ham.sparsifiers.common.topk import exact_floor

Shapes = Mapping[str, tuple[int, ...]]


def uniform(shapes: Shapes, sparsity: float) -> dict[str, float]:
    """Give every layer the density ``1 - sparsity``."""
    return dict.fromkeys(shapes, 1 - sparsity)


def erdos_renyi_kernel(shapes: Shapes, sparsity: float) -> dict[str, float]:
    """Give layer l the density ``min(1, eps * sum(shape_l) / prod(shape_l))`` (ERK).

    A layer whose density would exceed 1 becomes dense, and ``eps`` is solved again for the other
    layers until no density exceeds 1. The total then meets the sparsity.

    Reference: Evci et al., "Rigging the Lottery", ICML 2020, section 3 (1), and the authors' code,
        https://arxiv.org/abs/1911.11134. Erdos-Renyi for linear layers: Mocanu et al., 2018.
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    raw = {name: sum(shape) / sizes[name] for name, shape in shapes.items()}
    zeros = {name: exact_floor(sparsity * size) for name, size in sizes.items()}
    dense: set[str] = set()
    while len(dense) < len(shapes):
        free = shapes.keys() - dense
        budget = sum(sizes[n] - zeros[n] for n in free) - sum(zeros[n] for n in dense)
        eps = budget / sum(raw[n] * sizes[n] for n in free)
        highest = max(raw[n] for n in free)
        if eps * highest <= 1:
            return {n: 1.0 if n in dense else eps * raw[n] for n in shapes}
        dense |= {n for n in free if raw[n] == highest}
    return dict.fromkeys(shapes, 1.0)


def balanced(shapes: Shapes, sparsity: float) -> dict[str, float]:
    """Give every layer the same number of nonzeros; a smaller layer keeps all of its weights.

    Reference: Gadhikar, Mukherjee and Burkholz, "Why Random Pruning Is All We Need to Start
        Sparse", ICML 2023, https://arxiv.org/abs/2210.02412.

    Deviations: the published implementations cap small layers and do not pass all of their
        surplus on, so they end sparser than the target. This function passes all of it on
        (water-filling), so the total meets the target.
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    budget = (1 - sparsity) * sum(sizes.values())
    level = budget / len(sizes)
    for filled, size in enumerate(sorted(sizes.values())):
        level = budget / (len(sizes) - filled)
        if size >= level:
            break
        budget -= size
    return {name: min(1.0, level / size) for name, size in sizes.items()}


def published_dense(allocation: str) -> tuple[str, ...]:
    """Return the layers that stay dense under an allocation: the first one under ``uniform``.

    Reference: Evci et al., "Rigging the Lottery", ICML 2020, section 3 (1): the first layer stays
        dense under uniform densities; no layer stays dense under ERK.
    """
    return ("first",) if allocation == "uniform" else ()


ALLOCATIONS: dict[str, Callable[[Shapes, float], dict[str, float]]] = {
    "uniform": uniform,
    "erk": erdos_renyi_kernel,
    "balanced": balanced,
}


def allocate(
    name: str, shapes: Shapes, sparsity: float, dense_layers: Collection[str] = ()
) -> dict[str, float]:
    """Return the densities of a named allocation.

    Args:
        name: ``uniform``, ``erk`` or ``balanced``.
        shapes: weight shapes by layer name.
        sparsity: fraction of zeros over the layers that are allocated, in [0, 1).
        dense_layers: names of layers with density 1; the allocation leaves them out.

    Returns:
        The density of every layer, in (0, 1].

    Raises:
        UnknownName: no allocation or no layer has this name.
    """
    if name not in ALLOCATIONS:
        raise UnknownName("allocation", name, ALLOCATIONS)
    for layer in dense_layers:
        if layer not in shapes:
            raise UnknownName("dense_layers", layer, shapes)
    pruned = {n: shape for n, shape in shapes.items() if n not in dense_layers}
    densities = ALLOCATIONS[name](pruned, sparsity) if pruned else {}
    return {n: densities.get(n, 1.0) for n in shapes}
