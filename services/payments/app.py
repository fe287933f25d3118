"""Composition root of payments."""

from collections.abc import Mapping

from libs.common.config import door_secret
from libs.common.db import Database
from libs.common.service import Service
from services.payments import events, measures, routes, subscriptions
from services.payments.adapters.stripe_events import StripeEvents
from services.payments.domain import Payer, ProviderEvents
from services.payments.models import metadata
from services.payments.settings import Settings


def build(settings: Settings, database: Database) -> Mapping[type, object]:  # noqa: ARG001 - the kernel's signature
    """What doors ask for by type. Without a secret nothing reads Stripe's events, and so the door for them is not there."""
    secret = door_secret(settings.stripe_webhook_secret)
    return {Payer: settings.payer, **({ProviderEvents: StripeEvents(secret)} if secret else {})}


service = Service(
    "payments",
    settings=Settings,
    metadata=metadata,
    routes=[routes],
    subscriptions=[subscriptions],
    measures=[measures],
    events=[events],
    resources=build,
)
