"""A replica that serves as the services do: gunicorn under the kernel's drain. Its answers take a while."""

import sys
import time
from typing import Any

from libs.common.config import ServiceSettings, load
from libs.common.service.web import KEEPALIVE_SECONDS, WebApplication

DRAIN_SECONDS = 3
WORK_SECONDS = 4
"""Longer than the gateway needs to notice that a replica is not ready any more, and than the drain waits."""


class Replica(WebApplication):
    """The kernel's web process around something smaller than a service."""

    def load(self) -> Any:
        """The WSGI application; called in the worker, after the fork."""
        return self._answer

    def _answer(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        draining = self.health.draining.is_set()
        if environ["PATH_INFO"] == "/health/ready":
            start_response("503 Service Unavailable" if draining else "200 OK", [("Content-Length", "0")])
            return [b""]
        if environ["PATH_INFO"].endswith("/work"):
            time.sleep(WORK_SECONDS)
        body = str(self.settings.port).encode()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]


def settings(port: str) -> ServiceSettings:
    """What the kernel's web process reads; nothing here reaches a server."""
    environ = {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1/nothing",
        "AMQP_URL": "amqp://nobody@127.0.0.1",
        "REVOCATION_LIST_TOKEN": "of-no-use-to-anybody-0123456789abcdef",
        "NOTIFY_PUBLIC_KEY": "none",
        "PORT": port,
        "DRAIN_SECONDS": str(DRAIN_SECONDS),
    }
    return load(ServiceSettings, environ)


def nothing() -> Any:
    """Never assembled: `load` above needs no service."""
    raise AssertionError


if __name__ == "__main__":
    port = sys.argv.pop(1)
    worker = "libs.common.service.web.DrainingThreadWorker"
    Replica(nothing, settings(port), worker, KEEPALIVE_SECONDS).run()
