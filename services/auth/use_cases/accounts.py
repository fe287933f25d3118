"""Change one's own profile; as an administrator, change somebody's role or status."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, update

from libs.common.auth.policy import Role
from libs.common.db import Transaction
from libs.common.errors import Conflict, PreconditionFailed
from libs.common.events import Personal
from services.auth import queries
from services.auth.domain.accounts import AccountChanged, Status, refuse_change
from services.auth.domain.notices import Notice
from services.auth.domain.proposals import AdministratorDismissed
from services.auth.domain.sessions import EndReason
from services.auth.events import UserRoleChanged, UserStatusChanged, UserUpdated
from services.auth.models import user_account
from services.auth.use_cases.notices import tell
from services.auth.use_cases.registration import lock_administrators
from services.auth.use_cases.sessions import end_all_sessions

_write_profile = (
    update(user_account)
    .where(user_account.c.id == bindparam("user_id"), user_account.c.version == bindparam("seen"))
    .values(
        display_name=bindparam("new_display_name"),
        bio=bindparam("new_bio"),
        locale=bindparam("new_locale"),
        wallet_address=bindparam("new_wallet_address"),
        skills=bindparam("new_skills"),
        languages=bindparam("new_languages"),
        version=user_account.c.version + 1,
    )
    .returning(user_account)
)
PROFILE_MEMBERS = ("display_name", "bio", "locale", "wallet_address", "skills", "languages")
"""What people change themselves."""
_write_standing = (
    update(user_account)
    .where(user_account.c.id == bindparam("user_id"), user_account.c.version == bindparam("seen"))
    .values(role=bindparam("new_role"), status=bindparam("new_status"), version=user_account.c.version + 1)
    .returning(user_account)
)


def update_profile(tx: Transaction, user_id: UUID, changes: Mapping[str, Any], expected_version: int | None) -> Row[Any]:
    """Write the members of the profile that `changes` names.

    Raises PreconditionFailed for another version, AccountChanged when somebody was quicker.
    """
    before = queries.account(tx, user_id)
    _require_version(before, expected_version)
    values = {**{name: getattr(before, name) for name in PROFILE_MEMBERS}, **changes}
    after = tx.first(
        _write_profile, {"user_id": user_id, "seen": before.version, **{f"new_{name}": each for name, each in values.items()}}
    )
    if after is None:
        raise AccountChanged("Somebody changed the profile meanwhile; read it again.")
    changed = [name for name in PROFILE_MEMBERS if getattr(after, name) != getattr(before, name)]
    if changed:
        tx.audit("profile.change", "user", user_id, details={"members": changed})
    if "wallet_address" in changed:
        tell(tx, user_id, Notice.WALLET_CHANGED)
    renamed = after.display_name != before.display_name
    if renamed or after.locale != before.locale:
        tx.publish(
            UserUpdated(
                user_id=user_id,
                display_name=Personal.of(after.display_name, about=user_id) if renamed else None,
                locale=after.locale if after.locale != before.locale else None,
            )
        )
    return after


@dataclass(frozen=True, slots=True)
class Standing:
    """The role and status to give (None: as it is), and the version that the administrator saw (None: any)."""

    role: Role | None
    status: Status | None
    expected_version: int | None


def change_standing(tx: Transaction, user_id: UUID, actor_id: UUID, change: Standing) -> Row[Any] | Conflict:
    """Give an account another role or status and end its sessions, or return the refusal, which is on record.

    Raises UnknownAccount, PreconditionFailed for another version.
    """
    lock_administrators(tx)
    before = queries.account_to_change(tx, user_id)
    _require_version(before, change.expected_version)
    new_role, new_status = change.role or Role(before.role), change.status or Status(before.status)
    details = {"old_role": before.role, "new_role": new_role, "old_status": before.status, "new_status": new_status}
    refusal: Conflict | None = None
    if not queries.administers(tx, actor_id):
        # Under the lock: two who dismiss each other, or somebody third, at once do not both succeed.
        refusal = AdministratorDismissed("You are no active administrator any more. Nothing was changed.")
    refusal = refusal or refuse_change(Role(before.role), new_role, new_status, queries.other_administrators(tx, user_id))
    if refusal:
        tx.audit(
            "user.change_standing", "user", user_id, outcome="refused", details={**details, "reason": type(refusal).__name__}
        )
        return refusal
    if (new_role, new_status) == (before.role, before.status):
        return before
    tx.audit("user.change_standing", "user", user_id, details=details)
    return give_standing(tx, before, new_role, new_status, actor_id)


def give_standing(tx: Transaction, before: Row[Any], role: Role, status: Status, actor_id: UUID) -> Row[Any]:
    """Write role and status of an account that `queries.account_to_change` holds, end its sessions, and tell of it."""
    written = {"user_id": before.id, "seen": before.version, "new_role": role, "new_status": status}
    after = tx.one(_write_standing, written)
    _tell(tx, before, after, actor_id)
    return after


def _tell(tx: Transaction, before: Row[Any], after: Row[Any], actor_id: UUID) -> None:
    if after.role != before.role:
        tx.publish(UserRoleChanged(user_id=after.id, old_role=before.role, new_role=after.role, changed_by=actor_id))
        tell(tx, after.id, Notice.ROLE_CHANGED, role=after.role)
    if after.status != before.status:
        tx.publish(UserStatusChanged(user_id=after.id, old_status=before.status, new_status=after.status, changed_by=actor_id))
    end_all_sessions(tx, after.id, EndReason.SUSPENDED if after.status != Status.ACTIVE else EndReason.ROLE_CHANGED)


def _require_version(account: Row[Any], expected: int | None) -> None:
    if expected is not None and account.version != expected:
        raise PreconditionFailed("It was changed since you read it; read it again and repeat your change.")
