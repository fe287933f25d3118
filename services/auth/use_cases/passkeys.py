"""Make, use and name passkeys. A challenge is answered once, rightly or wrongly: refusals are returned, and commit."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, bindparam, delete, insert, update
from sqlalchemy.dialects.postgresql import insert as upsert

from libs.common import ids
from libs.common.auth.policy import Subject
from libs.common.db import Transaction
from libs.common.errors import Problem
from libs.common.telemetry import logger
from services.auth import queries
from services.auth.domain.factors import challenge_expiry
from services.auth.domain.passkeys import (
    PASSKEYS_MAXIMUM,
    Ceremony,
    CounterWentBack,
    KnownPasskey,
    PasskeyKnown,
    PasskeyRefused,
    Person,
    RelyingParty,
    TooManyPasskeys,
)
from services.auth.domain.sessions import token_hash
from services.auth.models import passkey, passkey_ceremony
from services.auth.use_cases.factors import passkey_added, require_shown

log = logger(__name__)

_begin = insert(passkey_ceremony)
_end = (
    delete(passkey_ceremony)
    .where(
        passkey_ceremony.c.challenge_hash == bindparam("hash"),
        passkey_ceremony.c.purpose == bindparam("for_purpose"),
        passkey_ceremony.c.session_id.is_not_distinct_from(bindparam("in_session", type_=Uuid)),
        passkey_ceremony.c.expires_at > bindparam("now"),
    )
    .returning(passkey_ceremony.c.id)
)
_add = upsert(passkey).on_conflict_do_nothing(index_elements=["credential_id"]).returning(passkey)
_used = (
    update(passkey)
    .where(passkey.c.id == bindparam("passkey_id"))
    .values(sign_count=bindparam("count"), last_used_at=bindparam("now"))
)
_rename = (
    update(passkey)
    .where(passkey.c.id == bindparam("passkey_id"), passkey.c.user_id == bindparam("owner"))
    .values(label=bindparam("new_label"))
    .returning(passkey)
)


def begin_registration(tx: Transaction, subject: Subject, relying_party: RelyingParty) -> dict[str, Any] | Problem:
    """Return what a browser makes a passkey with, in JSON; the challenge holds for this session. Raises StepUpRequired."""
    require_shown(tx, subject)
    account = queries.account(tx, subject.id)
    known = queries.passkeys(tx, subject.id)
    if len(known) >= PASSKEYS_MAXIMUM:
        return _too_many()
    challenge = _begun(tx, Ceremony.REGISTER, subject.session_id)
    person = Person(account.id, account.email, account.display_name)
    return relying_party.registration_options(person, challenge, [bytes(each.credential_id) for each in known])


def finish_registration(
    tx: Transaction, subject: Subject, label: str, credential: Mapping[str, Any], relying_party: RelyingParty
) -> tuple[Row[Any], tuple[str, ...]] | Problem:
    """Add the passkey that a browser made; or return the refusal: a wrong answer spends its challenge too.

    Returns with it recovery codes, where the account had none. Raises StepUpRequired.
    """
    # Before anything is looked at: who adds the first factor at this moment comes before, or after.
    queries.account_to_change(tx, subject.id)
    require_shown(tx, subject)
    try:
        challenge = relying_party.challenge_of(credential)
        if not _ended(tx, challenge, Ceremony.REGISTER, subject.session_id):
            return _stale()
        made = relying_party.registered(credential, challenge)
    except PasskeyRefused as refusal:
        return refusal
    if len(queries.passkeys(tx, subject.id)) >= PASSKEYS_MAXIMUM:
        return _too_many()
    added = tx.first(
        _add,
        {
            "id": ids.new_id(),
            "user_id": subject.id,
            "credential_id": made.credential_id,
            "public_key": made.public_key,
            "sign_count": made.sign_count,
            "synchronised": made.synchronised,
            "label": label,
            "created_at": tx.now,
            "last_used_at": None,
        },
    )
    if added is None:
        return PasskeyKnown("This passkey is registered already.")
    return added, passkey_added(tx, subject, added)


def begin_authentication(tx: Transaction, relying_party: RelyingParty) -> dict[str, Any]:
    """Return what a browser asks an authenticator with, in JSON; whose passkey answers is not known before."""
    return relying_party.authentication_options(_begun(tx, Ceremony.AUTHENTICATE, None))


def use(tx: Transaction, credential: Mapping[str, Any], relying_party: RelyingParty) -> Row[Any] | Problem:
    """Return the passkey that answered, or the refusal. Which part of an answer is wrong goes to the log alone."""
    try:
        challenge = relying_party.challenge_of(credential)
        if not _ended(tx, challenge, Ceremony.AUTHENTICATE, None):
            return _refused("challenge")
        known = queries.passkey_to_use(tx, relying_party.credential_id(credential))
        if known is None or relying_party.user_handle(credential) not in {None, known.user_id.bytes}:
            return _refused("unknown")
        return _judged(tx, known, credential, challenge, relying_party)
    except PasskeyRefused as refusal:
        return _refused("answer", fault=refusal.detail)


def _judged(
    tx: Transaction, known: Row[Any], credential: Mapping[str, Any], challenge: bytes, relying_party: RelyingParty
) -> Row[Any] | Problem:
    """Raises PasskeyRefused."""
    try:
        count = relying_party.asserted(credential, challenge, KnownPasskey(bytes(known.public_key), known.sign_count))
    except CounterWentBack:
        details = {"passkey_id": known.id, "reason": CounterWentBack.__name__}
        tx.audit("passkey.use", "user", known.user_id, outcome="refused", details=details)
        return _refused("counter_went_back", passkey_id=known.id)
    tx.execute(_used, {"passkey_id": known.id, "count": count, "now": tx.now})
    return known


def rename(tx: Transaction, user_id: UUID, passkey_id: UUID, label: str) -> Row[Any]:
    """Give one of one's own passkeys another name. Raises UnknownPasskey."""
    queries.own_passkey(tx, user_id, passkey_id)
    tx.audit("passkey.rename", "user", user_id, details={"passkey_id": passkey_id})
    return tx.one(_rename, {"passkey_id": passkey_id, "owner": user_id, "new_label": label})


def _begun(tx: Transaction, purpose: Ceremony, session_id: UUID | None) -> bytes:
    challenge = ids.random_token()
    tx.execute(
        _begin,
        {
            "id": ids.new_id(),
            "challenge_hash": token_hash(challenge),
            "purpose": purpose,
            "session_id": session_id,
            "expires_at": challenge_expiry(tx.now),
        },
    )
    return challenge.encode()


def _ended(tx: Transaction, challenge: bytes, purpose: Ceremony, session_id: UUID | None) -> bool:
    found = {"hash": sha256(challenge).digest(), "for_purpose": purpose, "in_session": session_id, "now": tx.now}
    return tx.first(_end, found) is not None


def _refused(reason: str, **members: Any) -> PasskeyRefused:
    log.warning("auth.passkey.refused", reason=reason, **members)
    return PasskeyRefused("This passkey was not taken; begin again.")


def _stale() -> PasskeyRefused:
    return PasskeyRefused("This took too long or was done already; begin again.")


def _too_many() -> TooManyPasskeys:
    return TooManyPasskeys(f"You have {PASSKEYS_MAXIMUM} passkeys, which is as many as an account may have; remove one first.")
