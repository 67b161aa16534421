"""Events of studies: as a list, and as server-sent events while they happen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from ham.client.records import Page, StudyEvent
from service.api.dependencies import StorageDep, StudyId
from service.api.errors.problems import documented
from service.api.event_feed import EventFeed
from service.api.pagination import PageQuery, limit_field, number_cursor, page_of

router = APIRouter(prefix="/v1", tags=["events"])

LARGEST_POSITION = 2**31 - 1
Position = Annotated[
    int | None,
    Header(
        ge=0,
        le=LARGEST_POSITION,
        description="The `id` of the last event that arrived; the stream continues after it. "
        "Browsers send it when they connect again.",
        examples=[1234],
    ),
]
After = Annotated[
    int | None,
    Query(
        ge=0,
        le=LARGEST_POSITION,
        description="The same as `Last-Event-ID`, for clients that cannot set headers.",
        examples=[1234],
    ),
]


class EventQuery(PageQuery):
    """A page of a history."""

    limit: int = limit_field(100, largest=500, of="Events")
    cursor: str | None = number_cursor()


async def _feed(request: Request) -> EventFeed:
    feed: EventFeed = request.app.state.feed
    return feed


def _known_study(study_id: StudyId, storage: StorageDep) -> str:
    return storage.studies.get(study_id).id


def _newest(storage: StorageDep) -> int:
    """Read before the stream begins, so that an unavailable database is answered with 503."""
    return storage.events.newest()


FeedDep = Annotated[EventFeed, Depends(_feed)]
KnownStudy = Annotated[str, Depends(_known_study)]
Newest = Annotated[int, Depends(_newest)]


@router.get(
    "/studies/{study_id}/events",
    summary="Follow a study",
    response_class=EventSourceResponse,
    responses=documented(404, 422),
)
async def follow_study(
    study_id: KnownStudy, feed: FeedDep, last_event_id: Position = None, after: After = None
) -> AsyncIterator[ServerSentEvent]:
    """Stream the events of a study from its beginning, as server-sent events.

    Each has the `id` of its position, an `event` name (`state`, `change` or `run`) and `data`
    like an item of the study's history. A client that connects again with the last id that
    arrived misses no event and gets none twice. When the study has ended, an event `end` closes
    the stream: do not connect again after it. A comment every 15 seconds keeps the connection
    open.
    """
    position = after if last_event_id is None else last_event_id
    async for event in feed.of_study(study_id, position or 0):
        yield _sent(event)
    if not feed.closed:
        yield ServerSentEvent(event="end", data={"study_id": study_id})


@router.get(
    "/events",
    summary="Follow all studies",
    response_class=EventSourceResponse,
    responses=documented(422),
)
async def follow_all(
    feed: FeedDep, newest: Newest, last_event_id: Position = None, after: After = None
) -> AsyncIterator[ServerSentEvent]:
    """Stream the events of all studies, as server-sent events, without end.

    It begins with the next event; with `after=0` it begins with the first event of all.
    """
    position = after if last_event_id is None else last_event_id
    async for event in feed.all_after(newest if position is None else position):
        yield _sent(event)


@router.get(
    "/studies/{study_id}/history",
    summary="List the events of a study",
    responses=documented(404, 422),
)
def list_history(
    study_id: KnownStudy, query: Annotated[EventQuery, Query()], storage: StorageDep
) -> Page[StudyEvent]:
    """Return the events of a study, oldest first; a transition has its author, time and reason."""
    after = int(query.cursor or 0)
    return page_of(
        lambda limit: storage.events.after(after, study_id=study_id, limit=limit),
        limit=query.limit,
        cursor=lambda event: event.id,
    )


def _sent(event: StudyEvent) -> ServerSentEvent:
    return ServerSentEvent(id=str(event.id), event=event.kind.value, data=event)
