"""The doors to sign up, sign in and stay signed in."""

from libs.common import clock
from libs.common.auth.policy import PUBLIC, SIGNED_IN, Rate, Subject
from libs.common.db import Database, Transaction
from libs.common.http import (
    Accepted,
    NoContent,
    RequestInfo,
    Routes,
)
from services.auth import schemas
from services.auth.domain.accounts import AccountNotVerified, AccountSuspended
from services.auth.domain.factors import SecondFactorRequired
from services.auth.domain.known_devices import device_token
from services.auth.domain.limits import ClientLimits
from services.auth.domain.lockout import WrongCredentials
from services.auth.domain.sessions import OWN_CLIENT, Lifetimes, RefreshRefused, device_label
from services.auth.domain.tokens import Purpose, TokenIssuer
from services.auth.routes.answers import caller, held, tokens
from services.auth.use_cases import mail_requests, passwords, registration, second_factor, sessions, sign_in
from services.auth.use_cases.keeping import Keeping
from services.auth.use_cases.second_factor import Means

SIGN_IN_REFUSALS = (WrongCredentials, AccountNotVerified, AccountSuspended, SecondFactorRequired)

routes = Routes("auth")


@routes.post("/auth/register", allow=PUBLIC, rate=Rate.CREDENTIALS, status=202)
def register(
    body: schemas.Register, request: RequestInfo, database: Database, keeping: Keeping, limits: ClientLimits
) -> Accepted[schemas.Taken]:
    """Open an account. The answer is the same whether or not the address is known; the mail tells."""
    newcomer = registration.Registration(
        body.email, body.password.get_secret_value(), body.display_name, body.role, body.locale
    )
    limited = registration.register(database, newcomer, keeping, caller(request, limits))
    return Accepted(held(limited or schemas.Taken(detail="We sent a mail to this address: follow the link in it.")))


@routes.post("/auth/verify-email", allow=PUBLIC, rate=Rate.CREDENTIALS)
def verify_email(body: schemas.OneTimeToken, tx: Transaction) -> NoContent:
    """Confirm an address with the token that was mailed to it."""
    registration.verify_email(tx, body.token.get_secret_value())
    return NoContent()


@routes.post("/auth/verify-email/resend", allow=PUBLIC, rate=Rate.CREDENTIALS, status=202)
def resend_verification(
    body: schemas.ResendVerification, request: RequestInfo, database: Database, limits: ClientLimits
) -> Accepted[schemas.Taken]:
    """Ask for the mail that confirms an address once more. The answer is the same whether or not one is owed."""
    limited = mail_requests.ask(database, body.email, Purpose.VERIFY_EMAIL, caller(request, limits))
    return Accepted(held(limited or schemas.Taken(detail="If this address waits to be confirmed, a mail is on its way to it.")))


@routes.post("/auth/login", allow=PUBLIC, rate=Rate.CREDENTIALS, during_maintenance=True, refuses=SIGN_IN_REFUSALS)
def login(
    body: schemas.Login,
    request: RequestInfo,
    database: Database,
    means: Means,
    issuer: TokenIssuer,
    limits: ClientLimits,
) -> schemas.Tokens:
    """Sign in with e-mail address and password.

    An account with a second factor is answered 401 with the code `mfa_required`, a `challenge` and `methods`, unless the right
    `otp` was sent along; `POST /auth/login/second-factor` completes the sign-in.
    """
    attempt = sign_in.Attempt(
        body.email,
        body.password.get_secret_value(),
        device_label(request.user_agent),
        body.device_token.get_secret_value() if body.device_token else None,
        caller(request, limits),
    )
    credentials = held(second_factor.sign_in_with_code(database, attempt, body.otp, means.hasher, means))
    return tokens(credentials, issuer, device_token(means.secret, credentials.grant.user_id, clock.now()))


@routes.post("/auth/refresh", allow=PUBLIC, rate=Rate.CREDENTIALS, during_maintenance=True, refuses=(RefreshRefused,))
def refresh(body: schemas.Refresh, database: Database, lifetimes: Lifetimes, issuer: TokenIssuer) -> schemas.Tokens:
    """Exchange a refresh token for new tokens. A token exchanged twice ends its session, but for a few seconds of grace.

    Sessions of other clients, or bound to a key, are renewed at the token endpoint alone.
    """
    with database.transaction() as tx:
        outcome = sessions.refresh(tx, body.refresh_token.get_secret_value(), lifetimes, OWN_CLIENT)
    return tokens(held(outcome), issuer)


@routes.post("/auth/password/forgot", allow=PUBLIC, rate=Rate.CREDENTIALS, status=202)
def forgot_password(
    body: schemas.Forgot, request: RequestInfo, database: Database, limits: ClientLimits
) -> Accepted[schemas.Taken]:
    """Ask for a mail that lets one set a new password. The answer is the same whether or not the address is known."""
    limited = mail_requests.ask(database, body.email, Purpose.RESET_PASSWORD, caller(request, limits))
    return Accepted(held(limited or schemas.Taken(detail="If an account has this address, a mail is on its way to it.")))


@routes.post("/auth/password/reset", allow=PUBLIC, rate=Rate.CREDENTIALS)
def reset_password(body: schemas.Reset, database: Database, keeping: Keeping) -> NoContent:
    """Set a new password with the token from a mail. All sessions end."""
    passwords.reset_password(database, body.token.get_secret_value(), body.password.get_secret_value(), keeping)
    return NoContent()


@routes.post("/auth/password/change", allow=SIGNED_IN, rate=Rate.CREDENTIALS)
def change_password(body: schemas.ChangePassword, subject: Subject, database: Database, keeping: Keeping) -> NoContent:
    """Set a new password with the current one. All sessions end, this one too."""
    current, new = body.current_password.get_secret_value(), body.new_password.get_secret_value()
    held(passwords.change_password(database, passwords.Change(subject.id, subject.session_id, current, new), keeping))
    return NoContent()
