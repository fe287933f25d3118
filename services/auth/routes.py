"""The HTTP door of auth."""

from typing import Any, TypeVar
from uuid import UUID

import orjson

from libs.common.auth.policy import PUBLIC, SERVICE, SIGNED_IN, Rate, Role, Subject
from libs.common.db import Database, Reader, Transaction
from libs.common.errors import Problem
from libs.common.http import (
    Accepted,
    Document,
    IfMatch,
    NoContent,
    Page,
    PageQuery,
    Produced,
    RequestInfo,
    Routes,
    Tagged,
    page_of,
)
from services.auth import queries, schemas
from services.auth.domain.accounts import AccountNotVerified, AccountSuspended, Links
from services.auth.domain.keys import KEY_SET_AGE
from services.auth.domain.lockout import WrongCredentials
from services.auth.domain.passwords import PasswordHasher
from services.auth.domain.secrets import MasterSecret
from services.auth.domain.sessions import EndReason, RefreshRefused, device_label
from services.auth.domain.tokens import ACCESS_TOKEN_LIFE, KeySet, TokenIssuer
from services.auth.use_cases import accounts, maintenance, passwords, registration, revocations, sessions, sign_in
from services.auth.use_cases.sessions import Credentials

SIGN_IN_REFUSALS = (WrongCredentials, AccountNotVerified, AccountSuspended)

routes = Routes("auth")

T = TypeVar("T")

KEY_SET_MEDIA_TYPE = "application/jwk-set+json"
STEP_UP_SECONDS = 15 * 60
"""Whoever changes what others may do has signed in within this time."""
KEY_SET_EXAMPLE = (
    '{"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "5e1b0c7a",'
    ' "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}'
)


@routes.post("/auth/register", allow=PUBLIC, rate=Rate.CREDENTIALS, status=202)
def register(body: schemas.Register, database: Database, hasher: PasswordHasher, links: Links) -> Accepted[schemas.Taken]:
    """Open an account. The answer is the same whether or not the address is known; the mail tells."""
    newcomer = registration.Registration(
        body.email, body.password.get_secret_value(), body.display_name, body.role, body.locale
    )
    registration.register(database, newcomer, hasher, links)
    return Accepted(schemas.Taken(detail="We sent a mail to this address: follow the link in it."))


@routes.post("/auth/verify-email", allow=PUBLIC, rate=Rate.CREDENTIALS)
def verify_email(body: schemas.OneTimeToken, tx: Transaction) -> NoContent:
    """Confirm an address with the token that was mailed to it."""
    registration.verify_email(tx, body.token.get_secret_value())
    return NoContent()


@routes.post("/auth/login", allow=PUBLIC, rate=Rate.CREDENTIALS, during_maintenance=True, refuses=SIGN_IN_REFUSALS)
def login(
    body: schemas.Login,
    request: RequestInfo,
    database: Database,
    hasher: PasswordHasher,
    secret: MasterSecret,
    issuer: TokenIssuer,
) -> schemas.Tokens:
    """Sign in with e-mail address and password."""
    attempt = sign_in.Attempt(body.email, body.password.get_secret_value(), device_label(request.user_agent))
    return _tokens(_held(sign_in.sign_in(database, attempt, hasher, secret)), issuer)


@routes.post("/auth/refresh", allow=PUBLIC, rate=Rate.CREDENTIALS, during_maintenance=True, refuses=(RefreshRefused,))
def refresh(body: schemas.Refresh, database: Database, issuer: TokenIssuer) -> schemas.Tokens:
    """Exchange a refresh token for new tokens. A token exchanged twice ends its session, but for a few seconds of grace."""
    with database.transaction() as tx:
        outcome = sessions.refresh(tx, body.refresh_token.get_secret_value())
    return _tokens(_held(outcome), issuer)


