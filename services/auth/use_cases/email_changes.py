"""Put another address in the place of an account's own: nothing changes before the owners of both have confirmed it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, case, delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from libs.common import clock, ids
from libs.common.db import Database, Transaction
from libs.common.errors import Problem
from libs.common.events import Personal
from services.auth import queries
from services.auth.domain.accounts import Address, AddressTaken, Links, Status
from services.auth.domain.email_changes import ChangeState, SameAddress, TooManyChanges
from services.auth.domain.notices import Notice
from services.auth.domain.secrets import MasterSecret, seal, unseal
from services.auth.domain.sessions import token_hash
from services.auth.domain.tokens import EMAIL_CHANGE_LIFE, MAIL_WINDOWS, Template, TokenRefused
from services.auth.events import UserEmailChanged
from services.auth.models import email_change, user_account
from services.auth.use_cases import mail, notices
from services.auth.use_cases.guessing import holder_of_session, judge_password
from services.auth.use_cases.keeping import Keeping
from services.auth.use_cases.passwords import not_a_token_fault

_propose = insert(email_change)
_propose = _propose.on_conflict_do_update(
    index_elements=["user_id"],
    set_={column.name: _propose.excluded[column.name] for column in email_change.c if column.name != "user_id"},
)
_of_old = email_change.c.old_token_hash == bindparam("given")
_of_new = email_change.c.new_token_hash == bindparam("given")
_confirm = (
    update(email_change)
    .where((_of_old & email_change.c.old_confirmed_at.is_(None)) | (_of_new & email_change.c.new_confirmed_at.is_(None)))
    .values(
        old_confirmed_at=case((_of_old, bindparam("now")), else_=email_change.c.old_confirmed_at),
        new_confirmed_at=case((_of_new, bindparam("now")), else_=email_change.c.new_confirmed_at),
    )
    .returning(*email_change.c)
)
_cancel = delete(email_change).where(_of_old, email_change.c.expires_at > bindparam("now")).returning(email_change.c.user_id)
_readdress = (
    update(user_account)
    .where(user_account.c.id == bindparam("owner"))
    .values(email=bindparam("address"), version=user_account.c.version + 1)
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """The address that somebody wants, within one of their sessions; the password where their sign-in is not recent."""

    user_id: UUID
    session_id: UUID
    new: Address
    password: str | None


def propose(database: Database, proposal: Proposal, keeping: Keeping, links: Links) -> Problem | None:
    """Ask the owners of both addresses to confirm; or return the refusal. Whether the new one has an account shows nowhere."""
    with database.reader() as db:
        account = queries.account(db, proposal.user_id)
        counter = holder_of_session(keeping.secret, account.email, proposal.session_id)
        refused = queries.failures(db, counter).refuse(clock.now()) if proposal.password is not None else None
    if account.email == proposal.new:
        return SameAddress("This is the address of your account already.")
    if refused:
        return refused
    correct = proposal.password is None or keeping.hasher.verify(proposal.password, account.password_hash)
    with database.transaction() as tx:
        if proposal.password is not None:
            refusal = judge_password(tx, counter, account, correct=correct)
            if refusal:
                return not_a_token_fault(refusal)
        return _ask_both(tx, account, proposal.new, keeping.secret, links)


def _ask_both(tx: Transaction, account: Row[Any], new: Address, secret: MasterSecret, links: Links) -> Problem | None:
    if not mail.allowed(tx, account.id, Template.CHANGE_EMAIL):
        wait = int(MAIL_WINDOWS[Template.CHANGE_EMAIL].total_seconds())
        return TooManyChanges("You asked for this too often; the mails that were sent hold still.", retry_after=wait)
    tokens = (ids.random_token(), ids.random_token())
    tx.execute(
        _propose,
        {
            "user_id": account.id,
            "new_address_sealed": seal(secret.derive("email changes"), new.encode(), account.id.bytes),
            "old_token_hash": token_hash(tokens[0]),
            "new_token_hash": token_hash(tokens[1]),
            "old_confirmed_at": None,
            "new_confirmed_at": None,
            "requested_at": tx.now,
            "expires_at": tx.now + EMAIL_CHANGE_LIFE,
        },
    )
    mail.request_email_change(tx, account, links, tokens, new, taken_by=queries.account_by_address(tx, new))
    tx.audit("email.propose_change", "user", account.id)
    return None


def confirm(tx: Transaction, token: str, secret: MasterSecret) -> ChangeState:
    """Confirm by the link that was mailed to one of the addresses; the second confirmation changes it.

    Raises TokenRefused, AddressTaken.
    """
    given = token_hash(token)
    owner = queries.owner_of_email_change(tx, given, tx.now)
    # The account first, as everywhere: whoever resets the password at this moment withdraws the change, or comes after it.
    account = None if owner is None else queries.account_to_change(tx, owner)
    change = tx.first(_confirm, {"given": given, "now": tx.now})
    if account is None or change is None or account.status != Status.ACTIVE:
        raise TokenRefused("The link was used already, was replaced, or is too old. Ask for the change again.")
    if change.old_confirmed_at is None or change.new_confirmed_at is None:
        return ChangeState.WAITING
    new = Address(unseal(secret.derive("email changes"), bytes(change.new_address_sealed), account.id.bytes).decode())
    _readdress_account(tx, account, new)
    return ChangeState.CHANGED


def _readdress_account(tx: Transaction, account: Row[Any], new: Address) -> None:
    try:
        tx.execute(_readdress, {"owner": account.id, "address": new})
    except IntegrityError:
        raise AddressTaken("An account has this address already; nothing was changed.") from None
    mail.void_tokens(tx, account.id)
    tx.publish(UserEmailChanged(user_id=account.id, email=Personal.of(new, about=account.id)))
    tx.audit("email.change", "user", account.id)
    notices.tell(tx, account.id, Notice.EMAIL_CHANGED, recipient=Address(account.email))


def cancel(tx: Transaction, token: str) -> None:
    """Keep the address, by the link that was mailed to it. Raises TokenRefused."""
    cancelled = tx.first(_cancel, {"given": token_hash(token), "now": tx.now})
    if cancelled is None:
        raise TokenRefused("There is no change of address to cancel any more: it was made, replaced, cancelled, or is too old.")
    tx.audit("email.cancel_change", "user", cancelled.user_id)
