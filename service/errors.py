"""Errors of the service. Each says what happened and what to do; the API maps them to HTTP."""

from __future__ import annotations


class ServiceError(Exception):
    """Base of every error that the service raises on purpose."""


class NotFound(ServiceError):
    """The requested thing does not exist."""


class Conflict(ServiceError):
    """The request contradicts the stored state."""


class Forbidden(ServiceError):
    """The caller's API key does not allow the request."""


class NotReady(ServiceError):
    """The database does not have the tables of this version of the service."""


class Unavailable(ServiceError):
    """The database does not answer; the request may be repeated later."""


class LimitReached(ServiceError):
    """A submitter asks for more than the operator allows.

    Attributes:
        retry_after: seconds after which to ask again.
    """

    def __init__(self, message: str, retry_after: int = 60) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StaleLease(ServiceError):
    """A runner writes under a lease that is no longer valid.

    The runner must stop: another runner has taken the study over, or the study has ended.
    """


class StudyFailed(ServiceError):
    """A study cannot succeed, whatever is retried; the message is the reason."""
