"""Sign in with an account at another provider; link such an identity to an account, and take the link away.

The network is asked outside of any transaction. What an attempt needs on its way back is bound to the browser that began it:
the provider brings the state, the browser keeps the binding, the table holds hashes of both, and whoever has only one of
them has nothing.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, delete, insert, update
from sqlalchemy.dialects.postgresql import insert as upsert

from libs.common import ids
from libs.common.auth.policy import Role
from libs.common.db import Database, Transaction
from libs.common.errors import Problem
from libs.common.telemetry import logger
from services.auth import queries
from services.auth.domain.accounts import Address
from services.auth.domain.federation import (
    ATTEMPT_LIFE,
    FEDERATED_METHOD,
    LINK_LIFE,
    AddressNotVouchedFor,
    AlreadyLinked,
    Identity,
    IdentityTaken,
    LastWayIn,
    LinkRefused,
    LinkRequired,
    OpenIdProviders,
    Provider,
    ProviderAnswerRefused,
    Request,
    UnknownIdentity,
    subject_hash,
    suggested_locale,
    suggested_name,
    vouched_address,
)
from services.auth.domain.notices import Notice
from services.auth.domain.sessions import Lifetimes, token_hash
from services.auth.models import federated_identity, federation_attempt, identity_offer
from services.auth.use_cases.notices import tell
from services.auth.use_cases.registration import Registration, add_account, confirm_address
from services.auth.use_cases.sessions import Credentials, Opening
from services.auth.use_cases.sign_in import enter

log = logger(__name__)

_begin = insert(federation_attempt)
# Deleted when it is used: of two that bring the same state, one finds it.
_use = (
    delete(federation_attempt)
    .where(
        federation_attempt.c.state_hash == bindparam("state"),
        federation_attempt.c.binding_hash == bindparam("binding"),
        federation_attempt.c.provider == bindparam("name"),
        federation_attempt.c.expires_at > bindparam("now"),
    )
    .returning(federation_attempt.c.user_id, federation_attempt.c.return_to)
)
_link = upsert(federated_identity).on_conflict_do_nothing().returning(federated_identity)
_used_today = (
    update(federated_identity)
    .where(
        federated_identity.c.id == bindparam("identity_id"),
        federated_identity.c.last_used_on.is_distinct_from(bindparam("today")),
    )
    .values(last_used_on=bindparam("today"))
)
_unlink = (
    delete(federated_identity)
    .where(federated_identity.c.id == bindparam("identity_id"), federated_identity.c.user_id == bindparam("owner"))
    .returning(federated_identity.c.provider)
)
_offer = insert(identity_offer)
_take_offer = (
    delete(identity_offer)
    .where(
        identity_offer.c.token_hash == bindparam("hash"),
        identity_offer.c.user_id == bindparam("owner"),
        identity_offer.c.expires_at > bindparam("now"),
    )
    .returning(identity_offer.c.provider, identity_offer.c.subject_hash)
)


@dataclass(frozen=True, slots=True)
class FederationMeans:
    """The providers that may be asked, and how long sessions last."""

    providers: OpenIdProviders
    lifetimes: Lifetimes


@dataclass(frozen=True, slots=True)
class Entry:
    """How a session would begin, and how long it may last."""

    opening: Opening
    lifetimes: Lifetimes


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the browser goes, and what it keeps to itself until it comes back (as a cookie of ours, HttpOnly)."""

    address: str
    binding: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """What a browser brings back: the provider's parameters (RFC 6749 section 4.1.2, RFC 9207) and its own binding."""

    provider: str
    state: str
    binding: str = field(repr=False)
    device_label: str
    code: str | None = field(default=None, repr=False)
    error: str | None = None
    issuer: str | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    """What came of it, and where the person wanted to go, as it was given to `begin`.

    The outcome is a session, or a refusal whose consequences are committed: SecondFactorRequired and the like of `enter`, or
    LinkRequired, whose `link_token` the owner of the account hands to `confirm_link` once signed in.
    """

    outcome: Credentials | Problem
    return_to: str | None


