"""The parts of measuring the gateway that can be checked without measuring."""

import importlib
import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, nullcontext
from itertools import combinations
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import Figure
from bench.gateway import SETTINGS, growth, peers
from bench.gateway.latency import complete
from bench.gateway.listeners import Listeners
from bench.gateway.load import parse, write_requests
from bench.gateway.peers import FAST_GATEWAY, LOCK, Place
from bench.gateway.processes import NotInstalled, program, running, tree
from bench.gateway.stage import answerer, door, everywhere, keys_of_auth, published, status_of
from bench.gateway.targets import TARGETS, missed, target_of
from bench.gateway.throughput import USERS
from bench.targets import Target
from gateway.manifest import Manifest
from gateway.paths import is_shaped, overlap
from libs.common import clock
from libs.common.auth import Role
from libs.common.testing import TestKeys, a_subject, claims_for, mint

ISSUER = "https://lumiere.test"
DEADLINE_SECONDS = 10
SOMEBODY = "01890a5d-ac96-774b-bcce-b302099a8057"


def eventually(condition: object) -> None:
    assert callable(condition)
    deadline = clock.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert clock.monotonic() < deadline
        threading.Event().wait(0.02)


def alive(pid: int) -> bool:
    """Whether it runs: what ended and was not yet fetched by its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_a_load_came_to_is_read_from_the_last_line() -> None:
    line = {"requests": 9, "asked": 10, "seconds": 1.5, "refused": 2, "connect": 0, "read": 1, "write": 0, "timeout": 0}
    seen = parse("Running…\n" + json.dumps(line | {"statuses": [{"200": 6, "503": 1}, {"200": 1, "401": 1}]}) + "\n")

    assert (seen.requests, seen.seconds, seen.failed) == (9, 1.5, 3)
    assert seen.broken == {"read": 1}
    assert seen.statuses == {"200": 7, "503": 1, "401": 1}


def test_requests_of_a_load_are_a_path_and_a_token_each(tmp_path: Path) -> None:
    assert write_requests(tmp_path / "asked", [("/a", "t"), ("/b", None)]).read_text() == "/a t\n/b -\n"


@given(st.binary(max_size=50), st.integers(0, 60))
def test_an_answer_is_complete_once_as_much_came_as_was_announced(body: bytes, announced: int) -> None:
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {announced}\r\n\r\n".encode()
    assert complete(head + body) == (len(body) >= announced)
    assert not complete(head[:-1])


@pytest.mark.parametrize("size", growth.SIZES)
def test_manifests_of_any_size_are_ones_that_the_gateway_compiles(size: int) -> None:
    manifest = Manifest.model_validate(growth.manifest("made", range(size)))

    assert len(manifest.routes) == size
    assert sum(not is_shaped(each) for each in manifest.routes) == size // growth.FREE_TEXT_EVERY
    assert not any(overlap(left, right) for left, right in combinations(manifest.routes[:50], 2))
    assert all("{" not in growth.filled(each.path) for each in manifest.routes)


def test_a_process_is_counted_with_its_children_and_leaves_none() -> None:
    script = "import subprocess, sys; print(subprocess.run([sys.executable, '-c', 'input()']))"
    with running([sys.executable, "-c", f"import os; os.dup2(os.pipe()[0], 0); {script}"]) as parent:
        eventually(lambda: len(tree(parent.pid)) == 2)
        family = tree(parent.pid)
        assert parent.memory_mb() > 0

    eventually(lambda: not any(alive(pid) for pid in family))


def test_a_program_that_is_not_there_is_named_with_how_it_comes() -> None:
    with pytest.raises(NotInstalled, match="not installed: apt-get install nothing-light"):
        program("a-program-of-nobody", "nothing-light")


def test_a_gateway_that_is_not_installed_is_in_the_table_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def gone(name: str, package: str) -> str:
        raise NotInstalled(f"not installed: apt-get install {package}")

    monkeypatch.setattr(peers, "program", gone)
    monkeypatch.setattr(peers, "PEERS", peers.PEERS[:-2])
    monkeypatch.setattr(peers, "_flask", lambda *_, **__: nullcontext(peers.Started(9, ())))
    with peers.started(Place(None, "127.0.0.1:9", tmp_path)) as found:  # type: ignore[arg-type]
        assert {peer.name: why for peer, why in found.items()} == {
            "nginx, auth_request to Flask": "not installed: apt-get install nginx-light",
            "nginx, the same, answers kept for 5 s": "not installed: apt-get install nginx-light",
            "Caddy, forward_auth to Flask": "not installed: apt-get install caddy",
            "fast-gateway (Node)": "not installed: apt-get install nodejs npm",
            "fast-gateway that remembers tokens": "not installed: apt-get install nodejs npm",
        }


def test_what_npm_installs_is_locked_and_names_no_registry() -> None:
    wanted = json.loads((FAST_GATEWAY / "package.json").read_text())["dependencies"]
    packages = json.loads((FAST_GATEWAY / LOCK).read_text())["packages"]

    assert {f"node_modules/{name}" for name in wanted} <= packages.keys()
    assert [name for name, each in packages.items() if name and not each.get("integrity", "").startswith("sha512-")] == []
    assert [name for name, each in packages.items() if "resolved" in each] == []


@pytest.fixture(scope="module")
def keys() -> TestKeys:
    return TestKeys()


@pytest.fixture
def checking(keys: TestKeys, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The Flask peers, with no service behind them: only the check is looked at."""
    settings = {
        "issuer": ISSUER,
        "audience": "lumiere",
        "key": published(keys)["keys"][0],
        "service": "127.0.0.1:9",
        "remember": True,
    }
    monkeypatch.setenv(SETTINGS, json.dumps(settings))
    yield importlib.import_module("bench.gateway.checking")
    del sys.modules["bench.gateway.checking"]


