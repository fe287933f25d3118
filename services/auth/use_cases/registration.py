"""Register, and confirm the address.

Registering is taken note of, and done a moment later by a job: what a newcomer is answered, and when, is the same whether or
not somebody has the address.
"""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from sqlalchemy import Row, bindparam, delete, select, text, update
from sqlalchemy.dialects.postgresql import insert

from libs.common import ids
from libs.common.auth.policy import Role
from libs.common.db import Database, Transaction
from libs.common.errors import Conflict
from libs.common.events import Personal
from libs.common.telemetry import logger
from services.auth import queries
from services.auth.domain.accounts import Address, Links, Locale, Status, refuse_bootstrap
from services.auth.domain.kyc import KycStatus
from services.auth.domain.limits import Caller, ClientLimited, Limit
from services.auth.domain.passwords import PasswordHasher
from services.auth.domain.secrets import MasterSecret, seal, unseal
from services.auth.domain.tokens import Purpose, TokenRefused
from services.auth.events import UserRegistered, UserVerified
from services.auth.models import password_credential, registration_request, user_account
from services.auth.use_cases import mail, presence
from services.auth.use_cases.deferred import cause, caused_by
from services.auth.use_cases.keeping import Keeping

log = logger(__name__)

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
_note = insert(registration_request)
# Materialised, because Postgres may run a limited sub-select of a DELETE again for each row, and delete more than the limit.
_waiting = (
    select(registration_request.c.id)
    .order_by(registration_request.c.id)
    .limit(bindparam("batch"))
    .with_for_update(skip_locked=True)
    .cte("waiting")
    .prefix_with("MATERIALIZED")
)
_take = delete(registration_request).where(registration_request.c.id == _waiting.c.id).returning(*registration_request.c)
_administrators_lock = text("SELECT pg_advisory_xact_lock(hashtext('lumiere.auth.administrators'))")


REGISTRATION_CHANNEL = "registration"
"""Wakes the job that opens accounts."""
REGISTRATION_BATCH = 100
_SEALED_FOR = "registrations"


@dataclass(frozen=True, slots=True)
class Registration:
    """What a newcomer says of themselves."""

    address: Address
    password: str
    display_name: str
    role: Role
    locale: Locale

    def own_words(self) -> tuple[str, ...]:
        """What no password of theirs may be."""
        return self.address, self.display_name


