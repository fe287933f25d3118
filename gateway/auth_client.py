"""Auth's documents, fetched with the standard library: a client of its own would be a third of this process's memory."""

import json
from collections.abc import Mapping
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from ssl import SSLContext
from typing import Any
from urllib.parse import urlsplit

from libs.common import tls

INTERNAL = "/internal/"
"""What only services may read; the token is shown there alone."""


class AuthError(Exception):
    """Auth answered something other than a document."""


class AuthClient:
    """Reads JSON objects of auth. Safe to call from several threads: each call has its own connection."""

    def __init__(
        self,
        address: str,
        token: str,
        timeout_seconds: float,
        *,
        authority: Path | None = None,
        certificate: Path | None = None,
    ) -> None:
        self._address = urlsplit(address)
        self._token = token
        self._timeout_seconds = timeout_seconds
        self._authority = authority
        self._certificate = certificate

    def document(self, path: str) -> Mapping[str, Any]:
        """The JSON object at this path.

        Raises OSError when auth cannot be reached or stays silent for the timeout, AuthError for an answer that is no
        success, ValueError for a body that is no JSON object.
        """
        headers = {"Authorization": f"Bearer {self._token}"} if path.startswith(INTERNAL) else {}
        connection = self._connection()
        try:
            connection.request("GET", path, headers={"Accept": "application/json", **headers})
            answer = connection.getresponse()
            body = answer.read()
        except HTTPException as error:
            raise AuthError(f"auth does not answer {path} in HTTP: {type(error).__name__}") from None
        finally:
            connection.close()
        if answer.status != 200:
            raise AuthError(f"auth answers {path} with {answer.status}")
        document = json.loads(body)
        if not isinstance(document, dict):
            raise ValueError(f"{path} must answer a JSON object")  # noqa: TRY004 — a fault of the answer, not of a caller
        return document

    def _connection(self) -> HTTPConnection:
        host, port = self._address.hostname or "", self._address.port
        if self._address.scheme == "https":
            return HTTPSConnection(host, port, timeout=self._timeout_seconds, context=self._trust)
        return HTTPConnection(host, port, timeout=self._timeout_seconds)

    @cached_property
    def _trust(self) -> SSLContext:
        return tls.calling(self._authority, self._certificate)
