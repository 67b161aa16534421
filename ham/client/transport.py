"""HTTP connection to one service: requests, retries, pages of lists, errors."""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

import httpx2
from pydantic import BaseModel

from ham.client.address import service_url
from ham.client.errors import ClientError, RequestRefused, ServiceNotRunning
from ham.client.records import Page

_ATTEMPTS = 3
_SECONDS_BETWEEN_ATTEMPTS = 0.5
_LARGEST_PAGE = 100  # every list of the API allows pages of so many items
_PROBLEM = "application/problem+json"

M = TypeVar("M", bound=BaseModel)
Item = TypeVar("Item")  # of a list: a model, or a dataclass


class Transport:
    """Connection to one service; a context manager that closes it.

    Args:
        url: address of the service; found by :func:`ham.client.address.service_url` if left out.
        timeout: seconds to wait for an answer.
        key: API key; the value of HAMTUNE_API_KEY if left out.

    Raises:
        ServiceNotRunning: the address is not a URL.
    """

    def __init__(
        self, url: str | None = None, timeout: float = 30.0, key: str | None = None
    ) -> None:
        self.url = url or service_url()
        key = key or os.environ.get("HAMTUNE_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            self._http = httpx2.Client(base_url=self.url, timeout=timeout, headers=headers)
        except httpx2.InvalidURL as error:
            raise ServiceNotRunning(self.url, str(error)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _get(self, model: type[M], path: str, /, **query: Any) -> M:
        return model.model_validate_json(self._read(path, **query).content)

    def _read(self, path: str, /, **query: Any) -> httpx2.Response:
        """Send a GET request without the parameters that are None."""
        query = {name: value for name, value in query.items() if value is not None}
        return self._send("GET", path, params=query)

    def _walk(
        self, item: type[Item], path: str, /, *, limit: int | None = None, **query: Any
    ) -> list[Item]:
        """Return the first ``limit`` items of a list, page by page; None returns all."""
        items: list[Item] = []
        while True:
            if limit is not None:
                query["limit"] = min(limit - len(items), _LARGEST_PAGE)
            page = self._get(Page[item], path, **query)  # type: ignore[valid-type]
            items += page.items
            if page.next_cursor is None or len(items) == limit:
                return items
            query["cursor"] = page.next_cursor

    def _post(self, model: type[M], path: str, body: BaseModel | None = None, **options: Any) -> M:
        json = body and body.model_dump(mode="json")
        return model.model_validate_json(self._send("POST", path, json=json, **options).content)

    def _patch(self, model: type[M], path: str, change: BaseModel) -> M:
        """Send the fields of a change that are not None."""
        json = change.model_dump(mode="json", exclude_none=True)
        return model.model_validate_json(self._send("PATCH", path, json=json).content)

    def _post_once(
        self, model: type[M], path: str, key: str | None, body: BaseModel | None = None
    ) -> M:
        """Post a record, again where the connection breaks, under one idempotency key.

        The service carries out the request once: it knows the repetition by the key.
        """
        headers = {"Idempotency-Key": key or str(uuid4())}
        for attempt in range(_ATTEMPTS):
            try:
                return self._post(model, path, body, headers=headers)
            except ServiceNotRunning:
                if attempt + 1 == _ATTEMPTS:
                    raise
                time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
        raise AssertionError("the last attempt returns or raises")

    def _send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx2.TransportError as error:
            raise ServiceNotRunning(self.url, str(error) or type(error).__name__) from error
        if response.is_success:
            return response
        raise _refusal(response)


def _refusal(response: httpx2.Response) -> ClientError:
    if response.headers.get("content-type", "") != _PROBLEM:
        reason = f"what answers there is no hamtune service: status {response.status_code}"
        return ServiceNotRunning(str(response.url.copy_with(raw_path=b"/")), reason)
    body = response.json()
    return RequestRefused(response.status_code, body["detail"], body["errors"])
