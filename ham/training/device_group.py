"""The device group of a training: its one device, or the protocol that several devices follow."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ham.data import WHOLE, Part


class DeviceGroup:
    """A single device. :mod:`ham.training.data_parallel` has the group of several devices.

    Attributes:
        part: the share of every batch that this device takes; here the whole batch.
    """

    part: Part = WHOLE

    def stream(self, name: str) -> str:
        """Return the name of this device's own random stream.

        Args:
            name: name of the stream on the first device.
        """
        return name

    def name(self, device: str) -> str:
        """Return the name of the group.

        Args:
            device: name of one device; all devices of a group are of one type.
        """
        return device

    def backward(self, loss: Tensor, share: float, model: nn.Module) -> Tensor:
        """Compute the gradients of the whole batch, and return the loss of the whole batch.

        Args:
            loss: mean over this device's examples.
            share: this device's share of the batch, in (0, 1].
            model: the model whose parameters receive the gradients.
        """
        loss.backward()
        return loss.detach()

    def synchronize(self, model: nn.Module) -> None:
        """Make the model equal on all devices, after an epoch; no effect on a single device."""

    def total(self, number: int, device: torch.device) -> int:
        """Return the sum of a number over all devices."""
        return number


SINGLE_DEVICE = DeviceGroup()