@routes.post("/auth/logout", allow=SIGNED_IN, during_maintenance=True)
def logout(subject: Subject, tx: Transaction) -> NoContent:
    """End this session."""
    sessions.end_session(tx, subject.id, subject.session_id, EndReason.LOGOUT)
    return NoContent()


@routes.post("/auth/logout-all", allow=SIGNED_IN, during_maintenance=True)
def logout_all(subject: Subject, tx: Transaction) -> NoContent:
    """End all of one's sessions."""
    sessions.end_all_sessions(tx, subject.id, EndReason.LOGOUT)
    return NoContent()


@routes.get("/auth/sessions", allow=SIGNED_IN)
def list_sessions(query: PageQuery, subject: Subject, tx: Transaction) -> Page[schemas.SessionView]:
    """List one's own sessions, newest first."""
    after = query.after(UUID)
    rows = queries.sessions_page(tx, subject.id, tx.now, query.limit, after[0] if after else None)
    return page_of(rows, query.limit, lambda row: _session(row, subject), lambda row: (row.id,))


@routes.delete("/auth/sessions/<session_id>", allow=SIGNED_IN)
def end_session(session_id: UUID, subject: Subject, tx: Transaction) -> NoContent:
    """End one of one's own sessions."""
    sessions.end_session(tx, subject.id, session_id, EndReason.REVOKED_BY_USER)
    return NoContent()


@routes.post("/auth/password/forgot", allow=PUBLIC, rate=Rate.CREDENTIALS, status=202)
def forgot_password(body: schemas.Forgot, tx: Transaction) -> Accepted[schemas.Taken]:
    """Ask for a mail that lets one set a new password. The answer is the same whether or not the address is known."""
    passwords.forget_password(tx, body.email)
    return Accepted(schemas.Taken(detail="If an account has this address, a mail is on its way to it."))


@routes.post("/auth/password/reset", allow=PUBLIC, rate=Rate.CREDENTIALS)
def reset_password(body: schemas.Reset, database: Database, hasher: PasswordHasher, secret: MasterSecret) -> NoContent:
    """Set a new password with the token from a mail. All sessions end."""
    token, password = body.token.get_secret_value(), body.password.get_secret_value()
    passwords.reset_password(database, token, password, hasher, secret)
    return NoContent()


@routes.post("/auth/password/change", allow=SIGNED_IN, rate=Rate.CREDENTIALS)
def change_password(
    body: schemas.ChangePassword, subject: Subject, database: Database, hasher: PasswordHasher, secret: MasterSecret
) -> NoContent:
    """Set a new password with the current one. All sessions end, this one too."""
    pair = body.current_password.get_secret_value(), body.new_password.get_secret_value()
    _held(passwords.change_password(database, subject.id, pair, hasher, secret))
    return NoContent()


@routes.get("/profile", allow=SIGNED_IN)
def profile(subject: Subject, db: Reader) -> Tagged[schemas.Profile]:
    """Read one's own profile."""
    return _account(queries.account(db, subject.id))


@routes.patch("/profile", allow=SIGNED_IN)
def change_profile(
    body: schemas.ChangeProfile, subject: Subject, if_match: IfMatch, tx: Transaction
) -> Tagged[schemas.Profile]:
    """Change one's own profile."""
    changes = body.model_dump(include=body.model_fields_set)
    return _account(accounts.update_profile(tx, subject.id, changes, if_match.version))


@routes.get("/admin/users", allow=Role.ADMIN)
def list_users(query: schemas.AccountsQuery, db: Reader) -> Page[schemas.Profile]:
    """List accounts, newest first."""
    after = query.after(UUID)
    filters = {"email": query.email, "role": query.role, "status": query.status}
    rows = queries.accounts_page(db, filters, query.limit, after[0] if after else None)
    return page_of(rows, query.limit, lambda row: _account(row).view, lambda row: (row.id,))


@routes.get("/admin/users/<user_id>", allow=Role.ADMIN)
def read_user(user_id: UUID, db: Reader) -> Tagged[schemas.Profile]:
    """Read an account."""
    return _account(queries.account(db, user_id))


