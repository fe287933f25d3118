"""`lumiere top`."""

import sys
from contextlib import suppress
from time import sleep
from types import TracebackType
from typing import Final, Self

import click
import httpx
from rich.live import Live

from libs.common.config import load
from ops import console
from ops.command_line import json_option, told
from ops.console import out
from ops.doctor.examined import Examined
from ops.doctor.places import here
from ops.doctor.settings import DoctorSettings
from ops.top.figures import Standing, standing
from ops.top.reading import ANSWER_SECONDS, Reading, read
from ops.top.showing import picture

SECONDS_DEFAULT: Final = 2.0
SILENT: Final = 1


@click.command()
@click.option(
    "--every",
    "seconds",
    type=click.FloatRange(0.5, 3_600),
    default=SECONDS_DEFAULT,
    show_default=True,
    metavar="SECONDS",
    help="How long between two looks; rates are of that time.",
)
@click.option("--once", is_flag=True, help="Look twice, show once, and end.")
@json_option
@told
def top(seconds: float, *, once: bool, as_json: bool) -> None:
    """Watch the platform work: requests, times, processors, memory, queues, outboxes, the ledger. Ctrl-C ends it.

    Times are upper estimates from the bounds of histograms. What workers measure (queues, outboxes, the ledger) is up to a
    quarter of a minute old. In a container with MONITORING_DATABASE_URL it shows the platform in whose network it is. Exit
    code 1 with --once or --json when a process does not answer.
    """
    with Watching(here(load(DoctorSettings), production=False)) as watching:
        if once or as_json:
            sys.exit(_once(watching.after(seconds), as_json))
        with suppress(KeyboardInterrupt), Live(console=out, auto_refresh=False, screen=out.is_terminal) as live:
            while True:
                live.update(picture(watching.after(seconds)), refresh=True)


def _once(now: Standing, as_json: bool) -> int:
    if as_json:
        console.print_json(now.document())
    else:
        out.print(picture(now))
    return SILENT if now.silent else 0


class Watching:
    """Looks again and again; each standing is of the time since the last look."""

    def __init__(self, examined: Examined) -> None:
        self._examined = examined
        self._client = httpx.Client(
            timeout=ANSWER_SECONDS, trust_env=False, verify=True if examined.trust is None else examined.trust
        )
        self._last = self._look()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def after(self, seconds: float) -> Standing:
        """Wait, look, and tell what happened meanwhile."""
        sleep(seconds)
        before, self._last = self._last, self._look()
        return standing(before, self._last)

    def _look(self) -> list[Reading]:
        return read(self._client, self._examined.addresses.processes())
