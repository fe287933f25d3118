"""The doors to sign up, sign in and stay signed in."""

from libs.common.auth.policy import PUBLIC, SIGNED_IN, Rate, Subject
from libs.common.db import Database, Transaction
from libs.common.http import (
    Accepted,
    NoContent,
    RequestInfo,
    Routes,
)
from services.auth import schemas
from services.auth.domain.accounts import AccountNotVerified, AccountSuspended, Links
from services.auth.domain.factors import SecondFactorRequired
from services.auth.domain.lockout import WrongCredentials
from services.auth.domain.passwords import PasswordHasher
from services.auth.domain.secrets import MasterSecret
from services.auth.domain.sessions import OWN_CLIENT, Lifetimes, RefreshRefused, device_label
from services.auth.domain.tokens import TokenIssuer
from services.auth.routes.answers import held, tokens
from services.auth.use_cases import passwords, registration, second_factor, sessions, sign_in
from services.auth.use_cases.second_factor import Means

SIGN_IN_REFUSALS = (WrongCredentials, AccountNotVerified, AccountSuspended, SecondFactorRequired)

routes = Routes("auth")


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
    means: Means,
    issuer: TokenIssuer,
) -> schemas.Tokens:
    """Sign in with e-mail address and password.

    An account with a second factor is answered 401 with the code `mfa_required`, a `challenge` and `methods`, unless the right
    `otp` was sent along; `POST /auth/login/second-factor` completes the sign-in.
    """
    attempt = sign_in.Attempt(body.email, body.password.get_secret_value(), device_label(request.user_agent))
    return tokens(held(second_factor.sign_in_with_code(database, attempt, body.otp, hasher, means)), issuer)


@routes.post("/auth/refresh", allow=PUBLIC, rate=Rate.CREDENTIALS, during_maintenance=True, refuses=(RefreshRefused,))
def refresh(body: schemas.Refresh, database: Database, lifetimes: Lifetimes, issuer: TokenIssuer) -> schemas.Tokens:
    """Exchange a refresh token for new tokens. A token exchanged twice ends its session, but for a few seconds of grace.

    Sessions of other clients, or bound to a key, are renewed at the token endpoint alone.
    """
    with database.transaction() as tx:
        outcome = sessions.refresh(tx, body.refresh_token.get_secret_value(), lifetimes, OWN_CLIENT)
    return tokens(held(outcome), issuer)


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
    held(passwords.change_password(database, subject.id, pair, hasher, secret))
    return NoContent()
