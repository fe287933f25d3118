"""Live: the process runs. Ready: it can do its work; degraded: it can, but something beside it cannot."""

from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

import orjson
from flask import Response

from libs.common.http.routes import JSON

Check = Callable[[], str]
"""Returns "ok", or "degraded: why"; raises when the process cannot work."""


class Health:
    """The readiness of one process."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = dict(checks)
        self.draining = Event()

    def live(self) -> Response:
        """200 as long as the process answers."""
        return _document(200, {"status": "live"})

    def ready(self) -> Response:
        """200 when every check passes or is only degraded, 503 otherwise and while draining."""
        if self.draining.is_set():
            return _document(503, {"status": "draining"})
        ready, details = self.report()
        status = "ready" if all(detail == "ok" for detail in details.values()) else "degraded"
        return _document(200 if ready else 503, {"status": status if ready else "unavailable", "checks": details})

    def report(self) -> tuple[bool, dict[str, str]]:
        """Whether all checks hold, and what each said."""
        details: dict[str, str] = {}
        ready = True
        for name, check in self._checks.items():
            try:
                details[name] = check()
            except Exception as error:  # noqa: BLE001 — a check that fails in any way is a failed check
                details[name] = f"failed: {type(error).__name__}"
                ready = False
        return ready, details


def _document(status: int, members: Mapping[str, Any]) -> Response:
    return Response(orjson.dumps(members), status=status, content_type=JSON, headers={"Cache-Control": "no-store"})
