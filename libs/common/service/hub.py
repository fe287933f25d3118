"""The event stream process: thousands of idle connections on gevent."""

from collections.abc import Callable
from typing import Any

import gevent
from gunicorn.workers.ggevent import GeventWorker

from libs.common.service.web import _Drains


class DrainingGeventWorker(_Drains, GeventWorker):
    """Greenlets: one process holds many open streams."""

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM."""
        self.begin_drain(lambda: GeventWorker.handle_exit(self, sig, frame))

    def after(self, seconds: float, stop: Callable[[], None]) -> None:
        """Call `stop` later. Starting a thread would wait for it, which gevent refuses inside a signal handler."""
        gevent.spawn_later(seconds, stop)
