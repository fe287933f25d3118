"""The worker process: relay, subscriptions and jobs, with a small door for health and metrics."""

import signal
import threading
from collections.abc import Callable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from libs.common import tls
from libs.common.config import ServiceSettings
from libs.common.http.health import Health
from libs.common.service.assembly import Assembled
from libs.common.telemetry import logger
from libs.common.worker import Worker

WATCH_SECONDS = 0.5

log = logger(__name__)


class _Quiet(WSGIRequestHandler):
    """Its parent would write the caller's address on standard error."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — the parent's name
        """Write nothing."""


def run_worker(assemble: Callable[[], Assembled], settings: ServiceSettings) -> int:
    """Work until told to stop; a thread that died ends the process with an error, so that it is started again."""
    assembled = assemble()
    worker = Worker(
        assembled.database,
        settings.amqp_url.get_secret_value(),
        subscriptions=assembled.service.declared_subscriptions,
        jobs=assembled.service.declared_jobs,
        measures=assembled.service.declared_measures,
        resources=assembled.resources,
    )
    health = Health({"worker": lambda: _describe(worker), **assembled.beside()})
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    server = _serve(assembled, health, settings)
    worker.start()
    log.info("worker.started", port=settings.port)
    while not stopping.wait(WATCH_SECONDS) and not worker.failed.is_set():
        pass
    health.draining.set()
    ended = worker.stop()
    server.shutdown()
    assembled.database.dispose()
    log.info("worker.stopped", in_time=ended)
    return 0 if ended and not worker.failed.is_set() else 1


def _describe(worker: Worker) -> str:
    report = worker.health()
    if report["status"] == "failed":
        raise ChildProcessError("a thread of the worker died")
    return "ok" if report["status"] == "ready" else "degraded: behind, or without the broker"


def _serve(assembled: Assembled, health: Health, settings: ServiceSettings) -> WSGIServer:
    server = make_server(settings.host, settings.port, assembled.application(health), handler_class=_Quiet)
    if settings.tls_certificate is not None and settings.tls_authority is not None:
        mutual = tls.serving(settings.tls_certificate, settings.tls_authority)
        server.socket = mutual.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
