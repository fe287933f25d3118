"""A gateway of a test with its Python side: the pages as people get them, through HAProxy."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from gateway.on_demand import OnDemand
from gateway.settings import GatewaySettings
from gateway.tests.running import ORIGIN, RunningGateway
from libs.common.config import load
from libs.common.ids import random_token

STATED = {
    "GATEWAY_LEGAL_ENTITY": "Studio <Lumière> & Fils SAS",
    "GATEWAY_LEGAL_ADDRESS": "1 rue du Premier-Film, 69008 Lyon, France",
    "GATEWAY_LEGAL_CONTACT": "contact@lumiere.film",
    "GATEWAY_LEGAL_HOST": "Hébergeur SARL, Lyon, +33 4 00 00 00 00",
    "GATEWAY_SECURITY_CONTACT": "mailto:security@lumiere.test",
    "GATEWAY_SECURITY_POLICY": "https://lumiere.test/policy",
    "EVENT_RETENTION_DAYS": "120",
}


def settings(folder: Path, **environment: str) -> GatewaySettings:
    """As the control process reads them."""
    return load(GatewaySettings, variables(folder, **environment))


def variables(folder: Path, **environment: str) -> dict[str, str]:
    """What they are read from."""
    return {
        "LUMIERE_ORIGIN": ORIGIN,
        "AMQP_URL": "amqp://127.0.0.1",
        "REVOCATION_LIST_TOKEN": random_token(),
        "GATEWAY_SECRET": random_token(),
        "GATEWAY_FOLDER": str(folder),
        **environment,
    }


@contextmanager
def site(root: Path, environment: dict[str, str], *, at_home: bool = False) -> Iterator[RunningGateway]:
    """HAProxy before one replica, and the pages beside it; `at_home`: its public address is the one that clients connect to."""
    running = RunningGateway(root)
    environment = {**environment, **({"LUMIERE_ORIGIN": running.url} if at_home else {})}
    stopped = threading.Event()
    pages = OnDemand(running.folder, environ={**os.environ, **variables(running.folder.root, **environment)})
    thread = threading.Thread(target=pages.run, args=(stopped,))
    try:
        running.scale(1)
        running.publish_key()
        running.start()
        thread.start()
        assert httpx.get(f"{running.url}/", timeout=30).status_code == 200
        yield running
    finally:
        stopped.set()
        if thread.is_alive():
            thread.join()
        running.close()
