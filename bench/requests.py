"""What the kernel's request layer adds to a request, on a real service, against a bare Flask application."""

import tempfile
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import count
from json import dumps
from typing import Any
from uuid import UUID

from flask import Flask
from werkzeug.test import EnvironBuilder, run_wsgi_app

from bench.figures import Figure, NothingMeasured, against, limit
from bench.servers import harness
from bench.timing import MICROSECONDS, Work, bounded, costs
from libs.common.auth import Role
from libs.common.ids import random_token
from libs.common.testing import Harness
from services.media.app import service
from services.media.domain.uploads import PENDING_MAX

HELLO = "Flask alone: a hello"
FILE = {"category": "DOCUMENT", "filename": "tableau.md", "content_type": "text/markdown", "size": 1_000}
JSON = "application/json"


def measure(seconds: float) -> list[Figure]:
    """Processor time of one request in this process; that of Postgres is not in it."""
    with bounded(), tempfile.TemporaryDirectory(prefix="lumiere-bench-") as folder:
        with harness(service, {"STORAGE_FOLDER": folder, "STORAGE_SECRET": random_token()}) as media:
            took = costs(
                {
                    HELLO: _hello(),
                    "platform: a read (token, policy, one SELECT, answer)": _read(media),
                    "platform: a write (token, policy, shape, a transaction, answer)": _write(media),
                },
                seconds,
            )
    base = limit(HELLO, took.pop(HELLO) * MICROSECONDS, "CPU µs a request")
    return [base, *(against(base, name, value * MICROSECONDS) for name, value in took.items())]


def _hello() -> Work:
    application = Flask("hello")
    application.add_url_rule("/hello", view_func=lambda: "hello")
    return _request(application, 200, lambda: EnvironBuilder("/hello").get_environ())


def _read(media: Harness) -> Work:
    reader = media.subject(Role.ARTIST)
    opened = media.client(reader).post("/api/v1/uploads", json=FILE)
    authorization = f"Bearer {media.token(reader)}"
    path = f"/api/v1/media/{UUID(opened.get_json()['media_id'])}"
    environ = EnvironBuilder(path, headers=[("Authorization", authorization)]).get_environ()
    return _request(media.application(), 200, lambda: dict(environ))


def _write(media: Harness) -> Work:
    body = dumps(FILE).encode()
    environments = _uploaders(media, body)

    def next_environ() -> dict[str, Any]:
        return next(environments) | {"wsgi.input": BytesIO(body)}

    return _request(media.application(), 201, next_environ)


def _uploaders(media: Harness, body: bytes) -> Iterator[dict[str, Any]]:
    """Requests of one person after another, each with as many as a person may have open."""
    for _ in count():
        headers = [("Authorization", f"Bearer {media.token(media.subject(Role.ARTIST))}")]
        builder = EnvironBuilder("/api/v1/uploads", method="POST", data=body, content_type=JSON, headers=headers)
        environ = builder.get_environ()
        for _ in range(PENDING_MAX):
            yield environ


def _request(application: Flask, status: int, environ: Callable[[], dict[str, Any]]) -> Work:
    """One request straight into the WSGI application. Raises NothingMeasured when the answer has another status."""

    def request() -> None:
        answer, got, _ = run_wsgi_app(application, environ())
        body = b"".join(answer)
        if not got.startswith(str(status)):
            raise NothingMeasured(f"A request answered {got}, not {status}: {body.decode(errors='replace')[:300]}")

    return request
