"""Imports that a process makes ahead of its first training, which would wait seconds for them."""

from __future__ import annotations

import torch._dynamo  # noqa: F401  # at the first step of an optimizer
import torchvision  # noqa: F401  # of the image datasets

import ham.training.data_parallel  # noqa: F401  # with all else that trains
