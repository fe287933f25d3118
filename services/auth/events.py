"""What auth tells the platform: published facts, frozen, additive only, one golden file each."""

from datetime import datetime
from uuid import UUID

from libs.common.events import Event, Personal
from libs.common.events.audited import AuditEvent


class UserRegistered(Event, type="auth.user.registered", version=1, aggregate="user_id"):
    """An account exists; its address is not confirmed yet."""

    user_id: UUID
    """The user."""
    email: Personal[str]
    """The address of the account."""
    display_name: Personal[str]
    """The name that others see."""
    role: str
    """The role that was asked for."""
    locale: str
    """The person's language, such as en or fr."""


class UserVerified(Event, type="auth.user.verified", version=1, aggregate="user_id"):
    """The person proved that the address is theirs: the account may sign in."""

    user_id: UUID
    """The user."""


class UserUpdated(Event, type="auth.user.updated", version=1, aggregate="user_id"):
    """The person changed their profile; a field that did not change is null."""

    user_id: UUID
    """The user."""
    display_name: Personal[str] | None
    """The new name; null when it did not change."""
    locale: str | None
    """The new language; null when it did not change."""


class KycUpdated(Event, type="auth.kyc.updated", version=1, aggregate="user_id"):
    """The check of a person came to something else, or expired; accreditation holds only while the check is VERIFIED."""

    user_id: UUID
    """The user."""
    status: str
    """NONE, PENDING, VERIFIED, REJECTED or EXPIRED."""
    accredited: bool
    """Whether the person is an accredited investor."""
    expires_at: datetime | None
    """When check and accreditation cease, or ceased; null where nothing was verified."""


class UserEmailChanged(Event, type="auth.user.email_changed", version=1, aggregate="user_id"):
    """The account has another address: the owners of both confirmed it."""

    user_id: UUID
    """The user."""
    email: Personal[str]
    """The address from now on."""


class UserRoleChanged(Event, type="auth.user.role_changed", version=1, aggregate="user_id"):
    """An administrator gave the account another role; its sessions ended with the old one."""

    user_id: UUID
    """The user."""
    old_role: str
    """The role until now."""
    new_role: str
    """The role from now on."""
    changed_by: UUID
    """The administrator."""


class UserStatusChanged(Event, type="auth.user.status_changed", version=1, aggregate="user_id"):
    """An administrator suspended or reactivated the account."""

    user_id: UUID
    """The user."""
    old_status: str
    """The status until now."""
    new_status: str
    """The status from now on."""
    changed_by: UUID
    """The administrator."""


class SessionRevoked(Event, type="auth.session.revoked", version=1, aggregate="user_id", internal=True):
    """Access tokens are void before they expire: those of one session, or all issued to the user before an instant.

    `session_id` is null when all of the user's sessions ended; `not_before` is set then, in whole seconds, and a token whose
    `iat` is smaller is void. After `expires_at` no token can be alive that this fact concerns: it may be forgotten.
    """

    user_id: UUID
    """The user."""
    session_id: UUID | None
    """The session that ended; null when all did."""
    not_before: datetime | None
    """Tokens issued before this are void."""
    expires_at: datetime
    """After this the fact may be forgotten."""
    reason: str
    """Why they ended."""


class EmailRequested(Event, type="auth.email.requested", version=1, aggregate="email_id", internal=True):
    """A person is owed an e-mail; after `expires_at` it is worthless and must not be sent any more.

    `variables` always holds `display_name`. Mails with a link hold `link`, and those with a one-time token hold it as `token`
    too; a SECURITY_NOTICE has no link and holds `notice`, which says what happened, and the facts of it.
    """

    email_id: UUID
    """The e-mail."""
    user_id: UUID
    """The user."""
    recipient: Personal[str]
    """The address that it goes to."""
    template: str
    """Which text is sent."""
    variables: Personal[dict[str, str]]
    """What the text is filled in with."""
    locale: str
    """The person's language, such as en or fr."""
    expires_at: datetime
    """After this it is worthless."""


class KeyChanged(Event, type="auth.key.changed", version=1, aggregate="key_id", internal=True):
    """A signing key was PUBLISHED, ACTIVATED, RETIRED or WITHDRAWN: read the key set again."""

    key_id: str
    """The key's id, as `kid` in tokens."""
    action: str
    """PUBLISHED, ACTIVATED, RETIRED or WITHDRAWN."""


class MaintenanceChanged(Event, type="auth.maintenance.changed", version=1, aggregate="scope", internal=True):
    """An administrator shut the platform's door for maintenance, opened it again, or gave another reason."""

    scope: str
    """What is maintained: `platform`, the whole."""
    enabled: bool
    """Whether the door is shut from now on."""
    reason: str | None
    """Why, in words for colleagues; null only when the door was opened."""
    changed_by: UUID
    """The administrator."""
    changed_at: datetime
    """When it was decided."""
    revision: int
    """Counts decisions: a smaller one is older."""


class AuditRecorded(AuditEvent, type="auth.audit.recorded", version=1, aggregate="audit_id"):
    """A security-relevant act in auth: who did what to what, and how it ended."""
