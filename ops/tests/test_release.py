"""Releases: cut in repositories that are made here, sealed and verified; a planted change is always found."""

import json
import shutil
import subprocess
from base64 import b64decode, b64encode
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from ops.errors import OperationError
from ops.release import files, group, versions
from ops.release.cut import Checkout
from ops.release.minisign import COMMENT_CHARACTERS_MAX, PublicKey, Refused, SecretKey, Unusable
from ops.settings import ROOT

DAY = date(2026, 11, 26)
PROJECT = '[project]\nname = "studio"\nversion = "0.1.0"\n'
CHANGELOG = "# Changelog\n\n## Unreleased\n\n### Added\n\n- A door.\n\n## 0.1.0 – 2026-01-01\n\n- The beginning.\n"

# Made by minisign 0.11: `minisign -G -W`, then `printf 'hello lumiere\\n' > f`, `minisign -S -m f -t 'a trusted comment'`.
CONTENT = b"hello lumiere\n"
PUBLIC = "untrusted comment: minisign public key 77D368DF160FAC8\nRWTI+mDxjTZ9B1qEl+IOY07x/KrGKK4ENjPhUCmiV0DlELaxZ57j02Va\n"
SIGNATURE = """untrusted comment: signature from minisign secret key
RUTI+mDxjTZ9By3GLj6yLjbqhWIeFsgyO4jaEqfKmMqvI37I4Ac4yuSchR2Eo0bWi9vToHAf3Z8YpKCQ7aVcZswkd5mrNZy8xw0=
trusted comment: a trusted comment
lp77cMcrV3W7zJYpRLk3hRrR3hxct3e/x4QB2AufyCBgH7Ft1PfkxtEs94TBnPJ0mfwElezaSg5Z4Ursc3nNBA==
"""


def test_a_signature_of_minisign_itself_holds() -> None:
    assert PublicKey.parse(PUBLIC).verify(CONTENT, SIGNATURE) == "a trusted comment"


@pytest.mark.parametrize(
    ("content", "signature"),
    [
        (CONTENT + b"x", SIGNATURE),
        (CONTENT, SIGNATURE.replace("a trusted comment", "another comment")),
        (CONTENT, SIGNATURE.replace("RUTI+mDxjTZ9By3G", "RUTI+mDxjTZ9By3H")),
        (CONTENT, SIGNATURE.replace("RUTI+mDxjTZ9B", "RUTI+mDxjTZ9C")),
    ],
)
def test_a_changed_content_comment_signature_or_key_id_is_refused(content: bytes, signature: str) -> None:
    with pytest.raises(Refused):
        PublicKey.parse(PUBLIC).verify(content, signature)


@pytest.mark.parametrize(
    "text", ["", "one line", SIGNATURE.replace("RUT", "RWT"), SIGNATURE.replace("==", "=!"), SIGNATURE * 2]
)
def test_what_is_no_signature_is_called_so(text: str) -> None:
    with pytest.raises(Unusable):
        PublicKey.parse(PUBLIC).verify(CONTENT, text)


def test_a_key_that_is_written_and_read_signs_what_its_public_half_verifies() -> None:
    key = SecretKey.generate()
    read = SecretKey.parse(key.text)
    assert PublicKey.parse(key.public.text) == read.public
    assert read.public.verify(CONTENT, key.sign(CONTENT, "of today")) == "of today"
    assert key.key.hex() not in repr(key)


@pytest.mark.parametrize("text", ["", "RWQ=", PUBLIC, "no base64 at all"])
def test_what_is_no_secret_key_is_refused(text: str) -> None:
    with pytest.raises(Unusable):
        SecretKey.parse(text)


def test_a_secret_key_with_a_password_or_a_wrong_half_is_refused() -> None:
    raw = b64decode(SecretKey.generate().text.splitlines()[1])
    with pytest.raises(Unusable, match="has a password"):
        SecretKey.parse(b64encode(raw[:2] + b"Sc" + raw[4:]).decode())
    damaged = raw[:70] + bytes([raw[70] ^ 1]) + raw[71:]
    with pytest.raises(Unusable, match="damaged"):
        SecretKey.parse(b64encode(damaged).decode())


def test_a_comment_is_one_line_and_no_longer_than_allowed() -> None:
    key = SecretKey.generate()
    assert key.public.verify(b"", key.sign(b"", "x" * COMMENT_CHARACTERS_MAX))
    for comment in ("x" * (COMMENT_CHARACTERS_MAX + 1), "two\nlines"):
        with pytest.raises(ValueError, match="one line"):
            key.sign(b"", comment)


@pytest.mark.parametrize(
    ("wanted", "version"),
    [("major", "2.0.0"), ("minor", "1.3.0"), ("patch", "1.2.4"), ("1.2.10", "1.2.10"), ("2.0.0", "2.0.0")],
)
def test_the_next_version_is_a_part_or_a_higher_one(wanted: str, version: str) -> None:
    assert versions.next_version("1.2.3", wanted) == version


