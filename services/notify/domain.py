"""The rules of telling people: what a notice says, when an e-mail is tried again, what a stream owes its listener."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NewType, Protocol
from uuid import UUID

from libs.common.auth.policy import Subject
from libs.common.errors import NotFound, TooManyRequests, Unavailable

NoticeId = NewType("NoticeId", UUID)
EmailId = NewType("EmailId", UUID)

LOCALE_DEFAULT = "en"
LOCALES = frozenset({"en", "fr"})

NOTICE_CHANNEL = "notice"  # wakes event streams
EMAIL_CHANNEL = "email"  # wakes the delivery of e-mails

HEARTBEAT_SECONDS = 15
STREAM_RETRY_MILLISECONDS = 2_000
STREAMS_PER_USER_MAX = 5
STREAMS_PER_PROCESS_MAX = 8_000
STREAM_READERS_MAX = 6  # streams of one process that read the table at once; fewer than it has connections
STREAM_BATCH_ROWS = 100
SWEEP_SECONDS = 0.4  # how often open streams are checked for expiry and revocation
POLL_SECONDS = 5  # how often the table is read for notices whose wake-up was lost
POLL_WINDOW = timedelta(seconds=30)

EMAIL_ATTEMPTS_MAX = 27
EMAIL_BACK_OFF = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
)
"""How long an e-mail waits after each attempt; the last holds for all that follow. All attempts fit into the 24 hours for which
a provider knows an e-mail by its key, so that one whose answer was lost is not sent twice."""


class NoticeKind(StrEnum):
    """What a notice is about."""

    TASK_VALIDATED = "TASK_VALIDATED"
    TASK_REJECTED = "TASK_REJECTED"
    LUMENS_CHANGED = "LUMENS_CHANGED"


class EmailTemplate(StrEnum):
    """E-mails that notify sends of its own accord; the others are asked for by name."""

    TASK_VALIDATED = "TASK_VALIDATED"


class EmailStatus(StrEnum):
    """Where an e-mail stands."""

    QUEUED = "QUEUED"
    SENT = "SENT"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"


FINAL_STATUSES = frozenset({EmailStatus.SENT, EmailStatus.FAILED, EmailStatus.EXPIRED})

TRANSITIONS: Mapping[EmailStatus, frozenset[EmailStatus]] = {
    EmailStatus.QUEUED: FINAL_STATUSES,
    EmailStatus.SENT: frozenset(),
    EmailStatus.FAILED: frozenset(),
    EmailStatus.EXPIRED: frozenset(),
}


class NoticeNotFound(NotFound):
    """No such notice, or it is another person's."""


class TooManyStreams(TooManyRequests):
    """The person has as many event streams open as one may."""


class StreamsExhausted(Unavailable):
    """This process carries as many event streams as it can."""


class DeliveryRefused(Exception):
    """A sender did not take a message; `permanent` when no repetition will help.

    `error_class` names the kind of failure for operators: never an address, never content.
    """

    def __init__(self, error_class: str, *, permanent: bool) -> None:
        super().__init__(error_class)
        self.error_class = error_class
        self.permanent = permanent


class ProviderAway(DeliveryRefused):
    """Whoever takes our e-mails takes none at all now, or not from us: they wait, since another would fare no better."""

    def __init__(self, error_class: str) -> None:
        super().__init__(error_class, permanent=False)


class DeliveryExpired(DeliveryRefused):
    """An e-mail is past the moment after which it is worthless."""


