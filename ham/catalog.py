"""The registries of models, datasets, base optimizers and sparsifiers, with their specs.

Nothing here imports torch: the specs can be listed on a machine that has only Python.
"""

from __future__ import annotations

from ham.registry import Plugin, Registry
from ham.specs import DatasetSpec, ModelSpec, OptimizerSpec, SparsifierSpec, prunings

__all__ = [
    "DATASETS",
    "MODELS",
    "OPTIMIZERS",
    "SPARSIFIERS",
    "DatasetSpec",
    "ModelSpec",
    "OptimizerSpec",
    "SparsifierSpec",
    "plugins",
    "prunings",
]

DATASETS = Registry[DatasetSpec](
    "dataset",
    (
        DatasetSpec(
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
        DatasetSpec(
            name="cifar10",
            title="CIFAR-10",
            factory="ham.data.cifar:load_cifar10",
            description="60,000 images of 32x32 pixels in 10 classes.",
            reference="Krizhevsky, 2009, https://www.cs.toronto.edu/~kriz/cifar.html",
            shape=(3, 32, 32),
            classes=10,
            sizes=(45_000, 5_000, 10_000),
            how_to_get="Unpack cifar-10-python.tar.gz in the folder that HAM_DATA_DIR names.",
            folder="cifar-10-batches-py",
        ),
        DatasetSpec(
            name="cifar100",
            title="CIFAR-100",
            factory="ham.data.cifar:load_cifar100",
            description="60,000 images of 32x32 pixels in 100 classes.",
            reference="Krizhevsky, 2009, https://www.cs.toronto.edu/~kriz/cifar.html",
            shape=(3, 32, 32),
            classes=100,
            sizes=(45_000, 5_000, 10_000),
            how_to_get="Unpack cifar-100-python.tar.gz in the folder that HAM_DATA_DIR names.",
            folder="cifar-100-python",
        ),
        DatasetSpec(
            name="imagenet",
            title="ImageNet-1k",
            factory="ham.data.imagenet:load",
            description="1.3 million photographs; the official validation set serves as test.",
            reference="Russakovsky et al., IJCV 2015, https://arxiv.org/abs/1409.0575",
            shape=(3, 224, 224),
            classes=1000,
            sizes=(1_271_167, 10_000, 50_000),
            how_to_get="Put train/<class>/ and val/<class>/ in imagenet/ under HAM_DATA_DIR.",
            folder="imagenet",
        ),
    ),
    group="ham.datasets",
    spec_class=DatasetSpec,
)

MODELS = Registry[ModelSpec](
    "model",
    (
        ModelSpec(
            name="digits_cnn",
            title="Digits CNN",
            factory="ham.models.digits:digits_cnn",
            description="Three 3x3 convolutions and a linear layer for 8x8 images.",
            input_shape=(1, 8, 8),
            gpus=0.125,
        ),
        ModelSpec(
            name="digits_mlp",
            title="Digits MLP",
            factory="ham.models.digits:digits_mlp",
            description="Three linear layers for 8x8 images.",
            input_shape=(1, 8, 8),
            gpus=0.125,
        ),
        ModelSpec(
            name="resnet20",
            title="ResNet-20",
            factory="ham.models.resnet_cifar:resnet20",
            description="The 20-layer ResNet for 32x32 images.",
            reference="He et al., CVPR 2016, https://arxiv.org/abs/1512.03385",
            input_shape=(3, 32, 32),
            gpus=0.25,
        ),
        ModelSpec(
            name="resnet32",
            title="ResNet-32",
            factory="ham.models.resnet_cifar:resnet32",
            description="The 32-layer ResNet for 32x32 images.",
            reference="He et al., CVPR 2016, https://arxiv.org/abs/1512.03385",
            input_shape=(3, 32, 32),
            gpus=0.25,
        ),
        ModelSpec(
            name="resnet56",
            title="ResNet-56",
            factory="ham.models.resnet_cifar:resnet56",
            description="The 56-layer ResNet for 32x32 images.",
            reference="He et al., CVPR 2016, https://arxiv.org/abs/1512.03385",
            input_shape=(3, 32, 32),
            gpus=0.25,
        ),
        ModelSpec(
            name="resnet18_cifar",
            title="ResNet-18, 3x3 stem",
            factory="ham.models.resnet:resnet18_cifar",
            description="ResNet-18 with a 3x3 stem for 32x32 images.",
            reference="He et al., CVPR 2016, https://arxiv.org/abs/1512.03385",
            input_shape=(3, 32, 32),
            gpus=0.5,
        ),
        ModelSpec(
            name="resnet50_cifar",
            title="ResNet-50, 3x3 stem",
            factory="ham.models.resnet:resnet50_cifar",
            description="ResNet-50 with a 3x3 stem for 32x32 images.",
            reference="He et al., CVPR 2016, https://arxiv.org/abs/1512.03385",
            input_shape=(3, 32, 32),
        ),
        ModelSpec(
            name="resnet18",
            title="ResNet-18",
            factory="ham.models.resnet:resnet18",
            description="ResNet-18 for 224x224 images.",
            reference="He et al., CVPR 2016, https://arxiv.org/abs/1512.03385",
            input_shape=(3, 224, 224),
        ),
        ModelSpec(
            name="resnet50",
            title="ResNet-50",
            factory="ham.models.resnet:resnet50",
            description="ResNet-50 for 224x224 images.",
            reference="He et al., CVPR 2016, https://arxiv.org/abs/1512.03385",
            input_shape=(3, 224, 224),
        ),
    ),
    group="ham.models",
    spec_class=ModelSpec,
)

OPTIMIZERS = Registry[OptimizerSpec](
    "optimizer",
    (
        OptimizerSpec(
            name="sgd",
            title="SGD",
            factory="ham.optim.factory:sgd",
            description="Stochastic gradient descent with momentum.",
        ),
    ),
    group="ham.optimizers",
    spec_class=OptimizerSpec,
)

_DYNAMIC_DENSE = (
    "the first layer under uniform densities, in the cifar preset, and from 99 % on in the "
    "imagenet preset"
)
SPARSIFIERS = Registry[SparsifierSpec](
    "sparsifier",
    (
        SparsifierSpec(
            name="dense",
            title="Dense",
            factory="ham.sparsifiers.dense:Dense",
            description="No sparsity: the reference every method is compared with.",
            family="dense",
            takes_sparsity=False,
        ),
        SparsifierSpec(
            name="random",
            title="Random pruning at initialization",
            factory="ham.sparsifiers.random:Random",
            description="A fixed random mask with layer-wise ERK densities.",
            reference="Liu et al., ICLR 2022, https://arxiv.org/abs/2202.02643",
            family="at initialization",
            leaves_dense="the first layer under uniform densities",
        ),
        SparsifierSpec(
            name="snip",
            title="SNIP",
            factory="ham.sparsifiers.snip:SNIP",
            description="Keeps the largest |gradient * weight| of one batch before training.",
            reference="Lee et al., ICLR 2019, https://arxiv.org/abs/1810.02340",
            family="at initialization",
        ),
        SparsifierSpec(
            name="grasp",
            title="GraSP",
            factory="ham.sparsifiers.grasp:GraSP",
            description="Keeps the weights that preserve the gradient flow before training.",
            reference="Wang et al., ICLR 2020, https://arxiv.org/abs/2002.07376",
            family="at initialization",
        ),
        SparsifierSpec(
            name="synflow",
            title="SynFlow",
            factory="ham.sparsifiers.synflow:SynFlow",
            description="Prunes by synaptic flow in 100 rounds, without data, before training.",
            reference="Tanaka et al., NeurIPS 2020, https://arxiv.org/abs/2006.05467",
            family="at initialization",
        ),
        SparsifierSpec(
            name="gmp",
            title="GMP",
            factory="ham.sparsifiers.gmp:GMP",
            description="Prunes the smallest weights gradually along a cubic ramp.",
            reference="Zhu and Gupta, 2017, https://arxiv.org/abs/1710.01878",
            family="dense to sparse",
            target_reached_at=0.8,
        ),
        SparsifierSpec(
            name="imp",
            title="IMP",
            factory="ham.sparsifiers.imp:IMP",
            description="Trains, prunes the smallest fifth and rewinds the weights, many times.",
            reference="Frankle and Carbin, ICLR 2019, https://arxiv.org/abs/1803.03635",
            family="dense to sparse",
            prune_fraction=0.2,
        ),
        SparsifierSpec(
            name="lrr",
            title="LRR",
            factory="ham.sparsifiers.lrr:LRR",
            description="Trains, prunes the smallest fifth and rewinds the learning rate, often.",
            reference="Renda et al., ICLR 2020, https://arxiv.org/abs/2003.02389",
            family="dense to sparse",
            prune_fraction=0.2,
        ),
        SparsifierSpec(
            name="acdc",
            title="AC/DC",
            factory="ham.sparsifiers.acdc:ACDC",
            description="Alternates dense and sparse phases; the last one is sparse.",
            reference="Peste et al., NeurIPS 2021, https://arxiv.org/abs/2106.12379",
            family="dense to sparse",
            target_reached_at=0.85,
            leaves_dense="the first and the last layer where each layer is pruned by itself",
        ),
        SparsifierSpec(
            name="set",
            title="SET",
            factory="ham.sparsifiers.set:SET",
            description="Drops the smallest weights, grows at random.",
            reference="Mocanu et al., Nature Communications 2018, https://arxiv.org/abs/1707.04780",
            family="dynamic",
            leaves_dense=_DYNAMIC_DENSE,
        ),
        SparsifierSpec(
            name="rigl",
            title="RigL",
            factory="ham.sparsifiers.rigl:RigL",
            description="Drops the smallest weights, grows where the gradient is largest.",
            reference="Evci et al., ICML 2020, https://arxiv.org/abs/1911.11134",
            family="dynamic",
            needs_dense_gradient=True,
            leaves_dense=_DYNAMIC_DENSE,
        ),
        SparsifierSpec(
            name="mest",
            title="MEST",
            factory="ham.sparsifiers.mest:MEST",
            description="Prunes and grows at random under a soft memory bound that tightens.",
            reference="Yuan et al., NeurIPS 2021, https://arxiv.org/abs/2110.14032",
            family="dynamic",
            target_reached_at=0.75,
            leaves_dense="in both presets the first and the last layer and shortcuts",
        ),
        SparsifierSpec(
            name="str",
            title="STR",
            factory="ham.sparsifiers.str:STR",
            description="Learns a soft threshold per layer, then fixes the masks.",
            reference="Kusupati et al., ICML 2020, https://arxiv.org/abs/2002.03231",
            family="continuous",
            target_reached_at=0.75,
        ),
        SparsifierSpec(
            name="spred",
            title="spred",
            factory="ham.sparsifiers.spred:Spred",
            description="Trains two decayed factors per weight, then fixes the masks.",
            reference="Ziyin and Wang, ICML 2023, https://arxiv.org/abs/2210.01212",
            family="continuous",
            target_reached_at=0.8,
            takes_ham=False,
        ),
        SparsifierSpec(
            name="pilot",
            title="PILoT",
            factory="ham.sparsifiers.pilot:PILoT",
            description="Trains two factors per weight under an adapting decay, then fixes masks.",
            reference="Jacobs and Burkholz, ICLR 2025, https://arxiv.org/abs/2408.09966",
            family="continuous",
            target_reached_at=0.75,
            takes_ham=False,
        ),
        SparsifierSpec(
            name="cs",
            title="Continuous sparsification",
            factory="ham.sparsifiers.cs:CS",
            description="Learns a soft mask that hardens, then fixes the masks.",
            reference="Savarese et al., NeurIPS 2020, https://arxiv.org/abs/1912.04427",
            family="continuous",
            target_reached_at=0.75,
            leaves_dense="in both presets the last layer and shortcuts",
        ),
        SparsifierSpec(
            name="sign_in",
            title="Sign-In",
            factory="ham.sparsifiers.sign_in:SignIn",
            description="Trains two factors per weight under a mask fixed at initialization.",
            reference="Gadhikar et al., NeurIPS 2025, https://arxiv.org/abs/2504.12801",
            family="at initialization",
            takes_ham=False,
        ),
    ),
    group="ham.sparsifiers",
    spec_class=SparsifierSpec,
)


def plugins() -> list[Plugin]:
    """Return the entry points of other packages for all registries, broken ones included."""
    return [
        plugin
        for registry in (MODELS, DATASETS, OPTIMIZERS, SPARSIFIERS)
        for plugin in registry.plugins()
    ]