@pytest.mark.parametrize("wanted", ["1.2.3", "1.2.2", "0.9.9", "1.2", "v2.0.0", "1.02.4", "latest", "1.2.4-rc1", ""])
def test_a_version_that_is_none_or_not_higher_is_refused(wanted: str) -> None:
    with pytest.raises(OperationError):
        versions.next_version("1.2.3", wanted)


def test_unreleased_becomes_the_release_and_is_empty_again() -> None:
    text = versions.released(CHANGELOG, "0.2.0", DAY)
    assert "## Unreleased\n\n## 0.2.0 – 2026-11-26\n\n### Added\n\n- A door.\n\n## 0.1.0 – 2026-01-01" in text
    assert versions.notes_of(text, "0.2.0") == "# Lumière 0.2.0\n\n### Added\n\n- A door.\n"
    for function in (versions.notes, lambda given: versions.notes_of(given, "0.3.0")):
        with pytest.raises(OperationError, match="tells nothing"):
            function(text)
    with pytest.raises(OperationError, match="no heading"):
        versions.notes("# Changelog\n")


def test_the_own_changelog_and_project_can_be_released() -> None:
    root = ROOT
    version = versions.stated_version((root / "pyproject.toml").read_text(encoding="utf-8"))
    assert versions.next_version(version, "minor")
    assert "- " in versions.notes((root / "CHANGELOG.md").read_text(encoding="utf-8"))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A repository with one commit on main."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "ada@example.org")
    root = tmp_path / "studio"
    root.mkdir()
    made = Checkout(root)
    made.git("init", "--quiet", "--initial-branch=main")
    (root / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (root / "CHANGELOG.md").write_text(CHANGELOG, encoding="utf-8")
    made.git("add", ".")
    made.git("commit", "--quiet", "--message", "The beginning")
    return made


def test_a_cut_states_version_and_changes_in_one_commit_with_a_tag(checkout: Checkout) -> None:
    plan = checkout.plan("minor")
    commit = checkout.cut(plan, DAY)
    assert checkout.git("rev-parse", "v0.2.0^{commit}") == commit == checkout.git("rev-parse", "HEAD")
    assert checkout.git("cat-file", "-t", "v0.2.0") == "tag"
    assert "### Added\n\n- A door." in checkout.git("tag", "--list", "--format=%(contents)", "v0.2.0")
    assert checkout.git("show", "--format=%s", "--name-only").splitlines() == [
        "Release 0.2.0",
        "",
        "CHANGELOG.md",
        "pyproject.toml",
    ]
    assert versions.stated_version((checkout.root / "pyproject.toml").read_text(encoding="utf-8")) == "0.2.0"
    assert checkout.git("status", "--porcelain") == ""
    with pytest.raises(OperationError, match="tells nothing"):
        checkout.plan("minor")


def test_a_plan_changes_nothing(checkout: Checkout) -> None:
    before = checkout.git("rev-parse", "HEAD")
    plan = checkout.plan("0.3.0")
    assert (plan.current, plan.version, plan.tag) == ("0.1.0", "0.3.0", "v0.3.0")
    assert (checkout.git("rev-parse", "HEAD"), checkout.git("status", "--porcelain")) == (before, "")
    assert checkout.git("tag", "--list") == ""


def test_a_branch_a_change_and_a_tag_that_is_taken_are_refused(checkout: Checkout) -> None:
    (checkout.root / "new.txt").write_text("x")
    with pytest.raises(OperationError, match="has changes"):
        checkout.plan("minor")
    (checkout.root / "new.txt").unlink()
    checkout.git("tag", "v0.2.0")
    with pytest.raises(OperationError, match="is there already"):
        checkout.plan("minor")
    checkout.git("switch", "--quiet", "--create", "feature")
    with pytest.raises(OperationError, match="cut on main"):
        checkout.plan("patch")


def test_a_check_that_is_not_green_is_shown_and_stops_before_anything_changes(checkout: Checkout) -> None:
    told: list[str] = []
    with pytest.raises(OperationError, match="is not green; nothing was changed") as failure:
        checkout.check([["true"], ["sh", "-c", "echo three tests failed; false"], ["never"]], told.append)
    assert failure.value.details == "three tests failed"
    assert told == ["true", "sh -c echo three tests failed; false"]
    assert checkout.git("status", "--porcelain") == ""


def test_a_checkout_that_changed_while_it_was_checked_is_not_cut(checkout: Checkout) -> None:
    plan = checkout.plan("minor")
    checkout.git("commit", "--quiet", "--allow-empty", "--message", "Somebody else")
    with pytest.raises(OperationError, match="changed while it was checked"):
        checkout.cut(plan, DAY)


def test_a_cut_that_fails_half_way_leaves_the_checkout_as_it_was(checkout: Checkout) -> None:
    plan = checkout.plan("minor")
    hook = checkout.root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(OperationError, match="git commit failed"):
        checkout.cut(plan, DAY)
    assert (checkout.git("rev-parse", "HEAD"), checkout.git("status", "--porcelain")) == (plan.base, "")
    hook.unlink()
    checkout.git("tag", "v0.2.0")
    with pytest.raises(OperationError, match="git tag failed"):
        checkout.cut(plan, DAY)
    assert (checkout.git("rev-parse", "HEAD"), checkout.git("status", "--porcelain")) == (plan.base, "")


@pytest.fixture
def sealed(tmp_path: Path) -> tuple[Path, SecretKey]:
    """The folder of a release without images."""
    key, folder = SecretKey.generate(), tmp_path / "release"
    folder.mkdir()
    (folder / "images.json").write_text('{"images": []}')
    (folder / "tasks.cdx.json").write_text("{}")
    files.seal(folder, key, "Lumiere 0.2.0")
    return folder, key


def _faults(folder: Path, key: PublicKey) -> dict[str, str]:
    return {each.name: each.evidence for each in files.verify(folder, key) if not each.ok}


def test_a_release_as_it_was_signed_is_verified(sealed: tuple[Path, SecretKey]) -> None:
    folder, key = sealed
    findings = files.verify(folder, key.public)
    assert all(each.ok for each in findings)
    assert [each.name for each in findings] == ["signature", "images.json", "tasks.cdx.json"]
    assert findings[0].evidence.endswith("Lumiere 0.2.0")


def test_a_file_that_was_changed_removed_or_added_is_named(sealed: tuple[Path, SecretKey]) -> None:
    folder, key = sealed
    (folder / "tasks.cdx.json").write_text("{} ")
    assert _faults(folder, key.public) == {"tasks.cdx.json": "is not what was signed"}
    (folder / "tasks.cdx.json").unlink()
    assert _faults(folder, key.public) == {"tasks.cdx.json": "is missing"}
    (folder / "extra.sh").write_text("")
    assert _faults(folder, key.public)["extra.sh"] == "is here and was not signed"


def test_a_list_that_was_made_to_fit_or_signed_by_another_is_refused(sealed: tuple[Path, SecretKey]) -> None:
    folder, key = sealed
    assert _faults(folder, SecretKey.generate().public) == {"signature": "It was signed with another key."}
    (folder / files.SUMS).write_text("")
    assert _faults(folder, key.public) == {"signature": "The signature does not belong to this content."}
    (folder / files.SIGNATURE).unlink()
    with pytest.raises(OperationError, match="holds no SHA256SUMS"):
        files.verify(folder, key.public)


def test_a_list_with_paths_in_it_is_refused_although_it_is_signed(sealed: tuple[Path, SecretKey]) -> None:
    folder, key = sealed
    listed = f"{'0' * 64}  ../../etc/passwd\n"
    (folder / files.SUMS).write_text(listed)
    (folder / files.SIGNATURE).write_text(key.sign(listed.encode(), "x"))
    with pytest.raises(OperationError, match="no digest and name"):
        files.verify(folder, key.public)


def test_minisign_itself_and_sha256sum_verify_what_was_sealed(sealed: tuple[Path, SecretKey], tmp_path: Path) -> None:
    folder, key = sealed
    checked = subprocess.run(
        [str(shutil.which("sha256sum")), "--check", files.SUMS], cwd=folder, capture_output=True, check=False
    )
    assert checked.returncode == 0
    minisign = shutil.which("minisign")
    if minisign is None:
        pytest.skip("minisign is not installed: `apt-get install minisign` proves the format with it")
    (tmp_path / "key.pub").write_text(key.public.text)
    done = subprocess.run(
        [minisign, "-Vm", files.SUMS, "-p", str(tmp_path / "key.pub")], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Lumiere 0.2.0" in done.stdout


def test_the_command_verifies_by_exit_code_and_in_json(sealed: tuple[Path, SecretKey]) -> None:
    folder, key = sealed
    line = key.public.text.splitlines()[1]
    good = CliRunner().invoke(group.group, ["verify", str(folder), "--key", line, "--json"])
    assert (good.exit_code, json.loads(good.stdout)["ok"]) == (0, True)
    (folder / "images.json").write_text("")
    bad = CliRunner().invoke(group.group, ["verify", str(folder), "--key", line, "--json"])
    assert (bad.exit_code, json.loads(bad.stdout)["ok"]) == (1, False)
    assert CliRunner().invoke(group.group, ["verify", str(folder), "--key", "RWnonsense"]).exit_code == 1


def test_a_key_is_made_for_its_owner_alone_and_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "release.key"
    assert CliRunner().invoke(group.group, ["key", str(file)]).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert SecretKey.parse(file.read_text()).public == PublicKey.parse((tmp_path / "release.key.pub").read_text())
    before = file.read_text()
    again = CliRunner().invoke(group.group, ["key", str(file)])
    assert (again.exit_code, file.read_text()) == (1, before)


def test_without_a_key_in_the_environment_nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LUMIERE_RELEASE_KEY", "LUMIERE_RELEASE_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    refused = CliRunner().invoke(group.group, ["build", "v9.9.9"])
    assert refused.exit_code == 1
    assert "LUMIERE_RELEASE_KEY_FILE" in refused.stderr
