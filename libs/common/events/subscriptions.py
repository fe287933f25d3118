"""Which facts a service listens to. The decorators only mark functions; `collect` makes queues of them."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final, Generic, TypeVar, get_type_hints

from libs.common.events.envelope import E, Envelope, Event

F = TypeVar("F", bound=Callable[..., object])

QUEUE_VERSION: Final = "q2"
"""Queue arguments cannot change in place (AMQP 406): other arguments mean another version, hence another queue."""
RETIRED_VERSIONS: Final = ("q1",)
"""Versions that may still stand on a broker; what lies in their queues is moved into those of today."""
RETIRED_LEVELS: Final = 5
"""The most levels that the retry ladder ever had."""

EVERY_EVENT: Final = "every.event"
_MARKS: Final = "__subscription_marks__"


class SubscriptionError(TypeError):
    """A subscription is declared wrongly; the service must not start."""


@dataclass(frozen=True, slots=True)
class Delivered(Generic[E]):
    """One of the events that a set-based handler gets at once."""

    event: E
    envelope: Envelope


@dataclass(frozen=True)
class Mark:
    event: type[Event] | None
    ordered: bool = False
    broadcast: bool = False
    together: bool = False


def on(event: type[Event], *, ordered: bool = False, together: bool = False) -> Callable[[F], F]:
    """Handle one event type, once for each event.

    Ordered: the queue binds every event of the producer's aggregate and the handler sees each aggregate's events in sequence.
    Together: the handler gets `events: Sequence[Delivered[…]]`, those of a batch at once, so that one statement can apply
    them; each event is still in one call only, and a batch that fails is applied one event at a time.
    """
    return _marker(Mark(event, ordered=ordered, together=together))


def on_every_event(*, together: bool = False) -> Callable[[F], F]:
    """Handle every event of every producer as its envelope, once for each; together: as `envelopes: Sequence[Envelope]`."""
    return _marker(Mark(None, together=together))


def on_broadcast(event: type[Event]) -> Callable[[F], F]:
    """Handle one event type in every process that runs now; not remembered, so handlers must be idempotent."""
    return _marker(Mark(event, broadcast=True))


def _marker(mark: Mark) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        marks = (*getattr(function, _MARKS, ()), mark)
        setattr(function, _MARKS, marks)
        return function

    return decorate


@dataclass(frozen=True)
class Handler:
    """A marked function and what each of its parameters wants."""

    function: Callable[..., object]
    event: type[Event] | None
    parameters: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.function.__module__}.{self.function.__name__}"

    @property
    def topic(self) -> str:
        """The event type that it wants; empty for every event."""
        return self.event.event_type if self.event is not None else ""

    def call(self, envelope: Envelope, *, tx: object = None, resources: Mapping[type, object]) -> object:
        """Call with what the parameters name: `event`, `envelope`, `tx`, and resources by annotation.

        Raises MalformedEvent when the data is not of the handler's event type and version.
        """
        given: dict[str, object] = {"envelope": envelope, "tx": tx}
        if self.event is not None:
            given["event"] = envelope.event(self.event)
        return self._call(given, resources)

    def _call(self, given: Mapping[str, object], resources: Mapping[type, object]) -> object:
        arguments = {
            name: given[name] if name in given else resources[annotation] for name, annotation in self.parameters.items()
        }
        return self.function(**arguments)

    def missing(self, resources: Mapping[type, object]) -> list[str]:
        """Parameters that nothing provides."""
        known = self._known()
        return [name for name, annotation in self.parameters.items() if name not in known and annotation not in resources]

    def _known(self) -> set[str]:
        return {"envelope", "tx"} | ({"event"} if self.event is not None else set())


@dataclass(frozen=True)
class EnvelopeHandler(Handler):
    """Handles the bare envelopes of one event type; for the kernel, which knows no service's classes."""

    event_type: str

    @property
    def topic(self) -> str:
        """The event type that it wants."""
        return self.event_type


@dataclass(frozen=True)
class TogetherHandler(Handler):
    """A set-based handler: gets the events of a batch at once."""

    def call(self, envelope: Envelope, *, tx: object = None, resources: Mapping[type, object]) -> object:
        """Call for one event: a set of one."""
        return self.call_together([envelope], tx=tx, resources=resources)

    def call_together(self, envelopes: Sequence[Envelope], *, tx: object = None, resources: Mapping[type, object]) -> object:
        """Call once for all; parameters are `events` (or `envelopes`), `tx`, and resources by annotation.

        Raises MalformedEvent when the data of any is not of the handler's event type and version.
        """
        given: dict[str, object] = {"envelopes": envelopes, "tx": tx}
        if self.event is not None:
            given = {"events": [Delivered(each.event(self.event), each) for each in envelopes], "tx": tx}
        return self._call(given, resources)

    def check(self) -> None:
        """Raises SubscriptionError unless the function takes its events as a sequence and nothing of a single one."""
        name, item = ("envelopes", Envelope) if self.event is None else ("events", Delivered[self.event])  # type: ignore[name-defined]
        wanted = f"{name}: Sequence[{'Envelope' if self.event is None else f'Delivered[{self.event.__name__}]'}]"
        if self.parameters.get(name) != Sequence[item] or self.parameters.keys() & {"event", "envelope"}:  # type: ignore[valid-type]
            raise SubscriptionError(f"{self.name} handles events together: declare {wanted}, not one event or envelope")

    def _known(self) -> set[str]:
        return {"envelopes" if self.event is None else "events", "tx"}


