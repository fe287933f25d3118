"""`python -m bench [NAME…]`: measure, print tables, write documents and plots."""

import sys
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr
from dataclasses import dataclass

import click
from rich.markup import escape

from bench import cluster, images, log, logins, posting, refreshes, requests, story, tokens
from bench.bus import measuring as bus
from bench.figures import Figure, NothingMeasured
from bench.gateway import measuring as gateway
from bench.gateway.targets import missed
from bench.output import table, write
from libs.common.telemetry import configure_logs
from ops.command_line import told
from ops.console import err, out
from ops.errors import OperationError
from ops.settings import ROOT
from ops.testing import servers_in_environment

FOLDER = ROOT / ".local" / "bench"
SECONDS_MIN, SECONDS_DEFAULT, SECONDS_MAX = 0.2, 3.0, 5.0


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What is measured, and whether Postgres and RabbitMQ are needed for it."""

    title: str
    measure: Callable[[float], list[Figure]]
    servers: bool = True
    missed: Callable[[list[Figure]], list[str]] = lambda _: []
    """The promises that these figures do not keep, a sentence each."""
    on_request: bool = False
    """Takes minutes: left out unless it is named."""


BENCHMARKS = {
    "tokens": Benchmark("Verifying an access token", tokens.measure, servers=False, missed=tokens.missed),
    "requests": Benchmark("A request through the kernel, without the HTTP server", requests.measure),
    "logins": Benchmark("Signing in with a password", logins.measure, missed=logins.missed),
    "refreshes": Benchmark("Renewing sessions", refreshes.measure, missed=refreshes.missed),
    "bus": Benchmark("Outbox → relay → RabbitMQ → inbox", bus.measure),
    "bus-growth": Benchmark("The bus with ten million events behind it", bus.measure_growth, on_request=True),
    "gateway": Benchmark("The gateway", gateway.measure, missed=missed),
    "brokers": Benchmark("Three brokers that die", cluster.brokers, missed=cluster.missed, on_request=True),
    "databases": Benchmark("A primary that dies, and its standby", cluster.databases, missed=cluster.missed, on_request=True),
    "gateways": Benchmark("Two gateways", cluster.gateways, servers=False, missed=cluster.missed, on_request=True),
    "posting": Benchmark("Booking Lumens", posting.measure),
    "log": Benchmark("The transparency log", log.measure),
    "images": Benchmark("The container images", images.measure, servers=False, on_request=True),
    "story": Benchmark("Validated → Lumens, proof, notice, through the gateway", story.measure, servers=False),
}


def run(name: str, seconds: float) -> bool:
    """Run one benchmark and show what it saw; whether it saw anything."""
    benchmark = BENCHMARKS[name]
    try:
        figures = benchmark.measure(seconds)
    except (NothingMeasured, OperationError) as failure:
        err.print(f"[red]✗[/] {name}: {escape(str(failure))}")
        return False
    out.print(table(f"{name}: {benchmark.title}", figures))
    for line in benchmark.missed(figures):
        out.print(f"[yellow]Not kept:[/] {escape(line)}")
    out.print(f"[dim]{write(FOLDER, name, benchmark.title, figures).relative_to(ROOT)}, and a plot beside it[/]\n")
    return True


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)), metavar="[NAME…]")
@click.option(
    "--seconds",
    type=click.FloatRange(SECONDS_MIN, SECONDS_MAX),
    default=SECONDS_DEFAULT,
    show_default=True,
    help="How long each figure is measured.",
)
@told
def main(names: tuple[str, ...], seconds: float) -> None:
    """Measure all that takes no minutes, or what is named."""
    wanted = names or tuple(name for name, each in BENCHMARKS.items() if not each.on_request)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        # Logging costs what it costs in production, and is not in the way of the tables.
        with redirect_stderr(stack.enter_context((FOLDER / "log").open("w", encoding="utf-8"))):
            configure_logs("bench", "bench")
        if any(BENCHMARKS[name].servers for name in wanted):
            stack.enter_context(servers_in_environment(FOLDER / "servers"))
        failed = [name for name in wanted if not run(name, seconds)]
    if failed:
        err.print(f"[red]Not measured:[/] {', '.join(failed)}")
    sys.exit(int(bool(failed)))


if __name__ == "__main__":
    main()
