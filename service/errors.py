"""Errors of the service. Each says what happened and what to do; the API maps them to HTTP."""

from __future__ import annotations


class ServiceError(Exception):
    """Base of every error that the service raises on purpose."""


class NotFound(ServiceError):
    """What was asked for is not there."""


class Conflict(ServiceError):
    """The request contradicts what is stored."""


class Forbidden(ServiceError):
    """The caller's key does not allow it."""


class NotReady(ServiceError):
    """The database is not what this version of the service needs."""


class Unavailable(ServiceError):
    """The database is away; the same may be tried again later."""


class LimitReached(ServiceError):
    """A submitter asks for more than the operator allows at a time.

    Attributes:
        retry_after: seconds after which it is worth asking again.
    """

    def __init__(self, message: str, retry_after: int = 60) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StaleLease(ServiceError):
    """A runner writes under a lease that another runner has taken over.

    The runner must stop: whatever it still holds is no longer wanted.
    """


class StudyFailed(ServiceError):
    """A study cannot end well whatever is tried again; the message is its reason."""