@dataclass(frozen=True, slots=True)
class Vouched:
    """A newcomer without a password, whose address another provider vouches for."""

    address: Address
    display_name: str
    role: Role
    locale: Locale


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A registration whose password is hashed."""

    address: Address
    password_hash: str
    display_name: str
    role: Role
    locale: Locale

    def sealed(self, secret: MasterSecret, request_id: UUID) -> bytes:
        """For the table, where it lies for moments."""
        values = [self.address, self.password_hash, self.display_name, self.role, self.locale]
        return seal(secret.derive(_SEALED_FOR), json.dumps(values).encode(), request_id.bytes)

    @classmethod
    def unsealed(cls, secret: MasterSecret, request_id: UUID, sealed: bytes) -> "Newcomer":
        """Read what `sealed` wrote."""
        address, password_hash, name, role, locale = json.loads(
            unseal(secret.derive(_SEALED_FOR), bytes(sealed), request_id.bytes)
        )
        return cls(Address(address), password_hash, name, Role(role), Locale(locale))


def register(database: Database, registration: Registration, keeping: Keeping, caller: Caller) -> ClientLimited | None:
    """Take note of a registration; the refusal when this client made too many. Raises PasswordRefused."""
    keeping.rules.require(registration.password, "/password", registration.own_words())
    limited = caller.count(Limit.REGISTER)
    if limited:
        return limited
    newcomer = _hashed(registration, keeping.hasher)
    request_id = ids.new_id()
    with database.transaction() as tx:
        sealed = newcomer.sealed(keeping.secret, request_id)
        tx.execute(_note, {"id": request_id, "newcomer_sealed": sealed, "requested_at": tx.now, **cause()})
        tx.notify(REGISTRATION_CHANNEL)
    return None


def _hashed(registration: Registration, hasher: PasswordHasher) -> Newcomer:
    return Newcomer(
        registration.address,
        hasher.hash(registration.password),
        registration.display_name,
        registration.role,
        registration.locale,
    )


def open_accounts(tx: Transaction, links: Links, secret: MasterSecret) -> int:
    """Open the accounts that were registered, oldest first; returns how many registrations were dealt with.

    An account waits for its address to be confirmed. Who has an account already is told by mail.
    """
    taken = sorted(tx.all(_take, {"batch": REGISTRATION_BATCH}), key=lambda row: row.id)
    for row in taken:
        newcomer = _read(row, secret)
        if newcomer is not None:
            with caused_by(row):
                _open_account(tx, newcomer, links)
    if len(taken) == REGISTRATION_BATCH:
        tx.notify(REGISTRATION_CHANNEL)
    return len(taken)


def _read(row: Row[Any], secret: MasterSecret) -> Newcomer | None:
    """None for one that no key of ours opens: nobody will ever read it, and it must not keep others waiting."""
    try:
        return Newcomer.unsealed(secret, row.id, row.newcomer_sealed)
    except InvalidTag:
        log.error("auth.registration.unreadable", request_id=row.id)  # noqa: TRY400 — there is nothing more to say
        return None


def _open_account(tx: Transaction, newcomer: Newcomer, links: Links) -> None:
    account = add_account(tx, newcomer)
    if account is None:
        _register_again(tx, newcomer, links)
    else:
        mail.request_verification(tx, account, links, newcomer.password_hash)


def _register_again(tx: Transaction, newcomer: Newcomer, links: Links) -> None:
    known = queries.account_by_address(tx, newcomer.address)
    if known is not None and known.verified_at is None:
        # Each mail confirms the password chosen with it: nobody can lay a password for a stranger's address, also not by using
        # up the mails first, so that whoever has the address finds none but theirs.
        if not mail.request_verification(tx, known, links, newcomer.password_hash):
            mail.choose_instead(tx, known, links)
    elif known is not None:
        mail.tell_address_in_use(tx, known, links)


def add_account(tx: Transaction, newcomer: Newcomer | Vouched) -> Row[Any] | None:
    """Add the account, with a password or without, and tell of it; None when the address is taken."""
    account = tx.first(
        _add_account,
        {
            "id": ids.new_id(),
            "email": newcomer.address,
            "display_name": newcomer.display_name,
            "bio": None,
            "locale": newcomer.locale,
            "wallet_address": None,
            "skills": [],
            "languages": [],
            "kyc_status": KycStatus.NONE,
            "accredited": False,
            "kyc_expires_at": None,
            "role": newcomer.role,
            "status": Status.ACTIVE,
            "verified_at": None,
            "tokens_not_before": None,
            "created_at": tx.now,
            "version": 1,
        },
    )
    if account is None:
        return None
    tx.audit("user.register", "user", account.id, details={"with_password": isinstance(newcomer, Newcomer)})
    if isinstance(newcomer, Newcomer):
        set_password(tx, account.id, newcomer.password_hash)
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
    tx.audit("user.verify", "user", user_id)
    tx.publish(UserVerified(user_id=user_id))
    presence.remember(tx, user_id)
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


def create_administrator(database: Database, registration: Registration, keeping: Keeping) -> UUID | Conflict:
    """Make one of the first administrators, by the operator's hand: verified at once, or a remembered refusal.

    Raises PasswordRefused.
    """
    keeping.rules.require(registration.password, "/password", registration.own_words())
    newcomer = _hashed(registration, keeping.hasher)
    with database.transaction() as tx:
        lock_administrators(tx)
        known = queries.account_by_address(tx, newcomer.address)
        refusal = refuse_bootstrap(queries.administrators(tx), known is not None)
        account = None if refusal else add_account(tx, newcomer)
        if account is None:
            refusal = refusal or refuse_bootstrap(0, address_known=True)
            tx.audit("administrator.create", "user", "none", outcome="refused", details={"reason": type(refusal).__name__})
            return refusal or Conflict()
        confirm_address(tx, account.id)
        tx.audit("administrator.create", "user", account.id)
        return UUID(str(account.id))
