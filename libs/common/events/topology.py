"""Exchanges, queues and rights on the broker. Pure data: `broker` declares it, the platform imports it as definitions.

Redeclaring a queue with other arguments is refused (AMQP 406), so a change here means a new `QUEUE_VERSION`; the old one joins
`RETIRED_VERSIONS`, and what lies in its queues is moved. Everything works on RabbitMQ 3.10 and 4.x.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from libs.common.events.subscriptions import Subscription

EVENTS_EXCHANGE: Final = "lumiere.events"
UNROUTABLE: Final = "lumiere.unroutable"
UNROUTABLE_LENGTH_MAX: Final = 10_000
UNROUTABLE_QUEUE: Final = f"{UNROUTABLE}.q1"

RETRY_DELAYS_MS: Final = (200, 800, 3_200, 12_800)
"""The retry ladder, 17 s in all: a poisoned message is a dead letter in under half a minute.

One queue a level, since per-message delays in one queue would wait behind each other.
"""
DELIVERY_LIMIT: Final = 50
"""Deliveries without a settlement before the broker dead-letters a message that kills its consumer; 3.10 has no default."""
LOOKS_LIMIT: Final = 2**31 - 1
"""As good as none, for dead letters: each look at one counts as a delivery, and 4.x drops a message after 20 by default."""

GATEWAY: Final = "gateway"
OPERATOR: Final = "operator"
BROADCAST_TYPES: Final = r"^auth\.(session\.revoked|key\.[a-z_]+|maintenance\.[a-z_]+)$"
"""What the gateway may bind: revocations, keys, maintenance."""


@dataclass(frozen=True)
class Exchange:
    name: str
    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Queue:
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    exclusive: bool = False


@dataclass(frozen=True)
class Binding:
    queue: str
    exchange: str
    routing_key: str


@dataclass(frozen=True)
class Topology:
    """What has to be there before work begins."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()


def service_exchange(service: str) -> str:
    """The direct exchange of one service's own queues, each bound by its name.

    Retries and dead letters go through it: whoever may write to the default exchange may write into every queue of everybody.
    """
    return f"{service}.queues"


def platform_topology() -> Topology:
    """What all services share. An event that no queue wants lands in a bounded queue where it is counted."""
    return Topology(
        exchanges=(
            Exchange(EVENTS_EXCHANGE, "topic", {"alternate-exchange": UNROUTABLE}),
            Exchange(UNROUTABLE, "fanout"),
        ),
        queues=(Queue(UNROUTABLE_QUEUE, {"x-queue-type": "quorum", "x-max-length": UNROUTABLE_LENGTH_MAX}),),
        bindings=(Binding(UNROUTABLE_QUEUE, UNROUTABLE, "#"),),
    )


def subscription_topology(subscription: Subscription) -> Topology:
    """One subscription's queue, its retry ladder and its dead-letter queue."""
    exchange = service_exchange(subscription.consumer)
    main = Queue(subscription.queue, _quorum(exchange, subscription.dead_letter_queue) | {"x-delivery-limit": DELIVERY_LIMIT})
    ladder = tuple(
        Queue(subscription.retry_queue(level), _quorum(exchange, subscription.queue) | {"x-message-ttl": delay_ms})
        for level, delay_ms in enumerate(RETRY_DELAYS_MS)
    )
    dead = Queue(subscription.dead_letter_queue, {"x-queue-type": "quorum", "x-delivery-limit": LOOKS_LIMIT})
    queues = (dead, main, *ladder)
    return Topology(
        exchanges=(Exchange(exchange, "direct"),),
        queues=queues,
        bindings=(
            *(Binding(queue.name, exchange, queue.name) for queue in queues),
            *(Binding(main.name, EVENTS_EXCHANGE, pattern) for pattern in subscription.bindings),
        ),
    )


def _quorum(exchange: str, next_queue: str) -> dict[str, Any]:
    return {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": exchange,
        "x-dead-letter-routing-key": next_queue,
        "x-dead-letter-strategy": "at-least-once",
        # At-least-once dead-lettering is refused with any other overflow behaviour.
        "x-overflow": "reject-publish",
    }


