"""Random augmentation of whole batches on their device, drawn from torch's global generator.

Training seeds that generator in every epoch (:mod:`ham.training.seeding`).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

CROP_PADDING = 4


def random_crop_and_flip(images: Tensor) -> Tensor:
    """Crop each image at random after padding by 4 pixels, and mirror it with probability 1/2.

    This is the usual augmentation of CIFAR (He et al., CVPR 2016, section 4.2). The padding is
    zero.

    Args:
        images: (n, channels, height, width).

    Returns:
        A new tensor of the same shape.
    """
    count, _, height, width = images.shape
    device = images.device
    padded = pad(images, (CROP_PADDING,) * 4)
    top, left = torch.randint(0, 2 * CROP_PADDING + 1, (2, count, 1), device=device)
    mirrored = torch.rand(count, 1, device=device) < 0.5
    columns = torch.arange(width, device=device).expand(count, -1)
    columns = torch.where(mirrored, width - 1 - columns, columns) + left
    rows = torch.arange(height, device=device) + top
    index = torch.arange(count, device=device)[:, None, None]
    # Advanced indexing puts the channels last.
    return padded[index, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()
