"""RabbitMQ: users, rights, queues as the code declares them, and nothing that waits for a person."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from libs.common.events.subscriptions import Subscription
from libs.common.events.topology import (
    GATEWAY,
    OPERATOR,
    UNROUTABLE_QUEUE,
    Queue,
    definitions,
    platform_topology,
    subscription_topology,
)
from ops.bus.admission import PREFIX
from ops.doctor.box import Finding, bad, box, good, judged
from ops.doctor.examined import Examined

GUEST: Final = "guest"
NAMED_MAX: Final = 5
NOTHING: Final = frozenset({"", "^$"})
"""Expressions that match no name."""


@box(
    "broker-users",
    "Only the platform's users are on the broker",
    fix="Delete the user: `rabbitmqctl delete_user NAME`; subscribers outside are let in with `lumiere events subscribe`.",
)
def users(examined: Examined) -> Finding:
    """Is there no default user guest, no user whom nobody declared, and does only the operator administrate?"""
    found = {each["name"]: each["tags"] for each in examined.broker(lambda broker: broker.users())}
    declared = {*examined.services, GATEWAY, OPERATOR}
    faults = [f"{name} is missing" for name in sorted(declared - set(found))]
    for name, tags in sorted(found.items()):
        if name == GUEST:
            faults.append("the default user guest exists")
        elif name not in declared and not name.startswith(PREFIX):
            faults.append(f"nobody declared the user {name}")
        if tags and name != OPERATOR:
            faults.append(f"{name} has the tags {', '.join(tags) if isinstance(tags, list) else tags}")
    outside = sum(name.startswith(PREFIX) for name in found)
    return judged(
        faults, f"{len(found)} users: {len(examined.services)} services, gateway, operator, {outside} subscribers outside"
    )


@box(
    "broker-permissions",
    "Broker users may do what is declared and no more",
    fix="Load the definitions again (`make up`, or restart RabbitMQ in containers), or `rabbitmqctl set_permissions` by hand.",
)
def permissions(examined: Examined) -> Finding:
    """Are every user's rights on queues, exchanges and routing keys those of `topology.definitions`?"""
    names = [*examined.services]
    wanted = definitions(names, dict.fromkeys([*names, GATEWAY, OPERATOR], "-"))
    rights, topics = examined.broker(lambda broker: (broker.permissions(), broker.topic_permissions()))
    faults = list(_differences(wanted["permissions"], rights, ("configure", "write", "read"), "rights"))
    faults += _differences(wanted["topic_permissions"], topics, ("exchange", "write", "read"), "routing keys")
    return judged(faults, f"{len(rights)} users: rights and routing keys as declared, subscribers outside read one queue each")


def _differences(
    wanted: Iterable[Mapping[str, str]], found: Iterable[Mapping[str, str]], names: tuple[str, ...], what: str
) -> Iterator[str]:
    declared = {each["user"]: tuple(each[name] for name in names) for each in wanted}
    actual = {each["user"]: tuple(each[name] for name in names) for each in found if not each["user"].startswith(PREFIX)}
    for user in sorted({*declared, *actual}):
        if declared.get(user) != actual.get(user):
            yield f"{user}'s {what} are {_words(names, actual.get(user))} instead of {_words(names, declared.get(user))}"
    for each in found:
        # A subscriber outside configures and writes nothing.
        if each["user"].startswith(PREFIX) and not {each.get("configure", ""), each["write"]} <= NOTHING:
            yield f"the subscriber {each['user']} may do more than read"


def _words(names: tuple[str, ...], values: tuple[str, ...] | None) -> str:
    return "none" if values is None else ", ".join(f"{name} {value or '-'}" for name, value in zip(names, values, strict=True))


@box(
    "queues-declared",
    "Queues are as the code declares them",
    fix="`make up` declares missing queues. One with other arguments needs a new queue version (docs/bus.md); an empty one may "
    "be deleted and declared again.",
)
def declared(examined: Examined) -> Finding:
    """Is every subscription's queue, retry queue and dead-letter queue there, durable, with the declared arguments?"""
    found, wanted = examined.queues(), _declared(examined)
    faults = []
    for queue in wanted:
        actual = found.get(queue.name)
        if actual is None:
            faults.append(f"{queue.name} is missing")
        elif not actual.get("durable") or dict(actual["arguments"]) != dict(queue.arguments):
            faults.append(f"{queue.name} has other arguments")
    return judged(_some(faults), f"{len(wanted)} queues, all with the declared arguments")


@box(
    "queues-unexpected",
    "No queue that nobody declared",
    fix="See what lies in it (`lumiere queues`), then delete it: `rabbitmqctl delete_queue NAME`. It fills while it is bound.",
)
def unexpected(examined: Examined) -> Finding:
    """Is there no durable queue besides the declared ones and those of subscribers outside?"""
    wanted = {each.name for each in _declared(examined)}
    strange = [
        name
        for name, queue in examined.queues().items()
        if name not in wanted and not queue.get("exclusive") and not name.startswith(PREFIX)
    ]
    return judged(_some([f"nobody declared {name}" for name in sorted(strange)]), f"{len(wanted)} declared queues and no other")


@box(
    "dead-letters",
    "No dead letters, nothing unroutable",
    fix="`lumiere dead list` says why; mend the cause, then `lumiere dead redrive` (docs/bus.md, runbook).",
)
def dead_letters(examined: Examined) -> Finding:
    """Are all dead-letter queues and the queue of unroutable events empty?"""
    found = examined.queues()
    faults = [
        f"{count} in {name}"
        for name in [*(each.dead_letter_queue for each in _subscriptions(examined)), UNROUTABLE_QUEUE]
        if (count := found.get(name, {}).get("messages", 0))
    ]
    return judged(_some(faults), f"{len(_subscriptions(examined))} dead-letter queues, all empty")


@box(
    "consumers",
    "Somebody consumes every subscription",
    fix="Start its worker: `make up`, or `docker compose up -d NAME-worker`; its log says why it left.",
)
def consumers(examined: Examined) -> Finding:
    """Has every subscription's queue at least one consumer?"""
    found = examined.queues()
    lonely = [each.name for each in _subscriptions(examined) if not found.get(each.queue, {}).get("consumers", 0)]
    if lonely:
        return bad("; ".join(_some([f"nobody consumes {name}" for name in lonely])))
    return good(f"{len(_subscriptions(examined))} subscriptions, each with a consumer")


def _subscriptions(examined: Examined) -> list[Subscription]:
    return [each for service in examined.code() for each in service.declared_subscriptions.queues]


def _declared(examined: Examined) -> list[Queue]:
    topologies = [platform_topology(), *(subscription_topology(each) for each in _subscriptions(examined))]
    return [queue for topology in topologies for queue in topology.queues]


def _some(faults: list[str]) -> list[str]:
    more = len(faults) - NAMED_MAX
    return faults if more <= 0 else [*faults[:NAMED_MAX], f"and {more} more"]
