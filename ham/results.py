"""Records of the results of a training, shared by the training loop, the client and the service.

They are plain dataclasses, so that the training loop imports no pydantic and the client no torch.
Pydantic reads the metadata of a dataclass field as arguments of its own ``Field``: descriptions
and bounds in the metadata appear in the OpenAPI document.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class EpochMetrics:
    """One point of a learning curve."""

    # Pydantic's defaults. Without this line it would apply the rules of the record around.
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "ignore"}

    epoch: int = field(metadata={"ge": 1})
    """Number of the epoch, from 1."""
    train_loss: float
    """Mean over the epoch's steps, label smoothing included."""
    validation_accuracy: float = field(metadata={"description": "Fraction."})
    learning_rate: float
    """Learning rate of the epoch's last step."""
    seconds: float = field(
        metadata={"description": "Wall time of the epoch, evaluation included."}
    )
    sign_flips: float = field(
        metadata={
            "description": "Share of weights, nonzero before and after the epoch, that changed "
            "sign."
        }
    )
    mask_churn: float = field(
        metadata={
            "description": "Share of the weights nonzero after the epoch that were zero before it."
        }
    )
