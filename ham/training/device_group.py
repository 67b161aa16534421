"""What a training asks of the devices that it runs on; here, of the one that most have."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ham.data import WHOLE, Part


class DeviceGroup:
    """The one device of a training; :mod:`ham.training.data_parallel` has several.

    Attributes:
        part: the share of every batch that this device takes.
    """

    part: Part = WHOLE

    def stream(self, name: str) -> str:
        """Return the random stream of this device."""
        return name

    def name(self, device: str) -> str:
        """Name the devices together.

        Args:
            device: what each of them is.
        """
        return device

    def backward(self, loss: Tensor, share: float, model: nn.Module) -> Tensor:
        """Leave the gradients of the whole batch in the parameters, and return its loss.

        Args:
            loss: mean over this device's examples.
            share: what part of the batch those are, in (0, 1].
            model: whose parameters they are.
        """
        loss.backward()
        return loss.detach()

    def agree(self, model: nn.Module) -> None:
        """Bring together what each device has of its own, after an epoch."""

    def total(self, number: int, device: torch.device) -> int:
        """Return the sum of a number over all devices."""
        return number


SINGLE_DEVICE = DeviceGroup()
