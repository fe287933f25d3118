"""`python -m services.<producer> archive | python -m services.<consumer> replay`: each touches its own schema only."""

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson

from libs.common import clock
from libs.common.config import ServiceSettings
from libs.common.events.archive import BEGINNING, EVERYTHING, Span, archive_of
from libs.common.events.dead_letters import look
from libs.common.events.patterns import PatternError, check_pattern
from libs.common.events.replay import Replay, Report, is_consumed, lines_of, under
from libs.common.events.subscriptions import Subscription
from libs.common.service.assembly import Assembled, Service

USAGE_ERROR: Final = 2
REFUSED: Final = 2
FAILED: Final = 1
TELL_SECONDS: Final = 0.5
_AGO: Final = re.compile(r"(?P<count>[1-9][0-9]{0,5})(?P<unit>[smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Refused(ValueError):
    """The replay does not begin; the text says why and what to do."""


def moment(text: str) -> datetime:
    """`beginning`, `now`, an age such as `90m` or `7d`, or an ISO 8601 time (UTC unless it says otherwise). Raises Refused."""
    if text == "beginning":
        return BEGINNING
    if text == "now":
        return clock.now()
    if ago := _AGO.fullmatch(text):
        age = timedelta(**{_UNITS[ago["unit"]]: int(ago["count"])})
        return clock.now() - min(age, clock.now() - BEGINNING)
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(
            f"{text!r} is no time: write 2026-11-26T09:00, an age such as 90m, 24h or 7d, `beginning`, or `now`."
        ) from None
    return given if given.tzinfo else given.replace(tzinfo=UTC)


def archive_command(service: Service, assembled: Assembled, arguments: Sequence[str]) -> int:
    """Write archived events as JSON lines on standard output."""
    parser = argparse.ArgumentParser(prog=f"python -m services.{service.name} archive", description=archive_command.__doc__)
    parser.add_argument("--from", dest="since", default="beginning", metavar="TIME")
    parser.add_argument("--to", dest="until", default=None, metavar="TIME")
    parser.add_argument("--type", dest="patterns", action="append", metavar="PATTERN")
    parser.add_argument(
        "--baselines", metavar="AGGREGATE", help="First say where each of its aggregates begins, e.g. tasks.task"
    )
    given = parser.parse_args(arguments)
    try:
        until = moment(given.until) if given.until else None
        patterns = tuple(check_pattern(each) for each in given.patterns or EVERYTHING)
        span = Span(moment(given.since), until, patterns)
    except (Refused, PatternError) as error:
        sys.stderr.write(f"{error}\n")
        return USAGE_ERROR
    archive, database = archive_of(service.metadata), assembled.database
    baselines = archive.baselines(database, given.baselines, span.since) if given.baselines else ()
    for line in lines_of(archive.events(database, span), baselines):
        sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()
    return 0


def replay_command(service: Service, assembled: Assembled, arguments: Sequence[str]) -> int:
    """Apply the events on standard input; what becomes of them is told as JSON lines, the last one is the result."""
    parser = argparse.ArgumentParser(prog=f"python -m services.{service.name} replay", description=replay_command.__doc__)
    parser.add_argument("--subscription", metavar="NAME")
    parser.add_argument("--as", dest="new_name", metavar="NEW", help="Rebuild under another name, from an empty inbox")
    parser.add_argument("--baseline", action="store_true", help="Set the gates of aggregates that were never seen")
    given = parser.parse_args(arguments)
    try:
        subscription = chosen(service, given.subscription)
        replay = _prepared(assembled, subscription, given.new_name, baseline=given.baseline)
    except Refused as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    told = clock.monotonic()

    def tell(report: Report) -> None:
        nonlocal told
        if clock.monotonic() - told > TELL_SECONDS:
            told = clock.monotonic()
            _write("progress", report)

    _write("report", replay.run(sys.stdin.buffer, tell))
    return FAILED if replay.report.failed else 0


def chosen(service: Service, name: str | None) -> Subscription:
    """The subscription of that name, or the only one. Raises Refused that names all."""
    queues = service.declared_subscriptions.queues
    found = [each for each in queues if name in (None, each.name, each.source)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(each.name for each in queues) or "none"
    raise Refused(f"Choose one subscription of {service.name} with --subscription: {names}.")


def _prepared(assembled: Assembled, subscription: Subscription, new_name: str | None, *, baseline: bool) -> Replay:
    settings: ServiceSettings = assembled.settings
    amqp_url = settings.amqp_url.get_secret_value()
    held: frozenset[str] = frozenset()
    if new_name is not None:
        subscription = _renamed(subscription, new_name)
        require_rest(amqp_url, subscription)
    elif baseline:
        if not subscription.ordered:
            raise Refused(f"{subscription.name} is not ordered: it has no gates, so leave --baseline out.")
        letters = look(amqp_url, subscription)
        held = frozenset(each.envelope.subject for each in letters if each.envelope)
    return Replay(assembled.database, subscription, assembled.resources, baseline=baseline, held=held)


def _renamed(subscription: Subscription, new_name: str) -> Subscription:
    try:
        return under(subscription, new_name)
    except ValueError as error:
        raise Refused(f"--as {new_name}: {error}.") from None


def require_rest(amqp_url: str, subscription: Subscription) -> None:
    """A rebuild and the running consumer would both apply what arrives meanwhile. Raises Refused."""
    if is_consumed(amqp_url, subscription):
        raise Refused(
            f"{subscription.declared_name} is being consumed. Stop its workers first (`lumiere scale "
            f"{subscription.consumer}-worker=0`), empty the projection, replay, then start them again: "
            "what arrives meanwhile waits for them."
        )


def _write(kind: str, report: Report) -> None:
    sys.stdout.buffer.write(orjson.dumps({kind: asdict(report)}) + b"\n")
    sys.stdout.buffer.flush()
