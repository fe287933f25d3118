"""`lumiere replay`: from the producers' archives into one subscription."""

import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from subprocess import DEVNULL, PIPE, Popen
from tempfile import TemporaryFile
from typing import IO, Any, Final

import click
import orjson
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from libs.common.events.archive import archive_of
from libs.common.events.broker import open_session
from libs.common.events.patterns import matching
from libs.common.events.replay import under
from libs.common.events.subscriptions import Subscription
from libs.common.service.replaying import chosen, moment, require_rest
from ops import console
from ops.bus.members import Bus, Member, pattern_option, this_bus, told_of_bus
from ops.command_line import json_option
from ops.console import err, literal, out
from ops.errors import OperationError

FAILED: Final = 1
COUNTS: Final = ("applied", "duplicates", "parked", "ignored", "failed", "left", "passed_over", "out_of_reach", "baselines")
MEANINGS: Final = {
    "applied": "took effect now",
    "duplicates": "had taken effect before",
    "parked": "wait for an earlier event of their aggregate",
    "ignored": "of types without a handler",
    "failed": "raised an error; nothing of them is kept",
    "left": "not applied by the subscription itself yet: its queue delivers them",
    "passed_over": "dropped, or before the subscription's baseline",
    "out_of_reach": "of aggregates whose earlier events are neither applied nor read: use --from beginning, or --baseline",
    "baselines": "gates set to where the archive begins",
}


@click.command()
@click.argument("service")
@click.option("--subscription", metavar="NAME", help="Needed when the service has several.")
@click.option(
    "--from",
    "since",
    default="beginning",
    show_default=True,
    metavar="TIME",
    help="ISO 8601 (UTC), an age such as 24h or 7d, beginning, or now.",
)
@click.option("--to", "until", default="now", show_default=True, metavar="TIME", help="Up to this time.")
@pattern_option
@click.option(
    "--as", "new_name", metavar="NEW", help="Rebuild from nothing: under this name, with an empty inbox and empty gates."
)
@click.option(
    "--baseline", is_flag=True, help="Let aggregates that were never seen begin where the archive (or --from) begins."
)
@click.option("--dry-run", is_flag=True, help="Only count what would be read.")
@json_option
@told_of_bus
def replay(service: str, subscription: str | None, *, dry_run: bool, as_json: bool, **wanted: Any) -> None:
    """Replay archived events into one subscription of SERVICE.

    What it applied before stays as it is, so a replay can be repeated; what it missed is made up for, in order. Archived events
    hold no personal values: a handler that needs one fails and is named.

    \b
    Rebuild a projection from nothing:
      1. lumiere scale SERVICE-worker=0     nobody may apply events meanwhile; they wait in the queue
      2. empty the projection's tables
      3. lumiere replay SERVICE --as NEW    the handlers see everything the subscription had applied, and nothing else
      4. lumiere scale SERVICE-worker=1
    Handlers that publish facts are refused a rebuild: it would tell them a second time.

    --from now --baseline makes a new ordered subscription begin with what happens next. Exit code 1 when an event failed.
    """
    bus = this_bus()
    chosen_one = chosen(bus.member(service).service, subscription)
    plan = _Run(bus, chosen_one, Wanted(**wanted))
    plan.check()
    if dry_run:
        _tell_dry(plan, as_json=as_json)
        return
    report = plan.run()
    if as_json:
        console.print_json({"subscription": plan.name, **report})
    else:
        _tell(plan, report)
    sys.exit(FAILED if report["failed"] else 0)


def replayed(bus: Bus, subscription: Subscription, since: str = "beginning") -> dict[str, Any]:
    """Replay the archives into a subscription, up to now; returns the consumer's report. Raises OperationError."""
    run = _Run(bus, subscription, Wanted(since, "now", (), None, baseline=False))
    run.check()
    return run.run()


@dataclass(frozen=True)
class Wanted:
    """What the options say."""

    since: str
    until: str
    patterns: tuple[str, ...]
    new_name: str | None
    baseline: bool


