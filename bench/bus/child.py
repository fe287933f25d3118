"""One process that is measured: `python -m bench.bus.child relay|consumer|producer`.

It does what a line on its standard input says and answers with a line of JSON; it leaves when the input ends.
"""

import json
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

from bench.bus.notes import HANDLERS, Moments, a_note, subscribed
from libs.common import clock
from libs.common.config import process_environment
from libs.common.db import Database
from libs.common.db.locks import AdvisoryLocks
from libs.common.events import Recipient
from libs.common.events.consumer import Consumer
from libs.common.events.listener import Listener
from libs.common.events.outbox import CHANNEL, Outbox
from libs.common.events.personal import generate_key_pair
from libs.common.events.relay import Relay
from libs.common.events.tests.live import cinema_metadata, running, studio_metadata
from libs.common.telemetry import configure_logs

STUDIO_URL: Final = "LUMIERE_BENCH_STUDIO_URL"
CINEMA_URL: Final = "LUMIERE_BENCH_CINEMA_URL"
AMQP_URL: Final = "AMQP_URL"
CONSUMER: Final = "LUMIERE_BENCH_CONSUMER"
READY_SECONDS: Final = 20.0

Answer = dict[str, Any]


class Working:
    """Something that is started and stopped again and again."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._environ = process_environment()
        self._moments = Moments()

    def start(self, handler: str = "") -> Answer:
        """Begin; answers when it works."""
        runs, ready = self._runs(handler)
        self._open.enter_context(running(*runs))
        if not ready.wait(READY_SECONDS):
            raise TimeoutError("it did not begin to work")
        return {}

    def stop(self) -> Answer:
        """End; answers when each event took effect, if it applied any."""
        self._open.close()
        done, self._moments = self._moments.done, Moments()
        return {str(event_id): moment for event_id, moment in done.items()}

    def _runs(self, _handler: str, /) -> tuple[list[Callable[[threading.Event], None]], threading.Event]:
        """The loops, and what is set once they work."""
        raise NotImplementedError


class Relaying(Working):
    """The relay, woken by the commits of its database."""

    def __init__(self) -> None:
        super().__init__()
        self._database = Database(self._environ[STUDIO_URL], studio_metadata, application_name="bench relay")

    def _runs(self, _handler: str, /) -> tuple[list[Callable[[threading.Event], None]], threading.Event]:
        relay = Relay(self._database, self._environ[AMQP_URL], AdvisoryLocks(self._database))
        listener = Listener(self._database)
        listener.subscribe(CHANNEL, lambda _: relay.wake())
        return [relay.run, listener.run], relay.active


class Consuming(Working):
    """A consumer with the handler that `start` names."""

    def __init__(self) -> None:
        super().__init__()
        self._database = Database(self._environ[CINEMA_URL], cinema_metadata, application_name="bench consumer")

    def _runs(self, handler: str, /) -> tuple[list[Callable[[threading.Event], None]], threading.Event]:
        (subscription,) = subscribed(self._environ[CONSUMER], HANDLERS[handler]).queues
        consumer = Consumer(self._database, self._environ[AMQP_URL], subscription, {Moments: self._moments})
        return [consumer.run], consumer.consuming


class Producing:
    """Commits notes, one a transaction."""

    def __init__(self) -> None:
        outbox = Outbox(studio_metadata, Recipient(generate_key_pair()[1]))
        url = process_environment()[STUDIO_URL]
        self._database = Database(url, studio_metadata, outbox=outbox, application_name="bench producer")

    def produce(self, pace_seconds: str, seconds: str) -> Answer:
        """A note every `pace_seconds` (0: as fast as it can) for so long; answers when each was about to be committed."""
        pause, begun, sent = threading.Event(), clock.monotonic(), dict[str, float]()
        while clock.monotonic() < begun + float(seconds):
            pause.wait(max(0.0, begun + len(sent) * float(pace_seconds) - clock.monotonic()))
            with self._database.transaction() as tx:
                event_id = tx.publish(a_note())
                sent[str(event_id)] = clock.monotonic()
        return sent


ROLES: dict[str, Callable[[], object]] = {"relay": Relaying, "consumer": Consuming, "producer": Producing}


def main(role: str) -> None:
    """Obey until the input ends."""
    configure_logs("bench", role)
    worker = ROLES[role]()
    for line in sys.stdin:
        name, *arguments = line.split()
        sys.stdout.write(json.dumps(getattr(worker, name)(*arguments)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
