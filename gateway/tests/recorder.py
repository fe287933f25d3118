"""A replica that writes down every byte it gets, and reads it as the strictest server would (RFC 9112): anything that two
servers could read in two ways is a fault of whoever sent it."""

import re
import socket
import threading
from dataclasses import dataclass

FIELD = rb"(?:[!#$%&'*+.^`|~0-9A-Za-z-]+: ?[ -~\t\x80-\xff]*\r\n)*"
FIELDS = re.compile(FIELD)
HEAD = re.compile(rb"(?P<method>[A-Z]+) (?P<target>[!-~]+) HTTP/1\.1\r\n(?P<fields>" + FIELD + rb")")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n")
HEALTH = b"/health/ready"


class Ambiguous(Exception):
    """Bytes that no careful server would take."""


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    target: bytes
    fields: dict[bytes, bytes]
    body: bytes


def read_request(raw: bytes) -> tuple[Request, bytes] | None:
    """The first request in `raw` and what follows it; None when it is not whole. Raises Ambiguous."""
    head, found, rest = raw.partition(b"\r\n\r\n")
    if not found:
        return None
    matched = HEAD.fullmatch(head + b"\r\n")
    if not matched:
        raise Ambiguous(head)
    fields: dict[bytes, bytes] = {}
    for line in matched["fields"].splitlines():
        name, _, value = line.partition(b":")
        if name.lower() in fields and name.lower() in {b"content-length", b"transfer-encoding", b"host", b"authorization"}:
            raise Ambiguous(head)
        fields[name.lower()] = value.strip()
    length, encoding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    if (length is not None and encoding is not None) or encoding not in {None, b"chunked"}:
        raise Ambiguous(head)
    if length is not None and not re.fullmatch(rb"[0-9]{1,15}", length):
        raise Ambiguous(head)
    body = _chunks(rest) if encoding else _counted(rest, int(length or 0))
    return None if body is None else (Request(matched["target"], fields, body[0]), body[1])


def _counted(rest: bytes, length: int) -> tuple[bytes, bytes] | None:
    return None if len(rest) < length else (rest[:length], rest[length:])


def _chunks(rest: bytes) -> tuple[bytes, bytes] | None:
    body = b""
    while True:
        line = CHUNK.match(rest)
        if not line:
            if b"\r\n" in rest[:20]:
                raise Ambiguous(rest[:20])
            return None
        size, start = int(line[1], 16), line.end()
        if size and len(rest) < start + size + 2:
            return None
        if size and rest[start + size : start + size + 2] != b"\r\n":
            raise Ambiguous(rest[start + size : start + size + 2])
        if size:
            body, rest = body + rest[start : start + size], rest[start + size + 2 :]
            continue
        trailers, ended, after = rest[start - 2 :].partition(b"\r\n\r\n")
        if not ended:
            return None
        if not FIELDS.fullmatch(trailers[2:] + b"\r\n" if trailers else b""):
            raise Ambiguous(trailers)
        return body, after


class Recorder:
    """Listens, records, and repeats the target of each request as the answer."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.faults: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def forget(self) -> None:
        """Begin anew."""
        self.requests.clear()
        self.faults.clear()

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        raw = b""
        with connection:
            while True:
                try:
                    part = connection.recv(65_536)
                except OSError:
                    return
                if not part:
                    return  # what is not whole was never a request
                raw += part
                try:
                    raw = self._answer(connection, raw)
                except Ambiguous as fault:
                    self.faults.append(fault.args[0])
                    return
                except OSError:
                    return  # nobody waits for the answer any more

    def _answer(self, connection: socket.socket, raw: bytes) -> bytes:
        while read := read_request(raw):
            request, raw = read
            if request.target != HEALTH:
                self.requests.append(request)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(request.target), request.target))
        return raw
