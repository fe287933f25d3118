"""Who is on the bus of this platform: each service with its subscriptions, reached with its own few rights."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, wraps
from importlib import import_module
from typing import Any, Final, ParamSpec, TypeVar

import click
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from libs.common import clock
from libs.common.audit import Auditor
from libs.common.db import Database, kernel_tables, runtime_role
from libs.common.events.broker import BrokerUnavailable
from libs.common.events.outbox import Outbox
from libs.common.events.patterns import PatternError, check_pattern, matching
from libs.common.events.retention import Retention
from libs.common.events.subscriptions import Subscription
from libs.common.events.topology import OPERATOR
from libs.common.service import Service
from libs.common.service.replaying import Refused
from ops.command_line import this_platform, told
from ops.console import out
from ops.errors import OperationError
from ops.management import Management
from ops.plan import Plan

P = ParamSpec("P")
R = TypeVar("R")
TABLE_WIDTH_MAX: Final = 1_000
MINUTE, HOUR, DAY = 60, 3_600, 86_400
INTERRUPTED: Final = 130
"""The exit code of a command that was ended with Ctrl-C, as shells count it."""


@dataclass(frozen=True)
class Member:
    """One service, reached as its runtime role and its broker user."""

    service: Service
    database_url: str
    amqp_url: str

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name

    @property
    def types(self) -> list[str]:
        """The event types that it publishes."""
        return sorted(each.event_type for each in self.service.declared_events)

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Its schema; audit records are written as the operator's acts."""
        metadata = self.service.metadata
        trail = Auditor(kernel_tables(metadata), self.service.audit_event)
        opened = Database(
            self.database_url, metadata, outbox=Outbox(metadata), audit_trail=trail, application_name="lumiere-operator"
        )
        try:
            yield opened
        finally:
            opened.dispose()


class Bus:
    """The bus of one platform."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    @cached_property
    def members(self) -> dict[str, Member]:
        """Every service by name."""
        backing = self.plan.backing
        return {
            name: Member(
                import_module(f"services.{name}.app").service, backing.database_url(runtime_role(name)), backing.amqp_url(name)
            )
            for name in self.plan.layout.services
        }

    def member(self, name: str) -> Member:
        """Raises OperationError that names all."""
        if name not in self.members:
            raise OperationError(f"No service is called {name}. Known ones: {', '.join(self.members)}.")
        return self.members[name]

    @cached_property
    def types(self) -> list[str]:
        """Every event type of the platform."""
        return sorted(each for member in self.members.values() for each in member.types)

    def subscriptions(self, service: str | None = None, name: str | None = None) -> list[Subscription]:
        """All, or those of a service and name. Raises OperationError when there is none."""
        members = self.members.values() if service is None else [self.member(service)]
        every = [each for member in members for each in member.service.declared_subscriptions.queues]
        found = [each for each in every if name in (None, each.name)]
        if not found:
            known = ", ".join(each.name for each in every) or "none"
            raise OperationError(f"There is no subscription {name or f'of {service}'}. Known ones: {known}.")
        return found

    def producers(self, subscription: Subscription) -> list[Member]:
        """The services whose events the subscription wants."""
        return [each for each in self.members.values() if matching(subscription.bindings, each.types)]

    def wanted(self, subscription: Subscription) -> list[str]:
        """The event types that its queue gets."""
        return matching(subscription.bindings, self.types)

    @property
    def retention(self) -> Retention:
        """For how long this platform keeps events."""
        days = self.plan.layout.settings.event_retention_days
        return Retention(int(days)) if days and days.isdecimal() else Retention()

    @property
    def operator_url(self) -> str:
        """The broker as the operator; only for what no service may do."""
        return self.plan.backing.amqp_url(OPERATOR)

    def management(self) -> Management:
        """The broker's management API."""
        return Management(self.plan.backing.management_url())


def this_bus() -> Bus:
    """The bus of the platform that the environment describes."""
    return Bus(Plan(this_platform().layout))


def told_of_bus(function: Callable[P, R]) -> Callable[P, R]:
    """`told`, also for a broker or database that does not answer. Ctrl-C ends a command without a trace of it."""

    @wraps(function)
    def wrapped(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            return function(*arguments, **options)
        except BrokerUnavailable as error:
            raise OperationError(
                f"The broker does not answer or refuses ({error}). Does the platform run? `make status`."
            ) from error
        except SQLAlchemyError as error:
            name = type(error).__name__
            raise OperationError(
                f"The database does not answer or refuses ({name}). Does the platform run? `make status`."
            ) from error
        except (Refused, PatternError) as error:
            raise OperationError(str(error)) from error
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)

    return told(wrapped)


def pattern_option(function: Callable[P, R]) -> Callable[P, R]:
    """`--type PATTERN`, any number of times."""
    text = "Event types, as bindings read them: tasks.task.validated, tasks.task.* (one word), auth.# (any number)."
    return click.option("--type", "patterns", multiple=True, metavar="PATTERN", callback=_checked_patterns, help=text)(function)


def _checked_patterns(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(check_pattern(each) for each in given)
    except PatternError as error:
        raise click.BadParameter(str(error)) from error


def age(seconds: float | None) -> str:
    """A time span as people say it; empty for None."""
    if seconds is None:
        return ""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"


def seconds_since(moment: datetime | None) -> float | None:
    """How long ago; None stays None."""
    return None if moment is None else max((clock.now() - moment).total_seconds(), 0.0)


def print_table(table: Table) -> None:
    """As wide as it is: a narrow terminal wraps lines, a pipe gets every cell whole."""
    width = max(out.width, out.measure(table, options=out.options.update(width=TABLE_WIDTH_MAX)).maximum)
    Console(file=out.file, width=width, highlight=False, emoji=False).print(table)


def without_seals(value: Any) -> Any:
    """JSON with the sealed content of personal values replaced by a marker."""
    if isinstance(value, dict):
        if "commitment" in value and "sealed" in value:
            return {**value, "sealed": "(sealed)"}
        return {name: without_seals(each) for name, each in value.items()}
    return [without_seals(each) for each in value] if isinstance(value, list) else value