@dataclass(frozen=True, slots=True)
class Words:
    """What an e-mail says."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Mail:
    """One e-mail, ready to be sent. `id` and `requested_at` are the same in every attempt."""

    id: EmailId
    requested_at: datetime
    template: str
    locale: str
    recipient: str
    subject: str
    text: str
    html: str

    def __repr__(self) -> str:
        """Without address and content, so that neither reaches a log."""
        return f"Mail({self.id}, {self.template}, {self.locale})"


class MailSender(Protocol):
    """Hands e-mails to the outside world."""

    def send(self, mail: Mail) -> None:
        """Send one e-mail; the same id again does not reach the recipient twice, where the provider permits.

        Raises DeliveryRefused.
        """


class MailTemplates(Protocol):
    """Words for e-mails."""

    def render(self, template: str, locale: str, variables: Mapping[str, str]) -> Words:
        """The words of an e-mail. Raises DeliveryRefused when there is no such template or a variable is missing."""


class Vault(Protocol):
    """Keeps personal values unreadable at rest."""

    def seal(self, value: Any) -> bytes:
        """A JSON value, sealed."""

    def open(self, sealed: bytes) -> Any:
        """The value that was sealed."""


class StreamHub(Protocol):
    """The event streams that this process carries."""

    def open(self, subject: Subject, last_event_id: str | None, admitted: Callable[[], bool]) -> Iterator[bytes]:
        """A person's stream (server-sent events) from after that event on, or from now.

        It ends when the token expires, and within a second when `admitted` says no.
        Raises TooManyStreams, StreamsExhausted.
        """


def locale_of(wanted: str | None) -> str:
    """The language to speak: `fr-CA` is French, what we do not speak is English."""
    language = (wanted or LOCALE_DEFAULT).replace("_", "-").split("-")[0].lower()
    return language if language in LOCALES else LOCALE_DEFAULT


def next_attempt(attempts: int, now: datetime) -> datetime:
    """When an e-mail is tried again after so many attempts (one or more)."""
    return now + EMAIL_BACK_OFF[min(attempts, len(EMAIL_BACK_OFF)) - 1]


def require_not_expired(expires_at: datetime | None, now: datetime) -> None:
    """Raise DeliveryExpired when an e-mail has become worthless."""
    if expires_at is not None and now >= expires_at:
        raise DeliveryExpired("Expired", permanent=True)


def outcome_of(attempts: int, refusal: DeliveryRefused | None) -> EmailStatus:
    """What becomes of an e-mail after so many attempts, the last of which was refused or not."""
    if refusal is None:
        return EmailStatus.SENT
    if isinstance(refusal, DeliveryExpired):
        return EmailStatus.EXPIRED
    given_up = refusal.permanent or attempts >= EMAIL_ATTEMPTS_MAX
    return EmailStatus.FAILED if given_up else EmailStatus.QUEUED


_TITLES: Mapping[tuple[NoticeKind, str], str] = {
    (NoticeKind.TASK_VALIDATED, "en"): "Your work was accepted",
    (NoticeKind.TASK_VALIDATED, "fr"): "Votre travail est accepté",
    (NoticeKind.TASK_REJECTED, "en"): "Your work was sent back",
    (NoticeKind.TASK_REJECTED, "fr"): "Votre travail vous est renvoyé",
    (NoticeKind.LUMENS_CHANGED, "en"): "Your Lumens changed",
    (NoticeKind.LUMENS_CHANGED, "fr"): "Vos Lumens ont changé",
}

_BODIES: Mapping[tuple[NoticeKind, str], str] = {
    (NoticeKind.TASK_VALIDATED, "en"): "“{task_title}” for “{film_title}” is final. It earns you {lumens} Lumens.",
    (NoticeKind.TASK_VALIDATED, "fr"): "« {task_title} » pour « {film_title} » est définitif et vous rapporte {lumens} Lumens.",
    (NoticeKind.TASK_REJECTED, "en"): "A reviewer asks for another version. Attempts left: {attempts_left}.",
    (NoticeKind.TASK_REJECTED, "fr"): "La relecture demande une autre version. Essais restants : {attempts_left}.",
    (NoticeKind.LUMENS_CHANGED, "en"): "{amount:+d} Lumens; your balance is {balance_after}.",
    (NoticeKind.LUMENS_CHANGED, "fr"): "{amount:+d} Lumens ; votre solde est de {balance_after}.",
}


def notice_text(kind: NoticeKind, locale: str | None, data: Mapping[str, Any]) -> tuple[str, str]:
    """Title and body of a notice in the reader's language."""
    key = (kind, locale_of(locale))
    return _TITLES[key], _BODIES[key].format(**data)
