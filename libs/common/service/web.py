"""The web process: gunicorn with threads, or with gevent for event streams. Drains before it stops."""

import ctypes
import os
import signal
import ssl
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker
from prometheus_client import Gauge
from werkzeug.wsgi import ClosingIterator

from libs.common import tls
from libs.common.config import ServiceSettings
from libs.common.http.health import Health
from libs.common.service.assembly import Assembled
from libs.common.service.synchroniser import Synchroniser
from libs.common.telemetry import logger

KEEPALIVE_SECONDS = 75  # longer than the gateway keeps idle connections, so that it is never the one surprised
GRACE_SECONDS = 25
# Not less than what the gateway lets through: it says no in problem documents, gunicorn in HTML.
REQUEST_LINE_MAX = 8_190
HEADER_MAX = 16_384
HEADERS_MAX = 128

PR_SET_PDEATHSIG = 1  # prctl(2)

IN_PROGRESS = Gauge("lumiere_web_requests_in_progress", "Requests in hand, open streams included")
WAITING = Gauge("lumiere_web_requests_waiting", "Requests that wait for a thread")
THREADS = Gauge("lumiere_web_threads", "Requests that this process can have in hand at once")
STREAMS_MAX = 10_000

log = logger(__name__)


class _Drains:
    """On SIGTERM: not ready first, so that the gateway notices; then finish what is in hand."""

    app: Any
    alive: bool

    def begin_drain(self, stop: Callable[[], None]) -> None:
        application: WebApplication = self.app
        if application.health.draining.is_set():
            return
        application.health.draining.set()
        log.info("web.draining", seconds=application.settings.drain_seconds)
        self.after(application.settings.drain_seconds, stop)

    def after(self, seconds: float, stop: Callable[[], None]) -> None:
        """Call `stop` later; called from a signal handler."""
        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()


class DrainingThreadWorker(_Drains, ThreadWorker):
    """Threads: one process serves several requests at once."""

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM."""
        self.begin_drain(lambda: ThreadWorker.handle_exit(self, sig, frame))

    def get_thread_pool(self) -> Any:
        """The pool of request threads, with its queue told."""
        pool = super().get_thread_pool()
        WAITING.set_function(pool._work_queue.qsize)  # noqa: SLF001 - private in Python, and without a public equal
        return pool


class WebApplication(BaseApplication):
    """Gunicorn's view of one web process."""

    def __init__(self, assemble: Callable[[], Assembled], settings: ServiceSettings, worker_class: str, keepalive: int) -> None:
        self.settings = settings
        self.health = Health({})
        self._assemble = assemble
        self._worker_class = worker_class
        self._keepalive = keepalive
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn up; one process a replica, so that memory, caches and metrics need no sharing."""
        settings = self.settings
        values = {
            "bind": f"{settings.host}:{settings.port}",
            "workers": 1,
            "threads": settings.web_threads,
            "worker_class": self._worker_class,
            "worker_connections": STREAMS_MAX,
            "keepalive": self._keepalive,
            "limit_request_line": REQUEST_LINE_MAX,
            "limit_request_field_size": HEADER_MAX,
            "limit_request_fields": HEADERS_MAX,
            "timeout": 60,
            "graceful_timeout": int(settings.drain_seconds) + GRACE_SECONDS,
            "control_socket_disable": True,
            "loglevel": "warning",
            "accesslog": None,
            "post_fork": end_with_the_master,
            "proc_name": "lumiere",
            **_mutual_tls(settings),
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """The WSGI application; called in the worker, after the fork."""
        assembled = self._assemble()
        synchroniser = Synchroniser(assembled)
        self.health = Health({**assembled.checks(), **synchroniser.checks()})
        application = assembled.application(self.health)
        application.wsgi_app = counted(application.wsgi_app)
        THREADS.set(STREAMS_MAX if self._keepalive == 0 else self.settings.web_threads)
        synchroniser.start()
        log.info("web.started", port=self.settings.port)
        return application


def counted(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """The WSGI application with the requests in its hand counted, each until the last byte of its answer is taken."""

    def call(environ: Any, start_response: Any) -> Iterable[bytes]:
        IN_PROGRESS.inc()
        try:
            answer = application(environ, start_response)
        except BaseException:
            IN_PROGRESS.dec()
            raise
        return ClosingIterator(answer, IN_PROGRESS.dec)

    return call


def _mutual_tls(settings: ServiceSettings) -> dict[str, Any]:
    """A process that has a certificate answers only whoever shows one of the same authority."""
    if settings.tls_certificate is None or settings.tls_authority is None:
        return {}
    own, authority = settings.tls_certificate, settings.tls_authority
    context = tls.serving(own, authority)  # once: gunicorn would make one for every connection
    return {
        "certfile": str(own),
        "keyfile": str(own),
        "ca_certs": str(authority),
        "cert_reqs": ssl.CERT_REQUIRED,
        "ssl_context": lambda _config, _default: context,
    }


def end_with_the_master(arbiter: Any, _worker: Any) -> None:
    """Let the kernel end this worker together with its master.

    An orphan would keep the port and half answer on it while the master's successor tries to take it.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != arbiter.pid:  # it died in between
        os.kill(os.getpid(), signal.SIGKILL)


def run_web(assemble: Callable[[], Assembled], settings: ServiceSettings) -> int:
    """Serve until told to stop."""
    streaming = "stream" in sys.argv
    module = "libs.common.service.hub" if streaming else __name__
    worker_class = f"{module}.{'DrainingGeventWorker' if streaming else 'DrainingThreadWorker'}"
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # A connection that carried a stream is done; kept open, it would hold up the end of the process.
    WebApplication(assemble, settings, worker_class, 0 if streaming else KEEPALIVE_SECONDS).run()
    return 0
