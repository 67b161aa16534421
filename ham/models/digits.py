"""Two small networks for 8x8 digits, whose tuning takes minutes."""

from __future__ import annotations

from torch import nn

from ham.models.initialization import kaiming_normal


def digits_cnn(num_classes: int = 10) -> nn.Module:
    """Build three convolutions with batch norm, global average pooling and a linear layer.

    It has 14,288 prunable weights for 10 classes.

    Shape: (n, 1, 8, 8) -> (n, num_classes).
    """
    return kaiming_normal(
        nn.Sequential(
            *_convolution(1, 16, stride=1),
            *_convolution(16, 32, stride=2),
            *_convolution(32, 32, stride=2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(32, num_classes),
        )
    )


def digits_mlp(num_classes: int = 10) -> nn.Module:
    """Build two hidden layers of width 128 with batch norm and a linear output layer.

    It has 25,856 prunable weights for 10 classes.

    Shape: (n, 1, 8, 8) -> (n, num_classes).
    """
    return kaiming_normal(
        nn.Sequential(
            nn.Flatten(),
            *_linear(8 * 8, 128),
            *_linear(128, 128),
            nn.Linear(128, num_classes),
        )
    )


def _convolution(channels_in: int, channels_out: int, *, stride: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def _linear(features_in: int, features_out: int) -> tuple[nn.Module, ...]:
    return (
        nn.Linear(features_in, features_out, bias=False),
        nn.BatchNorm1d(features_out),
        nn.ReLU(inplace=True),
    )
