"""Answers to a certificate authority that asks whether we hold this name (ACME HTTP-01, RFC 8555 section 8.3).

Any client that writes into a folder works (`certbot --webroot`, `acme.sh -w`, `lego --http.webroot`): the gateway shows it.
"""

import os
import re
import stat
from pathlib import Path

from flask import Response

from libs.common.errors import NotFound

PREFIX = "/.well-known/acme-challenge/"
TOKEN = r"[A-Za-z0-9_-]{1,128}"  # noqa: S105 — the form of a public name
ANSWER_MAX = 1_024
"""Longest answer in bytes that is shown; a key authorisation has about ninety."""


def answer(folder: Path, token: str) -> Response:
    """The answer of the pages. Raises NotFound."""
    return Response(challenge(folder, token), content_type="application/octet-stream", headers={"Cache-Control": "no-store"})


def challenge(folder: Path, token: str) -> bytes:
    """What a client wrote for this token, below the folder or below its webroot. Raises NotFound."""
    if not re.fullmatch(TOKEN, token):
        raise NotFound("A challenge is named by letters, digits, - and _.")
    for path in (folder / token, folder / PREFIX.strip("/") / token):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue
        try:
            content = os.read(descriptor, ANSWER_MAX + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
        finally:
            os.close(descriptor)
        if content is not None and len(content) <= ANSWER_MAX:
            return content
    raise NotFound("There is no such challenge.")
