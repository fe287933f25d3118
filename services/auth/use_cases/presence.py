"""Remember when people were last here: tell them of a sign-in on a new device, and of an account that they left."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from libs.common.db import Transaction
from services.auth import queries
from services.auth.domain.accounts import Status
from services.auth.domain.notices import Notice
from services.auth.models import last_sign_in, user_account
from services.auth.use_cases import notices

DORMANT_BATCH: Final = 100

_remember = insert(last_sign_in)
_remember = _remember.on_conflict_do_update(
    index_elements=["user_id"], set_={"signed_in_at": _remember.excluded.signed_in_at, "told_dormant_at": None}
)
_dormant = (
    select(last_sign_in.c.user_id)
    .join(user_account, user_account.c.id == last_sign_in.c.user_id)
    .where(
        last_sign_in.c.told_dormant_at.is_(None),
        last_sign_in.c.signed_in_at <= bindparam("before"),
        user_account.c.status == Status.ACTIVE,
    )
    .order_by(last_sign_in.c.signed_in_at)
    .limit(bindparam("batch"))
    .with_for_update(skip_locked=True, of=last_sign_in)
)
_told = update(last_sign_in).where(last_sign_in.c.user_id == bindparam("owner")).values(told_dormant_at=bindparam("now"))


def signed_in(tx: Transaction, account: Row[Any], session_id: UUID, device_label: str) -> None:
    """Remember that this session was just opened; its owner is told when it is on a device not seen of late."""
    if queries.signed_in_elsewhere_only(tx, account.id, session_id, device_label):
        notices.tell(tx, account.id, Notice.NEW_SIGN_IN, device=device_label)
    remember(tx, account.id)


def remember(tx: Transaction, user_id: UUID) -> None:
    """From now on an account is quiet: its owner signed in, or confirmed its address."""
    tx.execute(_remember, {"user_id": user_id, "signed_in_at": tx.now, "told_dormant_at": None})


def tell_dormant(tx: Transaction, after: timedelta) -> int:
    """Mail once to owners of accounts into which nobody signed in for so long; returns how many."""
    found = tx.all(_dormant, {"before": tx.now - after, "batch": DORMANT_BATCH})
    for row in found:
        notices.tell(tx, row.user_id, Notice.DORMANT_ACCOUNT, days=after.days)
        tx.execute(_told, {"owner": row.user_id, "now": tx.now})
    return len(found)
