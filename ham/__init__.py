"""HAM (Hyperbolic Aware Minimization) for PyTorch, with the sparsifiers it is used beside.

Importing this package imports no torch: public names are loaded when first used.
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
    if name not in _PUBLIC:
        raise AttributeError(f"module 'ham' has no attribute {name!r}; public: {__all__}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
