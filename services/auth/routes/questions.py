"""The doors at which a person answers what clients and devices ask: for apps, as the pages are for browsers."""

from dataclasses import asdict

from libs.common.auth.policy import SIGNED_IN, Idempotency, Rate, Subject
from libs.common.db import Transaction
from libs.common.http import NoContent, Routes
from services.auth import schemas
from services.auth.domain.authorization import Provider
from services.auth.use_cases import authorization, devices

routes = Routes("auth")


@routes.get("/auth/authorizations/<handle>", allow=SIGNED_IN)
def read_authorization(handle: str, subject: Subject, tx: Transaction) -> schemas.AuthorizationView:
    """Read what a client asks of oneself, under the handle that `/oauth/authorize` led here with."""
    question = authorization.question(tx, handle, subject)
    return schemas.AuthorizationView.model_validate(question)


@routes.post("/auth/authorizations/<handle>", allow=SIGNED_IN, idempotency=Idempotency.REFUSED)
def answer_authorization(
    handle: str, body: schemas.Decided, subject: Subject, provider: Provider, tx: Transaction
) -> schemas.LedOn:
    """Say yes or no to a client; the browser goes on to the address in the answer."""
    decide = authorization.grant if body.decision is schemas.Decision.GRANT else authorization.deny
    return schemas.LedOn(address=decide(tx, provider, handle, subject))


@routes.get("/auth/devices/<user_code>", allow=SIGNED_IN, rate=Rate.CREDENTIALS)
def read_device(user_code: str, tx: Transaction) -> schemas.DeviceView:
    """Read what waits under the code that a device shows."""
    question = asdict(devices.look_up(tx, user_code))
    return schemas.DeviceView(device=question.pop("device_label"), **question)


@routes.post("/auth/devices/<user_code>", allow=SIGNED_IN, rate=Rate.CREDENTIALS, idempotency=Idempotency.REFUSED)
def answer_device(user_code: str, body: schemas.Decided, subject: Subject, tx: Transaction) -> NoContent:
    """Say yes or no to a device."""
    decide = devices.approve if body.decision is schemas.Decision.GRANT else devices.deny
    decide(tx, user_code, subject)
    return NoContent()
