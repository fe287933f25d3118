"""Where requests may go: from a file, or from the network's names."""

import json
from pathlib import Path

import pytest

from gateway.compiler import TargetError
from gateway.discovery import FileTargets, NamedTargets, addresses_of
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
