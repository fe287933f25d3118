"""A sign-in that waits for its second factor: one opaque challenge, good for minutes and for the password that was given."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, insert, update

from libs.common import ids
from libs.common.db import Transaction
from services.auth import queries
from services.auth.domain.factors import Factor, SecondFactorRequired, challenge_expiry
from services.auth.domain.sessions import token_hash
from services.auth.models import login_challenge
from services.auth.use_cases.sessions import Opening

_keep = insert(login_challenge)
_use = update(login_challenge).where(login_challenge.c.id == bindparam("challenge_id")).values(used_at=bindparam("now"))


def ask(tx: Transaction, account: Row[Any], opening: Opening, factors: Iterable[Factor]) -> SecondFactorRequired:
    """Remember how far this sign-in came; return the refusal that says how it goes on."""
    challenge = ids.random_token()
    tx.execute(
        _keep,
        {
            "id": ids.new_id(),
            "user_id": account.id,
            "token_hash": token_hash(challenge),
            "password_hash": account.password_hash,
            "methods": " ".join(opening.methods),
            "device_label": opening.device_label,
            "client_id": opening.client_id,
            "scope": opening.scope,
            "key_thumbprint": opening.key_thumbprint,
            "expires_at": challenge_expiry(tx.now),
            "used_at": None,
        },
    )
    return SecondFactorRequired(challenge, factors)


def waiting(tx: Transaction, challenge: str) -> tuple[Row[Any], Row[Any]] | None:
    """Return the sign-in that waits under this challenge, and its account; None when there is none any more."""
    row = queries.login_challenge_to_answer(tx, token_hash(challenge), tx.now)
    account = None if row is None else queries.account(tx, row.user_id)
    if row is None or account is None or row.password_hash != account.password_hash:
        return None
    return row, account


def use(tx: Transaction, challenge_id: UUID) -> None:
    """Let a challenge be answered no more."""
    tx.execute(_use, {"challenge_id": challenge_id, "now": tx.now})


def opening_of(row: Row[Any], methods: tuple[str, ...]) -> Opening:
    """Return how the session begins that waited under a challenge."""
    return Opening(
        methods,
        row.device_label,
        client_id=row.client_id,
        scope=row.scope,
        key_thumbprint=row.key_thumbprint,
    )
