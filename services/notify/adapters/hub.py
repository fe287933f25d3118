"""The event streams of one process: server-sent events, fed by the table and woken by Postgres notifications.

A stream holds no queue: it remembers the position it has sent, and reads on from there at its listener's own pace.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, Self
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from libs.common import clock
from libs.common.auth.policy import Subject
from libs.common.db import Database
from libs.common.events.listener import Listener
from libs.common.telemetry import logger
from services.notify import queries
from services.notify.domain import (
    HEARTBEAT_SECONDS,
    NOTICE_CHANNEL,
    POLL_SECONDS,
    POLL_WINDOW,
    STREAM_BATCH_ROWS,
    STREAM_READERS_MAX,
    STREAM_RETRY_MILLISECONDS,
    STREAMS_PER_PROCESS_MAX,
    STREAMS_PER_USER_MAX,
    SWEEP_SECONDS,
    StreamsExhausted,
    TooManyStreams,
)
from services.notify.schemas import ConnectedView, CountView, NoticeView

HEARTBEAT: Final = b":\n\n"

log = logger(__name__)


def frame(event: str, view: BaseModel, event_id: object = None) -> bytes:
    """One server-sent event; its JSON is a single line. Without an id the listener keeps the id it has."""
    lines = [f"event: {event}", f"data: {view.model_dump_json()}"]
    if event_id is not None:
        lines.insert(0, f"id: {event_id}")
    return ("\n".join(lines) + "\n\n").encode()


class Stream(Iterator[bytes]):
    """One listener: an iterator of chunks that blocks until there is something to say."""

    def __init__(
        self,
        database: Database,
        turn: threading.Semaphore,
        subject: Subject,
        admitted: Callable[[], bool],
        release: Callable[["Stream"], None],
    ) -> None:
        self.user_id = subject.id
        self._database = database
        self._turn = turn
        self._expires_at = subject.expires_at
        self._admitted = admitted
        self._release = release
        self._wake = threading.Event()
        self._closed = False
        self._first = b""
        self._position = 0
        self._unread = 0

    def begin(self, last_event_id: str | None) -> None:
        """Find where to go on from, and prepare the first event."""
        with self._database.reader() as db:
            known = queries.position_of(db, _as_notice_id(last_event_id), self.user_id) if last_event_id else None
            self._position = queries.last_position(db, self.user_id) if known is None else known
            self._unread = queries.unread_count(db, self.user_id)
        connected = ConnectedView(last_event_id=last_event_id if known is not None else None, unread=self._unread)
        self._first = f"retry: {STREAM_RETRY_MILLISECONDS}\n".encode() + frame("connected", connected)
        self._wake.set()

    def wake(self) -> None:
        """There may be something to say."""
        self._wake.set()

    def end_unless_admitted(self) -> None:
        """End the stream when its token expired or its session is over."""
        if clock.now() >= self._expires_at or not self._admitted():
            self.end()

    def end(self) -> None:
        """Let the listener go; it comes back with the last id it has."""
        self._closed = True
        self._wake.set()

    def close(self) -> None:
        """The listener went away, or has heard everything; again changes nothing."""
        self._closed = True
        self._release(self)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        while not self._closed:
            if not self._wake.wait(HEARTBEAT_SECONDS):
                return HEARTBEAT
            self._wake.clear()  # before reading: what comes meanwhile wakes again
            if not self._closed and (chunk := self._news()):
                return chunk
        self.close()
        raise StopIteration

    def _news(self) -> bytes:
        # What concerns everybody wakes thousands at once: they wait for each other here, where waiting ends nobody's stream.
        with self._turn, self._database.reader() as db:
            rows = queries.notices_after(db, self.user_id, self._position, STREAM_BATCH_ROWS)
            locale = queries.locale_of_person(db, self.user_id) if rows else None
            unread = queries.unread_count(db, self.user_id)
        chunk = b"".join(frame("notification", NoticeView.of(row, locale), row.id) for row in rows)
        if rows:
            self._position = rows[-1].position
        if len(rows) == STREAM_BATCH_ROWS:
            self._wake.set()
        if unread != self._unread:
            self._unread = unread
            chunk += frame("count", CountView(unread=unread))
        return chunk


class Hub:
    """Every stream of this process, and the two threads that wake and end them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = threading.BoundedSemaphore(STREAM_READERS_MAX)
        self._streams: dict[UUID, set[Stream]] = {}
        self._open = 0
        self._lock = threading.Lock()
        self._started = False
        self._stopping = threading.Event()
        self._listener = Listener(database)
        self._listener.subscribe(NOTICE_CHANNEL, self._on_notice)

    def open(self, subject: Subject, last_event_id: str | None, admitted: Callable[[], bool]) -> Stream:
        """A person's stream. Raises TooManyStreams, StreamsExhausted."""
        self._start()
        stream = Stream(self._database, self._turn, subject, admitted, self._release)
        self._admit(stream)
        try:
            # Listed before it looks where to begin: a notice in between wakes it.
            stream.begin(last_event_id)
        except BaseException:
            stream.close()
            raise
        return stream

    def stop(self) -> None:
        """End every stream and both threads."""
        self._stopping.set()
        for stream in self._all():
            stream.end()

    @property
    def open_streams(self) -> int:
        """How many streams this process carries."""
        return self._open

    def _admit(self, stream: Stream) -> None:
        with self._lock:
            own = self._streams.setdefault(stream.user_id, set())
            if len(own) >= STREAMS_PER_USER_MAX:
                raise TooManyStreams(
                    f"You have {STREAMS_PER_USER_MAX} event streams open; close one first.", retry_after=HEARTBEAT_SECONDS
                )
            if self._open >= STREAMS_PER_PROCESS_MAX:
                raise StreamsExhausted("No more event streams fit here; try again in a moment.")
            own.add(stream)
            self._open += 1

    def _release(self, stream: Stream) -> None:
        with self._lock:
            own = self._streams.get(stream.user_id, set())
            if stream in own:
                own.remove(stream)
                self._open -= 1
            if not own:
                self._streams.pop(stream.user_id, None)

    def _start(self) -> None:
        with self._lock:
            if self._started:
                return
            self._started = True
        for name, work in (("listener", lambda: self._listener.run(self._stopping)), ("sweeper", self._sweep)):
            threading.Thread(target=work, name=f"hub-{name}", daemon=True).start()

    def _all(self) -> list[Stream]:
        with self._lock:
            return [stream for own in self._streams.values() for stream in own]

    def _on_notice(self, payload: str) -> None:
        """A person's notices changed; an empty payload says that anybody's may have, unheard."""
        streams = self._of(UUID(payload)) if payload else self._all()
        for stream in streams:
            stream.wake()

    def _of(self, user_id: UUID) -> list[Stream]:
        with self._lock:
            return list(self._streams.get(user_id, ()))

    def _sweep(self) -> None:
        """End what may not go on; now and then read the table, as a wake-up is lost when its sender dies before sending it."""
        polled = clock.monotonic()
        while not self._stopping.wait(SWEEP_SECONDS):
            for stream in self._all():
                stream.end_unless_admitted()
            if clock.monotonic() - polled >= POLL_SECONDS:
                polled = clock.monotonic()
                with suppress(SQLAlchemyError):  # the listener reports a database that is away; wake-ups come when it is back
                    self._wake_recently_noticed()

    def _wake_recently_noticed(self) -> None:
        with self._database.reader() as db:
            noticed = queries.recently_noticed(db, clock.now() - POLL_WINDOW)
        for user_id in noticed:
            for stream in self._of(user_id):
                stream.wake()


def _as_notice_id(text: str) -> UUID:
    """The id; what is none of ours becomes the nil id, which no notice has."""
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)
