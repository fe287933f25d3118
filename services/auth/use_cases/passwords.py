"""Forget, reset and change a password; each ends every session."""

from uuid import UUID

from sqlalchemy import bindparam, delete, insert, select

from libs.common import clock, ids
from libs.common.db import Database, Transaction
from libs.common.errors import Forbidden, Problem
from services.auth import queries
from services.auth.domain.accounts import Address, Links
from services.auth.domain.lockout import WrongCredentials
from services.auth.domain.passwords import PasswordHasher, WrongPassword
from services.auth.domain.secrets import MasterSecret
from services.auth.domain.sessions import EndReason, token_hash
from services.auth.domain.tokens import Purpose, TokenRefused
from services.auth.models import reset_request
from services.auth.use_cases import mail
from services.auth.use_cases.registration import confirm_address, set_password
from services.auth.use_cases.sessions import end_all_sessions
from services.auth.use_cases.sign_in import clear_failures, judge_password

RESET_CHANNEL = "reset_request"
"""Wakes the job that mails reset links."""
RESET_BATCH = 100

_ask = insert(reset_request)
_waiting = (
    select(reset_request.c.id).order_by(reset_request.c.id).limit(bindparam("batch")).with_for_update(skip_locked=True)
).scalar_subquery()
_take = delete(reset_request).where(reset_request.c.id.in_(_waiting)).returning(reset_request.c.address)


def forget_password(tx: Transaction, address: Address) -> None:
    """Ask for a reset link. Nobody looks yet whose address it is: the time that the answer takes tells nothing."""
    tx.execute(_ask, {"id": ids.new_id(), "address": address, "requested_at": tx.now})
    tx.notify(RESET_CHANNEL)


def mail_resets(tx: Transaction, links: Links) -> int:
    """Mail a reset link to whoever has an address that one was asked for; returns how many requests were dealt with."""
    taken = tx.all(_take, {"batch": RESET_BATCH})
    for address in sorted({row.address for row in taken}):
        account = queries.account_by_address(tx, Address(address))
        if account is not None:
            mail.request_reset(tx, account, links)
    if len(taken) == RESET_BATCH:
        tx.notify(RESET_CHANNEL)
    return len(taken)


def reset_password(database: Database, token: str, password: str, hasher: PasswordHasher, secret: MasterSecret) -> None:
    """Set a new password by the link that was mailed: also confirms the address and lifts a lock. Raises TokenRefused."""
    with database.reader() as db:
        if not queries.one_time_token_holds(db, token_hash(token), Purpose.RESET_PASSWORD, clock.now()):
            raise TokenRefused("The link was used already, was replaced, or is too old. Ask for a new one.")
    password_hash = hasher.hash(password)
    with database.transaction() as tx:
        used = mail.use_token(tx, token, Purpose.RESET_PASSWORD)
        account = queries.account_to_change(tx, used.user_id)
        confirm_address(tx, account.id)
        clear_failures(tx, secret.pseudonym(account.email))
        _replace(tx, account.id, password_hash, EndReason.PASSWORD_RESET)


def change_password(
    database: Database, user_id: UUID, passwords: tuple[str, str], hasher: PasswordHasher, secret: MasterSecret
) -> Problem | None:
    """Replace the current password (first) by a new one (second), or return the refusal: wrong ones count as at login."""
    current, new = passwords
    with database.reader() as db:
        account = queries.account(db, user_id)
        locked = queries.failures(db, secret.pseudonym(account.email)).locked(clock.now())
    if locked:
        return locked
    correct = hasher.verify(current, account.password_hash)
    password_hash = hasher.hash(new) if correct else ""
    with database.transaction() as tx:
        refusal = judge_password(tx, secret.pseudonym(account.email), account, correct=correct)
        if refusal:
            return _not_a_token_fault(refusal)
        queries.account_to_change(tx, user_id)
        if queries.account(tx, user_id).password_hash != account.password_hash:
            return _not_a_token_fault(WrongCredentials())
        _replace(tx, user_id, password_hash, EndReason.PASSWORD_CHANGED)
    return None


def _not_a_token_fault(refusal: Problem) -> Problem:
    """Clients take 401 for a bad access token and would sign out; a wrong current password is a 403."""
    wrong: Forbidden = WrongPassword("The current password is wrong. Nothing was changed.")
    return wrong if isinstance(refusal, WrongCredentials) else refusal


def _replace(tx: Transaction, user_id: UUID, password_hash: str, reason: EndReason) -> None:
    set_password(tx, user_id, password_hash)
    mail.void_tokens(tx, user_id)
    end_all_sessions(tx, user_id, reason)
    tx.audit("password.replace", "user", user_id, details={"reason": reason})
