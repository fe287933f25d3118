"""Celery, dramatiq, faststream and nameko with their defaults on the same broker, and what each leaves out."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import kombu as untyped_kombu

from bench.bus.stage import await_
from bench.figures import Figure, NothingMeasured, against
from libs.common import clock
from libs.common.config import process_environment
from libs.common.ids import new_id
from ops import locked
from ops.checks.locks import pins
from ops.console import step
from ops.locked import last_line
from ops.settings import ROOT

kombu: Any = untyped_kombu
LOCK = ROOT / "requirements" / "peers.lock"
PLACE = ROOT / ".local" / "bench" / "peers"
SCRIPTS = ROOT / "bench" / "peers"
MESSAGES_A_SECOND = 1_000
"""Messages for each second that was asked for."""
START_SECONDS = 20.0
WORK_SECONDS = 30.0
STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Peer:
    """A library: how its worker is started, and what it does less than the bus."""

    name: str
    worker: Sequence[str]
    publishes: str
    consumes: str

    @property
    def module(self) -> str:
        """Its script in bench/peers."""
        return f"{self.name}_peer"


PEERS = (
    Peer(
        "celery",
        ("celery", "-A", "celery_peer", "worker", "--loglevel", "ERROR"),
        "no outbox, no confirms",
        "no inbox, no order, acknowledged before the work",
    ),
    Peer(
        "dramatiq",
        ("dramatiq", "dramatiq_peer"),
        "no outbox, no confirms",
        "no inbox, no order",
    ),
    Peer(
        "faststream",
        ("faststream", "run", "faststream_peer:app"),
        "no outbox",
        "no inbox, no order, rejected for good when the handler fails",
    ),
    Peer(
        "nameko",
        ("nameko", "run", "--config", "nameko.yaml", "nameko_peer"),
        "no outbox",
        "no inbox, no order, dropped when the handler fails",
    ),
)


def install() -> None:
    """Put them into an environment of their own, once for each lock. Raises OperationError."""
    with step("The libraries to compare with, in .local/bench/peers", quiet_below=2):
        locked.installed(LOCK, PLACE)


def measure(amqp_url: str, seconds: float, ours: Figure) -> list[Figure]:
    """Messages a second that each publishes and consumes; `ours` is what they are compared with. One that fails says why."""
    figures, versions = [], pins(LOCK)
    for peer in PEERS:
        title = f"{peer.name} {versions[peer.name]}"
        try:
            published, consumed = _rates(peer, amqp_url, int(MESSAGES_A_SECOND * seconds))
        except NothingMeasured as failure:
            figures.append(Figure(f"{title} did not run: {failure}", 0.0, ours.unit))
        else:
            figures.append(against(ours, f"{title}, published ({peer.publishes})", published))
            figures.append(against(ours, f"{title}, consumed ({peer.consumes})", consumed))
    return figures


def _rates(peer: Peer, amqp_url: str, count: int) -> tuple[float, float]:
    queue = f"bench_{new_id().hex[-10:]}"
    with TemporaryDirectory() as folder:
        heard, log = Path(folder) / "heard", Path(folder) / "log"
        heard.touch()
        environ = _environ(amqp_url, queue, heard)
        try:
            with _worker(peer, environ, log):
                # The first start makes the queue, where the worker is who makes it.
                _await_first(peer, environ, heard, log)
            os.truncate(heard, 0)
            published = count / _publish(peer, environ, count)
            with _worker(peer, environ, log):
                await_("the first message", lambda: heard.stat().st_size > 0, START_SECONDS)
                before, begun = heard.stat().st_size, clock.monotonic()
                await_("every message", lambda: heard.stat().st_size >= count, WORK_SECONDS)
                return published, (count - before) / (clock.monotonic() - begun)
        finally:
            _forget(amqp_url, queue)


def _environ(amqp_url: str, queue: str, heard: Path) -> dict[str, str]:
    return {
        "PATH": f"{PLACE / 'bin'}:{process_environment().get('PATH', '')}",
        "PYTHONPATH": str(SCRIPTS),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(heard.parent),
        "AMQP_URL": amqp_url,
        "LUMIERE_BENCH_QUEUE": queue,
        "LUMIERE_BENCH_HEARD": str(heard),
    }


def _await_first(peer: Peer, environ: dict[str, str], heard: Path, log: Path) -> None:
    deadline, refusal = clock.monotonic() + START_SECONDS, ""
    while not heard.stat().st_size:
        if clock.monotonic() > deadline:
            raise NothingMeasured(refusal or last_line(log.read_text(encoding="utf-8", errors="replace")))
        try:
            _publish(peer, environ, 1)
        except NothingMeasured as failure:
            # Before the worker has made its exchange there is nowhere to publish to.
            refusal = str(failure)


def _publish(peer: Peer, environ: dict[str, str], count: int) -> float:
    """Seconds."""
    command = [str(PLACE / "bin" / "python"), "-m", peer.module, str(count)]
    try:
        done = subprocess.run(
            command, env=environ, cwd=SCRIPTS, capture_output=True, text=True, timeout=WORK_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise NothingMeasured(f"{count} messages were not published within {WORK_SECONDS:.0f} s") from None
    if done.returncode:
        raise NothingMeasured(last_line(done.stderr))
    return float(done.stdout.split()[-1])


@contextmanager
def _worker(peer: Peer, environ: dict[str, str], log: Path) -> Iterator[None]:
    command = [str(PLACE / "bin" / peer.worker[0]), *peer.worker[1:]]
    with log.open("a", encoding="utf-8") as output:
        process = subprocess.Popen(command, env=environ, cwd=SCRIPTS, stdout=output, stderr=output, start_new_session=True)
    try:
        yield
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the worker with the processes that it started."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()


def _forget(amqp_url: str, queue: str) -> None:
    names = (queue, f"{queue}.DQ", f"{queue}.XQ", f"evt-studio-noted--{queue}.take")
    with kombu.Connection(amqp_url) as connection, connection.channel() as channel:
        for name in names:
            channel.queue_delete(name)
