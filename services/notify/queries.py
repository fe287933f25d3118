"""Every question that notify asks its tables."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, bindparam, func, or_, select

from libs.common.db import Reader
from services.notify.domain import EmailStatus, NoticeId
from services.notify.models import email, notice, notice_sequence, person

_PERSON = select(person).where(person.c.user_id == bindparam("user_id"))
_LOCALE = select(person.c.locale).where(person.c.user_id == bindparam("user_id"))

_NOTICES = (
    select(notice)
    .where(
        notice.c.user_id == bindparam("user_id"),
        or_(bindparam("before", type_=notice.c.position.type).is_(None), notice.c.position < bindparam("before")),
        or_(
            bindparam("unread").is_(None),
            and_(bindparam("unread").is_(True), notice.c.read_at.is_(None)),
            and_(bindparam("unread").is_(False), notice.c.read_at.is_not(None)),
        ),
    )
    .order_by(notice.c.position.desc())
    .limit(bindparam("limit"))
)
_NOTICES_AFTER = (
    select(notice)
    .where(notice.c.user_id == bindparam("user_id"), notice.c.position > bindparam("position"))
    .order_by(notice.c.position)
    .limit(bindparam("limit"))
)
_NOTICE_EXISTS = select(notice.c.id).where(notice.c.id == bindparam("notice_id"), notice.c.user_id == bindparam("user_id"))
_POSITION = select(notice.c.position).where(notice.c.id == bindparam("notice_id"), notice.c.user_id == bindparam("user_id"))
_LAST_POSITION = select(notice_sequence.c.last_position).where(notice_sequence.c.user_id == bindparam("user_id"))
_UNREAD = select(func.count()).where(notice.c.user_id == bindparam("user_id"), notice.c.read_at.is_(None))
_RECENTLY_NOTICED = select(notice.c.user_id).where(notice.c.created_at >= bindparam("since")).distinct()

_DUE_EMAIL = (
    select(email)
    .where(email.c.status == EmailStatus.QUEUED, email.c.due_at <= bindparam("now"))
    .order_by(email.c.due_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)

_QUEUED_EMAILS = select(func.count().label("emails"), func.min(email.c.requested_at).label("oldest")).where(
    email.c.status == EmailStatus.QUEUED
)


def queued_emails(db: Reader) -> Row[Any]:
    """How many `emails` are on their way, and when the `oldest` was requested."""
    return db.one(_QUEUED_EMAILS)


def person_by_id(db: Reader, user_id: UUID) -> Row[Any] | None:
    """What is known of a person, sealed."""
    return db.first(_PERSON, {"user_id": user_id})


def locale_of_person(db: Reader, user_id: UUID) -> str | None:
    """The language a person chose, or None while they are not known here."""
    locale: str | None = db.scalar(_LOCALE, {"user_id": user_id})
    return locale


def notices(db: Reader, user_id: UUID, *, unread: bool | None, before: int | None, limit: int) -> list[Row[Any]]:
    """A person's notices, newest first: all, only unread or only read ones."""
    return db.all(_NOTICES, {"user_id": user_id, "unread": unread, "before": before, "limit": limit})


def notices_after(db: Reader, user_id: UUID, position: int, limit: int) -> list[Row[Any]]:
    """A person's notices after a position, oldest first; none is committed later with a smaller one."""
    return db.all(_NOTICES_AFTER, {"user_id": user_id, "position": position, "limit": limit})


def notice_exists(db: Reader, notice_id: NoticeId, user_id: UUID) -> bool:
    """Whether this is a notice of this person."""
    return db.first(_NOTICE_EXISTS, {"notice_id": notice_id, "user_id": user_id}) is not None


def position_of(db: Reader, notice_id: UUID, user_id: UUID) -> int | None:
    """Where a notice stands among its person's, or None when it is not one of them."""
    position: int | None = db.scalar(_POSITION, {"notice_id": notice_id, "user_id": user_id})
    return position


def last_position(db: Reader, user_id: UUID) -> int:
    """The position of a person's newest notice; 0 before the first."""
    return db.scalar(_LAST_POSITION, {"user_id": user_id}) or 0


def unread_count(db: Reader, user_id: UUID) -> int:
    """How many notices a person has not read."""
    return int(db.scalar(_UNREAD, {"user_id": user_id}))


def recently_noticed(db: Reader, since: datetime) -> list[UUID]:
    """Everybody who got a notice since then."""
    return [row.user_id for row in db.all(_RECENTLY_NOTICED, {"since": since})]


def due_email(db: Reader, now: datetime) -> Row[Any] | None:
    """The e-mail that has been due longest, locked; those that another sender holds are passed over."""
    return db.first(_DUE_EMAIL, {"now": now})
