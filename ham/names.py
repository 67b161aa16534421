"""Every model, dataset, base optimizer and sparsifier that hamtune knows, as rows.

Nothing here imports torch: the rows can be listed on a machine that has only Python.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ham.registry import Plugin, Registry, Row


@dataclass(frozen=True, kw_only=True)
class DatasetRow(Row):
    """A classification dataset.

    Attributes:
        shape: (channels, height, width) of one image.
        classes: number of classes.
        sizes: images in (train, validation, test).
        how_to_get: what a user does to have the data.
    """

    shape: tuple[int, int, int]
    classes: int
    sizes: tuple[int, int, int]
    how_to_get: str


@dataclass(frozen=True, kw_only=True)
class ModelRow(Row):
    """An architecture; ``input_shape`` holds None where any size will do."""

    input_shape: tuple[int | None, int | None, int | None]

    def accepts(self, dataset: DatasetRow) -> bool:
        """Tell whether images of this dataset fit the first layer."""
        pairs = zip(self.input_shape, dataset.shape, strict=True)
        return all(wanted in (None, given) for wanted, given in pairs)


@dataclass(frozen=True, kw_only=True)
class OptimizerRow(Row):
    """A base optimizer, to be wrapped by HAM."""


@dataclass(frozen=True, kw_only=True)
class SparsifierRow(Row):
    """A method that makes a network sparse.

    Attributes:
        family: where in training the sparsity comes from.
        takes_sparsity: False for ``dense``, whose sparsity is always 0.
        needs_dense_gradient: True where gradients of dropped weights are read.
        prune_fraction: share of the remaining weights that is pruned between two full-length
            trainings, in (0, 1); None where a run is one training.
        settled: share of a training after which the network has its target sparsity for good,
            in [0, 1], the latest over its presets.
    """

    family: Literal["dense", "at initialization", "dense to sparse", "dynamic", "continuous"]
    takes_sparsity: bool = True
    needs_dense_gradient: bool = False
    prune_fraction: float | None = None
    settled: float = 0.0

    def trainings(self, sparsity: float) -> int:
        """Return how many full-length trainings one run takes, >= 1."""
        if self.prune_fraction is None:
            return 1
        return 1 + prunings(sparsity, self.prune_fraction)

    def sparse_from(self, sparsity: float) -> float:
        """Return from which share of a run on the target sparsity is held for good, in [0, 1].

        Accuracies before that are of another, denser network.
        """
        trainings = self.trainings(sparsity)
        return (trainings - 1 + self.settled) / trainings


def prunings(sparsity: float, fraction: float) -> int:
    """Return how often a fraction of the rest must be pruned to reach a sparsity.

    >>> [prunings(sparsity, 0.2) for sparsity in (0.0, 0.2, 0.5, 0.9)]
    [0, 1, 4, 11]
    """
    round_off = 1e-9
    return max(0, math.ceil(math.log(1 - sparsity) / math.log(1 - fraction) - round_off))


DATASETS = Registry[DatasetRow](
    "dataset",
    (
        DatasetRow(
            name="digits",
            title="Handwritten digits 8x8",
            factory="ham.data.digits:load",
            description="1,797 real handwritten digits that scikit-learn carries.",
            reference="Alpaydin and Kaynak, UCI Machine Learning Repository, 1998",
            shape=(1, 8, 8),
            classes=10,
            sizes=(797, 500, 500),
            how_to_get="Comes with scikit-learn; nothing to download.",
        ),
        DatasetRow(
            name="cifar10",
            title="CIFAR-10",
            factory="ham.data.cifar:load_cifar10",
            description="60,000 images of 32x32 pixels in 10 classes.",
            reference="Krizhevsky, 2009, https://www.cs.toronto.edu/~kriz/cifar.html",
            shape=(3, 32, 32),
            classes=10,
            sizes=(45_000, 5_000, 10_000),
            how_to_get="Unpack cifar-10-python.tar.gz in the folder that HAM_DATA_DIR names.",
        ),
        DatasetRow(
            name="cifar100",
            title="CIFAR-100",
            factory="ham.data.cifar:load_cifar100",
            description="60,000 images of 32x32 pixels in 100 classes.",
            reference="Krizhevsky, 2009, https://www.cs.toronto.edu/~kriz/cifar.html",
            shape=(3, 32, 32),
            classes=100,
            sizes=(45_000, 5_000, 10_000),
            how_to_get="Unpack cifar-100-python.tar.gz in the folder that HAM_DATA_DIR names.",
        ),
        DatasetRow(
            name="imagenet",
            title="ImageNet-1k",
            factory="ham.data.imagenet:load",
            description="1.3 million photographs; the official validation set serves as test.",
            reference="Russakovsky et al., IJCV 2015, https://arxiv.org/abs/1409.0575",
            shape=(3, 224, 224),
            classes=1000,
            sizes=(1_271_167, 10_000, 50_000),
            how_to_get="Put train/<class>/ and val/<class>/ in imagenet/ under HAM_DATA_DIR.",
        ),
    ),
    group="ham.datasets",
    kind=DatasetRow,
)

MODELS = Registry[ModelRow](
    "model",
    (
        ModelRow(
            name="digits_cnn",
            title="Digits CNN",
            factory="ham.models.digits:digits_cnn",
            description="Three 3x3 convolutions and a linear layer for 8x8 images.",
            input_shape=(1, 8, 8),
        ),
        ModelRow(
            name="digits_mlp",
            title="Digits MLP",
            factory="ham.models.digits:digits_mlp",
            description="Three linear layers for 8x8 images.",
            input_shape=(1, 8, 8),
        ),
        ModelRow(
            name="resnet20",
            title="ResNet-20",
            factory="ham.models.resnet_cifar:resnet20",
            description="The 20-layer ResNet for 32x32 images.",
            reference="He et al., CVPR 2016, https://arxiv.org/abs/1512.03385",
            input_shape=(3, 32, 32),
        ),
        ModelRow(
            name="resnet32",
            title="ResNet-32",
            factory="ham.models.resnet_cifar:resnet32",
            description="The 32-layer ResNet for 32x32 images.",
            reference="He et al., CVPR 2016, https://arxiv.org/abs/1512.03385",
            input_shape=(3, 32, 32),
        ),
        ModelRow(
            name="resnet56",
            title="ResNet-56",
            factory="ham.models.resnet_cifar:resnet56",
            description="The 56-layer ResNet for 32x32 images.",
            reference="He et al., CVPR 2016, https://arxiv.org/abs/1512.03385",
            input_shape=(3, 32, 32),
        ),
        ModelRow(
            name="resnet18_cifar",
            title="ResNet-18, 3x3 stem",
            factory="ham.models.resnet:resnet18_cifar",
            description="ResNet-18 with a 3x3 stem for 32x32 images.",
            reference="He et al., CVPR 2016, https://arxiv.org/abs/1512.03385",
            input_shape=(3, 32, 32),
        ),
        ModelRow(
            name="resnet50_cifar",
            title="ResNet-50, 3x3 stem",
            factory="ham.models.resnet:resnet50_cifar",
            description="ResNet-50 with a 3x3 stem for 32x32 images.",
            reference="He et al., CVPR 2016, https://arxiv.org/abs/1512.03385",
            input_shape=(3, 32, 32),
        ),
        ModelRow(
            name="resnet18",
            title="ResNet-18",
            factory="ham.models.resnet:resnet18",
            description="ResNet-18 for 224x224 images.",
            reference="He et al., CVPR 2016, https://arxiv.org/abs/1512.03385",
            input_shape=(3, 224, 224),
        ),
        ModelRow(
            name="resnet50",
            title="ResNet-50",
            factory="ham.models.resnet:resnet50",
            description="ResNet-50 for 224x224 images.",
            reference="He et al., CVPR 2016, https://arxiv.org/abs/1512.03385",
            input_shape=(3, 224, 224),
        ),
    ),
    group="ham.models",
    kind=ModelRow,
)

OPTIMIZERS = Registry[OptimizerRow](
    "optimizer",
    (
        OptimizerRow(
            name="sgd",
            title="SGD",
            factory="ham.optim.factory:sgd",
            description="Stochastic gradient descent with momentum.",
        ),
    ),
    group="ham.optimizers",
    kind=OptimizerRow,
)

SPARSIFIERS = Registry[SparsifierRow](
    "sparsifier",
    (
        SparsifierRow(
            name="dense",
            title="Dense",
            factory="ham.sparsifiers.dense:Dense",
            description="No sparsity: the reference every method is compared with.",
            family="dense",
            takes_sparsity=False,
        ),
        SparsifierRow(
            name="random",
            title="Random pruning at initialization",
            factory="ham.sparsifiers.random:Random",
            description="A fixed random mask with layer-wise ERK densities.",
            reference="Liu et al., ICLR 2022, https://arxiv.org/abs/2202.02643",
            family="at initialization",
        ),
        SparsifierRow(
            name="snip",
            title="SNIP",
            factory="ham.sparsifiers.snip:SNIP",
            description="Keeps the largest |gradient * weight| of one batch before training.",
            reference="Lee et al., ICLR 2019, https://arxiv.org/abs/1810.02340",
            family="at initialization",
        ),
        SparsifierRow(
            name="grasp",
            title="GraSP",
            factory="ham.sparsifiers.grasp:GraSP",
            description="Keeps the weights that preserve the gradient flow before training.",
            reference="Wang et al., ICLR 2020, https://arxiv.org/abs/2002.07376",
            family="at initialization",
        ),
        SparsifierRow(
            name="synflow",
            title="SynFlow",
            factory="ham.sparsifiers.synflow:SynFlow",
            description="Prunes by synaptic flow in 100 rounds, without data, before training.",
            reference="Tanaka et al., NeurIPS 2020, https://arxiv.org/abs/2006.05467",
            family="at initialization",
        ),
        SparsifierRow(
            name="gmp",
            title="GMP",
            factory="ham.sparsifiers.gmp:GMP",
            description="Prunes the smallest weights gradually along a cubic ramp.",
            reference="Zhu and Gupta, 2017, https://arxiv.org/abs/1710.01878",
            family="dense to sparse",
            settled=0.8,
        ),
        SparsifierRow(
            name="imp",
            title="IMP",
            factory="ham.sparsifiers.imp:IMP",
            description="Trains, prunes the smallest fifth and rewinds the weights, many times.",
            reference="Frankle and Carbin, ICLR 2019, https://arxiv.org/abs/1803.03635",
            family="dense to sparse",
            prune_fraction=0.2,
        ),
        SparsifierRow(
            name="lrr",
            title="LRR",
            factory="ham.sparsifiers.lrr:LRR",
            description="Trains, prunes the smallest fifth and rewinds the learning rate, often.",
            reference="Renda et al., ICLR 2020, https://arxiv.org/abs/2003.02389",
            family="dense to sparse",
            prune_fraction=0.2,
        ),
        SparsifierRow(
            name="acdc",
            title="AC/DC",
            factory="ham.sparsifiers.acdc:ACDC",
            description="Alternates dense and sparse phases; the last one is sparse.",
            reference="Peste et al., NeurIPS 2021, https://arxiv.org/abs/2106.12379",
            family="dense to sparse",
            settled=0.85,
        ),
        SparsifierRow(
            name="set",
            title="SET",
            factory="ham.sparsifiers.set:SET",
            description="Drops the smallest weights, grows at random.",
            reference="Mocanu et al., Nature Communications 2018, https://arxiv.org/abs/1707.04780",
            family="dynamic",
        ),
        SparsifierRow(
            name="rigl",
            title="RigL",
            factory="ham.sparsifiers.rigl:RigL",
            description="Drops the smallest weights, grows where the gradient is largest.",
            reference="Evci et al., ICML 2020, https://arxiv.org/abs/1911.11134",
            family="dynamic",
            needs_dense_gradient=True,
        ),
        SparsifierRow(
            name="mest",
            title="MEST",
            factory="ham.sparsifiers.mest:MEST",
            description="Prunes and grows at random under a soft memory bound that tightens.",
            reference="Yuan et al., NeurIPS 2021, https://arxiv.org/abs/2110.14032",
            family="dynamic",
            settled=0.75,
        ),
    ),
    group="ham.sparsifiers",
    kind=SparsifierRow,
)


def plugins() -> list[Plugin]:
    """Return what other packages offer of any kind, also what is broken."""
    return [
        plugin
        for registry in (MODELS, DATASETS, OPTIMIZERS, SPARSIFIERS)
        for plugin in registry.plugins()
    ]
