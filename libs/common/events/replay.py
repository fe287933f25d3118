"""Archived events into one subscription: what was missed is made up for, or, under another name, all begins anew."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import MetaData, bindparam, select

from libs.common.db import Database, Reader, Transaction, kernel_tables
from libs.common.errors import Permanent
from libs.common.events.broker import open_session
from libs.common.events.envelope import Envelope, MalformedEvent
from libs.common.events.failures import classify, is_database_gone
from libs.common.events.inbox import Outcome, Resources, apply, gate_of, inbox_of
from libs.common.events.subscriptions import Subscription

BATCH_EVENTS: Final = 100
FAILURES_NAMED_MAX: Final = 100
ALIAS_LENGTH_MAX: Final = 60
_BASELINE: Final = b'{"baseline"'


class FactsLeave(Permanent):
    """A handler publishes facts: it cannot rebuild from nothing."""


@dataclass
class Report:
    """What became of the events of a replay."""

    read: int = 0
    applied: int = 0
    duplicates: int = 0
    parked: int = 0
    ignored: int = 0
    """Types without a handler: their aggregates passed over them."""
    failed: int = 0
    left: int = 0
    """A rebuild leaves what the subscription itself has not applied to its queue."""
    passed_over: int = 0
    """What the subscription has passed without an effect, and a rebuild passes as well: dropped, or before its baseline."""
    out_of_reach: int = 0
    """Earlier events of their aggregate are neither applied nor read: only a baseline lets them through."""
    baselines: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)
    """The first failures: id, type, subject, sequence, error, reason."""

    def count(self, outcomes: Iterable[Outcome]) -> None:
        """Add outcomes of `apply`."""
        names = {
            Outcome.APPLIED: "applied",
            Outcome.DUPLICATE: "duplicates",
            Outcome.PARKED: "parked",
            Outcome.IGNORED: "ignored",
            Outcome.PASSED: "passed_over",
        }
        for outcome in outcomes:
            setattr(self, names[outcome], getattr(self, names[outcome]) + 1)

    def fail(self, envelope: Envelope | None, error: Exception) -> None:
        """Add one failure."""
        self.failed += 1
        failure = classify(error)
        if len(self.failures) < FAILURES_NAMED_MAX:
            named = (
                {
                    "id": str(envelope.id),
                    "type": envelope.type,
                    "subject": envelope.subject,
                    "sequence": envelope.sequence,
                }
                if envelope
                else {}
            )
            self.failures.append({**named, "error": failure.error, "reason": failure.reason})


class _NothingLeaves:
    """Outbox and audit trail of a rebuild."""

    def append(self, tx: Transaction, fact: Any) -> UUID:  # noqa: ARG002 - the outbox's shape
        raise FactsLeave(
            "this handler publishes facts, and a rebuild would tell them a second time: only projections are rebuilt. "
            "Replay without another name to make up for what was missed."
        )

    def record(self, tx: Transaction, entry: Mapping[str, Any]) -> UUID:
        return self.append(tx, entry)


def rebuilding(database: Database) -> Database:
    """The same database for handlers whose facts must not leave."""
    nothing = _NothingLeaves()
    url = database.url.render_as_string(hide_password=False)
    return Database(url, database.metadata, outbox=nothing, audit_trail=nothing, application_name="lumiere-rebuild")


def under(subscription: Subscription, new_name: str) -> Subscription:
    """The subscription under another name, with an inbox and gates of its own. Raises ValueError."""
    if not (new_name.isascii() and new_name.isidentifier() and len(new_name) <= ALIAS_LENGTH_MAX):
        raise ValueError(f"choose a name of at most {ALIAS_LENGTH_MAX} letters, digits and underscores, for example rebuild_1")
    return replace(subscription, alias=f"{subscription.declared_name}@{new_name}")


def is_consumed(amqp_url: str, subscription: Subscription) -> bool:
    """Whether anybody works off the subscription's queue now. Raises BrokerUnavailable."""
    with open_session(amqp_url) as session:
        found = session.look(subscription.queue)
    return found is not None and found.consumers > 0


def lines_of(events: Iterable[bytes], baselines: Iterable[tuple[str, int]]) -> Iterator[bytes]:
    """How a replay travels: JSON lines, the baselines first, then the events as they were archived."""
    for subject, sequence in baselines:
        yield orjson.dumps({"baseline": {"subject": subject, "sequence": sequence}})
    yield from events


