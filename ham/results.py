"""Records of the results of a training, shared by the training loop, the client and the service.

They are plain dataclasses, so that the training loop imports no pydantic and the client no torch.
Pydantic reads the metadata of a dataclass field as arguments of its own ``Field``: descriptions
and bounds in the metadata appear in the OpenAPI document.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar


def _doc(description: str) -> dict[str, str]:
    return {"description": description}


@dataclass(frozen=True)
class EpochMetrics:
    """One point of a learning curve."""

    # Pydantic's defaults. Without this line it would apply the rules of the record around.
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "ignore"}

    epoch: int = field(metadata={"ge": 1})
    """Number of the epoch, from 1."""
    train_loss: float
    """Mean over the epoch's steps, label smoothing included."""
    validation_accuracy: float = field(metadata=_doc("Fraction."))
    learning_rate: float
    """Learning rate of the epoch's last step."""
    seconds: float = field(metadata=_doc("Wall time of the epoch, evaluation included."))
    sign_flips: float = field(
        metadata=_doc("Share of weights, nonzero before and after the epoch, that changed sign.")
    )
    mask_churn: float = field(
        metadata=_doc("Share of the weights nonzero after the epoch that were zero before it.")
    )


@dataclass(frozen=True)
class MeasuredLayer:
    """Counts of one prunable weight."""

    name: str
    """Name of the weight in the model's ``state_dict``."""
    size: int
    """Number of its elements."""
    kept: int
    """Number of its elements that the mask keeps."""
    nonzeros: int
    """Number of its elements that differ from zero."""
    sparsity: float
    """Fraction of zeros, in [0, 1]."""


@dataclass(frozen=True)
class MeasuredSparsity:
    """Sparsity of a trained model."""

    target: float | None = field(default=None, metadata=_doc("Requested fraction of zeros."))
    realised: float | None = field(
        default=None, metadata=_doc("Fraction of zeros among the prunable weights.")
    )
    emerged: float | None = field(
        default=None,
        metadata=_doc(
            "Fraction of zeros that a method had reached by itself when its masks were frozen at "
            "the target; null for methods whose sparsity does not emerge."
        ),
    )
    nonzeros: int | None = field(
        default=None, metadata=_doc("Number of prunable weights that differ from zero.")
    )
    kept: int | None = field(
        default=None, metadata=_doc("Number of prunable weights that the masks keep.")
    )
    prunable: int | None = field(default=None, metadata=_doc("Number of prunable weights."))
    layers: tuple[MeasuredLayer, ...] = field(
        default=(), metadata=_doc("Counts per prunable weight, in the model's order.")
    )


@dataclass(frozen=True)
class MeasuredCost:
    """Cost of one training."""

    gpu_seconds: float | None = field(default=None, metadata=_doc("GPUs held times seconds."))
    peak_memory_bytes: int | None = field(
        default=None,
        metadata=_doc(
            "Largest memory in use, on the GPU if there is one, else of the worker process."
        ),
    )


@dataclass(frozen=True)
class EarlyStop:
    """The decision of an early-stopping rule that ended a run."""

    rule: str | None = field(default=None, metadata=_doc("Name of the rule."))
    rank_correlation: float | None = field(
        default=None,
        metadata=_doc(
            "Spearman's correlation, over the trials trained to the end, of the accuracies after "
            "the run's last epoch with the final ones."
        ),
    )


@dataclass(frozen=True)
class RunMeasures:
    """Measures of a run beside its accuracies.

    A measure that a run does not have is left out or null. Further keys are possible in runs that
    another version has stored.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "ignore"}

    inference_flops: int | None = field(
        default=None,
        metadata=_doc("Operations of one example's forward pass; zero weights cost nothing."),
    )
    dense_inference_flops: int | None = field(
        default=None, metadata=_doc("The same of the dense model.")
    )
    training_flops: int | None = field(
        default=None,
        metadata=_doc(
            "Operations of the whole training, counted step by step with the masks of each step."
        ),
    )
    dense_training_flops: int | None = field(
        default=None, metadata=_doc("The same of the dense model.")
    )
    explored: float | None = field(
        default=None, metadata=_doc("Share of prunable weights that trained at any time.")
    )
    dead_units: int | None = field(
        default=None,
        metadata=_doc("Output units of prunable layers without a nonzero incoming weight."),
    )
    sparsity: MeasuredSparsity | None = field(
        default=None, metadata=_doc("Target and realised, overall and per layer.")
    )
    cost: MeasuredCost | None = field(
        default=None, metadata=_doc("GPU time and memory of the training.")
    )
    early_stopping: EarlyStop | None = field(
        default=None, metadata=_doc("Of a run that early stopping ended.")
    )

    @property
    def realised_sparsity(self) -> float | None:
        """Fraction of zeros among the prunable weights, in [0, 1]; None if not measured."""
        return None if self.sparsity is None else self.sparsity.realised

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries and numbers of the measures that the run has."""
        return {name: value for name, value in asdict(self).items() if value is not None}
