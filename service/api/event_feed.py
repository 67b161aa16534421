"""Events for those who wait for them: one look at the database serves all that listen."""

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

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_WHILE_AWAY = 2.0


class EventFeed:
    """Follows the events of one storage, for any number of listeners of this process.

    Args:
        storage: where events are read.

    Attributes:
        closed: this process ends; streams break off, to be resumed with another one.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.closed = False
        self._newest = 0
        self._looked_at = -SECONDS_BETWEEN_LOOKS

    async def newest(self) -> int:
        """Return the newest position, at most half a second old."""
        now = time.monotonic()
        if now - self._looked_at >= SECONDS_BETWEEN_LOOKS:
            self._looked_at = now
            self._newest = await self._patiently(self._storage.events.newest)
        return self._newest

    async def all_after(self, position: int) -> AsyncIterator[StudyEvent]:
        """Yield the events of all studies after a position, until the feed is closed."""
        while not self.closed:
            for event in await self._read(position, None):
                yield event
                position = event.id
            while not self.closed and await self.newest() <= position:
                await asyncio.sleep(SECONDS_BETWEEN_LOOKS)

    async def of_study(self, study_id: str, position: int) -> AsyncIterator[StudyEvent]:
        """Yield the events of one study after a position, until it has ended or we are closed."""
        while not self.closed:
            # In this order: what comes after a look is seen by the next, and what has ended gets
            # no further event.
            seen = await self.newest()
            study = await self._patiently(lambda: self._storage.studies.get(study_id))
            events = await self._read(position, study_id)
            for event in events:
                yield event
                position = event.id
            if not events:
                if study.state in ENDED:
                    return
                while not self.closed and await self.newest() <= seen:
                    await asyncio.sleep(SECONDS_BETWEEN_LOOKS)

    async def _read(self, position: int, study_id: str | None) -> list[StudyEvent]:
        return await self._patiently(
            lambda: self._storage.events.after(position, study_id=study_id)
        )

    async def _patiently(self, read: Callable[[], T]) -> T:
        """Read, however long the database is away: a stream that broke off would say nothing."""
        while True:
            try:
                return await run_in_threadpool(read)
            except Unavailable as error:
                logger.warning("events wait: %s", error)
                await asyncio.sleep(SECONDS_WHILE_AWAY)
