"""Register, and confirm the address."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, text, update
from sqlalchemy.dialects.postgresql import insert

from libs.common import ids
from libs.common.auth.policy import Role
from libs.common.db import Database, Transaction
from libs.common.errors import Conflict
from libs.common.events import Personal
from services.auth import queries
from services.auth.domain.accounts import Address, Links, Locale, Status, refuse_bootstrap
from services.auth.domain.kyc import KycStatus
from services.auth.domain.passwords import PasswordHasher
from services.auth.domain.tokens import Purpose, TokenRefused
from services.auth.events import UserRegistered, UserVerified
from services.auth.models import password_credential, user_account
from services.auth.use_cases import mail

_add_account = insert(user_account).on_conflict_do_nothing(index_elements=["email"]).returning(user_account)
_add_credential = insert(password_credential)
_set_credential = _add_credential.on_conflict_do_update(
    index_elements=["user_id"],
    set_={"password_hash": _add_credential.excluded.password_hash, "changed_at": _add_credential.excluded.changed_at},
)
_verify = (
    update(user_account)
    .where(user_account.c.id == bindparam("user_id"), user_account.c.verified_at.is_(None))
    .values(verified_at=bindparam("now"), version=user_account.c.version + 1)
    .returning(user_account.c.id)
)
_administrators_lock = text("SELECT pg_advisory_xact_lock(hashtext('lumiere.auth.administrators'))")


@dataclass(frozen=True, slots=True)
class Registration:
    """What a newcomer says of themselves."""

    address: Address
    password: str
    display_name: str
    role: Role
    locale: Locale


def register(database: Database, registration: Registration, hasher: PasswordHasher, links: Links) -> None:
    """Open an account that waits for its address to be confirmed. A known address costs the same; its owner is told by mail."""
    password_hash = hasher.hash(registration.password)
    with database.transaction() as tx:
        account = add_account(tx, registration, password_hash)
        if account is None:
            _register_again(tx, registration.address, password_hash, links)
        else:
            mail.request_verification(tx, account, links, password_hash)


def _register_again(tx: Transaction, address: Address, password_hash: str, links: Links) -> None:
    known = queries.account_by_address(tx, address)
    if known is not None and known.verified_at is None:
        # Each mail confirms the password chosen with it: nobody can lay a password for a stranger's address.
        mail.request_verification(tx, known, links, password_hash)
    elif known is not None:
        mail.tell_address_in_use(tx, known, links)


def add_account(tx: Transaction, registration: Registration, password_hash: str | None) -> Row[Any] | None:
    """Add the account, with a password or without, and tell of it; None when the address is taken."""
    account = tx.first(
        _add_account,
        {
            "id": ids.new_id(),
            "email": registration.address,
            "display_name": registration.display_name,
            "bio": None,
            "locale": registration.locale,
            "wallet_address": None,
            "skills": [],
            "languages": [],
            "kyc_status": KycStatus.NONE,
            "accredited": False,
            "kyc_expires_at": None,
            "role": registration.role,
            "status": Status.ACTIVE,
            "verified_at": None,
            "tokens_not_before": None,
            "created_at": tx.now,
            "version": 1,
        },
    )
    if account is None:
        return None
    if password_hash is not None:
        set_password(tx, account.id, password_hash)
    tx.publish(
        UserRegistered(
            user_id=account.id,
            email=Personal.of(account.email, about=account.id),
            display_name=Personal.of(account.display_name, about=account.id),
            role=account.role,
            locale=account.locale,
        )
    )
    return account


def set_password(tx: Transaction, user_id: UUID, password_hash: str) -> None:
    """Make this the account's password."""
    tx.execute(_set_credential, {"user_id": user_id, "password_hash": password_hash, "changed_at": tx.now})


def confirm_address(tx: Transaction, user_id: UUID) -> bool:
    """Note that the address is the person's, and tell of it; False when it was known."""
    if tx.first(_verify, {"user_id": user_id, "now": tx.now}) is None:
        return False
    tx.publish(UserVerified(user_id=user_id))
    return True


def verify_email(tx: Transaction, token: str) -> None:
    """Confirm the address by the link that was mailed to it. Raises TokenRefused."""
    used = mail.use_token(tx, token, Purpose.VERIFY_EMAIL)
    if not confirm_address(tx, used.user_id):
        raise TokenRefused("The address is confirmed already: sign in.")
    set_password(tx, used.user_id, used.password_hash)
    mail.void_tokens(tx, used.user_id)


def lock_administrators(tx: Transaction) -> None:
    """Let nobody else change who is an administrator until the transaction ends."""
    tx.execute(_administrators_lock)


def create_administrator(database: Database, registration: Registration, hasher: PasswordHasher) -> UUID | Conflict:
    """Make one of the first administrators, by the operator's hand: verified at once, or a remembered refusal."""
    password_hash = hasher.hash(registration.password)
    with database.transaction() as tx:
        lock_administrators(tx)
        known = queries.account_by_address(tx, registration.address)
        refusal = refuse_bootstrap(queries.administrators(tx), known is not None)
        account = None if refusal else add_account(tx, registration, password_hash)
        if account is None:
            refusal = refusal or refuse_bootstrap(0, address_known=True)
            tx.audit("administrator.create", "user", "none", outcome="refused", details={"reason": type(refusal).__name__})
            return refusal or Conflict()
        confirm_address(tx, account.id)
        tx.audit("administrator.create", "user", account.id)
        return UUID(str(account.id))