def begin(
    database: Database, providers: OpenIdProviders, name: str, *, user_id: UUID | None = None, return_to: str | None = None
) -> Begun:
    """Send a browser to a provider: to sign in, or, for somebody who is signed in, to link.

    Raises UnknownProvider, ProviderUnavailable.
    """
    provider = providers.named(name)
    request = Request(ids.random_token(), ids.random_token())
    address = providers.address(provider, request)
    with database.transaction() as tx:
        expires_at = tx.now + ATTEMPT_LIFE
        row = {
            "state_hash": token_hash(request.state),
            "binding_hash": token_hash(request.binding),
            "provider": provider.name,
            "user_id": user_id,
            "return_to": return_to,
            "expires_at": expires_at,
        }
        tx.execute(_begin, row)
    return Begun(address, request.binding, expires_at)


def complete(database: Database, means: FederationMeans, answer: Answer) -> Completed:
    """Take what a provider sent with the browser. Raises UnknownProvider, ProviderUnavailable."""
    provider = means.providers.named(answer.provider)
    with database.transaction() as tx:
        attempt = _used(tx, provider, answer)
    if attempt is None:
        return Completed(refused(provider, "unknown_state"), None)
    if answer.error is not None or answer.code is None:
        return Completed(refused(provider, "not_authenticated"), attempt.return_to)
    request = Request(answer.state, answer.binding)
    try:
        identity = means.providers.identity(provider, request, answer.code, answer.issuer)
    except ProviderAnswerRefused as refusal:
        return Completed(refusal, attempt.return_to)
    entry = Entry(Opening(FEDERATED_METHOD, answer.device_label), means.lifetimes)
    with database.transaction() as tx:
        if attempt.user_id is not None:
            return Completed(_offer_to_owner(tx, provider, identity, attempt.user_id), attempt.return_to)
        return Completed(_admit(tx, provider, identity, entry), attempt.return_to)


def _used(tx: Transaction, provider: Provider, answer: Answer) -> Row[Any] | None:
    presented = {"state": token_hash(answer.state), "binding": token_hash(answer.binding)}
    return tx.first(_use, {**presented, "name": provider.name, "now": tx.now})


def refused(provider: Provider, reason: str) -> ProviderAnswerRefused:
    """Return the one refusal for whatever is wrong with an answer; the log knows the reason."""
    log.warning("auth.federation.refused", provider=provider.name, reason=reason)
    return ProviderAnswerRefused("This sign-in cannot be completed; begin again.", code=None)


def _admit(tx: Transaction, provider: Provider, identity: Identity, entry: Entry) -> Credentials | Problem:
    known = queries.identity(tx, subject_hash(identity))
    if known is not None:
        tx.execute(_used_today, {"identity_id": known.id, "today": tx.now.date()})
        return enter(tx, queries.account(tx, known.user_id), entry.opening, entry.lifetimes)
    address = vouched_address(identity)
    if address is None:
        log.warning("auth.federation.refused", provider=provider.name, reason="unverified_address")
        return AddressNotVouchedFor(
            f"{provider.label} does not say that it verified your e-mail address. Register here instead."
        )
    account = queries.account_by_address(tx, address)
    if account is not None:
        return _offered(tx, provider, identity, account.id)
    return _newcomer(tx, provider, identity, address, entry)


def _newcomer(tx: Transaction, provider: Provider, identity: Identity, address: Address, entry: Entry) -> Credentials | Problem:
    registration = Registration(address, "", suggested_name(identity), Role.CONTRIBUTOR, suggested_locale(identity))
    account = add_account(tx, registration, None)
    if account is None:  # somebody registered it this moment
        taken = queries.account_by_address(tx, address)
        return refused(provider, "address_taken") if taken is None else _offered(tx, provider, identity, taken.id)
    confirm_address(tx, account.id)
    tx.audit("user.register", "user", account.id, details={"provider": provider.name})
    linked = _linked(tx, provider.name, subject_hash(identity), account.id)
    return linked if isinstance(linked, Problem) else enter(tx, queries.account(tx, account.id), entry.opening, entry.lifetimes)


