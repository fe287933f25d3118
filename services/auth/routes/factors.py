"""The doors of one's own second factors; open also to whose role waits for one.

Secrets and codes are answered once: no answer that holds any is kept for an Idempotency-Key.
"""

from uuid import UUID

from libs.common.auth.policy import SIGNED_IN, Assurance, Idempotency, Rate, Role, Subject
from libs.common.db import Database, Reader, Transaction
from libs.common.http import NoContent, Routes
from services.auth import queries, schemas
from services.auth.domain.accounts import UnknownAccount
from services.auth.domain.factors import (
    AlreadyEnrolled,
    ForeignSession,
    LastFactor,
    NotEnrolled,
    OwnFactors,
    Required,
    StepUpRefused,
    WrongCode,
)
from services.auth.domain.lockout import AccountLocked, AttemptTooSoon
from services.auth.domain.passwords import PasswordHasher
from services.auth.domain.secrets import MasterSecret
from services.auth.domain.sessions import UnknownSession
from services.auth.domain.tokens import TokenIssuer
from services.auth.routes.answers import held, tokens
from services.auth.use_cases import factors, step_up
from services.auth.use_cases.factors import STEP_UP_SECONDS
from services.auth.use_cases.second_factor import Means

routes = Routes("auth")


@routes.get("/auth/mfa", allow=SIGNED_IN, enrolment=True, refuses=(UnknownAccount,))
def read_factors(subject: Subject, required: Required, db: Reader) -> schemas.Factors:
    """Read which second factors one has."""
    enrolled = queries.enrolled(db, subject.id)
    role = queries.account(db, subject.id).role
    return schemas.Factors(
        totp=enrolled.totp,
        passkeys=enrolled.passkeys,
        recovery_codes=enrolled.recovery_codes,
        required=required.of(role),
        methods=enrolled.factors,
    )


@routes.post(
    "/auth/mfa/totp",
    allow=SIGNED_IN,
    rate=Rate.CREDENTIALS,
    enrolment=True,
    step_up=STEP_UP_SECONDS,
    idempotency=Idempotency.REFUSED,
    refuses=(UnknownAccount, AlreadyEnrolled),
)
def begin_totp(subject: Subject, secret: MasterSecret, tx: Transaction) -> schemas.TotpSecret:
    """Begin to set up an authenticator app. Its secret is shown this once, and counts when a code of it was confirmed."""
    shared, uri = factors.begin_totp(tx, subject, secret)
    return schemas.TotpSecret(secret=shared, otpauth_uri=uri)


@routes.post(
    "/auth/mfa/totp/confirm",
    allow=SIGNED_IN,
    rate=Rate.CREDENTIALS,
    enrolment=True,
    step_up=STEP_UP_SECONDS,
    idempotency=Idempotency.REFUSED,
    refuses=(NotEnrolled, AlreadyEnrolled, WrongCode),
)
def confirm_totp(
    body: schemas.OneTimeCodeGiven, subject: Subject, secret: MasterSecret, tx: Transaction
) -> schemas.RecoveryCodes:
    """Confirm an authenticator app by a code of it. Recovery codes come with the first factor, shown this once.

    This session has shown the factor: its next tokens say so.
    """
    return schemas.RecoveryCodes(recovery_codes=factors.confirm_totp(tx, subject, body.otp, secret))


@routes.delete(
    "/auth/mfa/totp",
    allow=SIGNED_IN,
    step_up=STEP_UP_SECONDS,
    step_up_acr=Assurance.SECOND_FACTOR,
    refuses=(NotEnrolled, LastFactor),
)
def remove_totp(subject: Subject, required: Required, tx: Transaction) -> NoContent:
    """Remove the authenticator app; with the last factor the recovery codes go too."""
    factors.remove_totp(tx, subject, required)
    return NoContent()


@routes.post(
    "/auth/mfa/recovery-codes",
    allow=SIGNED_IN,
    rate=Rate.CREDENTIALS,
    step_up=STEP_UP_SECONDS,
    step_up_acr=Assurance.SECOND_FACTOR,
    idempotency=Idempotency.REFUSED,
    refuses=(NotEnrolled,),
)
def replace_recovery_codes(subject: Subject, tx: Transaction) -> schemas.RecoveryCodes:
    """Make the recovery codes anew. They are shown this once; those from before are worthless."""
    return schemas.RecoveryCodes(recovery_codes=factors.replace_recovery_codes(tx, subject))


@routes.post(
    "/auth/step-up",
    allow=SIGNED_IN,
    rate=Rate.CREDENTIALS,
    enrolment=True,
    refuses=(StepUpRefused, ForeignSession, UnknownSession, AccountLocked, AttemptTooSoon),
)
def renew_authentication(
    body: schemas.StepUp,
    subject: Subject,
    database: Database,
    hasher: PasswordHasher,
    means: Means,
    issuer: TokenIssuer,
) -> schemas.Tokens:
    """Show again who one is, for acts that ask for a recent sign-in or a second factor.

    Takes the password, with a second factor where the account has one; or a passkey alone. The answer's tokens replace those of
    this session.
    """
    password = None if body.password is None else body.password.get_secret_value()
    return tokens(held(step_up.step_up(database, subject, password, body.proof, hasher, means)), issuer)


@routes.delete(
    "/admin/users/<user_id>/second-factor",
    allow=Role.ADMIN,
    step_up=STEP_UP_SECONDS,
    step_up_acr=Assurance.SECOND_FACTOR,
    refuses=(NotEnrolled, OwnFactors),
)
def reset_factors(user_id: UUID, subject: Subject, database: Database) -> NoContent:
    """Take every second factor away from somebody else who lost them all. Their sessions end, and they are told by mail."""
    with database.transaction() as tx:
        refusal = factors.reset(tx, user_id, subject.id)
    held(refusal)
    return NoContent()
