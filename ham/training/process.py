"""For processes that train again and again: imports ahead of time."""

from __future__ import annotations

import torchvision  # noqa: F401  # of the image datasets

import ham.training.loop  # noqa: F401  # what every training needs
