"""The doors of signing in with another provider, for clients that keep the binding themselves; browsers use the pages."""

from typing import Any
from uuid import UUID

from libs.common.auth.policy import PUBLIC, SIGNED_IN, Rate, Subject
from libs.common.db import Database, Reader
from libs.common.http import Created, NoContent, RequestInfo, Routes
from services.auth import queries, schemas
from services.auth.domain.federation import (
    AddressNotVouchedFor,
    AlreadyLinked,
    IdentityTaken,
    LastWayIn,
    LinkRefused,
    LinkRequired,
    OpenIdProviders,
    ProviderAnswerRefused,
    ProviderUnavailable,
)
from services.auth.domain.sessions import device_label
from services.auth.domain.tokens import TokenIssuer
from services.auth.routes.accounts import STEP_UP_SECONDS
from services.auth.routes.answers import held, tokens
from services.auth.use_cases import federation

routes = Routes("auth")

ANSWER_REFUSALS = (ProviderAnswerRefused, AddressNotVouchedFor, LinkRequired, ProviderUnavailable)


@routes.get("/auth/providers", allow=PUBLIC, rate=Rate.PUBLIC)
def list_providers(providers: OpenIdProviders) -> schemas.Providers:
    """List the providers that one can sign in with."""
    return schemas.Providers(items=[schemas.ProviderView(name=each.name, label=each.label) for each in providers.listed()])


@routes.post("/auth/federation/<provider>/begin", allow=PUBLIC, rate=Rate.CREDENTIALS, refuses=(ProviderUnavailable,))
def begin_federation(provider: str, database: Database, providers: OpenIdProviders) -> schemas.Began:
    """Begin to sign in with a provider: send the browser to the address, keep the binding."""
    return _began(federation.begin(database, providers, provider))


@routes.post("/auth/federation/<provider>/complete", allow=PUBLIC, rate=Rate.CREDENTIALS, refuses=ANSWER_REFUSALS)
def complete_federation(
    provider: str,
    body: schemas.CompleteFederation,
    request: RequestInfo,
    database: Database,
    means: federation.FederationMeans,
    issuer: TokenIssuer,
) -> schemas.Tokens:
    """Complete what was begun with what the provider sent back.

    409 with a `link_token` where an account is there: its owner signs in and confirms the link at `/auth/identities`.
    """
    answer = federation.Answer(
        provider,
        body.state.get_secret_value(),
        body.binding.get_secret_value(),
        device_label(request.user_agent),
        code=body.code.get_secret_value() if body.code else None,
        error=body.error,
        issuer=body.iss,
    )
    return tokens(held(federation.complete(database, means, answer).outcome), issuer)


@routes.get("/auth/identities", allow=SIGNED_IN)
def list_identities(subject: Subject, db: Reader) -> schemas.Identities:
    """List the identities at other providers that open one's account."""
    return schemas.Identities(items=[_identity(each) for each in queries.identities(db, subject.id)])


@routes.post(
    "/auth/identities/<provider>/begin",
    allow=SIGNED_IN,
    rate=Rate.CREDENTIALS,
    step_up=STEP_UP_SECONDS,
    refuses=(ProviderUnavailable,),
)
def begin_link(provider: str, subject: Subject, database: Database, providers: OpenIdProviders) -> schemas.Began:
    """Begin to link an identity at a provider to one's account; it is completed like a sign-in, and then confirmed."""
    return _began(federation.begin(database, providers, provider, user_id=subject.id))


@routes.post(
    "/auth/identities",
    allow=SIGNED_IN,
    rate=Rate.CREDENTIALS,
    status=201,
    step_up=STEP_UP_SECONDS,
    refuses=(LinkRefused, AlreadyLinked, IdentityTaken),
)
def confirm_link(body: schemas.ConfirmLink, subject: Subject, database: Database) -> Created[schemas.IdentityView]:
    """Confirm that an identity shall open one's account."""
    with database.transaction() as tx:
        outcome = federation.confirm_link(tx, subject.id, body.link_token.get_secret_value())
    return Created(_identity(held(outcome)), "/api/v1/auth/identities")


@routes.delete("/auth/identities/<identity_id>", allow=SIGNED_IN, step_up=STEP_UP_SECONDS, refuses=(LastWayIn,))
def unlink_identity(identity_id: UUID, subject: Subject, database: Database) -> NoContent:
    """Let an identity open one's account no more, unless it is the last way in."""
    with database.transaction() as tx:
        outcome = federation.unlink(tx, subject.id, identity_id)
    held(outcome)
    return NoContent()


def _began(begun: federation.Begun) -> schemas.Began:
    return schemas.Began(authorization_url=begun.address, binding=begun.binding, expires_at=begun.expires_at)


def _identity(row: Any) -> schemas.IdentityView:
    return schemas.IdentityView(id=row.id, provider=row.provider, linked_at=row.linked_at, last_used_on=row.last_used_on)
