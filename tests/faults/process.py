"""One process of a fault run: `python -m tests.faults.process relay|consumer`. SIGTERM drains it, SIGKILL is the test."""

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from libs.common.config import process_environment
from libs.common.db import Database
from libs.common.db.locks import AdvisoryLocks
from libs.common.events import Envelope
from libs.common.events.consumer import Consumer
from libs.common.events.listener import Listener
from libs.common.events.outbox import CHANNEL
from libs.common.events.relay import Relay
from libs.common.events.tests.live import Mood, cinema_metadata, show, studio_metadata, subscriptions
from tests.faults.crashes import arm

STUDIO_URL: Final = "LUMIERE_TEST_STUDIO_URL"
CINEMA_URL: Final = "LUMIERE_TEST_CINEMA_URL"
CONSUMER: Final = "LUMIERE_TEST_CONSUMER"
STUMBLES: Final = "LUMIERE_TEST_STUMBLES"
"""A folder that remembers which events have failed once; set when some are to fail."""
STUMBLE_EVERY: Final = 7
READY: Final = "ready"

Run = Callable[[threading.Event], None]


def main(role: str) -> None:
    """Run one role until SIGTERM."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    arm()
    threads = [threading.Thread(target=run, args=(stopping,)) for run in (relay if role == "relay" else consumer)()]
    for thread in threads:
        thread.start()
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    for thread in threads:
        thread.join()


def relay() -> list[Run]:
    """What publishes."""
    environ = process_environment()
    database = Database(environ[STUDIO_URL], studio_metadata, application_name="relay")
    working = Relay(database, environ["AMQP_URL"], AdvisoryLocks(database))
    listener = Listener(database)
    listener.subscribe(CHANNEL, lambda _: working.wake())
    return [working.run, listener.run]


def consumer() -> list[Run]:
    """What applies."""
    environ = process_environment()
    database = Database(environ[CINEMA_URL], cinema_metadata, application_name="consumer")
    subscription = subscriptions(environ[CONSUMER], show).queues[0]
    folder = environ.get(STUMBLES)
    mood = Mood(before=stumbling(Path(folder))) if folder else Mood()
    return [Consumer(database, environ["AMQP_URL"], subscription, {Mood: mood}).run]


def stumbling(folder: Path) -> Callable[[Envelope], None]:
    """A handler's beginning that fails for every seventh number, once, in whichever process it is tried first."""

    def before(envelope: Envelope) -> None:
        if envelope.data["number"] % STUMBLE_EVERY == 0:
            try:
                (folder / str(envelope.id)).touch(exist_ok=False)
            except FileExistsError:
                return
            raise TimeoutError("a service that this handler needs is away for a moment")

    return before


if __name__ == "__main__":
    main(sys.argv[1])
