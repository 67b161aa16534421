"""Weight shapes of the networks in published results, listed without building the networks."""

from __future__ import annotations

Shapes = dict[str, tuple[int, ...]]


def resnet20() -> Shapes:
    """ResNet-20 for CIFAR-10 with parameter-free shortcuts: 268,336 weights."""
    shapes: Shapes = {"conv1": (16, 3, 3, 3)}
    channels = 16
    for stage, width in enumerate((16, 32, 64), start=1):
        for block in range(3):
            shapes[f"layer{stage}.{block}.conv1"] = (width, channels, 3, 3)
            shapes[f"layer{stage}.{block}.conv2"] = (width, width, 3, 3)
            channels = width
    return shapes | {"fc": (10, 64)}


def resnet18() -> Shapes:
    """ResNet-18 for CIFAR-100 with a 3x3 stem: 11,210,432 weights."""
    shapes: Shapes = {"conv1": (64, 3, 3, 3)}
    channels = 64
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            shapes[f"layer{stage}.{block}.conv1"] = (width, channels, 3, 3)
            shapes[f"layer{stage}.{block}.conv2"] = (width, width, 3, 3)
            if channels != width:
                shapes[f"layer{stage}.{block}.downsample"] = (width, channels, 1, 1)
            channels = width
    return shapes | {"fc": (100, 512)}


def resnet50() -> Shapes:
    """ResNet-50 for ImageNet: 25,502,912 weights."""
    shapes: Shapes = {"conv1": (64, 3, 7, 7)}
    channels = 64
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        width = 32 * 2**stage
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            shapes[f"{name}.conv1"] = (width, channels, 1, 1)
            shapes[f"{name}.conv2"] = (width, width, 3, 3)
            shapes[f"{name}.conv3"] = (4 * width, width, 1, 1)
            if block == 0:
                shapes[f"{name}.downsample"] = (4 * width, channels, 1, 1)
            channels = 4 * width
    return shapes | {"fc": (1000, 2048)}
