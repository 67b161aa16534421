"""A load generator that costs little compared with the server: HTTP/1.1 over open connections.

One asyncio protocol per connection. A connection sends its next request after it has read the
whole answer. Answers must carry ``Content-Length``, as all JSON of the service does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

Check = Callable[[bytes], None]


@dataclass
class Load:
    """Latencies of the answers within a time.

    Attributes:
        latencies: seconds from the first byte of a request sent to the last byte of its answer
            read.
        seconds: length of the time.
    """

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def __iadd__(self, other: Load) -> Load:
        self.latencies += other.latencies
        self.seconds += other.seconds
        return self

    @property
    def per_second(self) -> float:
        """Number of whole answers per second."""
        return len(self.latencies) / self.seconds

    def milliseconds(self, quantile: float) -> float:
        """Return a quantile of the latencies, in milliseconds."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(int(quantile * len(ordered)), len(ordered) - 1)]


def get(path: str) -> bytes:
    """Return the bytes of a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    """Return the bytes of a POST request with a JSON body."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def ask(port: int, requests: Iterator[bytes], connections: int, seconds: float) -> Load:
    """Send requests over a number of connections for a number of seconds.

    Raises:
        RuntimeError: an answer was not successful, or a connection broke.
    """
    return asyncio.run(_ask(port, requests, connections, seconds))


async def _ask(port: int, requests: Iterator[bytes], connections: int, seconds: float) -> Load:
    loop = asyncio.get_running_loop()
    load = Load()
    began = time.perf_counter()
    until = began + seconds
    opened = [
        await loop.create_connection(
            lambda: _Connection(requests, load.latencies, until), "127.0.0.1", port
        )
        for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.done for _, protocol in opened))
    load.seconds = time.perf_counter() - began
    return load


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], latencies: list[float], until: float) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests, self._latencies, self._until = requests, latencies, until
        self._buffer, self._missing, self._sent = b"", -1, 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end].lower()
            if not head.startswith(b"http/1.1 2"):
                return self._fail(f"it answered {self._buffer[:500]!r}")
            length = head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0]
            self._missing = int(length) - (len(self._buffer) - end - 4)
            self._buffer = b""
        else:
            self._missing -= len(data)
        if self._missing == 0:
            now = time.perf_counter()
            self._latencies.append(now - self._sent)
            if now >= self._until:
                self._transport.close()
            else:
                self._missing = -1
                self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            if self._missing == 0:
                self.done.set_result(None)
            else:
                self.done.set_exception(RuntimeError(f"the connection broke: {error}"))

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(next(self._requests))

    def _fail(self, reason: str) -> None:
        self.done.set_exception(RuntimeError(reason))
        self._transport.close()