def broadcast_topology(service: str, event_types: Iterable[str]) -> Topology:
    """A queue for this process alone, gone with its connection."""
    queue = Queue(f"{service}.broadcast.{secrets.token_hex(8)}", exclusive=True)
    bindings = tuple(Binding(queue.name, EVENTS_EXCHANGE, each) for each in sorted(set(event_types)))
    return Topology(queues=(queue,), bindings=bindings)


FOLLOWED_LENGTH_MAX: Final = 10_000
"""Events that wait for somebody who only watches; beyond it the oldest are skipped: a sleeping terminal costs little."""


def following_topology(user: str, patterns: Iterable[str]) -> Topology:
    """A queue for somebody who watches events pass, gone with their connection."""
    name = f"{user}.following.{secrets.token_hex(8)}"
    queue = Queue(name, {"x-max-length": FOLLOWED_LENGTH_MAX}, exclusive=True)
    return Topology(queues=(queue,), bindings=tuple(Binding(name, EVENTS_EXCHANGE, each) for each in sorted(set(patterns))))


def definitions(services: Iterable[str], passwords: Mapping[str, str], *, vhost: str = "/") -> dict[str, Any]:
    """RabbitMQ definitions: the shared exchanges and one least-privilege user a service, the gateway, and an operator.

    `passwords` names every service, `gateway` and `operator`. A service publishes its own routing keys only, configures and
    reads its own queues only. Raises ValueError that names every missing password.
    """
    names = sorted(services)
    missing = [name for name in (*names, GATEWAY, OPERATOR) if not passwords.get(name)]
    if missing:
        raise ValueError(f"no broker password for {', '.join(missing)}")
    users = [_user(name, passwords[name]) for name in (*names, GATEWAY)] + [
        _user(OPERATOR, passwords[OPERATOR], "administrator")
    ]
    permissions = [_rights(name, publishes=True) for name in names] + [_rights(GATEWAY, publishes=False), _all_rights()]
    topics = [_topics(name, write=f"^{re.escape(name)}\\.", read=".*") for name in names]
    topics.append(_topics(GATEWAY, write="^$", read=BROADCAST_TYPES))
    shared = platform_topology()
    return {
        "vhosts": [{"name": vhost}],
        "users": users,
        "permissions": [{"vhost": vhost, **each} for each in permissions],
        "topic_permissions": [{"vhost": vhost, **each} for each in topics],
        "exchanges": [_exchange_definition(each, vhost) for each in shared.exchanges],
        "queues": [_queue_definition(each, vhost) for each in shared.queues],
        "bindings": [_binding_definition(each, vhost) for each in shared.bindings],
    }


def _user(name: str, password: str, *tags: str) -> dict[str, Any]:
    return {
        "name": name,
        "password_hash": password_hash(password),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": list(tags),
    }


def password_hash(password: str) -> str:
    """RabbitMQ's salted SHA-256 of a password; passwords are random and long, so a slow hash would add nothing."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _rights(name: str, *, publishes: bool) -> dict[str, str]:
    own = rf"{re.escape(name)}\..*"
    shared = re.escape(EVENTS_EXCHANGE)
    return {
        "user": name,
        "configure": f"^{own}$",
        "write": f"^({own}|{shared})$" if publishes else f"^{own}$",
        "read": f"^({own}|{shared})$",
    }


def _all_rights() -> dict[str, str]:
    return {"user": OPERATOR, "configure": ".*", "write": ".*", "read": ".*"}


def _topics(name: str, *, write: str, read: str) -> dict[str, str]:
    return {"user": name, "exchange": EVENTS_EXCHANGE, "write": write, "read": read}


def _exchange_definition(exchange: Exchange, vhost: str) -> dict[str, Any]:
    return {
        "name": exchange.name,
        "vhost": vhost,
        "type": exchange.kind,
        "durable": True,
        "auto_delete": False,
        "internal": False,
        "arguments": dict(exchange.arguments),
    }


def _queue_definition(queue: Queue, vhost: str) -> dict[str, Any]:
    return {"name": queue.name, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": dict(queue.arguments)}


def _binding_definition(binding: Binding, vhost: str) -> dict[str, Any]:
    return {
        "source": binding.exchange,
        "vhost": vhost,
        "destination": binding.queue,
        "destination_type": "queue",
        "routing_key": binding.routing_key,
        "arguments": {},
    }
