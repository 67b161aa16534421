"""Imports that take seconds, made before the first training of a process."""

from __future__ import annotations

import torch._dynamo  # noqa: F401  # used by an optimizer's first step
import torchvision  # noqa: F401  # used by the image datasets

import ham.training.data_parallel  # noqa: F401  # imports the rest of ham.training
