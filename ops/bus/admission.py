"""Broker users for subscribers outside: each reads one bounded queue of its own and can do nothing else.

The operator chooses what the queue gets; the subscriber can neither declare, bind, publish nor read anything further. Users and
queues made here are kept by the broker itself: loading the platform's definitions again leaves them alone.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from libs.common.events.asyncapi import INTERNAL, PERSONAL
from libs.common.events.patterns import PatternError, check_pattern, matching
from libs.common.events.topology import EVENTS_EXCHANGE, GATEWAY, OPERATOR, password_hash
from libs.common.ids import random_token
from ops.errors import OperationError
from ops.management import Management

PREFIX: Final = "subscriber."
"""Of every such user and queue, so that none can be taken for one of the platform's own."""
NAME_LENGTH_MIN, NAME_LENGTH_MAX = 2, 40
QUEUE_VERSION: Final = "q1"
QUEUE_LENGTH_MAX: Final = 100_000
"""Events that wait for an absent subscriber; beyond that the oldest go."""
QUEUE_BYTES_MAX: Final = 128 * 1024 * 1024
"""The same in bytes, so that an absent subscriber never fills our disk."""
MESSAGE_AGE_MAX_DAYS: Final = 7
"""An event that nobody fetched for so long is dropped."""
DELIVERY_LIMIT: Final = 20
"""Deliveries of one event without an acknowledgement; after that it is dropped, so that it cannot block those behind it."""
CONNECTIONS_MAX: Final = 2
"""One that works, and one that is made before the broker has noticed the end of the first."""
CHANNELS_MAX: Final = 4

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_DAY_MS: Final = 24 * 3_600 * 1_000

Audiences = Mapping[str, str]
"""Event type → who outside may be given it."""


def published(root: Path) -> dict[str, str]:
    """Every event type that the services publish, from their committed documents."""
    documents = [json.loads(path.read_bytes()) for path in sorted((root / "services").glob("*/asyncapi.json"))]
    messages = [each for document in documents for each in document["components"]["messages"].values()]
    return {each["name"]: each["x-audience"] for each in messages if "x-audience" in each}


def checked_name(name: str, reserved: Iterable[str]) -> str:
    """The name itself. Raises OperationError that says what a name may be."""
    if not NAME_LENGTH_MIN <= len(name) <= NAME_LENGTH_MAX or not _NAME.fullmatch(name):
        raise OperationError(
            f"A subscriber's name has {NAME_LENGTH_MIN} to {NAME_LENGTH_MAX} lower-case letters, digits and single hyphens "
            "between them, and begins with a letter: acme-books."
        )
    if name in {*reserved, GATEWAY, OPERATOR}:
        raise OperationError(f"{name} is a name of the platform itself. Choose another one for the subscriber.")
    return name


@dataclass(frozen=True)
class Chosen:
    """Event types to be given, and those that a pattern named but may not be given."""

    types: list[str]
    skipped: list[str]


def choose(patterns: Iterable[str], known: Audiences, *, personal: bool) -> Chosen:
    """The types that the patterns name. A pattern leaves out what may not be given; a type that is named outright is refused.

    Types and never patterns are bound: a type that is published later does not reach a subscriber before an operator says so.
    Raises OperationError for what is unknown or refused.
    """
    wanted = [_checked_pattern(pattern) for pattern in patterns]
    for pattern in wanted:
        if not matching([pattern], known):
            near = get_close_matches(pattern, known, n=3, cutoff=0.5)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise OperationError(f"No event is called {pattern}.{hint} docs/events.md lists all.")
        if pattern in known and (reason := _refusal(known[pattern], personal)):
            raise OperationError(f"{pattern} {reason}")
    found = matching(wanted, known)
    skipped = [each for each in found if _refusal(known[each], personal)]
    types = [each for each in found if each not in skipped]
    if not types:
        raise OperationError(f"Nothing of that may be given: {skipped[0]} {_refusal(known[skipped[0]], personal)}")
    return Chosen(types, skipped)


def _checked_pattern(pattern: str) -> str:
    try:
        return check_pattern(pattern)
    except PatternError as error:
        raise OperationError(str(error)) from None


def _refusal(audience: str, personal: bool) -> str:
    if audience == INTERNAL:
        return "is internal: it tells how the platform guards itself and its people, and is never given to subscribers."
    if audience == PERSONAL and not personal:
        return (
            "holds sealed personal values, which are personal data still: add --personal if the subscriber has a right to them."
        )
    return ""


