"""Events that Stripe sends: signed over the bytes as they were sent, and believed only then."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from stripe import SignatureVerificationError, WebhookSignature

from services.payments.domain import Provider, ProviderEvent, SignatureRefused, UnreadableProviderEvent

TOLERANCE_SECONDS = 300
"""Age of a signature up to which it counts; an older delivery may be a replay. Stripe signs each attempt anew."""

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,255}$")]


class _Object(BaseModel):
    """What the event is about. The rest is a personal snapshot: who acts on an event asks Stripe how things stand now."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    id: Identifier | None = None
    object: Annotated[str, Field(pattern=r"^[a-z0-9_.]{1,100}$")]


class _Data(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    object: _Object


class _Envelope(BaseModel):
    """The fields that we rely on. Others are Stripe's to add (https://docs.stripe.com/api/events/object)."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    id: Identifier
    object: Literal["event"]
    type: Annotated[str, Field(pattern=r"^[a-z0-9_.]{1,200}$")]
    created: Annotated[int, Field(ge=0, lt=2**32)]
    livemode: bool
    data: _Data


class StripeEvents:
    """Verifies events with the secret of our endpoint."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def verified(self, body: bytes, signature: str) -> ProviderEvent:
        """What Stripe says in `body`. Raises SignatureRefused, UnreadableProviderEvent."""
        try:
            WebhookSignature.verify_header(body, signature, self._secret, TOLERANCE_SECONDS)
        # The library compares texts, which a foreign letter in the header breaks, and reads the body as UTF-8.
        except (SignatureVerificationError, TypeError, UnicodeDecodeError):
            raise SignatureRefused(
                "Send the body as it was signed, within five minutes, with the header Stripe-Signature."
            ) from None
        try:
            envelope = _Envelope.model_validate_json(body)
        except ValidationError as error:
            fields = sorted({".".join(map(str, each["loc"])) or "the body" for each in error.errors(include_input=False)})
            raise UnreadableProviderEvent(f"This is no event as Stripe documents it; look at {', '.join(fields)}.") from None
        return ProviderEvent(
            provider=Provider.STRIPE,
            provider_event_id=envelope.id,
            type=envelope.type,
            object_kind=envelope.data.object.object,
            object_id=envelope.data.object.id,
            live=envelope.livemode,
            occurred_at=datetime.fromtimestamp(envelope.created, UTC),
        )
