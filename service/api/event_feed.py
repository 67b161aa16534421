"""Event streams: one poll of the database serves all listeners of a process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from starlette.concurrency import run_in_threadpool

from ham.client.records import ENDED, StudyEvent
from service.errors import Unavailable
from service.storage import Storage

T = TypeVar("T")
logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
RETRY_SECONDS = 2.0


class EventFeed:
    """Follows the events of one storage, for any number of listeners of this process.

    Args:
        storage: the storage to read.

    Attributes:
        closed: set when this process ends. Its streams then break off; clients resume them with
            another process.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.closed = False
        self._newest = 0
        self._polled_at = -POLL_SECONDS

    async def newest(self) -> int:
        """Return the position of the newest event, as of at most 0.5 s ago."""
        now = time.monotonic()
        if now - self._polled_at >= POLL_SECONDS:
            self._polled_at = now
            self._newest = await self._read_when_available(self._storage.events.newest)
        return self._newest

    async def all_after(self, position: int) -> AsyncIterator[StudyEvent]:
        """Yield the events of all studies after a position, until the feed is closed."""
        while not self.closed:
            for event in await self._read(position, None):
                yield event
                position = event.id
            while not self.closed and await self.newest() <= position:
                await asyncio.sleep(POLL_SECONDS)

    async def of_study(self, study_id: str, position: int) -> AsyncIterator[StudyEvent]:
        """Yield the events of a study after a position, until it ends or the feed closes."""
        while not self.closed:
            # The order matters. An event after this poll is seen by the next one, and a study
            # that has ended gets no further event.
            position_seen = await self.newest()
            study = await self._read_when_available(lambda: self._storage.studies.get(study_id))
            events = await self._read(position, study_id)
            for event in events:
                yield event
                position = event.id
            if not events:
                if study.state in ENDED:
                    return
                while not self.closed and await self.newest() <= position_seen:
                    await asyncio.sleep(POLL_SECONDS)

    async def _read(self, position: int, study_id: str | None) -> list[StudyEvent]:
        return await self._read_when_available(
            lambda: self._storage.events.after(position, study_id=study_id)
        )

    async def _read_when_available(self, read: Callable[[], T]) -> T:
        """Read as soon as the database is available, however long that takes.

        The alternative is to end the stream, and a stream has no way to say why it ends.
        """
        while True:
            try:
                return await run_in_threadpool(read)
            except Unavailable as error:
                logger.warning("events wait for the database: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
