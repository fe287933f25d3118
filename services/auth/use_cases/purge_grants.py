"""Forget what clients were on the way to be given, and clients that were removed."""

from datetime import timedelta
from typing import Final

from sqlalchemy import bindparam, delete

from libs.common.db import Transaction
from services.auth.domain.sessions import REVOCATION_ALLOWANCE
from services.auth.domain.tokens import ACCESS_TOKEN_LIFE
from services.auth.models import (
    authorization_code,
    authorization_request,
    client_secret,
    device_request,
    oauth_client,
    revoked_client_token,
)

CODES_REMEMBERED: Final = timedelta(days=1)
"""A used code that comes again within this time ends what it gave; later it is unknown."""

_statements = {
    delete(authorization_request).where(authorization_request.c.expires_at < bindparam("before")): timedelta(0),
    delete(authorization_code).where(authorization_code.c.expires_at < bindparam("before")): CODES_REMEMBERED,
    delete(device_request).where(device_request.c.expires_at < bindparam("before")): timedelta(minutes=10),
    delete(client_secret).where(client_secret.c.expires_at < bindparam("before")): timedelta(0),
    delete(oauth_client).where(oauth_client.c.removed_at < bindparam("before")): ACCESS_TOKEN_LIFE + REVOCATION_ALLOWANCE,
    delete(revoked_client_token).where(revoked_client_token.c.revoked_at < bindparam("before")): ACCESS_TOKEN_LIFE
    + REVOCATION_ALLOWANCE,
}


def purge_grants(tx: Transaction) -> int:
    """Delete what no decision can need any more; returns the rows deleted."""
    return sum(tx.execute(statement, {"before": tx.now - kept}).rowcount for statement, kept in _statements.items())