@routes.patch("/admin/users/<user_id>", allow=Role.ADMIN, step_up=STEP_UP_SECONDS)
def change_user(
    user_id: UUID, body: schemas.ChangeStanding, subject: Subject, if_match: IfMatch, database: Database
) -> Tagged[schemas.Profile]:
    """Give an account another role, suspend or reactivate it. Its sessions end. A refusal is recorded."""
    with database.transaction() as tx:
        change = accounts.Standing(body.role, body.status, if_match.version)
        outcome = accounts.change_standing(tx, user_id, subject.id, change)
    return _account(_held(outcome))


@routes.get(
    "/.well-known/jwks.json",
    allow=PUBLIC,
    rate=Rate.PUBLIC,
    root=True,
    during_maintenance=True,
    produces=(Produced(KEY_SET_MEDIA_TYPE, KEY_SET_EXAMPLE),),
)
def key_set(keys: KeySet) -> Document:
    """Read the public keys that verify access tokens (RFC 7517)."""
    headers = {"Cache-Control": f"public, max-age={int(KEY_SET_AGE.total_seconds())}"}
    return Document(orjson.dumps(keys.public()), KEY_SET_MEDIA_TYPE, headers)


@routes.get("/internal/revocations", allow=SERVICE, root=True)
def revocation_list(tx: Transaction) -> schemas.RevocationList:
    """Read what verifiers must refuse though it is signed and not expired."""
    return schemas.RevocationList.model_validate(revocations.current(tx))


@routes.get("/admin/maintenance", allow=Role.ADMIN)
def read_maintenance(db: Reader) -> Tagged[schemas.Maintenance]:
    """Read whether the platform is being maintained."""
    return _maintenance(maintenance.current(db))


@routes.put("/admin/maintenance", allow=Role.ADMIN)
def decide_maintenance(
    body: schemas.DecideMaintenance, subject: Subject, if_match: IfMatch, tx: Transaction
) -> Tagged[schemas.Maintenance]:
    """Shut the platform's door for maintenance, or open it. Administrators, sign-in and webhooks go on; the rest is 503."""
    return _maintenance(maintenance.decide(tx, subject.id, body.enabled, body.reason, if_match.version))


@routes.get("/internal/maintenance", allow=SERVICE, root=True)
def maintenance_for_the_gateway(db: Reader) -> schemas.Maintenance:
    """Read whether the platform is being maintained, for gateways that start or missed the broadcast."""
    return _maintenance(maintenance.current(db)).view


def _held(outcome: T | Problem) -> T:
    """Return the outcome, or raise it when it is a refusal: what was remembered with it is committed by now."""
    if isinstance(outcome, Problem):
        raise outcome
    return outcome


def _tokens(credentials: Credentials, issuer: TokenIssuer) -> schemas.Tokens:
    return schemas.Tokens(
        access_token=issuer.issue(credentials.grant),
        expires_in=int(ACCESS_TOKEN_LIFE.total_seconds()),
        refresh_token=credentials.refresh_token,
        session_id=credentials.grant.session_id,
    )


def _session(row: Any, subject: Subject) -> schemas.SessionView:
    return schemas.SessionView(
        id=row.id,
        device=row.device_label,
        created_at=row.authenticated_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        current=row.id == subject.session_id,
    )


def _account(row: Any) -> Tagged[schemas.Profile]:
    view = schemas.Profile(
        id=row.id,
        email=row.email,
        display_name=row.display_name,
        bio=row.bio,
        locale=row.locale,
        role=row.role,
        status=row.status,
        verified=row.verified_at is not None,
        created_at=row.created_at,
    )
    return Tagged(view, row.version)


def _maintenance(decision: Any) -> Tagged[schemas.Maintenance]:
    return Tagged(schemas.Maintenance.model_validate(decision), decision.revision)
