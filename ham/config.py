"""The inputs of a training: combination, recipe, HAM configuration and seed, validated.

A :class:`RunConfig` is complete: two trainings of equal run configs on one machine are bit-equal.
"""

from __future__ import annotations

import math
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal, get_args

from ham.catalog import DATASETS, MODELS, OPTIMIZERS, SPARSIFIERS
from ham.errors import IncompatibleCombination, InvalidConfig

Schedule = Literal["constant", "linear", "cosine"]
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)


@dataclass(frozen=True)
class HamConfig:
    """One configuration: HAM's two strengths, and the values that are tuned jointly with them.

    alpha = beta = 0 is the baseline, without HAM.

    Args:
        alpha: strength of the sign-gradient term, finite and >= 0.
        beta: strength of the shrinkage term, finite and >= 0.
        learning_rate: multiple of the recipe's, finite and > 0.
        weight_decay: multiple of the recipe's, finite and >= 0.
        alpha_schedule, beta_schedule: shape of the strength over a training, one of
            :data:`SCHEDULES`: constant, or falling to 0. Under iterative pruning the schedule
            starts again with each training.
    """

    alpha: float
    beta: float
    learning_rate: float = 1.0
    weight_decay: float = 1.0
    alpha_schedule: Schedule = "constant"
    beta_schedule: Schedule = "constant"

    def __post_init__(self) -> None:
        for field in ("alpha", "beta", "weight_decay"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value >= 0):
                raise InvalidConfig(field, value, "it must be finite and >= 0")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise InvalidConfig("learning_rate", self.learning_rate, "it must be finite and > 0")
        for field in ("alpha_schedule", "beta_schedule"):
            if getattr(self, field) not in SCHEDULES:
                raise InvalidConfig(
                    field, getattr(self, field), f"allowed: {', '.join(SCHEDULES)}"
                )

    @property
    def is_baseline(self) -> bool:
        """True if alpha = beta = 0: the base optimizer takes its own steps, unchanged."""
        return self.alpha == 0 and self.beta == 0

    @property
    def joint(self) -> dict[str, Any]:
        """The jointly tuned values that differ from the recipe's, by field name."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.default is not MISSING and getattr(self, field.name) != field.default
        }


RECIPE_BASELINE = HamConfig(alpha=0.0, beta=0.0)
PAPER_DEFAULT = HamConfig(alpha=200.0, beta=1e-3)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The hyperparameters of a training beside the combination, the configuration and the seed.

    Attributes:
        name: name of the recipe's file.
        version: raised whenever a field changes, so that results of two versions are never mixed.
        epochs: length of one full schedule; a run of iterative pruning has several of them.
        batch_size: examples per step; the last, smaller batch of an epoch is dropped.
        learning_rate: peak learning rate.
        schedule: shape of the learning rate over the steps after the warm-up.
        warmup_epochs: epochs over which the learning rate rises linearly to its peak.
        momentum: momentum of the base optimizer, in [0, 1).
        weight_decay: coupled L2 decay of the base optimizer.
        label_smoothing: in [0, 1).
        cpu_threads: torch threads on a CPU; part of the recipe since it changes rounding.
        sparsifier_preset: name of the published options of a sparsifier that the trainings use;
            None for the sparsifier's defaults.
    """

    name: str
    version: int
    epochs: int
    batch_size: int
    learning_rate: float
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_epochs: int = 0
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    cpu_threads: int = 1
    sparsifier_preset: Literal["cifar", "imagenet"] | None = None

    @property
    def id(self) -> str:
        """Name and version, for example ``digits@1``."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, kw_only=True)
class Combination:
    """The unit that hamtune tunes, recommends and ranks.

    Args:
        model, dataset, sparsifier, optimizer: registry names.
        sparsity: fraction of zero weights, in [0, 1); 0 for ``dense``.
        recipe: the recipe's id, for example ``digits@1``.

    Raises:
        UnknownName: a name is not registered.
        InvalidConfig: the sparsity is outside [0, 1).
        IncompatibleCombination: the parts cannot be combined.
    """

    model: str
    dataset: str
    sparsifier: str
    sparsity: float
    optimizer: str
    recipe: str

    def __post_init__(self) -> None:
        self.check()

    @classmethod
    def stored(cls, **fields: Any) -> Combination:
        """Build a stored combination without a check: its plug-in may be uninstalled by now."""
        combination = object.__new__(cls)
        for name in cls.__dataclass_fields__:
            object.__setattr__(combination, name, fields[name])
        return combination

    def check(self) -> None:
        """Raise if a part is unknown, or if the parts cannot be combined."""
        model, dataset = MODELS.get(self.model), DATASETS.get(self.dataset)
        sparsifier = SPARSIFIERS.get(self.sparsifier)
        OPTIMIZERS.get(self.optimizer)
        if not 0 <= self.sparsity < 1:
            raise InvalidConfig("sparsity", self.sparsity, "0 <= sparsity < 1 must hold")
        if not sparsifier.takes_sparsity and self.sparsity != 0:
            raise IncompatibleCombination(
                "sparsity", self.sparsity, f"sparsifier {self.sparsifier!r} takes sparsity 0 only"
            )
        if not model.accepts(dataset):
            compatible = [spec.name for spec in MODELS if spec.accepts(dataset)]
            raise IncompatibleCombination(
                "model",
                self.model,
                f"dataset {self.dataset!r} has images of shape {dataset.shape}; "
                f"models that take them: {', '.join(compatible) or 'none'}",
            )

    @property
    def slug(self) -> str:
        """Readable name without the recipe: ``digits_cnn-digits/random-0.90/sgd``."""
        method = self.sparsifier
        if self.sparsifier not in SPARSIFIERS or SPARSIFIERS.get(self.sparsifier).takes_sparsity:
            method = f"{self.sparsifier}-{format_sparsity(self.sparsity)}"
        return f"{self.model}-{self.dataset}/{method}/{self.optimizer}"

    @property
    def key(self) -> str:
        """Canonical key: the slug and the recipe's id."""
        return f"{self.slug}/{self.recipe}"

    @property
    def trainings(self) -> int:
        """Full-length trainings of one run: more than one if pruning is iterative."""
        return SPARSIFIERS.get(self.sparsifier).trainings(self.sparsity)

    def epochs(self, recipe: Recipe) -> int:
        """Return the epochs of one run: the recipe's epochs times the number of trainings."""
        return self.trainings * recipe.epochs


