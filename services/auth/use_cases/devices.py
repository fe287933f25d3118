"""The device grant: a program asks, a person types its code where they are signed in, and says yes or no (RFC 8628).

The page where codes are typed shows `look_up`, and ends in `approve` or `deny`.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, insert, update

from libs.common import ids
from libs.common.auth.policy import Subject
from libs.common.db import Transaction
from services.auth import queries
from services.auth.domain.authorization import granted_scope
from services.auth.domain.clients import Client
from services.auth.domain.devices import (
    DEVICE_CODE_LIFE,
    POLL_INTERVAL,
    USER_CODE_LENGTH,
    USER_CODE_LETTERS,
    DeviceState,
    UnknownUserCode,
    shown,
    typed,
)
from services.auth.domain.sessions import token_hash
from services.auth.models import device_request
from services.auth.use_cases.authorization import remember

_keep = insert(device_request)
_answer = (
    update(device_request)
    .where(
        device_request.c.user_code == bindparam("code_typed"),
        device_request.c.state == DeviceState.PENDING,
        device_request.c.expires_at > bindparam("now"),
    )
    .values(state=bindparam("new_state"), user_id=bindparam("owner"), session_id=bindparam("in_session"))
    .returning(device_request.c.client_id, device_request.c.scope)
)


@dataclass(frozen=True, slots=True)
class Offered:
    """What a device is given: a secret to ask with, and a code to show."""

    device_code: str
    user_code: str


@dataclass(frozen=True, slots=True)
class DeviceQuestion:
    """What a person is asked who typed a code: may this client, on this device, do this for them?"""

    user_code: str
    """As people read it."""
    client_name: str
    device_label: str
    scopes: tuple[str, ...]


def offer(tx: Transaction, client: Client, scope: str | None, device_label: str) -> Offered:
    """Let a device ask (RFC 8628 section 3.1). Raises AskedWrongly."""
    device_code, user_code = ids.random_token(), ids.random_code(USER_CODE_LETTERS, USER_CODE_LENGTH)
    tx.execute(
        _keep,
        {
            "code_hash": token_hash(device_code),
            "user_code": user_code,
            "client_id": client.id,
            "scope": granted_scope(client, scope),
            "device_label": device_label,
            "state": DeviceState.PENDING,
            "interval_seconds": int(POLL_INTERVAL.total_seconds()),
            "expires_at": tx.now + DEVICE_CODE_LIFE,
            "last_polled_at": None,
            "user_id": None,
            "session_id": None,
        },
    )
    return Offered(device_code, shown(user_code))


def look_up(tx: Transaction, code: str) -> DeviceQuestion:
    """Return what waits under a code, however it was typed. Raises UnknownUserCode."""
    row = queries.waiting_device(tx, typed(code), tx.now)
    client = None if row is None else queries.client(tx, row.client_id)
    if row is None or client is None:
        raise _unknown()
    return DeviceQuestion(shown(row.user_code), client.name, row.device_label, tuple(row.scope.split()))


def approve(tx: Transaction, code: str, subject: Subject) -> None:
    """Let the device have what it asked for. Raises UnknownUserCode."""
    row = _answered(tx, code, subject, DeviceState.APPROVED)
    client = queries.client(tx, row.client_id)
    if client is None:
        raise _unknown()
    remember(tx, subject.id, client, row.scope)


def deny(tx: Transaction, code: str, subject: Subject) -> None:
    """Let the device have nothing. Raises UnknownUserCode."""
    row = _answered(tx, code, subject, DeviceState.DENIED)
    tx.audit("consent.deny", "oauth_client", row.client_id, outcome="refused", details={"scope": row.scope})


def _answered(tx: Transaction, code: str, subject: Subject, state: DeviceState) -> Row[Any]:
    parameters = {
        "code_typed": typed(code),
        "now": tx.now,
        "new_state": state,
        "owner": subject.id,
        "in_session": subject.session_id,
    }
    row = tx.first(_answer, parameters)
    if row is None:
        raise _unknown()
    return row


def _unknown() -> UnknownUserCode:
    return UnknownUserCode("No device waits under this code. Look at it again: codes hold for ten minutes and for one answer.")
