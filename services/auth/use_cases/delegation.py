"""A session for a client: not entered by anybody who authenticates here, but begotten by a session of the person's own."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from libs.common.auth.policy import OWN_CLIENT, Scope
from libs.common.db import Transaction
from services.auth import queries
from services.auth.domain.accounts import Status
from services.auth.domain.clients import Client, GrantType
from services.auth.domain.sessions import EndReason, Lifetimes
from services.auth.use_cases.sessions import Credentials, Opening, ended, open_session


def delegate(
    tx: Transaction, client: Client, parent_id: UUID, scope: str, key_thumbprint: str | None, lifetimes: Lifetimes
) -> Credentials | None:
    """Open a session for a client on the strength of a person's own, when that still lives and so does the consent; else None.

    Nor for what the client, since it asked, is no longer for. Only a client that was let act in the person's absence
    (`offline_access`) gets a refresh token.
    """
    parent = queries.living_session(tx, parent_id, tx.now)
    if parent is None or (parent.client_id, parent.scope) != (OWN_CLIENT, None):
        return None
    account: Row[Any] = queries.account_to_enter(tx, parent.user_id)
    # Whoever ended sessions, of the person or of the client, held the account or the client: now that we hold both, it is known
    # whether this one would have been among them.
    served = queries.client_to_serve(tx, client.id)
    consented = queries.consented_scope(tx, account.id, client.id).split()
    if (
        served is None
        or account.status != Status.ACTIVE
        or not set(scope.split()) <= served.scopes.intersection(consented)
        or queries.living_session(tx, parent_id, tx.now) is None
    ):
        return None
    opening = Opening(
        tuple(parent.methods.split()),
        served.name,
        client_id=str(served.id),
        scope=scope,
        key_thumbprint=key_thumbprint,
        parent=parent,
        renewable=GrantType.REFRESH in served.grants and Scope.OFFLINE_ACCESS in scope.split(),
    )
    return open_session(tx, account, opening, lifetimes)


def end_sessions_of_client(tx: Transaction, client_id: UUID, reason: EndReason, owner: UUID | None = None) -> int:
    """End the sessions that a client has with this person or (None) with anybody; returns how many."""
    rows = queries.sessions_of_client(tx, client_id, owner)
    return sum(ended(tx, row.user_id, row.id, reason) for row in rows)
