"""The doors of a sign-in's second half: codes and passkeys."""

from libs.common.auth.policy import PUBLIC, Rate
from libs.common.db import Database, Transaction
from libs.common.http import RequestInfo, Routes
from services.auth import schemas
from services.auth.domain.accounts import AccountNotVerified, AccountSuspended
from services.auth.domain.factors import SignInOver, WrongSecondFactor
from services.auth.domain.lockout import AccountLocked
from services.auth.domain.passkeys import RelyingParty
from services.auth.domain.sessions import device_label
from services.auth.domain.tokens import TokenIssuer
from services.auth.routes.answers import held, tokens
from services.auth.use_cases import passkeys, second_factor
from services.auth.use_cases.second_factor import Means

routes = Routes("auth")

REFUSALS = (WrongSecondFactor, AccountNotVerified, AccountSuspended)


@routes.post(
    "/auth/login/second-factor",
    allow=PUBLIC,
    rate=Rate.CREDENTIALS,
    during_maintenance=True,
    refuses=(*REFUSALS, SignInOver, AccountLocked),
)
def complete_sign_in(body: schemas.SecondFactor, database: Database, means: Means, issuer: TokenIssuer) -> schemas.Tokens:
    """Complete a sign-in with the second factor: a code, a recovery code or a passkey."""
    with database.transaction() as tx:
        outcome = second_factor.complete(tx, body.challenge.get_secret_value(), body.proof, means)
    return tokens(held(outcome), issuer)


@routes.post("/auth/passkeys/authentication-options", allow=PUBLIC, rate=Rate.CREDENTIALS, during_maintenance=True)
def authentication_options(tx: Transaction, relying_party: RelyingParty) -> schemas.RequestOptions:
    """Begin to use a passkey: to sign in, as a second factor, or to step up. The challenge holds for five minutes, once."""
    return schemas.RequestOptions(public_key=passkeys.begin_authentication(tx, relying_party))


@routes.post("/auth/login/passkey", allow=PUBLIC, rate=Rate.CREDENTIALS, during_maintenance=True, refuses=REFUSALS)
def sign_in_by_passkey(
    body: schemas.PasskeySignIn, request: RequestInfo, database: Database, means: Means, issuer: TokenIssuer
) -> schemas.Tokens:
    """Sign in with a passkey alone: it is possession and verification of its user in one."""
    with database.transaction() as tx:
        outcome = second_factor.sign_in_by_passkey(tx, body.passkey.as_json(), device_label(request.user_agent), means)
    return tokens(held(outcome), issuer)
