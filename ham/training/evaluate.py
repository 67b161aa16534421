"""Accuracy of a model on a split."""

from __future__ import annotations

import torch
from torch import nn

from ham.data.loaders import Batches


@torch.no_grad()
def accuracy(model: nn.Module, batches: Batches) -> float:
    """Return the fraction of examples whose largest output is their label, in [0, 1].

    The model is evaluated in eval mode and left in the mode it was in.
    """
    was_training = model.training
    model.eval()
    correct, total = 0, 0
    for images, labels in batches.epoch(0):
        correct += int((model(images).argmax(dim=1) == labels).sum())
        total += len(labels)
    model.train(was_training)
    return correct / total