class _Run:
    def __init__(self, bus: Bus, subscription: Subscription, wanted: Wanted) -> None:
        self.bus = bus
        self.subscription = subscription
        self.since, self.until = moment(wanted.since), moment(wanted.until)
        self.patterns = wanted.patterns
        self.new_name = wanted.new_name
        self.baseline = wanted.baseline

    @property
    def name(self) -> str:
        """The name in the inbox."""
        return self._alias().name if self.new_name else self.subscription.name

    def types(self, member: Member) -> list[str]:
        """What is read of one producer."""
        wanted = matching(self.subscription.bindings, member.types)
        return matching(self.patterns, wanted) if self.patterns else wanted

    def check(self) -> None:
        """Refuse what could not end well. Raises OperationError, Refused."""
        subscription = self.subscription
        wanted = self.bus.wanted(subscription)
        left_out = sorted(set(wanted).difference(matching(self.patterns or ("#",), wanted)))
        if subscription.ordered and left_out:
            raise OperationError(
                f"{subscription.name} is ordered: it needs every event of its aggregates, and --type leaves out "
                f"{', '.join(left_out)}. Leave --type away; types without a handler are only passed over."
            )
        if len(left_out) == len(wanted):
            raise OperationError(f"--type matches nothing that {subscription.name} gets: {', '.join(wanted)}.")
        if self.baseline and (self.new_name or not subscription.ordered):
            why = (
                "a rebuild sets baselines by itself"
                if self.new_name
                else f"{subscription.name} is not ordered and has no gates"
            )
            raise OperationError(f"Leave --baseline away: {why}.")
        if self.since > self.until:
            raise OperationError("--from is later than --to.")
        amqp_url = self.bus.member(subscription.consumer).amqp_url
        if self.new_name:
            require_rest(amqp_url, self._alias())
        self._require_binding(amqp_url)

    def _alias(self) -> Subscription:
        try:
            return under(self.subscription, self.new_name or "")
        except ValueError as error:
            raise OperationError(f"--as {self.new_name}: {error}.") from error

    def _require_binding(self, amqp_url: str) -> None:
        """What is committed while the archive is read must already be on its way into the queue."""
        with open_session(amqp_url) as session:
            if session.look(self.subscription.queue) is None:
                raise OperationError(f"{self.subscription.queue} does not exist yet: `make up` creates it.")

    def run(self) -> dict[str, Any]:
        """Pipe every producer's archive into the consumer; returns its report. Raises OperationError."""
        consumer = self._process(self.subscription.consumer, *self._replay_arguments(), stdin=PIPE, stderr=PIPE)
        with _progress() as progress:
            listener = _Listener(consumer, progress)
            with _ended(consumer, listener):
                for member in self.bus.producers(self.subscription):
                    if self.types(member) and not self._pour(member, consumer):
                        break
                _close(consumer.stdin)
                listener.join()
        if listener.report is None:
            code = consumer.returncode
            raise OperationError(
                f"services.{self.subscription.consumer} replay ended with code {code}.", details=listener.said()
            )
        return listener.report

    def _pour(self, member: Member, consumer: "Popen[bytes]") -> bool:
        """Whether the consumer took all; when it ended early, its exit code and last words say why."""
        with TemporaryFile() as words:
            producer = self._process(member.name, *self._archive_arguments(member), stderr=words.fileno())
            with _ended(producer):
                try:
                    shutil.copyfileobj(_stream(producer.stdout), _stream(consumer.stdin))
                except BrokenPipeError:
                    return False
                if producer.wait():
                    words.seek(0)
                    said = words.read().decode("utf-8", "replace").strip()
                    raise OperationError(
                        f"services.{member.name} archive failed; what was read before is applied.", details=said
                    )
        return True

    def _replay_arguments(self) -> list[str]:
        renamed = ["--as", self.new_name] if self.new_name else []
        return ["replay", "--subscription", self.subscription.name, *renamed, *(["--baseline"] if self.baseline else [])]

    def _archive_arguments(self, member: Member) -> list[str]:
        types = [word for each in self.types(member) for word in ("--type", each)]
        baselines = ["--baselines", self.subscription.source] if self.subscription.ordered else []
        return ["archive", "--from", self.since.isoformat(), "--to", self.until.isoformat(), *types, *baselines]

    def _process(self, service: str, *arguments: str, stdin: int = DEVNULL, stderr: int) -> "Popen[bytes]":
        environment = self.bus.plan.environments.service(service)
        command = [sys.executable, "-m", f"services.{service}", *arguments]
        return Popen(command, cwd=self.bus.plan.layout.root, env=environment, stdin=stdin, stdout=PIPE, stderr=stderr)

    def count(self) -> dict[str, int]:
        """How many events of each type would be read."""
        found: dict[str, int] = {}
        for member in self.bus.producers(self.subscription):
            with member.database() as database:
                found |= archive_of(database.metadata).counts(database, self.types(member), self.since, self.until)
        return found


