"""ResNet-18 and ResNet-50, with the stem for ImageNet or the stem for small images.

Reference: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
https://arxiv.org/abs/1512.03385. The blocks are torchvision's.
"""

from __future__ import annotations

from torch import nn
from torchvision import models

from ham.models.initialization import kaiming_normal


def resnet18(num_classes: int = 1000) -> nn.Module:
    """Build ResNet-18 for images of about 224x224."""
    return kaiming_normal(models.resnet18(num_classes=num_classes))


def resnet50(num_classes: int = 1000) -> nn.Module:
    """Build ResNet-50 for images of about 224x224: 25,502,912 prunable weights."""
    return kaiming_normal(models.resnet50(num_classes=num_classes))


def resnet18_cifar(num_classes: int = 100) -> nn.Module:
    """Build ResNet-18 for 32x32 images: 11,210,432 prunable weights for 100 classes."""
    return kaiming_normal(_with_small_stem(models.resnet18(num_classes=num_classes)))


def resnet50_cifar(num_classes: int = 100) -> nn.Module:
    """Build ResNet-50 for 32x32 images."""
    return kaiming_normal(_with_small_stem(models.resnet50(num_classes=num_classes)))


def _with_small_stem(network: nn.Module) -> nn.Module:
    """Replace the 7x7 convolution by a 3x3 one and remove the pooling.

    The original stem would reduce 32x32 pixels to 8x8.
    """
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network
