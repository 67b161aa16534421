"""HAM (Hyperbolic Aware Minimization) for PyTorch, and sparsifiers to use with it.

- Optimizers: ``HAM``, ``SAM``, and ``StrengthSchedule`` for alpha and beta over the steps.
- Pruning in a training loop of your own: ``sparsify``.
- Recommended alpha and beta from the service: ``recommend`` and ``Client``.
- One complete run: ``train`` of a ``RunConfig``, which consists of a ``Combination``, a
  ``Recipe``, a ``HamConfig`` (such as ``RECIPE_BASELINE`` or ``PAPER_DEFAULT``) and a seed.

``import ham`` does not import torch: a public name is loaded at its first use.
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "HAM": "ham.optim",
    "SAM": "ham.optim",
    "StrengthSchedule": "ham.optim.ham_schedules",
    "Client": "ham.client",
    "recommend": "ham.client",
    "sparsify": "ham.sparsifiers",
    "train": "ham.training",
    "Combination": "ham.config",
    "Recipe": "ham.config",
    "RunConfig": "ham.config",
    "HamConfig": "ham.config",
    "RECIPE_BASELINE": "ham.config",
    "PAPER_DEFAULT": "ham.config",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # lazy: it takes longer than all of this module

        return version("hamtune")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'ham' has no attribute {name!r}; public: {__all__}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
