"""What the routes and the stream of notify take and answer."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import Field

from libs.common.http import Input, PageQuery, View
from services.notify.domain import NoticeKind, notice_text


class NoticeView(View):
    """One notice, in the reader's language."""

    id: UUID = Field(description="Also the id of its event on the stream: give it as `Last-Event-ID` to go on from here")
    type: NoticeKind
    title: str = Field(examples=["Your work was accepted"])
    body: str = Field(examples=["“Write the quarrel at the Astronomic Club” is validated: 80.00 EUR are owed to you."])
    data: dict[str, Any] = Field(
        description="Ids and figures that the text speaks of", examples=[{"task_id": "0195561c-7800-7000-8000-8c1f9e7ab04d"}]
    )
    read: bool
    read_at: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, row: Any, locale: str | None) -> Self:
        """From a notice's row."""
        kind = NoticeKind(row.kind)
        title, body = notice_text(kind, locale, row.data)
        return cls(
            id=row.id,
            type=kind,
            title=title,
            body=body,
            data=row.data,
            read=row.read_at is not None,
            read_at=row.read_at,
            created_at=row.created_at,
        )


class NoticeQuery(PageQuery):
    """A page of notices: all, or only unread (`true`) or read (`false`) ones."""

    unread: bool | None = None


class CountView(View):
    """How many notices wait to be read."""

    unread: int


class StreamQuery(Input):
    """Where a stream goes on; the header `Last-Event-ID` wins."""

    last_event_id: str | None = Field(default=None, max_length=64, description="The last event that was received")


class ConnectedView(View):
    """The first event of a stream. When `last_event_id` is not the one asked for, events may be lost: read the list again."""

    last_event_id: str | None
    unread: int
