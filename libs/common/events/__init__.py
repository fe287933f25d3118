"""Facts between services: what they are, how they travel, and who listens."""

from libs.common.events.cause import caused_by
from libs.common.events.envelope import Envelope, Event, EventPart, MalformedEvent, event_class, event_classes
from libs.common.events.personal import CannotOpen, Keyring, Personal, Recipient
from libs.common.events.subscriptions import Delivered, on, on_broadcast, on_every_event

__all__ = [
    "CannotOpen",
    "Delivered",
    "Envelope",
    "Event",
    "EventPart",
    "Keyring",
    "MalformedEvent",
    "Personal",
    "Recipient",
    "caused_by",
    "event_class",
    "event_classes",
    "on",
    "on_broadcast",
    "on_every_event",
]