class _Listener(threading.Thread):
    """Reads what the consumer tells, so that neither pipe fills up."""

    def __init__(self, consumer: "Popen[bytes]", progress: Progress) -> None:
        super().__init__(name="replay", daemon=True)
        self._consumer = consumer
        self._progress = progress
        self._task = progress.add_task("reading", total=None)
        self._errors = threading.Thread(target=self._keep, daemon=True)
        self._last_words: list[str] = []
        self.report: dict[str, Any] | None = None

    def run(self) -> None:
        self._errors.start()
        for line in self._consumer.stdout or ():
            told = orjson.loads(line)
            self.report = told.get("report")
            counts = told.get("progress") or self.report or {}
            words = ", ".join(f"{counts[name]:,} {name.replace('_', ' ')}" for name in COUNTS if counts.get(name))
            self._progress.update(self._task, description=f"{counts.get('read', 0):,} read: {words}")
        self._errors.join()

    def _keep(self) -> None:
        errors: IO[bytes] | None = self._consumer.stderr
        for line in errors or ():
            self._last_words = [*self._last_words[-19:], line.decode("utf-8", "replace").rstrip()]

    def said(self) -> str:
        """The consumer's last words."""
        return "\n".join(self._last_words)


@contextmanager
def _ended(process: "Popen[bytes]", listener: threading.Thread | None = None) -> Iterator[None]:
    """The process ends with the block, and whoever listens to it; nothing of it stays open."""
    if listener is not None:
        listener.start()
    try:
        yield
    finally:
        _close(process.stdin)
        if listener is None and process.poll() is None:
            # A producer that nobody reads would wait for ever; a consumer that gets no more comes to its end.
            process.terminate()
        process.wait()
        if listener is not None:
            listener.join()
        for stream in (process.stdout, process.stderr):
            _close(stream)


def _close(stream: IO[bytes] | None) -> None:
    if stream is not None:
        with suppress(BrokenPipeError):
            stream.close()


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise OperationError("The pipe between the two services could not be made.")
    return stream


@contextmanager
def _progress() -> Iterator[Progress]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress:
        yield progress


def _tell_dry(plan: _Run, *, as_json: bool) -> None:
    counts = plan.count()
    total = sum(counts.values())
    if as_json:
        console.print_json({"dry_run": True, "subscription": plan.name, "events": counts, "total": total})
        return
    for event_type, count in sorted(counts.items()):
        out.print(f"{count:>10,}  {event_type}")
    out.print(f"{total:>10,}  events would be read into {plan.name}; what it applied before would stay as it is.")


def _tell(plan: _Run, report: dict[str, Any]) -> None:
    out.print(f"[bold]{literal(plan.name)}[/]: {report['read']:,} events read")
    for name in COUNTS:
        if report[name]:
            colour = {"failed": "red", "applied": "green"}.get(name, "default")
            out.print(f"  [{colour}]{report[name]:>8,} {name.replace('_', ' '):<13}[/] [dim]{MEANINGS[name]}[/]")
    for failure in report["failures"]:
        place = f"{failure.get('type', 'no event')} {failure.get('id', '')}"
        out.print(f"  [red]✗[/] {literal(place)} {literal(failure['error'])}: {literal(failure['reason'])}")
    if report["failed"]:
        out.print("Mend the cause and repeat the command: what took effect is not applied again.")
