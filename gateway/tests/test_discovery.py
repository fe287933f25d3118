"""Where requests may go: from a file, or from the network's names."""

import json
import socket
import threading
from pathlib import Path

import pytest

from gateway import limits
from gateway.discovery import FileTargets, NamedTargets, addresses_of
from gateway.door import TargetError
from gateway.manifest import manifest_paths


def test_a_file_that_is_not_there_names_no_replica(tmp_path: Path) -> None:
    targets = FileTargets(tmp_path / "targets.json")

    assert targets.read() == {}
    assert targets.fingerprint() is None


def test_a_file_that_changed_has_another_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "targets.json"
    targets = FileTargets(path)
    path.write_text(json.dumps({"tasks": {"web": ["127.0.0.1:1"]}}))
    before = targets.fingerprint()
    path.write_text(json.dumps({"tasks": {"web": ["127.0.0.1:1", "127.0.0.1:2"]}}))

    assert targets.fingerprint() != before
    assert targets.read() == {"tasks": {"web": ["127.0.0.1:1", "127.0.0.1:2"]}}


@pytest.mark.parametrize("text", ["", "[]", '{"tasks": ["127.0.0.1:1"]}', '{"tasks": {"web": "127.0.0.1:1"}}', "{"])
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "targets.json"
    path.write_text(text)

    with pytest.raises(TargetError, match="service → process → list"):
        FileTargets(path).read()


def test_every_address_behind_a_name_is_a_replica_and_an_unknown_name_has_none() -> None:
    known = {"tasks": ["10.0.0.2", "10.0.0.3"], "notify-stream": ["10.0.0.9"]}
    targets = NamedTargets(manifest_paths, lambda name: known.get(name, []))

    read = targets.read()

    assert read["tasks"] == {"web": ["10.0.0.2:8000", "10.0.0.3:8000"]}
    assert read["notify"] == {"stream": ["10.0.0.9:8000"], "web": []}
    assert "gateway" not in read
    assert targets.fingerprint() == read


def test_names_are_asked_of_the_machine_s_own_resolver() -> None:
    assert addresses_of("localhost") == ["127.0.0.1"]
    assert addresses_of("no-such-name.invalid") == []


class Network:
    """A name server of the tests' own."""

    def __init__(self) -> None:
        self.known = {"tasks": ["10.0.0.2", "10.0.0.3"]}
        self.answers = True

    def resolve(self, name: str) -> list[str]:
        """What it says. Raises OSError when it is away."""
        if not self.answers:
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return self.known.get(name, [])


def test_a_name_server_that_fails_takes_no_replica_away_but_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network()
    targets = NamedTargets(manifest_paths, network.resolve)
    both = {"web": ["10.0.0.2:8000", "10.0.0.3:8000"]}
    moment = 100.0
    monkeypatch.setattr("gateway.discovery.clock.monotonic", lambda: moment)
    assert targets.read()["tasks"] == both
    network.answers = False
    for seconds, expected in ((-1.0, both), (0.0, both), (1.0, {"web": []})):
        moment = 100.0 + limits.LOOKUP_KEPT_SECONDS + seconds
        assert targets.read()["tasks"] == expected
    network.answers = True
    assert targets.read()["tasks"] == both


def test_a_name_that_is_gone_has_no_replica_at_once() -> None:
    network = Network()
    targets = NamedTargets(manifest_paths, network.resolve)
    assert targets.read()["tasks"]["web"]

    network.known = {"tasks": ["10.0.0.3"]}
    assert targets.read()["tasks"] == {"web": ["10.0.0.3:8000"]}
    network.known = {}
    assert targets.read()["tasks"] == {"web": []}


def test_a_name_server_that_is_silent_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOKUP_SECONDS", 0.2)
    freed = threading.Event()

    def resolve(name: str) -> list[str]:
        if name == "media":
            freed.wait(30)
        return ["10.0.0.2"]

    read = NamedTargets(manifest_paths, resolve).read()
    freed.set()

    assert (read["tasks"]["web"], read["media"]["web"]) == (["10.0.0.2:8000"], [])
