"""The operator's commands on policy, as they are typed: what they say, their JSON, their exit codes."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from gateway.__main__ import main
from gateway.compiler import POLICY_FILE
from gateway.folder import Folder
from gateway.manifest import ROOT, manifest_paths, read_written
from gateway.policies import HERE, IN_FORCE, of_revision
from gateway.policy_commands import COMMANDS

Ask = Callable[..., Result]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Type a command, before a gateway whose folder is empty."""

    def typed(*words: str, folder: Path | None = None) -> Result:
        place = Folder(folder or tmp_path / "gateway")
        return CliRunner().invoke(COMMANDS[words[0]], list(words[1:]), obj=lambda: place)

    return typed


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a release of what stands here."""
    folder = tmp_path_factory.mktemp("compiled")
    result = CliRunner().invoke(COMMANDS["compile"], [str(folder), "--json"])
    assert result.exit_code == 0, result.output
    return folder


def test_explain_names_the_route_its_declaration_and_its_limits(ask: Ask) -> None:
    said = ask("explain", "GET", "/api/v1/admin/users?x=1", "--role", "VIEWER").output

    assert "is answered 403: role_missing (it takes one of ADMIN)" in said
    assert "services/auth/routes/" in said
    assert "read: 600 a subject, 3000 an address, in 60 s" in said
    assert "auth-web (unknown: no HAProxy answers here)" in said


def test_explain_answers_in_json_too(ask: Ask) -> None:
    answer = json.loads(ask("explain", "GET", "/api/v1/admin/users", "--role", "ADMIN", "--json").output)

    assert (answer["decision"], answer["passes"], answer["status"]) == ("permitted", True, None)
    assert answer["route"]["declared_at"].startswith("services/auth/routes/")
    assert answer["route"]["rate_limits"] == {"subject": 600, "address": 3_000, "window_seconds": 60}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("GET", "/api/v1//films"), "path_not_canonical (doubled slashes: //)"),
        (("GET", "/api/v1/filmz"), "near         GET /api/v1/films"),
        (("DELETE", "/api/v1/films"), "methods      GET, HEAD"),
        (("GET", "/api/v1/profile", "--no-token"), "token_missing"),
        (("GET", "/api/v1/profile", "--role", "VIEWER"), "permitted (anybody who is signed in may)"),
        (("GET", "/api/v1/profile"), "role_withheld"),
        (("GET", "/internal/revocations", "--role", "ADMIN"), "not_found"),
    ],
)
def test_explain_says_why_not(words: tuple[str, ...], said: str, ask: Ask) -> None:
    result = ask("explain", *words)

    assert result.exit_code == 0
    assert said in result.output


@pytest.mark.parametrize("words", [("GET", "/x", "--role", "KING"), ("GET", "/x", "--role", "ADMIN", "--no-token"), ("GET",)])
def test_wrong_use_is_told_with_exit_code_two(words: tuple[str, ...], ask: Ask) -> None:
    assert ask("explain", *words).exit_code == 2


def test_routes_lists_what_can_be_reached_from_outside(ask: Ask) -> None:
    rows = json.loads(ask("routes", "--json").output)
    paths = {row["path"] for row in rows}

    assert {"method", "path", "who", "class", "body", "seconds", "service"} == set(rows[0])
    assert "/api/v1/auth/login" in paths
    assert "/internal/revocations" not in paths
    assert ask("routes").output.splitlines()[0].split() == ["METHOD", "PATH", "WHO", "CLASS", "BODY", "SECONDS", "SERVICE"]


def test_a_release_keeps_what_it_was_compiled_from(compiled: Path, ask: Ask) -> None:
    assert len(read_written((compiled / "current" / POLICY_FILE).read_bytes())) == len(manifest_paths())
    alike = ask("diff", folder=compiled)
    assert (alike.exit_code, alike.output) == (0, "Both decide alike.\n")


def test_the_same_manifests_compile_to_the_same_release(compiled: Path, ask: Ask) -> None:
    again = json.loads(ask("compile", str(compiled), "--json").output)

    assert again["changed"] is False
    assert again["release"] == Folder(compiled).current_release()
    assert again["bytes"] > 10_000


def changed(folder: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    """A folder of the manifests that stand here, one of them edited."""
    for path in manifest_paths():
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        document = json.loads(path.read_bytes())
        if document["service"] == "tasks":
            edit(document)
        target.write_text(json.dumps(document), encoding="utf-8")
    return folder


def open_all(document: dict[str, Any]) -> None:
    """Let everybody read submissions."""
    for each in document["routes"]:
        if each["path"] == "/api/v1/admin/submissions":
            each["allow"] = "public"


def test_diff_says_what_changes_marks_what_widens_and_ends_with_one(compiled: Path, tmp_path: Path, ask: Ask) -> None:
    folder = changed(tmp_path / "proposed", open_all)

    result = ask("diff", IN_FORCE, str(folder), folder=compiled)

    assert result.exit_code == 1
    assert result.output.startswith(
        "! tasks: GET /api/v1/admin/submissions: for ADMIN → everybody (services/tasks/policy.json:1)"
    )
    documents = json.loads(ask("diff", HERE, str(folder), "--json").output)
    assert [each["widens"] for each in documents] == [True]


def test_a_policy_is_read_from_a_revision_of_the_repository(tmp_path: Path) -> None:
    folder = changed(tmp_path / "repository", open_all)
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)  # noqa: S607

    assert len(of_revision("HEAD", folder)) == len(manifest_paths())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("diff",), "no release is in force here yet"),
        (("diff", "no-such-revision", HERE), "neither a folder nor a revision"),
        (("diff", "--", "--upload-pack=x", HERE), "neither a folder nor a revision"),
        (("explain", "GET", "/", "--policy", "/"), "/ holds no manifest"),
        (("dry-run", "report"), "no policy is on trial"),
    ],
)
def test_what_cannot_be_read_is_told_with_exit_code_one(words: tuple[str, ...], said: str, ask: Ask) -> None:
    result = ask(*words)

    assert result.exit_code == 1
    assert said in result.output


def test_the_faults_of_a_proposed_policy_are_all_told(tmp_path: Path, ask: Ask) -> None:
    def spoil(document: dict[str, Any]) -> None:
        document["routes"][0]["allow"] = ["KING"]
        document["routes"][1]["rate"] = "often"

    result = ask("explain", "GET", "/", "--policy", str(changed(tmp_path / "proposed", spoil)))

    assert result.exit_code == 1
    for each in ("allow: ", "rate: "):
        assert each in result.output


def test_check_lets_haproxy_read_what_stands_here(ask: Ask) -> None:
    answer = json.loads(ask("check", "--json").output)

    assert answer["valid"] is True
    assert answer["manifests"] == len(manifest_paths())


def test_the_gateways_own_program_knows_the_commands() -> None:
    assert set(COMMANDS) <= set(main.list_commands(click.Context(main)))
