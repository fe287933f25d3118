"""What notify does: know people, write notices, send e-mails."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Event
from typing import Any
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy import Row, bindparam, literal, update
from sqlalchemy.dialects.postgresql import insert

from libs.common import clock
from libs.common.auth import Admission
from libs.common.db import Database, Transaction
from libs.common.ids import new_id
from libs.common.telemetry import logger
from services.notify import queries
from services.notify.domain import (
    EMAIL_CHANNEL,
    NOTICE_CHANNEL,
    DeliveryRefused,
    EmailId,
    EmailStatus,
    Mail,
    MailSender,
    MailTemplates,
    NoticeId,
    NoticeKind,
    NoticeNotFound,
    ProviderAway,
    Vault,
    locale_of,
    next_attempt,
    outcome_of,
    require_not_expired,
)
from services.notify.events import DeliveryFailed
from services.notify.models import email, notice, notice_sequence, person

EMAILS_PER_RUN_MAX = 200
MAIL_ATTEMPTS = Counter("lumiere_mail_attempts", "Attempts to send by outcome; queued is tried again", ["outcome"])

log = logger(__name__)

_KNOW_PERSON = insert(person)
_KNOW_PERSON = _KNOW_PERSON.on_conflict_do_update(
    index_elements=[person.c.user_id],
    set_={column.name: _KNOW_PERSON.excluded[column.name] for column in person.c if column.name != "user_id"},
)
_RENAME_PERSON = (
    update(person)
    .where(person.c.user_id == bindparam("id"))
    .values(display_name_sealed=bindparam("name"), updated_at=bindparam("moment"))
)
_READDRESS_PERSON = (
    update(person)
    .where(person.c.user_id == bindparam("id"))
    .values(email_sealed=bindparam("address"), updated_at=bindparam("moment"))
)
_CHANGE_LOCALE = (
    update(person)
    .where(person.c.user_id == bindparam("id"))
    .values(locale=bindparam("language"), updated_at=bindparam("moment"))
)

_NEXT_POSITION = (
    insert(notice_sequence)
    .values(user_id=bindparam("user_id"), last_position=literal(1))
    .on_conflict_do_update(
        index_elements=[notice_sequence.c.user_id], set_={"last_position": notice_sequence.c.last_position + 1}
    )
    .returning(notice_sequence.c.last_position)
)
_WRITE_NOTICE = insert(notice)
_READ = (
    update(notice)
    .where(notice.c.id == bindparam("notice_id"), notice.c.user_id == bindparam("reader"), notice.c.read_at.is_(None))
    .values(read_at=bindparam("moment"))
)
_READ_ALL = (
    update(notice)
    .where(notice.c.user_id == bindparam("reader"), notice.c.read_at.is_(None))
    .values(read_at=bindparam("moment"))
)

_QUEUE_EMAIL = (
    insert(email)
    .values(status=EmailStatus.QUEUED, attempts=0)
    .on_conflict_do_nothing(index_elements=[email.c.id])
    .returning(email.c.id)
)
_CLAIM_EMAIL = (
    update(email).where(email.c.id == bindparam("email_id")).values(attempts=bindparam("number"), due_at=bindparam("next"))
)
_SETTLE_EMAIL = (
    update(email)
    .where(email.c.id == bindparam("email_id"), email.c.status == EmailStatus.QUEUED, email.c.attempts == bindparam("number"))
    .values(
        status=bindparam("outcome"),
        error_class=bindparam("reason"),
        settled_at=bindparam("moment"),
        recipient_sealed=None,
        variables_sealed=None,
    )
)


def know_person(tx: Transaction, vault: Vault, *, user_id: UUID, address: str, display_name: str, locale: str) -> None:
    """Remember how to reach a person, and in which language."""
    values = {
        "user_id": user_id,
        "email_sealed": vault.seal(address),
        "display_name_sealed": vault.seal(display_name),
        "locale": locale_of(locale),
        "updated_at": tx.now,
    }
    tx.execute(_KNOW_PERSON, values)


def update_person(tx: Transaction, vault: Vault, *, user_id: UUID, display_name: str | None, locale: str | None) -> None:
    """Follow a change of profile; None means unchanged."""
    if display_name is not None:
        tx.execute(_RENAME_PERSON, {"id": user_id, "name": vault.seal(display_name), "moment": tx.now})
    if locale is not None:
        tx.execute(_CHANGE_LOCALE, {"id": user_id, "language": locale_of(locale), "moment": tx.now})


def readdress_person(tx: Transaction, vault: Vault, *, user_id: UUID, address: str) -> None:
    """Reach a person at another address from now on."""
    tx.execute(_READDRESS_PERSON, {"id": user_id, "address": vault.seal(address), "moment": tx.now})


def write_notice(tx: Transaction, *, user_id: UUID, kind: NoticeKind, data: Mapping[str, Any], event_id: UUID) -> None:
    """Put a notice on a person's list and wake their streams."""
    position = tx.scalar(_NEXT_POSITION, {"user_id": user_id})
    values = {
        "id": new_id(),
        "user_id": user_id,
        "position": position,
        "kind": kind,
        "data": dict(data),
        "event_id": event_id,
        "created_at": tx.now,
    }
    tx.execute(_WRITE_NOTICE, values)
    tx.notify(NOTICE_CHANNEL, str(user_id))


