"""What auth tells the platform: published facts, frozen, additive only, one golden file each."""

from datetime import datetime
from uuid import UUID

from libs.common.events import Event, Personal
from libs.common.events.audited import AuditEvent


class UserRegistered(Event, type="auth.user.registered", version=1, aggregate="user_id"):
    """An account exists; its address is not confirmed yet."""

    user_id: UUID
    email: Personal[str]
    display_name: Personal[str]
    role: str
    locale: str


class UserVerified(Event, type="auth.user.verified", version=1, aggregate="user_id"):
    """The person proved that the address is theirs: the account may sign in."""

    user_id: UUID


class UserUpdated(Event, type="auth.user.updated", version=1, aggregate="user_id"):
    """The person changed their profile; a field that did not change is null."""

    user_id: UUID
    display_name: Personal[str] | None
    locale: str | None


class UserRoleChanged(Event, type="auth.user.role_changed", version=1, aggregate="user_id"):
    """An administrator gave the account another role; its sessions ended with the old one."""

    user_id: UUID
    old_role: str
    new_role: str
    changed_by: UUID


class UserStatusChanged(Event, type="auth.user.status_changed", version=1, aggregate="user_id"):
    """An administrator suspended or reactivated the account."""

    user_id: UUID
    old_status: str
    new_status: str
    changed_by: UUID


class SessionRevoked(Event, type="auth.session.revoked", version=1, aggregate="user_id"):
    """Access tokens are void before they expire: those of one session, or all issued to the user before an instant.

    `session_id` is null when all of the user's sessions ended; `not_before` is set then, in whole seconds, and a token whose
    `iat` is smaller is void. After `expires_at` no token can be alive that this fact concerns: it may be forgotten.
    """

    user_id: UUID
    session_id: UUID | None
    not_before: datetime | None
    expires_at: datetime
    reason: str


class EmailRequested(Event, type="auth.email.requested", version=1, aggregate="email_id"):
    """A person is owed an e-mail; after `expires_at` it is worthless and must not be sent any more.

    `variables` always holds `display_name` and `link`; templates that carry a one-time token hold it as `token` too.
    """

    email_id: UUID
    user_id: UUID
    recipient: Personal[str]
    template: str
    variables: Personal[dict[str, str]]
    locale: str
    expires_at: datetime


class KeyChanged(Event, type="auth.key.changed", version=1, aggregate="key_id"):
    """A signing key was PUBLISHED, ACTIVATED, RETIRED or WITHDRAWN: read the key set again."""

    key_id: str
    action: str


class AuditRecorded(AuditEvent, type="auth.audit.recorded", version=1, aggregate="audit_id"):
    """A security-relevant act in auth: who did what to what, and how it ended."""