@pytest.mark.parametrize(
    ("path", "role", "status"),
    [
        (USERS.format(id=SOMEBODY), Role.ADMIN, 200),
        (USERS.format(id=SOMEBODY), Role.ARTIST, 403),
        (USERS.format(id=SOMEBODY), None, 401),
        ("/api/v1/notifications/count", Role.ARTIST, 200),
        ("/api/v1/other", Role.ADMIN, 404),
    ],
)
def test_the_flask_peers_make_the_same_check(
    checking: ModuleType, keys: TestKeys, path: str, role: Role | None, status: int
) -> None:
    token = mint(keys, claims_for(a_subject(role), ISSUER, "lumiere")) if role else ""
    headers = {"X-Forwarded-Uri": path, "Authorization": f"Bearer {token}"} if role else {"X-Forwarded-Uri": path}
    assert checking.verifier.test_client().get("/verify", headers=headers).status_code == status
    if status != 200:
        assert checking.gateway.test_client().get(path, headers=headers).status_code == status


GREETING = b"HTTP/1.1 200 OK\r\n\r\nevent: connected\ndata: {}\n\n"


def test_listeners_know_who_is_connected_who_was_dropped_and_what_was_heard() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with closing(Listeners([(server.getsockname()[1], "token")] * 3)) as listeners:
            accepted = [server.accept()[0] for _ in range(3)]
            for connection in accepted:
                connection.sendall(GREETING[:40])
                connection.sendall(GREETING[40:])
            listeners.await_connected()
            assert listeners.connected == 3
            accepted[0].sendall(b"id: 1\nevent: notifi")
            accepted[0].sendall(b"cation\ndata: {}\n\n")
            accepted[1].close()
            eventually(lambda: sum(len(each.heard) for each in listeners.all) == 1 and len(listeners.dropped) == 1)
            assert listeners.connected == 2
            for connection in accepted:
                connection.close()


def test_bounds_are_kept_or_told() -> None:
    name = "the gateway, tokens seen before; at once"
    fast, slow = (Figure(name, 1.0, "requests/s", "bare", ratio) for ratio in (0.25, 0.24))
    bound = target_of(fast)
    assert bound == Target(name, "≥", 0.25, ratio=True)
    assert bound.met(fast)
    assert not bound.met(slow)
    assert f"{slow.name}: 0.24, wanted ≥ 0.25 as a ratio" in missed([slow])
    assert len(missed([])) == len(TARGETS)


@pytest.mark.long
def test_the_gateway_that_is_measured_is_the_shipped_one_and_checks(tmp_path: Path, keys: TestKeys) -> None:
    away = "amqp://127.0.0.1:9/"
    with (
        keys_of_auth(keys) as auth_url,
        answerer() as service,
        door(tmp_path, away, keys, auth_url, everywhere(service)) as made,
    ):
        address = USERS.format(id=SOMEBODY)
        (admin,), (artist,) = made.tokens(1, Role.ADMIN), made.tokens(1, Role.ARTIST)
        assert [status_of(made.port, address, token) for token in (admin, artist, None)] == [200, 403, 401]
