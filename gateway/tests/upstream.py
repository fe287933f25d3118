"""A small real service for the gateway's tests: repeats what reached it, streams, waits. A process: it can be killed."""

import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from gevent import sleep
from gevent.pywsgi import WSGIServer

StartResponse = Any
LARGE_BYTES = 16 * 1024 * 1024
moods: set[str] = set()
"""`failing`: every answer but that to the health check is a 500. SIGUSR1 brings it, SIGUSR2 takes every mood away.
`unready`: it says so when asked for its health; the second argument brings it."""


def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """`…/stream`, `…/slow`, `…/large`, `…/shut` (404), `…/die`; anything else is repeated as JSON."""
    path = environ["PATH_INFO"]
    if path == "/health/ready" and "unready" in moods:
        start_response("503 Service Unavailable", [])
        return [b""]
    if path != "/health/ready" and "failing" in moods:
        start_response("500 Internal Server Error", [])
        return [b""]
    if path.endswith("/die"):
        os._exit(1)
    if path.endswith("/stream"):
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return events(int(environ.get("HTTP_LAST_EVENT_ID", -1)) + 1)
    if path.endswith("/slow"):
        sleep(3)
    if path.endswith("/large"):
        start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(LARGE_BYTES))])
        return [b"x" * LARGE_BYTES]
    if path.endswith("/shut"):
        start_response("404 Not Found", [("Content-Type", "application/problem+json"), ("X-Own", "the service's")])
        return [b'{"title": "said by the service"}']
    body = environ["wsgi.input"].read()
    seen = {
        "method": environ["REQUEST_METHOD"],
        "path": path,
        "query": environ.get("QUERY_STRING", ""),
        "headers": {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")},
        "length": len(body),
        "sha256": sha256(body).hexdigest(),
        "media_type": environ.get("CONTENT_TYPE", ""),
        "replica": sys.argv[1],
    }
    crossing = [("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Credentials", "true")]
    said = [("Content-Type", "application/json"), ("Server", "upstream"), ("X-Powered-By", "something")]
    start_response("200 OK", said + crossing * path.endswith("/crossing"))
    return [json.dumps(seen).encode()]


def events(start: int) -> Iterator[bytes]:
    """One event at a time, far enough apart to see whether each passes at once."""
    for number in range(start, 5):
        yield f"id: {number}\ndata: {number}\n\n".encode()
        sleep(0.3)


if __name__ == "__main__":
    moods |= set(sys.argv[2:])
    signal.signal(signal.SIGUSR1, lambda *_: moods.add("failing"))
    signal.signal(signal.SIGUSR2, lambda *_: moods.clear())
    WSGIServer(("127.0.0.1", int(sys.argv[1])), application, log=None, error_log=None).serve_forever()