def _offer_to_owner(tx: Transaction, provider: Provider, identity: Identity, user_id: UUID) -> Problem:
    if vouched_address(identity) is None:
        log.warning("auth.federation.refused", provider=provider.name, reason="unverified_address", user_id=user_id)
        return AddressNotVouchedFor(f"{provider.label} does not say that it verified your e-mail address.")
    known = queries.identity(tx, subject_hash(identity))
    if known is not None:
        return _conflict(user_id == known.user_id)
    return _offered(tx, provider, identity, user_id)


def _offered(tx: Transaction, provider: Provider, identity: Identity, user_id: UUID) -> LinkRequired:
    """An offer is for one account: nobody is led to take a stranger's identity into theirs."""
    token = ids.random_token()
    row = {
        "token_hash": token_hash(token),
        "user_id": user_id,
        "provider": provider.name,
        "subject_hash": subject_hash(identity),
        "expires_at": tx.now + LINK_LIFE,
    }
    tx.execute(_offer, row)
    log.info("auth.federation.link_offered", provider=provider.name, user_id=user_id)
    return LinkRequired(
        f"Sign in to your account here and confirm that {provider.label} shall open it too.",
        link_token=token,
        provider=provider.name,
        expires_in=int(LINK_LIFE.total_seconds()),
    )


def confirm_link(tx: Transaction, user_id: UUID, link_token: str) -> Row[Any] | Problem:
    """Link an identity that was offered to this account, as its owner wishes; returns it, or a refusal that is remembered."""
    offer = tx.first(_take_offer, {"hash": token_hash(link_token), "owner": user_id, "now": tx.now})
    if offer is None:
        return LinkRefused("There is nothing to link with this token, or it is too late. Sign in with the provider again.")
    return _linked(tx, offer.provider, offer.subject_hash, user_id)


def _linked(tx: Transaction, provider: str, hashed: bytes, user_id: UUID) -> Row[Any] | Problem:
    row = {
        "id": ids.new_id(),
        "user_id": user_id,
        "provider": provider,
        "subject_hash": hashed,
        "linked_at": tx.now,
        "last_used_on": None,
    }
    identity = tx.first(_link, row)
    if identity is None:
        known = queries.identity(tx, hashed)
        refusal = _conflict(known is None or known.user_id == user_id)
        tx.audit("identity.link", "user", user_id, "refused", {"provider": provider, "reason": type(refusal).__name__})
        return refusal
    tx.audit("identity.link", "user", user_id, details={"provider": provider, "identity_id": identity.id})
    tell(tx, user_id, Notice.IDENTITY_LINKED, provider=provider)
    return identity


def _conflict(own: bool) -> Problem:
    if own:
        return AlreadyLinked("Your account has an identity at this provider already. Take that link away first.")
    return IdentityTaken("This identity opens another account. Sign in with it, or take the link away there first.")


def unlink(tx: Transaction, user_id: UUID, identity_id: UUID) -> LastWayIn | None:
    """Let an identity open this account no more; returns the refusal where it is the last way in. Raises UnknownIdentity."""
    queries.account_to_change(tx, user_id)
    if not any(each.id == identity_id for each in queries.identities(tx, user_id)):
        raise UnknownIdentity("You have no such identity.")
    if queries.ways_in(tx, user_id) <= 1:
        tx.audit("identity.unlink", "user", user_id, "refused", {"identity_id": identity_id, "reason": LastWayIn.__name__})
        return LastWayIn("You could not sign in any more. Set a password first: ask for a reset link.")
    gone = tx.one(_unlink, {"identity_id": identity_id, "owner": user_id})
    tx.audit("identity.unlink", "user", user_id, details={"provider": gone.provider, "identity_id": identity_id})
    tell(tx, user_id, Notice.IDENTITY_UNLINKED, provider=gone.provider)
    return None