def require_takes_ham(sparsifier: str) -> None:
    """Raise if a sparsifier cannot be trained with HAM, so that there is nothing to tune.

    Raises:
        UnknownName: no sparsifier has this name.
        IncompatibleCombination: the sparsifier trains factors of the weights.
    """
    if not SPARSIFIERS.get(sparsifier).takes_ham:
        compatible = [spec.name for spec in SPARSIFIERS if spec.takes_ham]
        raise IncompatibleCombination(
            "sparsifier",
            sparsifier,
            "it trains factors m * w of each weight, and HAM is itself the step of such factors: "
            "train it without HAM (alpha = beta = 0; there is nothing to tune), or choose one "
            f"that can be trained with HAM: {', '.join(compatible)}",
        )


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """All inputs of one run.

    Raises:
        IncompatibleCombination: the recipe is not the combination's, or the sparsifier cannot be
            trained with HAM.
    """

    combination: Combination
    recipe: Recipe
    setting: HamConfig
    seed: int

    def __post_init__(self) -> None:
        if self.recipe.id != self.combination.recipe:
            raise IncompatibleCombination(
                "recipe", self.recipe.id, f"the combination names {self.combination.recipe!r}"
            )
        if self.combination.sparsifier in SPARSIFIERS and not self.setting.is_baseline:
            require_takes_ham(self.combination.sparsifier)

    @property
    def epochs(self) -> int:
        """Epochs of the whole run."""
        return self.combination.epochs(self.recipe)

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries of numbers and strings."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RunConfig:
        """Rebuild a run config from the output of :meth:`to_json`, and validate it again."""
        return cls(
            combination=Combination(**data["combination"]),
            recipe=Recipe(**data["recipe"]),
            setting=HamConfig(**data["setting"]),
            seed=data["seed"],
        )


def format_sparsity(sparsity: float) -> str:
    """Write a sparsity with two decimals, or with more if it has more: 0.90, 0.995."""
    short = f"{sparsity:.2f}"
    return short if float(short) == sparsity else repr(sparsity)
