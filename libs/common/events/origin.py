"""Who sent an event: the broker says, not the message.

Rights on routing keys bind a service's broker user at one exchange and for one key. A message can still carry further keys (CC
headers), come through an exchange of the sender's own, or hold another `source` than its key. So every publisher states its
broker user in `user_id`, which the broker refuses unless it is true, and every consumer compares it with the event's source.
"""

from libs.common.errors import Permanent
from libs.common.events.broker import Received
from libs.common.events.envelope import Envelope, MalformedEvent


class ForgedEvent(Permanent):
    """The broker user that sent the event is not its producer's."""


def authenticated(received: Received, own_user: str) -> Envelope:
    """The event in a delivery, sent by its producer's broker user or, from a retry queue, by the consumer's own.

    Where all services share one user, they cannot be told apart. Raises MalformedEvent, ForgedEvent.
    """
    envelope = Envelope.decode(received.body)
    if received.user not in {envelope.service, own_user}:
        raise ForgedEvent(f"the broker does not vouch that {envelope.source} sent this event")
    return envelope


def is_vouched(received: Received, own_user: str) -> bool:
    """Whether it may go on under our own name: what nobody vouched for must not become ours by being moved."""
    try:
        authenticated(received, own_user)
    except (MalformedEvent, ForgedEvent):
        return False
    return True
