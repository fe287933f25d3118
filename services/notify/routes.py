"""HTTP doors of notify."""

from uuid import UUID

from libs.common.auth import SIGNED_IN, Admission, Rate, Scope, Subject
from libs.common.db import Reader, Transaction
from libs.common.http import NoContent, Page, Produced, RequestInfo, Routes, Streaming, page_of
from libs.common.http.health import Health
from services.notify import queries, use_cases
from services.notify.domain import NoticeId, StreamHub
from services.notify.schemas import CountView, NoticeQuery, NoticeView, StreamQuery

routes = Routes("notify")

EVENT_STREAM = "text/event-stream; charset=utf-8"


@routes.get("/notifications", allow=SIGNED_IN, scope=Scope.NOTIFICATIONS_READ)
def notifications(query: NoticeQuery, subject: Subject, db: Reader) -> Page[NoticeView]:
    """Your notices, newest first.

    To follow what comes next without a gap, open the stream with the id of the newest one as `Last-Event-ID`.
    """
    position = query.after(int)
    before = position[0] if position else None
    rows = queries.notices(db, subject.id, unread=query.unread, before=before, limit=query.limit + 1)
    locale = queries.locale_of_person(db, subject.id)
    return page_of(rows, query.limit, lambda row: NoticeView.of(row, locale), lambda row: (row.position,))


@routes.get("/notifications/count", allow=SIGNED_IN, scope=Scope.NOTIFICATIONS_READ)
def notification_count(subject: Subject, db: Reader) -> CountView:
    """How many of your notices are unread."""
    return CountView(unread=queries.unread_count(db, subject.id))


@routes.post("/notifications/<notice_id>/read", allow=SIGNED_IN, scope=Scope.NOTIFICATIONS_WRITE)
def read_notification(notice_id: UUID, subject: Subject, tx: Transaction) -> NoContent:
    """Mark one notice as read."""
    use_cases.mark_read(tx, NoticeId(notice_id), subject.id)
    return NoContent()


@routes.post("/notifications/read-all", allow=SIGNED_IN, scope=Scope.NOTIFICATIONS_WRITE)
def read_all_notifications(subject: Subject, tx: Transaction) -> NoContent:
    """Mark all your notices as read."""
    use_cases.mark_all_read(tx, subject.id)
    return NoContent()


@routes.get(
    "/notifications/stream",
    allow=SIGNED_IN,
    scope=Scope.NOTIFICATIONS_READ,
    rate=Rate.STREAM,
    stream=True,
    process="stream",
    produces=(Produced(EVENT_STREAM, 'event: connected\ndata: {"last_event_id":null,"unread":2}\n\n'),),
)
def notification_stream(
    query: StreamQuery, subject: Subject, admission: Admission, request: RequestInfo, hub: StreamHub, health: Health
) -> Streaming:
    """Your notices as they come (server-sent events).

    Events: `connected` first, `notification` for each notice, `count` when the number of unread ones changed. After a break
    send the last id as `Last-Event-ID` (or `last_event_id`); what was missed comes first. When `connected` names another id
    than the one sent, read the list again. The stream ends with the token or its session, and when its server is about to
    stop: come back, with a new token when the old one is spent. Pages of other origins are refused.
    """
    last_event_id = request.headers.get("Last-Event-Id") or query.last_event_id
    chunks = hub.open(subject, last_event_id, use_cases.may_go_on(admission, health.draining))
    return Streaming(chunks, EVENT_STREAM, {"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
