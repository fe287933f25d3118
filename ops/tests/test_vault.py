"""Secrets are generated once and readable by this user only."""

import base64
from pathlib import Path

from nacl.public import PrivateKey

from ops.environment import notify_public_key
from ops.vault import Vault


def test_a_secret_is_generated_once(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "secrets")
    first = vault.ensure("AUTH_SECRET")
    assert len(first) >= 32
    assert vault.ensure("AUTH_SECRET") == first
    assert Vault(tmp_path / "secrets").ensure("AUTH_SECRET") == first


def test_two_secrets_differ(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    assert vault.ensure("A") != vault.ensure("B")


def test_only_this_user_may_read_a_secret(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "secrets")
    vault.ensure("AUTH_SECRET")
    assert vault.path("AUTH_SECRET").stat().st_mode & 0o777 == 0o600
    assert vault.folder.stat().st_mode & 0o777 == 0o700


def test_writing_an_equal_value_leaves_the_file_untouched(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    before = vault.write("URL", "one").stat()
    assert vault.write("URL", "one").stat().st_ino == before.st_ino
    assert vault.write("URL", "two").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["URL"]


def test_the_public_key_of_notify_belongs_to_the_private_one(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    public = notify_public_key(vault)
    private = PrivateKey(base64.b64decode(vault.ensure("NOTIFY_PRIVATE_KEY")))
    assert base64.b64decode(public) == bytes(private.public_key)
    assert notify_public_key(vault) == public
