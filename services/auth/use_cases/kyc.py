"""Record what the check of a person came to, and let checks expire."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, select, update

from libs.common.db import Transaction
from libs.common.errors import PreconditionFailed, Problem
from services.auth import queries
from services.auth.domain.kyc import Check, KycStatus, refuse_check
from services.auth.events import KycUpdated
from services.auth.models import user_account

EXPIRED_AT_ONCE = 200
"""Checks that one run of the job lets expire; the next run takes the rest."""

_write = (
    update(user_account)
    .where(user_account.c.id == bindparam("user_id"))
    .values(
        kyc_status=bindparam("new_status"),
        accredited=bindparam("new_accredited"),
        kyc_expires_at=bindparam("new_expires_at"),
        version=user_account.c.version + 1,
    )
    .returning(user_account)
)
_due = (
    select(user_account.c.id)
    .where(user_account.c.kyc_status == KycStatus.VERIFIED, user_account.c.kyc_expires_at <= bindparam("now"))
    .order_by(user_account.c.kyc_expires_at)
    .limit(EXPIRED_AT_ONCE)
    .with_for_update(skip_locked=True, key_share=True)
)
_expire = (
    update(user_account)
    .where(user_account.c.id.in_(_due))
    .values(kyc_status=KycStatus.EXPIRED, accredited=False, version=user_account.c.version + 1)
    .returning(user_account.c.id, user_account.c.kyc_expires_at)
)


def record(tx: Transaction, user_id: UUID, actor_id: UUID, found: Check, expected_version: int | None) -> Row[Any] | Problem:
    """Record what an administrator found, or return the refusal, which is on record.

    Raises UnknownAccount, PreconditionFailed for another version.
    """
    before = queries.account_to_change(tx, user_id)
    if expected_version is not None and before.version != expected_version:
        raise PreconditionFailed("It was changed since you read it; read it again and repeat your change.")
    known = Check(KycStatus(before.kyc_status), before.accredited, before.kyc_expires_at)
    details = {"old_status": known.status, "new_status": found.status, "accredited": found.accredited}
    refusal = refuse_check(known, found, own=user_id == actor_id)
    if refusal is not None:
        tx.audit("kyc.record", "user", user_id, "refused", {**details, "reason": type(refusal).__name__})
        return refusal
    if found == known:
        return before
    written = {"new_status": found.status, "new_accredited": found.accredited, "new_expires_at": found.expires_at}
    after = tx.one(_write, {"user_id": user_id, **written})
    tx.audit("kyc.record", "user", user_id, details={**details, "expires_at": found.expires_at})
    tx.publish(KycUpdated(user_id=user_id, status=found.status, accredited=found.accredited, expires_at=found.expires_at))
    return after


def expire(tx: Transaction) -> int:
    """Let checks expire whose time is over, and accreditation with them; returns how many."""
    expired = tx.all(_expire, {"now": tx.now})
    for each in expired:
        tx.audit("kyc.expire", "user", each.id)
        tx.publish(KycUpdated(user_id=each.id, status=KycStatus.EXPIRED, accredited=False, expires_at=each.kyc_expires_at))
    return len(expired)
