"""The event stream process: thousands of idle connections on gevent."""

from typing import Any

import gevent
from gunicorn.workers.ggevent import GeventWorker

from libs.common.service.web import _Drains


class DrainingGeventWorker(_Drains, GeventWorker):
    """Greenlets: one process holds many open streams."""

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM."""
        # A signal arrives in the event loop itself, where nothing may wait: not for a log line, not for a thread to start.
        gevent.spawn(self.begin_drain, lambda: GeventWorker.handle_exit(self, sig, frame))
