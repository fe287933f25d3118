"""The event stream process: thousands of idle connections on gevent."""

from typing import Any

from gunicorn.workers.ggevent import GeventWorker

from libs.common.service.web import _Drains


class DrainingGeventWorker(_Drains, GeventWorker):
    """Greenlets: one process holds many open streams."""

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM."""
        self.begin_drain(lambda: GeventWorker.handle_exit(self, sig, frame))
