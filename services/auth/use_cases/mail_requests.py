"""Links that anybody may ask for, for any address: nobody looks yet whose address it is, so the answer tells nothing."""

from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select

from libs.common import ids
from libs.common.db import Database, Transaction
from services.auth import queries
from services.auth.domain.accounts import Address, Links
from services.auth.domain.limits import Caller, ClientLimited, Limit
from services.auth.domain.tokens import Purpose
from services.auth.models import mail_request
from services.auth.use_cases import mail
from services.auth.use_cases.deferred import cause, caused_by

MAIL_CHANNEL = "mail_request"
"""Wakes the job that mails what was asked for."""
BATCH = 100
LIMITS = {Purpose.RESET_PASSWORD: Limit.RESET, Purpose.VERIFY_EMAIL: Limit.RESEND}

_ask = insert(mail_request)
# Materialised, because Postgres may run a limited sub-select of a DELETE again for each row, and delete more than the limit.
_waiting = (
    select(mail_request.c.id)
    .order_by(mail_request.c.id)
    .limit(bindparam("batch"))
    .with_for_update(skip_locked=True)
    .cte("waiting")
    .prefix_with("MATERIALIZED")
)
_take = delete(mail_request).where(mail_request.c.id == _waiting.c.id).returning(*mail_request.c)


def ask(database: Database, address: Address, purpose: Purpose, caller: Caller) -> ClientLimited | None:
    """Ask for a link; the refusal when this client asked for too many."""
    limited = caller.count(LIMITS[purpose])
    if limited:
        return limited
    with database.transaction() as tx:
        values = {"id": ids.new_id(), "address": address, "purpose": purpose, "requested_at": tx.now}
        tx.execute(_ask, {**values, **cause()})
        tx.notify(MAIL_CHANNEL)
    return None


def mail_links(tx: Transaction, links: Links) -> int:
    """Mail the links that were asked for to whoever has an account; returns how many requests were dealt with."""
    taken = tx.all(_take, {"batch": BATCH})
    for (address, purpose), row in sorted({(row.address, row.purpose): row for row in taken}.items()):
        account = _holder(tx, Address(address))
        if account is not None:
            with caused_by(row):
                _send(tx, account, Purpose(purpose), links)
    if len(taken) == BATCH:
        tx.notify(MAIL_CHANNEL)
    return len(taken)


def _holder(tx: Transaction, address: Address) -> Row[Any] | None:
    """Whose address this is, and stays until the link is kept: a change of address finds it then, and makes it worthless."""
    found = queries.account_by_address(tx, address)
    held = None if found is None else queries.account_to_enter(tx, found.id)
    return held if held is not None and held.email == address else None


def _send(tx: Transaction, account: Row[Any], purpose: Purpose, links: Links) -> None:
    if purpose is Purpose.RESET_PASSWORD:
        mail.request_reset(tx, account, links)
    elif account.verified_at is None:
        _verify_again(tx, account, links)


def _verify_again(tx: Transaction, account: Row[Any], links: Links) -> None:
    """Mail the verification link again with the password that came with it.

    Where several registrations wait, or none does any more, nobody can tell whose password it would confirm: the owner of
    the address chooses one then, which confirms the address too.
    """
    chosen = queries.passwords_to_confirm(tx, account.id, tx.now)
    if len(chosen) == 1:
        mail.request_verification(tx, account, links, chosen[0])
    else:
        mail.request_reset(tx, account, links)
