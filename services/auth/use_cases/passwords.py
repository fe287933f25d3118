"""Reset and change a password; each ends every session."""

from dataclasses import dataclass
from uuid import UUID

from libs.common import clock
from libs.common.db import Database, Transaction
from libs.common.errors import Forbidden, Problem
from services.auth import queries
from services.auth.domain.lockout import WrongCredentials
from services.auth.domain.notices import Notice
from services.auth.domain.passwords import WrongPassword
from services.auth.domain.sessions import EndReason, token_hash
from services.auth.domain.tokens import Purpose, TokenRefused
from services.auth.use_cases import mail, notices
from services.auth.use_cases.guessing import clear_failures, holder_of_session, judge_password
from services.auth.use_cases.keeping import Keeping
from services.auth.use_cases.registration import confirm_address, set_password
from services.auth.use_cases.sessions import end_all_sessions


def reset_password(database: Database, token: str, password: str, keeping: Keeping) -> None:
    """Set a new password by the link that was mailed: also confirms the address and lifts a lock.

    Raises TokenRefused; PasswordRefused, and the link is good still.
    """
    with database.reader() as db:
        owner = queries.owner_of_token(db, token_hash(token), Purpose.RESET_PASSWORD, clock.now())
    if owner is None:
        raise TokenRefused("The link was used already, was replaced, or is too old. Ask for a new one.")
    keeping.rules.require(password, "/password", (owner.email, owner.display_name))
    password_hash = keeping.hasher.hash(password)
    with database.transaction() as tx:
        # Before the account, as who signs in: else each would wait for the other. Another address would have voided the link.
        clear_failures(tx, keeping.secret, owner.email)
        used = mail.use_token(tx, token, Purpose.RESET_PASSWORD)
        confirm_address(tx, used.user_id)
        _replace(tx, used.user_id, password_hash, EndReason.PASSWORD_RESET)


@dataclass(frozen=True, slots=True)
class Change:
    """Somebody's current password and the one to come, presented within one of their sessions."""

    user_id: UUID
    session_id: UUID
    current: str
    new: str


def change_password(database: Database, change: Change, keeping: Keeping) -> Problem | None:
    """Replace the current password, or return the refusal: wrong ones are counted, apart from those of strangers.

    Raises PasswordRefused.
    """
    with database.reader() as db:
        account = queries.account(db, change.user_id)
        counter = holder_of_session(keeping.secret, account.email, change.session_id)
        refused = queries.failures(db, counter).refuse(clock.now())
    if refused:
        return refused
    keeping.rules.require(change.new, "/new_password", (account.email, account.display_name))
    correct = keeping.hasher.verify(change.current, account.password_hash)
    password_hash = keeping.hasher.hash(change.new) if correct else ""
    with database.transaction() as tx:
        refusal = judge_password(tx, counter, account, correct=correct)
        if refusal:
            return not_a_token_fault(refusal)
        queries.account_to_change(tx, change.user_id)
        if queries.account(tx, change.user_id).password_changed_at != account.password_changed_at:
            return not_a_token_fault(WrongCredentials())
        _replace(tx, change.user_id, password_hash, EndReason.PASSWORD_CHANGED)
    return None


def not_a_token_fault(refusal: Problem) -> Problem:
    """Clients take 401 for a bad access token and would sign out; a wrong current password is a 403."""
    wrong: Forbidden = WrongPassword("The current password is wrong. Nothing was changed.")
    return wrong if isinstance(refusal, WrongCredentials) else refusal


def _replace(tx: Transaction, user_id: UUID, password_hash: str, reason: EndReason) -> None:
    set_password(tx, user_id, password_hash)
    mail.void_tokens(tx, user_id)
    end_all_sessions(tx, user_id, reason)
    tx.audit("password.replace", "user", user_id, details={"reason": reason})
    notices.tell(tx, user_id, Notice.PASSWORD_CHANGED)
