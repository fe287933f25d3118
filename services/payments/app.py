"""Composition root of payments."""

from libs.common.service import Service
from services.payments import events, routes, subscriptions
from services.payments.models import metadata
from services.payments.settings import Settings

service = Service(
    "payments",
    settings=Settings,
    metadata=metadata,
    routes=[routes],
    subscriptions=[subscriptions],
    events=[events],
)
