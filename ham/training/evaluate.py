"""Accuracy of a model on a split."""

from __future__ import annotations

import torch
from torch import nn

from ham.data.loaders import Batches
from ham.training.device_group import SINGLE_DEVICE, DeviceGroup


@torch.no_grad()
def accuracy(
    model: nn.Module, batches: Batches, device_group: DeviceGroup = SINGLE_DEVICE
) -> float:
    """Return the fraction of examples whose largest output is their label, in [0, 1].

    The model is evaluated in eval mode, and its former mode is restored. The devices of a group
    share the examples; each device returns the accuracy over all of them.
    """
    was_training = model.training
    model.eval()
    correct, total, device = 0, 0, next(model.parameters()).device
    for images, labels in batches.epoch(0, device_group.part):
        correct += int((model(images).argmax(dim=1) == labels).sum())
        total += len(labels)
    model.train(was_training)
    return device_group.total(correct, device) / device_group.total(total, device)
