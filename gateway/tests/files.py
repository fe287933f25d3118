"""A small real service for long bodies: reads when it may, counts what came and what it gave, serves a file in parts."""

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from gevent.event import Event
from gevent.pywsgi import WSGIServer

CHUNK = 64 * 1024
SIZE = 64 * 1024 * 1024

counts = {"received": 0, "given": 0, "uploads_ended": 0, "downloads_ended": 0}
may_read = Event()
may_read.set()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """`…/counts`, `…/hold` and `…/go` tell and steer; a PUT is read and counted, anything else is the file."""
    path = environ["PATH_INFO"]
    if path.endswith(("/ready", "/counts", "/hold", "/go")):
        if path.endswith("/hold"):
            may_read.clear()
            counts.update(dict.fromkeys(counts, 0))
        elif path.endswith("/go"):
            may_read.set()
        return answer(start_response)
    if environ["REQUEST_METHOD"] == "PUT":
        receive(environ["wsgi.input"])
        return answer(start_response)
    start = int(environ.get("HTTP_RANGE", "bytes=0-").removeprefix("bytes=").partition("-")[0])
    part = [("Content-Range", f"bytes {start}-{SIZE - 1}/{SIZE}")] if start else []
    seen = [(f"X-Seen-{name}", environ.get(f"HTTP_{name.upper().replace('-', '_')}", "")) for name in ("Range", "If-Range")]
    start_response("206 Partial Content" if start else "200 OK", [("Content-Length", str(SIZE - start)), *part, *seen])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else given(start)


def answer(start_response: Any) -> list[bytes]:
    """The counts."""
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(counts).encode()]


def receive(body: Any) -> None:
    """Read all of it, in pieces, when that is permitted."""
    try:
        while may_read.wait() and (piece := body.read(CHUNK)):
            counts["received"] += len(piece)
    finally:
        counts["uploads_ended"] += 1


def given(start: int) -> Iterator[bytes]:
    """The file from a position on."""
    try:
        for _ in range(start, SIZE, CHUNK):
            counts["given"] += CHUNK
            yield bytes(CHUNK)
    finally:
        counts["downloads_ended"] += 1


if __name__ == "__main__":
    WSGIServer(("127.0.0.1", int(sys.argv[1])), application, log=None, error_log=None).serve_forever()
