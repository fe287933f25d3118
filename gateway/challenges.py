"""Answers to a certificate authority that asks whether we hold this name (ACME HTTP-01, RFC 8555 section 8.3).

Any client that writes into a folder works (`certbot --webroot`, `acme.sh -w`, `lego --http.webroot`): the gateway shows it.
"""

import os
import re
from pathlib import Path

from flask import Flask, Response

from libs.common.errors import NotFound

PREFIX = "/.well-known/acme-challenge/"
TOKEN = r"[A-Za-z0-9_-]{1,128}"  # noqa: S105 — the form of a public name
ANSWER_MAX = 1_024
"""Longest answer in bytes that is shown; a key authorisation has about ninety."""


def show_challenges(app: Flask, folder: Path) -> None:
    """Let the pages answer with the files of `folder`: those a client wrote for a challenge, and nothing else there."""

    def answer(token: str) -> Response:
        return Response(
            challenge(folder, token), content_type="application/octet-stream", headers={"Cache-Control": "no-store"}
        )

    app.add_url_rule(f"{PREFIX}<token>", "acme_challenge", answer)


def challenge(folder: Path, token: str) -> bytes:
    """What a client wrote for this token, below the folder or below its webroot. Raises NotFound."""
    if not re.fullmatch(TOKEN, token):
        raise NotFound("A challenge is named by letters, digits, - and _.")
    for path in (folder / token, folder / PREFIX.strip("/") / token):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(ANSWER_MAX + 1)
        if len(content) <= ANSWER_MAX:
            return content
    raise NotFound("There is no such challenge.")
