"""The open event stream of one person (server-sent events, WHATWG HTML section 9.2), read in the background."""

import json
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Any, Self

import httpx

from ops.demo.client import API, Client

CLOSE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event of the stream and the moment it was read."""

    event: str
    data: dict[str, Any]
    at: float


class EventStream:
    """Collects events until it is closed."""

    def __init__(self, client: Client) -> None:
        self.arrivals: list[Arrival] = []
        self.fault = ""
        self._http = httpx.Client(base_url=client.origin, timeout=httpx.Timeout(10, read=None), trust_env=False)
        self._headers = {**client.authorization, "Accept": "text/event-stream"}
        self._thread = threading.Thread(target=self._read, name="event-stream", daemon=True)
        self._response: httpx.Response | None = None
        self._closing = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing = True
        if self._response is not None:
            # Closing the client under the reader would race with its read: the end of the connection wakes it instead.
            connection = self._response.extensions["network_stream"].get_extra_info("socket")
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(CLOSE_SECONDS)
        self._http.close()

    @property
    def ended(self) -> bool:
        """Whether the stream is over: the gateway ended it, or it never began."""
        return not self._thread.is_alive()

    def find(self, event: str, **members: Any) -> Arrival | None:
        """The first event of this name whose data (or whose data's `data`) has these members."""
        for arrival in list(self.arrivals):
            inner = arrival.data.get("data")
            seen = {**arrival.data, **(inner if isinstance(inner, dict) else {})}
            if arrival.event == event and all(str(seen.get(name)) == str(value) for name, value in members.items()):
                return arrival
        return None

    def _read(self) -> None:
        try:
            with self._http.stream("GET", f"{API}/notifications/stream", headers=self._headers) as response:
                self._response = response
                if response.status_code != httpx.codes.OK:
                    response.read()
                    self.fault = f"the stream answered {response.status_code}: {response.text[:200]}"
                    return
                self._collect(response)
        except httpx.HTTPError as error:
            if not self._closing:
                self.fault = f"the stream broke: {type(error).__name__}"

    def _collect(self, response: httpx.Response) -> None:
        event, data = "message", list[str]()
        for line in response.iter_lines():
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                event = value
            elif name == "data":
                data.append(value)
            elif not line:
                if data:
                    self.arrivals.append(Arrival(event, json.loads("\n".join(data)), monotonic()))
                event, data = "message", []