@dataclass(frozen=True)
class Admission:
    """What an operator is told after a subscriber was let in, or let in anew."""

    user: str
    queue: str
    types: list[str]
    added: list[str]
    removed: list[str]
    password: str | None = field(repr=False)
    """Shown once; none when the subscriber keeps the one it has."""


@dataclass(frozen=True)
class Standing:
    """One subscriber as the broker sees it."""

    name: str
    types: list[str]
    waiting: int
    connected: int


class Subscribers:
    """The subscribers of one broker."""

    def __init__(self, management: Management) -> None:
        self._management = management

    def names(self) -> list[str]:
        """Every subscriber, sorted."""
        return sorted(each["name"].removeprefix(PREFIX) for each in self._management.users() if each["name"].startswith(PREFIX))

    def admit(self, name: str, types: list[str], *, rotate: bool = False) -> Admission:
        """Let a subscriber have these types and no others; to repeat it changes nothing. A newcomer gets a password, and
        who has one gets another with `rotate`.
        """
        user, queue = PREFIX + name, queue_of(name)
        is_new = name not in self.names()
        self._management.put_queue(queue, QUEUE_ARGUMENTS)
        added, removed = self._bind(queue, types)
        password = random_token() if is_new or rotate else None
        try:
            if password is not None:
                self._management.put_user(user, password_hash(password))
            self._limit(user, queue)
        except OperationError:
            if is_new:
                # Its password has been shown to nobody: the next attempt begins anew.
                self._management.delete_user(user)
            raise
        if rotate and not is_new:
            self._disconnect(user)
        return Admission(user, queue, types, added, removed, password)

    def rotate(self, name: str) -> Admission:
        """Another password; connections with the old one end. Raises OperationError for an unknown subscriber."""
        self._require(name)
        return self.admit(name, sorted(self._management.bindings(EVENTS_EXCHANGE, queue_of(name))), rotate=True)

    def standings(self) -> list[Standing]:
        """Every subscriber with what waits for it."""
        queues = {each["name"]: each for each in self._management.queues()}
        return [
            Standing(
                name,
                sorted(self._management.bindings(EVENTS_EXCHANGE, queue_of(name))) if queue_of(name) in queues else [],
                int(queues.get(queue_of(name), {}).get("messages", 0)),
                len(self._management.connections(PREFIX + name)),
            )
            for name in self.names()
        ]

    def dismiss(self, name: str) -> None:
        """Remove a subscriber, its queue and what waits there. Raises OperationError for an unknown subscriber."""
        self._require(name)
        self._disconnect(PREFIX + name)
        self._management.delete_user(PREFIX + name)
        if any(each["name"] == queue_of(name) for each in self._management.queues()):
            self._management.delete_queue(queue_of(name))

    def _require(self, name: str) -> None:
        names = self.names()
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise OperationError(f"No subscriber is called {name}.{hint} `lumiere events subscribers` lists all.")

    def _bind(self, queue: str, types: list[str]) -> tuple[list[str], list[str]]:
        """Bind these types and no others; what was added and what was removed."""
        bound = self._management.bindings(EVENTS_EXCHANGE, queue)
        added, removed = sorted(set(types) - set(bound)), sorted(set(bound) - set(types))
        for each in added:
            self._management.bind(EVENTS_EXCHANGE, queue, each)
        for each in removed:
            self._management.unbind(EVENTS_EXCHANGE, queue, bound[each])
        return added, removed

    def _limit(self, user: str, queue: str) -> None:
        """Nothing but reading one queue; limits first, so that there is no moment without them."""
        self._management.limit_user(user, "max-connections", CONNECTIONS_MAX)
        self._management.limit_user(user, "max-channels", CHANNELS_MAX)
        self._management.permit_topics(user, EVENTS_EXCHANGE, write="^$", read="^$")
        self._management.permit(user, configure="^$", write="^$", read=f"^{re.escape(queue)}$")

    def _disconnect(self, user: str) -> None:
        for connection in self._management.connections(user):
            self._management.close_connection(connection)


QUEUE_ARGUMENTS: Final[Mapping[str, Any]] = {
    "x-queue-type": "quorum",
    "x-max-length": QUEUE_LENGTH_MAX,
    "x-max-length-bytes": QUEUE_BYTES_MAX,
    "x-message-ttl": MESSAGE_AGE_MAX_DAYS * _DAY_MS,
    "x-overflow": "drop-head",
    "x-delivery-limit": DELIVERY_LIMIT,
}


def queue_of(name: str) -> str:
    """The queue of a subscriber."""
    return f"{PREFIX}{name}.{QUEUE_VERSION}"
