"""Scoring before training: a copy of the model that may be changed, and batches to score on."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from ham.errors import HamError
from ham.sparsifiers.common.protocol import Batch


@contextmanager
def scored_copy(model: nn.Module, *, training: bool) -> Iterator[nn.Module]:
    """Yield a copy of the model; the model's weights, gradients and running statistics stay.

    Autocast is off inside, so scores are computed in the model's own precision. The global random
    generator is restored at the end.

    Args:
        model: at its initial weights.
        training: True for batch statistics in norms, False for running statistics.
    """
    devices = {p.device for p in model.parameters()}
    cuda = [device for device in devices if device.type == "cuda"]
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(cuda))  # dropout in the copy draws from it
        for kind in {device.type for device in devices}:
            stack.enter_context(torch.autocast(kind, enabled=False))
        yield copy.deepcopy(model).train(training)


def first_batch(batches: Iterable[Batch], method: str) -> Batch:
    """Return the first batch.

    Raises:
        HamError: there is no batch.
    """
    for batch in batches:
        return batch
    raise HamError(f"{method} scores weights on data: pass batches to attach(model, batches)")


def examples_per_class(batches: Iterable[Batch], count: int, classes: int) -> Batch:
    """Return ``count`` examples of each class, from as many batches as necessary.

    A class with fewer than ``count`` examples in all batches contributes all of its examples.

    Args:
        batches: (inputs, labels) pairs; labels in 0..classes-1.
        count: examples per class, >= 1.
        classes: number of classes.

    Returns:
        Inputs and labels: the first example of every class, then the second of every class, and
        so on.

    Raises:
        HamError: the batches hold no example.
    """
    found: list[list[Tensor]] = [[] for _ in range(classes)]
    device = torch.device("cpu")
    for inputs, labels in batches:
        device = labels.device
        for example, label in zip(inputs, labels.tolist(), strict=True):
            if len(found[label]) < count:
                found[label].append(example)
        if all(len(examples) == count for examples in found):
            break
    picked = [
        (example, label)
        for turn in range(count)
        for label, examples in enumerate(found)
        for example in examples[turn : turn + 1]
    ]
    if not picked:
        raise HamError("there is no example to score on: pass batches to attach(model, batches)")
    inputs = torch.stack([example for example, _ in picked])
    return inputs, torch.tensor([label for _, label in picked], device=device)