def mark_read(tx: Transaction, notice_id: NoticeId, reader: UUID) -> None:
    """Mark one notice as read; again changes nothing. Raises NoticeNotFound."""
    changed = tx.execute(_READ, {"notice_id": notice_id, "reader": reader, "moment": tx.now}).rowcount
    if changed:
        tx.notify(NOTICE_CHANNEL, str(reader))
    elif not queries.notice_exists(tx, notice_id, reader):
        raise NoticeNotFound("You have no notice with this id; see the list of your notices.")


def mark_all_read(tx: Transaction, reader: UUID) -> None:
    """Mark every notice of a person as read."""
    if tx.execute(_READ_ALL, {"reader": reader, "moment": tx.now}).rowcount:
        tx.notify(NOTICE_CHANNEL, str(reader))


def may_go_on(admission: Admission, draining: Event) -> Callable[[], bool]:
    """Asks whether a stream may: its listener would still be admitted, and the process is not about to stop."""
    return lambda: not draining.is_set() and admission.holds()


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailRequest:
    """An e-mail to be sent. Without `recipient` it goes to the person's own address, without `locale` in their language."""

    id: UUID
    user_id: UUID
    template: str
    variables: Mapping[str, str]
    recipient: str | None = None
    locale: str | None = None
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        """Without address and variables, so that neither reaches a log."""
        return f"EmailRequest({self.id}, {self.template})"


def queue_email(tx: Transaction, vault: Vault, request: EmailRequest) -> None:
    """Have an e-mail sent soon after this transaction, once for each id."""
    values = {
        "id": request.id,
        "user_id": request.user_id,
        "template": request.template,
        "locale": request.locale,
        "recipient_sealed": None if request.recipient is None else vault.seal(request.recipient),
        "variables_sealed": vault.seal(dict(request.variables)),
        "requested_at": tx.now,
        "due_at": tx.now,
        "expires_at": request.expires_at,
    }
    if tx.scalar(_QUEUE_EMAIL, values) is not None:
        tx.notify(EMAIL_CHANNEL)


def deliver_due_emails(database: Database, sender: MailSender, templates: MailTemplates, vault: Vault) -> int:
    """Send what is due; returns how many e-mails were tried.

    An attempt is counted, and its successor set, before anything leaves: a crash in between costs an attempt and repeats
    the e-mail under the same id, by which the sender knows it. While the provider is away, one e-mail a run finds that out.
    """
    for done in range(EMAILS_PER_RUN_MAX):
        with database.transaction() as tx:
            claimed = _claim(tx)
        if claimed is None:
            return done
        refusal = _attempt(database, claimed, sender, templates, vault)
        with database.transaction() as tx:
            _settle(tx, claimed, refusal)
        if isinstance(refusal, ProviderAway):
            return done + 1
    return EMAILS_PER_RUN_MAX


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A due e-mail whose attempt is counted already."""

    row: Row[Any]
    attempt: int


def _claim(tx: Transaction) -> _Claimed | None:
    row = queries.due_email(tx, tx.now)
    if row is None:
        return None
    attempt = row.attempts + 1
    tx.execute(_CLAIM_EMAIL, {"email_id": row.id, "number": attempt, "next": next_attempt(attempt, tx.now)})
    return _Claimed(row, attempt)


def _attempt(
    database: Database, claimed: _Claimed, sender: MailSender, templates: MailTemplates, vault: Vault
) -> DeliveryRefused | None:
    """Try to send; what refused it, or None when it is gone."""
    try:
        require_not_expired(claimed.row.expires_at, clock.now())
        with database.reader() as db:
            known = queries.person_by_id(db, claimed.row.user_id)
        sender.send(_compose(claimed.row, known, templates, vault))
    except DeliveryRefused as refusal:
        return refusal
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one e-mail must not hold up the others
        return DeliveryRefused(type(error).__name__, permanent=False)
    return None


def _compose(row: Row[Any], known: Row[Any] | None, templates: MailTemplates, vault: Vault) -> Mail:
    if row.recipient_sealed is None and known is None:
        raise DeliveryRefused("RecipientUnknown", permanent=False)
    locale = locale_of(row.locale or (known.locale if known else None))
    variables = vault.open(row.variables_sealed)
    if known is not None:
        variables = {"display_name": vault.open(known.display_name_sealed), **variables}
    words = templates.render(row.template, locale, variables)
    return Mail(
        id=EmailId(row.id),
        requested_at=row.requested_at,
        template=row.template,
        locale=locale,
        recipient=vault.open(row.recipient_sealed or known.email_sealed),  # type: ignore[union-attr]
        subject=words.subject,
        text=words.text,
        html=words.html,
    )


def _settle(tx: Transaction, claimed: _Claimed, refusal: DeliveryRefused | None) -> None:
    outcome = outcome_of(claimed.attempt, refusal)
    tx.after_commit(MAIL_ATTEMPTS.labels(outcome.lower()).inc)
    about = {"email_id": str(claimed.row.id), "template": claimed.row.template, "attempt": claimed.attempt}
    if outcome is EmailStatus.QUEUED:
        log.warning("email.refused", **about, error_class=refusal and refusal.error_class)
        return
    reason = refusal.error_class if refusal else None
    values = {"email_id": claimed.row.id, "number": claimed.attempt, "outcome": outcome, "reason": reason, "moment": tx.now}
    if tx.execute(_SETTLE_EMAIL, values).rowcount == 0:
        return
    if reason is None:
        log.info("email.sent", **about)
    else:
        log.error("email.given_up", **about, error_class=reason)
        tx.publish(
            DeliveryFailed(notification_id=claimed.row.id, channel="EMAIL", attempts=claimed.attempt, error_class=reason)
        )
