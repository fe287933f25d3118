"""The doors of one's own passkeys."""

from typing import Any
from uuid import UUID

from libs.common.auth.policy import SIGNED_IN, Assurance, Rate, Subject
from libs.common.db import Database, Reader, Transaction
from libs.common.http import Created, NoContent, Page, Routes
from services.auth import queries, schemas
from services.auth.domain.accounts import UnknownAccount
from services.auth.domain.factors import LastFactor, Required
from services.auth.domain.federation import LastWayIn
from services.auth.domain.passkeys import PasskeyKnown, PasskeyRefused, RelyingParty, TooManyPasskeys
from services.auth.routes.answers import held
from services.auth.use_cases import factors, passkeys
from services.auth.use_cases.factors import STEP_UP_SECONDS

routes = Routes("auth")


@routes.post(
    "/auth/passkeys/registration-options",
    allow=SIGNED_IN,
    rate=Rate.CREDENTIALS,
    enrolment=True,
    step_up=STEP_UP_SECONDS,
    refuses=(UnknownAccount, TooManyPasskeys),
)
def registration_options(subject: Subject, relying_party: RelyingParty, database: Database) -> schemas.CreationOptions:
    """Begin to make a passkey. The challenge holds for five minutes, once, in this session."""
    with database.transaction() as tx:
        outcome = passkeys.begin_registration(tx, subject, relying_party)
    return schemas.CreationOptions(public_key=held(outcome))


@routes.post(
    "/auth/passkeys",
    allow=SIGNED_IN,
    rate=Rate.CREDENTIALS,
    enrolment=True,
    step_up=STEP_UP_SECONDS,
    status=201,
    refuses=(PasskeyRefused, PasskeyKnown, TooManyPasskeys),
)
def register_passkey(
    body: schemas.NewPasskey, subject: Subject, relying_party: RelyingParty, database: Database
) -> Created[schemas.RegisteredPasskey]:
    """Register the passkey that the browser made. Recovery codes come with the first factor, shown this once.

    This session has shown the passkey: its next tokens say so.
    """
    with database.transaction() as tx:
        outcome = passkeys.finish_registration(tx, subject, body.label, body.passkey.as_json(), relying_party)
    added, codes = held(outcome)
    view = schemas.RegisteredPasskey(**_passkey(added).model_dump(), recovery_codes=codes)
    return Created(view, f"/api/v1/auth/passkeys/{added.id}")


@routes.get("/auth/passkeys", allow=SIGNED_IN, enrolment=True)
def list_passkeys(subject: Subject, db: Reader) -> Page[schemas.Passkey]:
    """List one's own passkeys, oldest first; all are on one page."""
    return Page(items=tuple(map(_passkey, queries.passkeys(db, subject.id))), next_cursor=None)


@routes.patch("/auth/passkeys/<passkey_id>", allow=SIGNED_IN)
def rename_passkey(passkey_id: UUID, body: schemas.RenamePasskey, subject: Subject, tx: Transaction) -> schemas.Passkey:
    """Give one of one's own passkeys another name."""
    return _passkey(passkeys.rename(tx, subject.id, passkey_id, body.label))


@routes.delete(
    "/auth/passkeys/<passkey_id>",
    allow=SIGNED_IN,
    step_up=STEP_UP_SECONDS,
    step_up_acr=Assurance.SECOND_FACTOR,
    refuses=(LastFactor, LastWayIn),
)
def remove_passkey(passkey_id: UUID, subject: Subject, required: Required, tx: Transaction) -> NoContent:
    """Remove one of one's own passkeys, unless it is the last way in; with the last factor the recovery codes go too."""
    factors.remove_passkey(tx, subject, passkey_id, required)
    return NoContent()


def _passkey(row: Any) -> schemas.Passkey:
    return schemas.Passkey(
        id=row.id,
        label=row.label,
        synchronised=row.synchronised,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )
