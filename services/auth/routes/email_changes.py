"""The doors by which an account gets another address."""

from libs.common import clock
from libs.common.auth.policy import PUBLIC, SIGNED_IN, Rate, Subject
from libs.common.db import Database, Transaction
from libs.common.http import Accepted, NoContent, Routes
from services.auth import schemas
from services.auth.domain.accounts import Links
from services.auth.domain.email_changes import RECENT_SIGN_IN
from services.auth.domain.secrets import MasterSecret
from services.auth.routes.answers import held, require_recent
from services.auth.use_cases import email_changes
from services.auth.use_cases.keeping import Keeping

routes = Routes("auth")


@routes.post("/auth/email/change", allow=SIGNED_IN, rate=Rate.CREDENTIALS, status=202)
def change_email(
    body: schemas.ChangeEmail, subject: Subject, database: Database, keeping: Keeping, links: Links
) -> Accepted[schemas.Taken]:
    """Ask for another address. Mails go to the present and to the new one; nothing changes before both are answered.

    It takes the password, or a sign-in of the last 15 minutes (401 `insufficient_user_authentication` without either).
    """
    password = body.current_password.get_secret_value() if body.current_password else None
    if password is None:
        require_recent(subject, clock.now(), RECENT_SIGN_IN)
    proposal = email_changes.Proposal(subject.id, subject.session_id, body.new_email, password)
    refusal = email_changes.propose(database, proposal, keeping, links)
    return Accepted(held(refusal or schemas.Taken(detail="We sent a mail to both addresses: follow the links in them.")))


@routes.post("/auth/email/confirm", allow=PUBLIC, rate=Rate.CREDENTIALS)
def confirm_email(body: schemas.OneTimeToken, tx: Transaction, secret: MasterSecret) -> schemas.EmailChange:
    """Confirm a change of address with the token that was mailed to one of the two; the second confirmation makes it."""
    return schemas.EmailChange(state=email_changes.confirm(tx, body.token.get_secret_value(), secret))


@routes.post("/auth/email/cancel", allow=PUBLIC, rate=Rate.CREDENTIALS)
def cancel_email(body: schemas.OneTimeToken, tx: Transaction) -> NoContent:
    """Keep the address, with the token that was mailed to it."""
    email_changes.cancel(tx, body.token.get_secret_value())
    return NoContent()
