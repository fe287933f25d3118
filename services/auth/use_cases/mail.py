"""Ask notify for an e-mail; one-time tokens leave sealed and stay behind hashed."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, case, delete, update
from sqlalchemy.dialects.postgresql import insert

from libs.common import ids
from libs.common.db import Transaction
from libs.common.events import Personal
from libs.common.telemetry import logger
from services.auth import queries
from services.auth.domain.accounts import Address, Links
from services.auth.domain.sessions import token_hash
from services.auth.domain.tokens import (
    EMAIL_CHANGE_LIFE,
    MAIL_WINDOWS,
    MAILS_ALLOWED,
    RESET_LIFE,
    VERIFICATION_LIFE,
    Purpose,
    Template,
    TokenRefused,
)
from services.auth.events import EmailRequested
from services.auth.models import email_change, mail_allowance, one_time_token

log = logger(__name__)

_keep_token = insert(one_time_token)
_use_token = (
    update(one_time_token)
    .where(
        one_time_token.c.token_hash == bindparam("hash"),
        one_time_token.c.purpose == bindparam("for_purpose"),
        one_time_token.c.used_at.is_(None),
        one_time_token.c.expires_at > bindparam("now"),
    )
    .values(used_at=bindparam("now"))
    .returning(one_time_token.c.user_id, one_time_token.c.password_hash)
)
_allowance = insert(mail_allowance).values(requested=1)
_outdated = mail_allowance.c.began_at <= bindparam("before")
_count_mail = _allowance.on_conflict_do_update(
    index_elements=["user_id", "template"],
    set_={
        "requested": case((_outdated, 1), else_=mail_allowance.c.requested + 1),
        "began_at": case((_outdated, _allowance.excluded.began_at), else_=mail_allowance.c.began_at),
    },
).returning(mail_allowance.c.requested)
_void_tokens = (
    update(one_time_token)
    .where(one_time_token.c.user_id == bindparam("owner"), one_time_token.c.used_at.is_(None))
    .values(used_at=bindparam("now"))
)
_void_verifications = _void_tokens.where(one_time_token.c.purpose == Purpose.VERIFY_EMAIL)
_void_email_change = delete(email_change).where(email_change.c.user_id == bindparam("owner"))


def request_verification(tx: Transaction, account: Any, links: Links, password_hash: str) -> bool:
    """Mail a link that confirms the address and, with it, the password chosen in this registration; False when withheld."""
    if not allowed(tx, account.id, Template.VERIFY_EMAIL):
        return False
    token = _issue(tx, account.id, Purpose.VERIFY_EMAIL, VERIFICATION_LIFE, password_hash)
    request(tx, account, Template.VERIFY_EMAIL, VERIFICATION_LIFE, {"link": links.verify_email(token), "token": token})
    return True


def choose_instead(tx: Transaction, account: Any, links: Links) -> None:
    """Make links worthless that confirm a password with the address, and mail one with which its owner chooses the password."""
    tx.execute(_void_verifications, {"owner": account.id, "now": tx.now})
    request_reset(tx, account, links)


def request_reset(tx: Transaction, account: Any, links: Links) -> None:
    """Mail a link with which a new password can be set."""
    if not allowed(tx, account.id, Template.RESET_PASSWORD):
        return
    token = _issue(tx, account.id, Purpose.RESET_PASSWORD, RESET_LIFE, None)
    request(tx, account, Template.RESET_PASSWORD, RESET_LIFE, {"link": links.reset_password(token), "token": token})


def tell_address_in_use(tx: Transaction, account: Any, links: Links) -> None:
    """Tell the owner of an address that somebody tried to register it again."""
    if allowed(tx, account.id, Template.ADDRESS_IN_USE):
        request(tx, account, Template.ADDRESS_IN_USE, VERIFICATION_LIFE, {"link": links.login()})


def request_email_change(
    tx: Transaction, account: Any, links: Links, tokens: tuple[str, str], new: Address, *, taken_by: Any | None
) -> None:
    """Ask the owners of the present and of the new address, by a token each, whether one may take the other's place.

    Where the new one has an account already, its owner is told so instead, as seldom as of anything else that strangers bring
    about; what is counted for it is counted for a free one too, so that nothing else differs.
    """
    old_token, new_token = tokens
    pages = {"link": links.confirm_email(old_token), "cancel_link": links.cancel_email(old_token), "token": old_token}
    request(tx, account, Template.CHANGE_EMAIL, EMAIL_CHANGE_LIFE, {**pages, "new_address": new})
    if taken_by is not None:
        tell_address_in_use(tx, taken_by, links)
    elif allowed(tx, account.id, Template.CONFIRM_NEW_EMAIL):
        pages = {"link": links.confirm_email(new_token), "token": new_token}
        request(tx, account, Template.CONFIRM_NEW_EMAIL, EMAIL_CHANGE_LIFE, pages, recipient=new)


def use_token(tx: Transaction, token: str, purpose: Purpose) -> Row[Any]:
    """Spend a one-time token: whom it was sent to, and the password bound to it. Raises TokenRefused."""
    given = token_hash(token)
    owner = queries.owner_of_token(tx, given, purpose, tx.now)
    if owner is not None:
        # The account first, as everywhere: who uses another link of it at this moment waits, and neither for the other.
        queries.account_to_change(tx, owner.id)
    row = tx.first(_use_token, {"hash": given, "for_purpose": purpose, "now": tx.now})
    if row is None:
        raise TokenRefused("The link was used already, was replaced, or is too old. Ask for a new one.")
    return row


def void_tokens(tx: Transaction, user_id: UUID) -> None:
    """Make every link sent so far worthless, those of a change of address too."""
    tx.execute(_void_tokens, {"owner": user_id, "now": tx.now})
    tx.execute(_void_email_change, {"owner": user_id})


def allowed(tx: Transaction, user_id: UUID, template: Template) -> bool:
    """Count a mail; False when the account has been sent enough of the kind for now."""
    values = {"user_id": user_id, "template": template, "began_at": tx.now, "before": tx.now - MAIL_WINDOWS[template]}
    requested: int = tx.scalar(_count_mail, values)
    if requested > MAILS_ALLOWED:
        log.warning("auth.mail.withheld", template=template, user_id=user_id)
    return requested <= MAILS_ALLOWED


def _issue(tx: Transaction, user_id: UUID, purpose: Purpose, life: timedelta, password_hash: str | None) -> str:
    token = ids.random_token()
    tx.execute(
        _keep_token,
        {
            "id": ids.new_id(),
            "user_id": user_id,
            "purpose": purpose,
            "token_hash": token_hash(token),
            "password_hash": password_hash,
            "created_at": tx.now,
            "expires_at": tx.now + life,
            "used_at": None,
        },
    )
    return token


def request(
    tx: Transaction,
    account: Any,
    template: Template,
    life: timedelta,
    variables: dict[str, str],
    *,
    recipient: Address | None = None,
) -> None:
    """Ask notify for a mail to the account's address, or to `recipient`; after `life` it is worthless."""
    values = {"display_name": account.display_name, **variables}
    tx.publish(
        EmailRequested(
            email_id=ids.new_id(),
            user_id=account.id,
            recipient=Personal.of(recipient or account.email, about=account.id),
            template=template,
            variables=Personal.of(values, about=account.id),
            locale=account.locale,
            expires_at=tx.now + life,
        )
    )