@dataclass(frozen=True)
class Subscription:
    """One queue of one consumer, with a handler for each event type that it acts on."""

    consumer: str
    source: str
    """`<producer>.<aggregate>`, or `every.event`."""
    ordered: bool
    handlers: Mapping[str, Handler]
    """By event type; the handler of every event stands under `*`."""
    alias: str | None = None
    """Another name in the inbox and at the gate, so that a replay rebuilds from nothing; the queue stays the same."""

    @property
    def name(self) -> str:
        """The name in the inbox and in metrics."""
        return self.alias or self.declared_name

    @property
    def declared_name(self) -> str:
        """The name without an alias: that of the queue."""
        return f"{self.consumer}.{self.source}"

    @property
    def queue(self) -> str:
        return f"{self.declared_name}.{QUEUE_VERSION}"

    @property
    def dead_letter_queue(self) -> str:
        return f"{self.queue}.dead"

    def retry_queue(self, level: int) -> str:
        return f"{self.queue}.retry.{level}"

    def retired(self, version: str) -> Mapping[str, str]:
        """Where the messages in each queue of an older version belong today; what waited for another attempt has it now."""
        old = f"{self.name}.{version}"
        retries = {f"{old}.retry.{level}": self.queue for level in range(RETIRED_LEVELS)}
        return {**retries, f"{old}.dead": self.dead_letter_queue, old: self.queue}

    @property
    def bindings(self) -> list[str]:
        """Topic patterns on the event exchange."""
        if self.source == EVERY_EVENT:
            return ["#"]
        return [f"{self.source}.*"] if self.ordered else sorted(self.handlers)

    def handler(self, event_type: str) -> Handler | None:
        return self.handlers.get("*") or self.handlers.get(event_type)


@dataclass(frozen=True)
class Subscriptions:
    """Everything that one service listens to."""

    consumer: str
    queues: tuple[Subscription, ...]
    broadcasts: tuple[Handler, ...]

    def queue(self, name: str) -> Subscription:
        """The subscription of that name. Raises KeyError."""
        for subscription in self.queues:
            if subscription.name == name:
                return subscription
        raise KeyError(name)

    def require(self, resources: Mapping[type, object]) -> None:
        """Raises SubscriptionError that names every handler parameter no resource provides."""
        handlers = [handler for queue in self.queues for handler in queue.handlers.values()] + list(self.broadcasts)
        faults = [f"{handler.name}: {name}" for handler in handlers for name in handler.missing(resources)]
        if faults:
            raise SubscriptionError("no resource provides " + ", ".join(faults))


@dataclass
class _Draft:
    handlers: dict[str, Handler] = field(default_factory=dict)
    ordered: set[bool] = field(default_factory=set)


def collect(consumer: str, modules: Iterable[ModuleType]) -> Subscriptions:
    """The subscriptions marked in the modules.

    Raises SubscriptionError for two handlers of one event type, an aggregate both ordered and unordered, or a set-based
    handler that does not take its events as a sequence.
    """
    drafts: dict[str, _Draft] = {}
    broadcasts: list[Handler] = []
    for function, mark in _marked(modules):
        handler = _handler(function, mark)
        if mark.broadcast:
            broadcasts.append(handler)
        else:
            _add(drafts, handler, mark)
    queues = tuple(_subscription(consumer, source, drafts[source]) for source in sorted(drafts))
    return Subscriptions(consumer, queues, tuple(broadcasts))


def _handler(function: Callable[..., object], mark: Mark) -> Handler:
    parameters = parameters_of(function)
    if not mark.together:
        return Handler(function, mark.event, parameters)
    handler = TogetherHandler(function, mark.event, parameters)
    handler.check()
    return handler


def _marked(modules: Iterable[ModuleType]) -> Iterator[tuple[Callable[..., object], Mark]]:
    for module in modules:
        for value in vars(module).values():
            # An imported handler belongs to the module that defines it.
            if callable(value) and getattr(value, "__module__", None) == module.__name__:
                for mark in getattr(value, _MARKS, ()):
                    yield value, mark


def _add(drafts: dict[str, _Draft], handler: Handler, mark: Mark) -> None:
    source = mark.event.aggregate_type() if mark.event else EVERY_EVENT
    key = mark.event.event_type if mark.event else "*"
    draft = drafts.setdefault(source, _Draft())
    if key in draft.handlers:
        raise SubscriptionError(f"{handler.name} and {draft.handlers[key].name} both handle {key}: make one call the other")
    draft.handlers[key] = handler
    draft.ordered.add(mark.ordered)


def _subscription(consumer: str, source: str, draft: _Draft) -> Subscription:
    if len(draft.ordered) > 1:
        names = ", ".join(sorted(handler.name for handler in draft.handlers.values()))
        raise SubscriptionError(f"{source} is one queue: declare all of {names} ordered, or none")
    return Subscription(consumer, source, draft.ordered.pop(), draft.handlers)


def parameters_of(function: Callable[..., object]) -> dict[str, Any]:
    """Each parameter's annotation. Raises SubscriptionError for a parameter without one."""
    hints = get_type_hints(function)
    names = inspect.signature(function).parameters
    bare = [name for name in names if name not in hints]
    if bare:
        raise SubscriptionError(f"{function.__module__}.{function.__qualname__}: annotate {', '.join(bare)}")
    return {name: hints[name] for name in names}
