"""The doors of personal access tokens."""

from typing import Any
from uuid import UUID

from libs.common.auth.policy import PUBLIC, SIGNED_IN, Rate, Scope, Subject
from libs.common.db import Database, Transaction
from libs.common.http import Created, NoContent, Routes
from services.auth import queries, schemas
from services.auth.domain.access_tokens import AccessTokenRefused, TooManyAccessTokens, scope_of
from services.auth.domain.tokens import ACCESS_TOKEN_LIFE, TokenIssuer
from services.auth.routes.accounts import STEP_UP_SECONDS
from services.auth.routes.answers import held
from services.auth.use_cases import access_tokens

routes = Routes("auth")


@routes.post(
    "/auth/access-tokens",
    allow=SIGNED_IN,
    rate=Rate.CREDENTIALS,
    status=201,
    step_up=STEP_UP_SECONDS,
    refuses=(TooManyAccessTokens,),
)
def create_access_token(
    body: schemas.CreateAccessToken, subject: Subject, database: Database
) -> Created[schemas.CreatedAccessToken]:
    """Make a personal access token for a program. It is shown this once."""
    wish = access_tokens.Wish(body.name, scope_of(body.scopes), body.expires_at, subject.authenticated_at)
    with database.transaction() as tx:
        outcome = access_tokens.create(tx, subject.id, wish)
    made = held(outcome)
    view = schemas.CreatedAccessToken(**_members(made.row), token=made.token)
    return Created(view, f"/api/v1/auth/access-tokens/{made.row.id}")


@routes.get("/auth/access-tokens", allow=SIGNED_IN)
def list_access_tokens(subject: Subject, tx: Transaction) -> schemas.AccessTokens:
    """List one's live personal access tokens, newest first."""
    rows = queries.access_tokens(tx, subject.id, tx.now)
    return schemas.AccessTokens(items=[schemas.AccessTokenView(**_members(row)) for row in rows])


@routes.delete("/auth/access-tokens/<token_id>", allow=SIGNED_IN)
def revoke_access_token(token_id: UUID, subject: Subject, tx: Transaction) -> NoContent:
    """Revoke a personal access token; what it was exchanged for is void too."""
    access_tokens.revoke(tx, subject.id, token_id)
    return NoContent()


@routes.post("/auth/access-tokens/exchange", allow=PUBLIC, rate=Rate.CREDENTIALS, refuses=(AccessTokenRefused,))
def exchange_access_token(body: schemas.ExchangeAccessToken, database: Database, issuer: TokenIssuer) -> schemas.ExchangedToken:
    """Exchange a personal access token for an access token of a quarter of an hour."""
    with database.transaction() as tx:
        outcome = access_tokens.exchange(tx, body.token.get_secret_value())
    grant = held(outcome)
    return schemas.ExchangedToken(
        access_token=issuer.issue(grant), expires_in=int(ACCESS_TOKEN_LIFE.total_seconds()), scope=grant.scope or ""
    )


def _members(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "scopes": [Scope(each) for each in row.scope.split()],
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "last_used_on": row.last_used_on,
    }