class Replay:
    """One run. `baseline` sets the gates of aggregates that this subscription never saw; `held` are those it may not touch."""

    def __init__(
        self,
        database: Database,
        subscription: Subscription,
        resources: Resources,
        *,
        baseline: bool = False,
        held: frozenset[str] = frozenset(),
    ) -> None:
        self._database = rebuilding(database) if subscription.alias else database
        self._subscription = subscription
        self._resources = resources
        self._sets_baseline = baseline or subscription.alias is not None
        self._held = held
        self._gate = gate_of(database.metadata)
        self._known = _Known(database.metadata, subscription.declared_name)
        self._baselines: dict[str, int] = {}
        self._passed: dict[str, set[int]] = {}
        """By aggregate: numbers to pass over whose turn has not come, since times within an aggregate may be out of order."""
        self.report = Report()

    def run(self, lines: Iterable[bytes], tell: Callable[[Report], None] = lambda _report: None) -> Report:
        """Apply what the lines hold; `tell` is called after each batch. An error of the database itself ends the run."""
        source = iter(lines)
        try:
            while batch := list(islice(source, BATCH_EVENTS)):
                documents = [line for line in batch if line.strip()]
                baselines = [orjson.loads(line)["baseline"] for line in documents if line.startswith(_BASELINE)]
                self._take_baselines({each["subject"]: each["sequence"] for each in baselines})
                self._take_events([line for line in documents if not line.startswith(_BASELINE)])
                tell(self.report)
        finally:
            if self._subscription.alias:
                self._database.dispose()
        return self.report

    # ---- baselines

    def _take_baselines(self, given: Mapping[str, int]) -> None:
        """Gates of aggregates that never moved go to where the archive begins; other gates stay where they are."""
        if not given or not self._subscription.ordered:
            return
        self._baselines |= given
        if self._sets_baseline:
            free = [subject for subject in given if subject not in self._held]
            name = self._subscription.name
            with self._database.transaction() as tx:
                last = self._gate.lock(tx, name, free)
                new = {subject: given[subject] for subject in free if last[subject] == 0}
                self._gate.advance(tx, name, new)
            self.report.baselines += len(new)

    # ---- events

    def _take_events(self, lines: Sequence[bytes]) -> None:
        envelopes: list[Envelope] = []
        for line in lines:
            self.report.read += 1
            try:
                envelopes.append(Envelope.decode(line))
            except MalformedEvent as error:
                self.report.fail(None, error)
        if not envelopes:
            return
        with self._database.reader() as reader:
            chosen = self._chosen(reader, envelopes)
        run: list[Envelope] = []
        for envelope, passes in chosen:
            if passes:
                self._apply(run)
                run = []
                self._pass_over(envelope)
            else:
                run.append(envelope)
        self._apply(run)

    def _chosen(self, reader: Reader, envelopes: Sequence[Envelope]) -> list[tuple[Envelope, bool]]:
        """What this run has to deal with, and which of it is only passed over."""
        if self._subscription.alias is None:
            return [(each, False) for each in self._within_reach(reader, envelopes)]
        declared = self._subscription.declared_name
        applied = inbox_of(self._database.metadata).known(reader, declared, [each.id for each in envelopes])
        if not self._subscription.ordered:
            mine = [(each, False) for each in envelopes if each.id in applied]
        else:
            last = self._known.last(reader, {each.subject for each in envelopes})
            passed = [each for each in envelopes if each.sequence <= last.get(each.subject, 0)]
            mine = [(each, each.id not in applied) for each in passed]
        self.report.left += len(envelopes) - len(mine)
        return mine

    def _within_reach(self, reader: Reader, envelopes: Sequence[Envelope]) -> list[Envelope]:
        """Without what would wait at its gate for ever, because what comes before it is not read."""
        begun = {each.subject for each in envelopes if each.subject in self._baselines}
        if not begun:
            return list(envelopes)
        last = self._known.last(reader, begun)
        far = {subject for subject in begun if last.get(subject, 0) < self._baselines[subject]}
        near = [each for each in envelopes if each.subject not in far or each.sequence <= last.get(each.subject, 0)]
        self.report.out_of_reach += len(envelopes) - len(near)
        return near

    def _apply(self, envelopes: Sequence[Envelope]) -> None:
        if not envelopes:
            return
        try:
            outcomes = apply(self._database, self._subscription, envelopes, self._resources)
        except Exception as error:  # noqa: BLE001 - any handler may raise anything; each event is then tried alone
            _raise_when_database_gone(error)
            for each in envelopes:
                self._apply_alone(each)
        else:
            self.report.count(outcomes)
        for subject in self._passed.keys() & {each.subject for each in envelopes}:
            self._go_on(subject)

    def _apply_alone(self, envelope: Envelope) -> None:
        try:
            self.report.count(apply(self._database, self._subscription, [envelope], self._resources, successors=False))
        except Exception as error:  # noqa: BLE001 - see above
            _raise_when_database_gone(error)
            self.report.fail(envelope, error)
        else:
            self._apply_successors(envelope.subject)

    def _apply_successors(self, subject: str) -> None:
        """Parked events whose turn has come; one that fails stays parked and holds the later ones, until it is replayed."""
        while self._subscription.ordered:
            with self._database.reader() as reader:
                due = self._gate.due(reader, self._subscription.name, subject)
            if not due:
                return
            try:
                self.report.count(apply(self._database, self._subscription, due, self._resources, successors=False))
            except Exception as error:  # noqa: BLE001 - see above
                _raise_when_database_gone(error)
                self.report.fail(due[0], error)
                return

    def _pass_over(self, envelope: Envelope) -> None:
        self._passed.setdefault(envelope.subject, set()).add(envelope.sequence)
        self.report.passed_over += 1
        self._go_on(envelope.subject)

    def _go_on(self, subject: str) -> None:
        """Pass over what is next in line, apply what was parked behind it, and so on."""
        name = self._subscription.name
        while waiting := self._passed.get(subject):
            with self._database.transaction() as tx:
                last = upto = self._gate.lock(tx, name, [subject])[subject]
                while upto + 1 in waiting:
                    upto += 1
                if upto > last:
                    self._gate.advance(tx, name, {subject: upto})
            self._passed[subject] = {each for each in waiting if each > upto}
            if upto == last:
                return
            self._apply_successors(subject)
        self._passed.pop(subject, None)


class _Known:
    """Where the subscription's gates stand under its declared name."""

    def __init__(self, metadata: MetaData, name: str) -> None:
        gate = kernel_tables(metadata).sequence_gate
        self._last = select(gate.c.aggregate_id, gate.c.last_sequence).where(
            gate.c.subscription == name, gate.c.aggregate_id.in_(bindparam("aggregates", expanding=True))
        )

    def last(self, reader: Reader, aggregates: Iterable[str]) -> dict[str, int]:
        return {row.aggregate_id: row.last_sequence for row in reader.all(self._last, {"aggregates": sorted(aggregates)})}


def _raise_when_database_gone(error: Exception) -> None:
    if is_database_gone(error):
        raise error
