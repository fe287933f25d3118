"""The process of the pages comes when somebody asks and goes when nobody does; what the control process tells itself."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway import limits, sockets
from gateway.children import PYTHON
from gateway.folder import Folder
from gateway.on_demand import COMMAND, OnDemand
from gateway.telling import METRICS, STATUS, ControlAway, Teller, ask
from gateway.tests.running import eventually
from gateway.tests.site import variables


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "gateway")


def connected(folder: Folder, name: str) -> socket.socket:
    """A connection to one of the sockets."""
    eventually((folder.run / name).exists)
    opened = socket.socket(socket.AF_UNIX)
    opened.settimeout(20)
    with sockets.short_path(folder.run / name) as short:
        opened.connect(short)
    return opened


def page(folder: Folder, path: str) -> bytes:
    """What the pages answer, whoever serves them."""
    with connected(folder, sockets.PAGES) as opened:
        opened.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return b"".join(iter(lambda: opened.recv(65_536), b""))


@contextmanager
def running(work: OnDemand | Teller) -> Iterator[None]:
    """While it runs."""
    stopped = threading.Event()
    thread = threading.Thread(target=work.run, args=(stopped,))
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def test_pages_are_served_when_somebody_asks_and_by_nobody_when_nobody_does(folder: Folder) -> None:
    environ = {**os.environ, **variables(folder.root)}
    demanded = OnDemand(folder, command=(*PYTHON, COMMAND, "0.2"), environ=environ)

    with running(demanded):
        assert not demanded.serving.is_set()
        assert b" 200 OK" in page(folder, "/events").partition(b"\r\n")[0]
        assert eventually(lambda: not demanded.serving.is_set())
        assert b" 404 " in page(folder, "/nowhere").partition(b"\r\n")[0]
        assert (folder.run / sockets.PAGES).stat().st_mode & 0o777 == 0o600

    assert demanded.starts == 2
    assert not demanded.serving.is_set()


def test_the_process_of_the_pages_ends_with_the_control_process_in_the_midst_of_its_idle_time(folder: Folder) -> None:
    demanded = OnDemand(folder, environ={**os.environ, **variables(folder.root)})

    with running(demanded):
        assert b" 200 OK" in page(folder, "/events").partition(b"\r\n")[0]
        assert demanded.serving.is_set()

    assert not demanded.serving.is_set()


class Patient(threading.Event):
    """Is told to stop as soon as somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout)
        self.set()
        return True


@pytest.mark.parametrize("command", [("false",), ("/nonexistent/program",)])
def test_a_process_that_fails_is_not_started_again_at_once(folder: Folder, command: tuple[str, ...]) -> None:
    demanded, stopped = OnDemand(folder, command=command), Patient()
    thread = threading.Thread(target=demanded.run, args=(stopped,))
    thread.start()
    with connected(folder, sockets.PAGES):
        thread.join(10)

    assert stopped.waited == [limits.PAGES_AGAIN_SECONDS]
    assert demanded.starts == 1


def test_status_and_metrics_are_told_on_a_socket_for_this_user_alone(folder: Folder) -> None:
    with running(Teller(folder, lambda: {"broadcast": True}, lambda: b"lumiere_gateway_keys 1\n")):
        eventually((folder.run / sockets.CONTROL).exists)
        assert json.loads(ask(folder, STATUS)) == {"broadcast": True}
        assert ask(folder, METRICS) == b"lumiere_gateway_keys 1\n"
        with pytest.raises(ControlAway, match="404"):
            ask(folder, "/health")
        assert (folder.run / sockets.CONTROL).stat().st_mode & 0o777 == 0o600
        assert folder.run.stat().st_mode & 0o777 == 0o700

    with pytest.raises(ControlAway, match="does not answer"):
        ask(folder, STATUS)


def test_who_connects_and_says_nothing_keeps_nobody_from_asking(folder: Folder) -> None:
    with running(Teller(folder, dict, bytes)), connected(folder, sockets.CONTROL):
        assert ask(folder, STATUS) == b"{}"
