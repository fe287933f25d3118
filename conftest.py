"""Servers for the whole test run, and a platform for journeys. Both are stopped by whoever started them."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from libs.common.ids import random_token
from libs.common.telemetry import context
from ops.span_receiver import SpanReceiver
from ops.testing import TEST_FOLDER, WORKER, LivePlatform, live_platform, needs_servers, servers_in_environment
from tests.faults.report import told_by_tests
from tests.groups import Groups
from tests.other_haproxy import other_haproxy

HAPROXY = pytest.StashKey[str | None]()


def pytest_configure(config: pytest.Config) -> None:
    """Let HAProxy be the one of a container image, when the environment names one."""
    stack = ExitStack()
    config.add_cleanup(stack.close)
    config.stash[HAPROXY] = stack.enter_context(other_haproxy())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which HAProxy, since everything reads the same otherwise; and what tests tell, also of runs that went well."""
    if other := terminalreporter.config.stash[HAPROXY]:
        terminalreporter.write_line(f"Tested on {other}")
    if told := told_by_tests(report for reports in terminalreporter.stats.values() for report in reports):
        terminalreporter.section("fault runs")
        for line in told:
            terminalreporter.write_line(line)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    """Where several processes share a run: what stands on one expensive thing stays together, and so does each file."""
    return Groups(config, log)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start Postgres and RabbitMQ unless they are given, or no collected test needs them."""
    if session.config.option.collectonly or not needs_servers(session.items):
        return
    stack = ExitStack()
    # Registered before any harness registers its own clean-up, so it runs after all of them.
    session.config.add_cleanup(stack.close)
    stack.enter_context(servers_in_environment(TEST_FOLDER / "servers"))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where several processes share a run, each stops its servers now: told to end, it is given five seconds."""
    if WORKER:
        getattr(session.config, "_cleanup_stack").close()  # noqa: B009 - private in pytest, and without a public equal


@pytest.fixture(autouse=True)
def nothing_in_hand() -> None:
    """A test begins as a process does: a request that another test made in this thread has left what it knew of itself."""
    context.set_current(context.Context())


@pytest.fixture(scope="session")
def spans() -> Iterator[SpanReceiver]:
    """Receives the spans that the platform's processes export."""
    with SpanReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def platform(spans: SpanReceiver) -> Iterator[LivePlatform]:
    """A whole platform behind its gateway, with state and ports of its own; it traces what a client asks to be traced.
    Its doors for machines are open."""
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": spans.endpoint,
        "TRACE_SAMPLE_RATIO": "0",
        "CRON_SECRET": random_token(),
        "STRIPE_WEBHOOK_SECRET": random_token(),
    }
    with live_platform(TEST_FOLDER / "platform", **variables) as live:
        yield live
