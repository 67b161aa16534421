"""Typed client of the service.

Public names are loaded when first used: importing this package imports neither torch nor httpx,
and :mod:`ham.client.records` works without httpx.
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "Client": "ham.client.client",
    "ClientError": "ham.client.errors",
    "RequestRefused": "ham.client.errors",
    "ServiceNotRunning": "ham.client.errors",
    "NotTuned": "ham.client.recommended",
    "Recommended": "ham.client.recommended",
    "TunedJointly": "ham.client.recommended",
    "recommend": "ham.client.recommended",
    "service_url": "ham.client.address",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'ham.client' has no attribute {name!r}; public: {__all__}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
