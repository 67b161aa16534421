"""Small ResNets for 32x32 images with 20, 32 and 56 layers.

Reference: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
section 4.2, https://arxiv.org/abs/1512.03385. Shortcuts carry no parameters (option A).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import pad, relu

from ham.models.initialization import kaiming_normal

WIDTHS = (16, 32, 64)


def resnet20(num_classes: int = 10) -> nn.Module:
    """Build ResNet-20: 268,336 prunable weights for 10 classes."""
    return CifarResNet(blocks_per_stage=3, num_classes=num_classes)


def resnet32(num_classes: int = 10) -> nn.Module:
    """Build ResNet-32: 461,872 prunable weights for 10 classes."""
    return CifarResNet(blocks_per_stage=5, num_classes=num_classes)


def resnet56(num_classes: int = 10) -> nn.Module:
    """Build ResNet-56: 848,944 prunable weights for 10 classes."""
    return CifarResNet(blocks_per_stage=9, num_classes=num_classes)


class CifarResNet(nn.Module):
    """Three stages of 16, 32 and 64 channels, global pooling and a linear layer.

    Shape: (n, 3, height, width) -> (n, num_classes).

    Args:
        blocks_per_stage: n of the paper; the depth is 6n + 2.
        num_classes: number of outputs.
    """

    def __init__(self, *, blocks_per_stage: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(3, WIDTHS[0])
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        stages = []
        channels = WIDTHS[0]
        for width in WIDTHS:
            blocks = []
            for block in range(blocks_per_stage):
                stride = 2 if block == 0 and width != channels else 1
                blocks.append(CifarBlock(channels, width, stride))
                channels = width
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3 = stages
        self.fc = nn.Linear(WIDTHS[-1], num_classes)
        kaiming_normal(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        features = relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        logits: Tensor = self.fc(features.mean(dim=(2, 3)))
        return logits


class CifarBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut that subsamples and pads channels with zeros."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(channels_in, channels_out, stride)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = _conv3x3(channels_out, channels_out)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self._stride = stride
        self._new_channels = channels_out - channels_in

    def forward(self, features: Tensor) -> Tensor:
        """Return the block's output."""
        out = relu(self.bn1(self.conv1(features)))
        out = self.bn2(self.conv2(out))
        return relu(out + self._shortcut(features))

    def _shortcut(self, features: Tensor) -> Tensor:
        if self._new_channels == 0:
            return features
        before = self._new_channels // 2
        kept = features[:, :, :: self._stride, :: self._stride]
        return pad(kept, (0, 0, 0, 0, before, self._new_channels - before))


def _conv3x3(channels_in: int, channels_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
