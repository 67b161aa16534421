"""Errors that the client raises. Imports no httpx."""

from __future__ import annotations

from typing import Any

NOT_FOUND = 404


class ClientError(Exception):
    """Base class of the client's errors."""


class ServiceNotRunning(ClientError):
    """No service answers at the address.

    Attributes:
        url: the address.
    """

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        super().__init__(
            f"no hamtune service answers at {url} ({reason}); start one with `hamtune serve`, "
            "or name another with --url or HAMTUNE_URL"
        )


class RequestRefused(ClientError):
    """The service refused the request; the text says why.

    Attributes:
        status: HTTP status.
        errors: the fields that broke a rule, each with ``field``, ``value`` and ``allowed``.
    """

    def __init__(self, status: int, detail: str, errors: list[dict[str, Any]]) -> None:
        self.status = status
        self.errors = errors
        super().__init__(detail)
